-- What the ledger of erasures says, applied again: tombstones that are missing, and keys that are back.
WITH told AS (
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::int[]) AS t(subject, class, through)
), noted AS (
    INSERT INTO annals_keys.shreds (subject, class, through)
    SELECT t.subject, t.class, t.through FROM told t
    WHERE NOT EXISTS (
        SELECT FROM annals_keys.shreds s
        WHERE s.subject = t.subject AND s.class = t.class AND s.through IS NOT DISTINCT FROM t.through
    )
)
DELETE FROM annals_keys.data_keys k USING told t
WHERE k.subject = t.subject AND (t.class = '*' OR k.class = t.class) AND (t.through IS NULL OR k.epoch <= t.through)
