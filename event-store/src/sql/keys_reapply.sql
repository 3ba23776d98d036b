-- What the ledger of erasures says, applied again: tombstones that are missing, and keys that are back.
WITH told AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[]) AS t(subject, class, through)
), gone AS (
    DELETE FROM annals_keys.data_keys k USING told t
    WHERE k.subject = t.subject AND (t.class = '*' OR k.class = t.class) AND (t.through IS NULL OR k.epoch <= t.through)
    RETURNING t.subject, t.class, t.through,
        k.class || '/' || lpad((k.epoch / 100)::text, 4, '0') || '-' || lpad((k.epoch % 100)::text, 2, '0') AS id
), noted AS (
    INSERT INTO annals_keys.shreds (subject, class, through, key_ids)
    SELECT t.subject, t.class, t.through, coalesce(array_agg(g.id ORDER BY g.id) FILTER (WHERE g.id IS NOT NULL), '{}')
    FROM told t
    LEFT JOIN gone g
        ON g.subject = t.subject AND g.class = t.class AND g.through IS NOT DISTINCT FROM t.through
    WHERE g.id IS NOT NULL OR NOT EXISTS (
        SELECT FROM annals_keys.shreds s
        WHERE s.subject = t.subject AND s.class = t.class AND s.through IS NOT DISTINCT FROM t.through
    )
    GROUP BY t.subject, t.class, t.through
)
SELECT count(*) FROM gone
