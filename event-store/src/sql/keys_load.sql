-- $4: for a look into history, which opens what is archived as well.
--
-- A key that was destroyed is not loaded, should somebody have put it back.
SELECT k.subject, k.class, k.epoch, k.master_key, k.wrapped
FROM unnest($1::uuid[], $2::text[], $3::int[]) AS w(subject, class, epoch)
JOIN annals_keys.data_keys k ON k.subject = w.subject AND k.class = w.class AND k.epoch = w.epoch
WHERE NOT EXISTS (
    SELECT FROM annals_keys.shreds s
    WHERE s.subject = k.subject AND s.class IN (k.class, '*') AND (s.through IS NULL OR s.through >= k.epoch)
) AND ($4 OR NOT EXISTS (
    SELECT FROM annals_keys.archives a
    WHERE a.subject = k.subject AND a.class = k.class AND a.through >= k.epoch
))
