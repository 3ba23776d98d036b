-- The streams, of types that begin so, that events between two positions belong to. The order makes for a walk along the log.
SELECT e.aggregate_id
FROM (
    SELECT aggregate_type, aggregate_id FROM annals.events
    WHERE position > $1 AND position <= $2 ORDER BY position
) AS e
WHERE starts_with(e.aggregate_type, $3)
