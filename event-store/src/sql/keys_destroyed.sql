-- The ids of the keys of a class that shreds of this reach have destroyed, however often they were begun anew.
SELECT DISTINCT k.key_id
FROM annals_keys.shreds s, unnest(s.key_ids) AS k(key_id)
WHERE s.subject = $1 AND s.class IN ($2, '*') AND s.through IS NOT DISTINCT FROM $3 AND k.key_id LIKE $2 || '/%'
ORDER BY k.key_id
