SELECT DISTINCT ON (policy, lane) policy, position
FROM annals.policy_backlog b
WHERE NOT parked AND due_at <= now()
  AND NOT EXISTS (SELECT FROM annals.policy_backlog earlier
                  WHERE earlier.policy = b.policy AND earlier.lane = b.lane AND NOT earlier.parked
                    AND earlier.position < b.position)
ORDER BY policy, lane, position
LIMIT 256
