SELECT e.position
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (aggregate_type, aggregate_id, sequence)
JOIN annals.events e USING (aggregate_type, aggregate_id, sequence)
