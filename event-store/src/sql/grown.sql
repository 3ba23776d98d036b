-- The streams that others have written since a position, and where they stand.
SELECT aggregate_type, aggregate_id, max(sequence)
FROM annals.events
WHERE position > $1 AND position <= $2
GROUP BY aggregate_type, aggregate_id
