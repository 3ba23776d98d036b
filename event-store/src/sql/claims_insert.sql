INSERT INTO annals.claims (key, seat, holder_type, holder_id)
SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[])
