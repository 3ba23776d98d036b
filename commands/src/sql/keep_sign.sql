-- Keeps a sign, once, and drops what is of its kind and so old that no window reaches it.
WITH over AS (
    DELETE FROM annals.signs WHERE kind = $1 AND at < $6
)
INSERT INTO annals.signs (kind, who, sign, counts, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING
