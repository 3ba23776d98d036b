-- Whole keys only, so that a page never ends in the middle of one.
WITH page AS (
    SELECT DISTINCT key FROM annals.claims WHERE key > $1 ORDER BY key LIMIT $2
)
SELECT c.key, c.seat, c.holder_type, c.holder_id
FROM page JOIN annals.claims c USING (key)
ORDER BY c.key, c.seat
