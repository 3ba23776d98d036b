SELECT subject, class, max(epoch)
FROM annals_keys.data_keys
WHERE $1::uuid IS NULL OR (subject, class) > ($1, $2)
GROUP BY subject, class
ORDER BY subject, class
LIMIT $3
