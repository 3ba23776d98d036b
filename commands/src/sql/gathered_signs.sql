SELECT sign FROM annals.signs
WHERE kind = $1 AND who = $2 AND at > $3 AND at <= $4
ORDER BY at DESC
LIMIT $5
