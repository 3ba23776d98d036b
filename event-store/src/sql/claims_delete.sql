DELETE FROM annals.claims c
USING unnest($1::text[], $2::text[]) AS f (key, seat)
WHERE c.key = f.key AND c.seat = f.seat
