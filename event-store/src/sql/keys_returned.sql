SELECT count(*)
FROM annals_keys.data_keys k
WHERE k.subject = $1 AND k.class = ANY ($2) AND EXISTS (
    SELECT FROM annals_keys.shreds s
    WHERE s.subject = k.subject AND s.class IN (k.class, '*') AND (s.through IS NULL OR s.through >= k.epoch)
)
