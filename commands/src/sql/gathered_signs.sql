-- The newest sign of each thing that is counted.
SELECT sign FROM (
    SELECT DISTINCT ON (counts) sign, at FROM annals.signs
    WHERE kind = $1 AND who = $2 AND at > $3 AND at <= $4
    ORDER BY counts, at DESC
) AS counted
ORDER BY at DESC
LIMIT $5
