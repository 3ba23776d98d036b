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
    $1 + e.place, moved.recorded_at, e.aggregate_type, e.aggregate_id, e.sequence, e.event_id, e.event_type,
    e.event_version, e.payload::json, e.metadata::json, e.sealed, e.command_id, e.command_index, e.fingerprint
FROM moved, unnest(
    $6::text[], $7::text[], $8::bigint[], $9::uuid[], $10::text[], $11::text[],
    $12::text[], $13::text[], $14::bytea[], $15::uuid[], $16::smallint[], $17::bytea[]
) WITH ORDINALITY AS e (
    aggregate_type, aggregate_id, sequence, event_id, event_type, event_version,
    payload, metadata, sealed, command_id, command_index, fingerprint, place
)
