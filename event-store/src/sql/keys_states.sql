-- What became of keys, in the order in which they are asked for.
SELECT k.master_key, k.wrapped, EXISTS (
    SELECT FROM annals_keys.shreds s
    WHERE s.subject = w.subject AND s.class IN (w.class, '*') AND (s.through IS NULL OR s.through >= w.epoch)
)
FROM unnest($1::uuid[], $2::text[], $3::int[]) WITH ORDINALITY AS w(subject, class, epoch, place)
LEFT JOIN annals_keys.data_keys k ON k.subject = w.subject AND k.class = w.class AND k.epoch = w.epoch
ORDER BY w.place
