-- The groups of a scholarship's funnel that are large enough to be shown ($2), and the sum of those.
WITH shown AS (
    SELECT period, major
    FROM {table}
    WHERE scholarship = $1
      AND (cardinality($3::text[]) = 0 OR period = ANY ($3))
      AND (cardinality($4::text[]) = 0 OR major = ANY ($4))
    GROUP BY period, major
    HAVING count(DISTINCT applicant) >= $2
)
SELECT grouping(f.period) = 1 AS is_sum,
       f.period,
       f.major,
       count(DISTINCT f.applicant) AS people,
       coalesce(sum(f.started), 0) AS started,
       coalesce(sum(f.submitted), 0) AS submitted,
       coalesce(sum(f.shortlisted), 0) AS shortlisted,
       coalesce(sum(f.awarded), 0) AS awarded,
       coalesce(sum(f.accepted), 0) AS accepted,
       coalesce(sum(f.amount_awarded), 0)::bigint AS amount_awarded,
       coalesce(sum(f.amount_accepted), 0)::bigint AS amount_accepted
FROM {table} f
JOIN shown s ON s.period = f.period AND s.major IS NOT DISTINCT FROM f.major
WHERE f.scholarship = $1
GROUP BY GROUPING SETS ((f.period, f.major), ())
ORDER BY is_sum, f.period, f.major
