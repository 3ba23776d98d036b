INSERT INTO annals.policies (name, position, incarnation)
SELECT name, position, (SELECT incarnation FROM annals.head)
FROM UNNEST($1::text[], $2::bigint[]) AS reached (name, position)
ON CONFLICT (name) DO UPDATE SET position = excluded.position
