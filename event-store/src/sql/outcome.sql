-- The events of a command stand side by side, from the one with index 0 on: one look-up for each.
WITH RECURSIVE outcome AS (
    SELECT e.position, e.recorded_at, e.event_id, e.aggregate_type, e.aggregate_id, e.sequence, e.fingerprint
    FROM annals.events e
    WHERE e.command_id = $1 AND e.command_index = 0
    UNION ALL
    SELECT e.position, e.recorded_at, e.event_id, e.aggregate_type, e.aggregate_id, e.sequence, e.fingerprint
    FROM outcome
    CROSS JOIN LATERAL (
        SELECT * FROM annals.events next WHERE next.position = outcome.position + 1 AND next.command_id = $1
    ) AS e
)
SELECT position, recorded_at, event_id, aggregate_type, aggregate_id, sequence, fingerprint
FROM outcome
ORDER BY position
