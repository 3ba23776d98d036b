SELECT id, policy, aggregate_id, command, causation_id, correlation_id, attempts,
       (extract(epoch FROM due_at) * 1000000)::bigint AS due_micros
FROM annals.timers
WHERE due_at <= timestamptz 'epoch' + $1 * interval '1 microsecond'
ORDER BY due_at, id
LIMIT $2
