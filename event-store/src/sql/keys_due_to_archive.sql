-- As keys_due.sql, of keys that are not archived yet.
SELECT subject, count(*) FILTER (WHERE epoch <= $2 AND NOT archived)
FROM (
    SELECT k.subject, k.epoch, EXISTS (
        SELECT FROM annals_keys.archives a
        WHERE a.subject = k.subject AND a.class = k.class AND a.through >= k.epoch
    ) AS archived
    FROM annals_keys.data_keys k
    WHERE k.class = $1
) AS keys
GROUP BY subject
HAVING count(*) FILTER (WHERE epoch <= $2 AND NOT archived) > 0 AND (NOT $3 OR max(epoch) <= $2)
ORDER BY subject
