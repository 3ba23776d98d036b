SELECT
    aggregate_type,
    event_type,
    count(*),
    count(DISTINCT aggregate_id)
FROM annals.events
WHERE position > $1 AND position <= $2
GROUP BY aggregate_type, event_type
ORDER BY aggregate_type, event_type
