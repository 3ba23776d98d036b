SELECT
    aggregate_type,
    aggregate_id,
    min(sequence) - 1,
    max(sequence)
FROM annals.events
WHERE position > $1 AND position <= $2
GROUP BY aggregate_type, aggregate_id
ORDER BY min(position)
LIMIT $3
