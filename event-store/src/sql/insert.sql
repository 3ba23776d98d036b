-- The events of a locked batch. Their positions go on from $1.
INSERT INTO annals.events (
    position, recorded_at, aggregate_type, aggregate_id, sequence, event_id, event_type, event_version,
    payload, metadata, sealed, command_id, command_index, fingerprint
)
SELECT
    generate_series($1::bigint + 1, $1::bigint + cardinality($3::text[])), $2, unnest($3::text[]), unnest($4::text[]),
    unnest($5::bigint[]), unnest($6::uuid[]), unnest($7::text[]), unnest($8::text[]), unnest($9::json[]),
    unnest($10::json[]), unnest($11::bytea[]), unnest($12::uuid[]), unnest($13::smallint[]), unnest($14::bytea[])
