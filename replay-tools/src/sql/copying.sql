-- How far pg_dump or pg_restore is: the rows of each table; and a line for table 0 while it makes an index.
SELECT p.relid::bigint, p.tuples_processed
FROM pg_stat_progress_copy p
JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = $1
UNION ALL
SELECT 0, 0
FROM pg_stat_progress_create_index p
JOIN pg_stat_activity a USING (pid)
WHERE a.application_name = $1
