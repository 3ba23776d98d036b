-- Adds what a node has counted, and tells what all have. The rows come in order, so that nodes never wait for each other
-- in a circle.
INSERT INTO annals.calls AS counted (who, win, calls, until)
SELECT * FROM unnest($1::bytea[], $2::bigint[], $3::integer[], $4::bigint[])
ON CONFLICT (who, win) DO UPDATE SET calls = counted.calls + excluded.calls
RETURNING who, win, calls
