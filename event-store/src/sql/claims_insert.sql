INSERT INTO annals.claims (key, seat, holder_type, holder_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[])
