-- As fenced.sql, with claims and with the versions that this writer does not know by heart. If the head has not moved,
-- the snapshot is exact, and so are these checks. A claim that somebody else holds violates the primary key.
WITH wrong AS (
    SELECT FROM unnest($18::text[], $19::text[], $20::bigint[]) AS c (aggregate_type, aggregate_id, version)
    WHERE c.version <> COALESCE((
        SELECT e.sequence FROM annals.events e
        WHERE e.aggregate_type = c.aggregate_type AND e.aggregate_id = c.aggregate_id
        ORDER BY e.sequence DESC LIMIT 1
    ), 0)
    LIMIT 1
),
moved AS (
    UPDATE annals.head
    SET position = $3, recorded_at = $4, batch = $5
    WHERE position = $1 AND batch = $2 AND NOT EXISTS (SELECT FROM wrong)
    RETURNING recorded_at
),
freed AS (
    DELETE FROM annals.claims c
    USING moved, unnest($21::text[], $22::text[], $23::text[]) AS f (key, holder_type, holder_id)
    WHERE c.key = f.key AND c.holder_type = f.holder_type AND c.holder_id = f.holder_id
),
taken AS (
    INSERT INTO annals.claims (key, seat, holder_type, holder_id)
    SELECT unnest($24::text[]), '', unnest($25::text[]), unnest($26::text[])
    FROM moved
)
INSERT INTO annals.events (
    position, recorded_at, aggregate_type, aggregate_id, sequence, event_id, event_type, event_version,
    payload, metadata, sealed, command_id, command_index, fingerprint
)
SELECT
    generate_series($1::bigint + 1, $3::bigint), moved.recorded_at, unnest($6::text[]), unnest($7::text[]), unnest($8::bigint[]),
    unnest($9::uuid[]), unnest($10::text[]), unnest($11::text[]), unnest($12::json[]), unnest($13::json[]),
    unnest($14::bytea[]), unnest($15::uuid[]), unnest($16::smallint[]), unnest($17::bytea[])
FROM moved
