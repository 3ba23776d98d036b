-- Whose account is closed, and since when, in microseconds: deactivated and not reinstated since, or erased. $1 is the class,
-- and it is the same for each.
SELECT subject, at FROM (
    SELECT DISTINCT ON (aggregate_id)
        aggregate_id::uuid AS subject, event_type, (extract(epoch FROM recorded_at) * 1000000)::bigint AS at
    FROM annals.events
    WHERE aggregate_type = 'identity.account'
        AND event_type IN ('AccountDeactivated', 'AccountReinstated', 'AccountErased')
    ORDER BY aggregate_id, sequence DESC
) AS last
WHERE event_type <> 'AccountReinstated' AND $1::text IS NOT NULL
