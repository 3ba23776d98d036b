-- A person's own streams have their id. A keyed hash has 64 digits.
DELETE FROM annals.claims WHERE holder_id = ANY ($1::text[]) AND key ~ ':[0-9a-f]{64}$'
