-- The hot path: the head moves from where this writer believes it to be, and everything is inserted only if it did.
--
-- Nobody has written since `position` and `batch` if the UPDATE finds them. It waits for another writer's commit and
-- then looks at the new row, so it never moves a head that has moved; and as every append moves the head, what this
-- statement's snapshot shows is then exactly the log up to `position`.
WITH moved AS (
    UPDATE annals.head
    SET position = $3, recorded_at = $4, batch = $5
    WHERE position = $1 AND batch = $2
    RETURNING recorded_at
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
