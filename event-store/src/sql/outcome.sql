-- The events of a command stand side by side, from the one with index 0 on.
WITH first AS (
    SELECT position FROM annals.events WHERE command_id = $1 AND command_index = 0
)
SELECT e.position, e.recorded_at, e.event_id, e.aggregate_type, e.aggregate_id, e.sequence, e.fingerprint
FROM first
JOIN annals.events e ON e.position >= first.position AND e.position < first.position + 10000
WHERE e.command_id = $1 AND e.position = first.position + e.command_index
ORDER BY e.position
