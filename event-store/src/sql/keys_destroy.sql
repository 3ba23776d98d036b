-- The tombstone, with the ids of the keys that go with it, and their destruction: one fact.
WITH gone AS (
    DELETE FROM annals_keys.data_keys
    WHERE subject = $1 AND ($2 = '*' OR class = $2) AND ($3::int IS NULL OR epoch <= $3)
    RETURNING class || '/' || lpad((epoch / 100)::text, 4, '0') || '-' || lpad((epoch % 100)::text, 2, '0') AS id
)
INSERT INTO annals_keys.shreds (subject, class, through, key_ids)
SELECT $1, $2, $3, coalesce(array_agg(id ORDER BY id), '{}') FROM gone
RETURNING cardinality(key_ids)::bigint
