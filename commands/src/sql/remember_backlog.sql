INSERT INTO annals.policy_backlog AS b (policy, position, lane, attempts, due_at, parked, reason)
VALUES ($1, $2, $3, 1, now() + interval '1 second', $4, $5)
ON CONFLICT (policy, position) DO UPDATE
SET attempts = b.attempts + 1,
    due_at = now() + make_interval(secs => least(power(2, least(b.attempts, 16)), $6)),
    parked = $4 OR now() - b.since > $7::interval,
    reason = excluded.reason
