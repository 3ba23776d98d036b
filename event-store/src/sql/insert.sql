-- The events of a locked batch. Their positions go on from $1.
INSERT INTO annals.events (
    position, recorded_at, aggregate_type, aggregate_id, sequence, event_id, event_type, event_version,
    payload, metadata, sealed, command_id, command_index, fingerprint
)
SELECT
    $1 + e.place, $2, e.aggregate_type, e.aggregate_id, e.sequence, e.event_id, e.event_type,
    e.event_version, e.payload::json, e.metadata::json, e.sealed, e.command_id, e.command_index, e.fingerprint
FROM unnest(
    $3::text[], $4::text[], $5::bigint[], $6::uuid[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::bytea[], $12::uuid[], $13::smallint[], $14::bytea[]
) WITH ORDINALITY AS e (
    aggregate_type, aggregate_id, sequence, event_id, event_type, event_version,
    payload, metadata, sealed, command_id, command_index, fingerprint, place
)
