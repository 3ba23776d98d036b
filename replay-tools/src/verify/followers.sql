-- Everything that keeps a place in the log, and which log that was.
SELECT 'the pack of read models' AS who, position, incarnation FROM annals.projection_head
UNION ALL
SELECT 'the read model ' || name || ' (generation ' || generation || ')', position, incarnation
FROM annals.projections WHERE state <> 'retired'
UNION ALL
SELECT 'the relay to NATS', position, incarnation FROM annals.relay
UNION ALL
SELECT 'the policy ' || name, position, incarnation FROM annals.policies
ORDER BY who
