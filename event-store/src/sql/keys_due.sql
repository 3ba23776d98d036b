-- Who has keys of a class whose epochs have ended, and how many; only those without later ones where they must be idle.
SELECT subject, count(*) FILTER (WHERE epoch <= $2)
FROM annals_keys.data_keys
WHERE class = $1
GROUP BY subject
HAVING min(epoch) <= $2 AND (NOT $3 OR max(epoch) <= $2)
ORDER BY subject
