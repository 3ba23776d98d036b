INSERT INTO annals.timers (id, due_at, policy, aggregate_id, command, causation_id, correlation_id)
VALUES ($1, timestamptz 'epoch' + $2 * interval '1 microsecond', $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING
