UPDATE annals_keys.data_keys k
SET master_key = $1, wrapped = w.wrapped
FROM unnest($2::uuid[], $3::text[], $4::int[], $5::bytea[]) AS w(subject, class, epoch, wrapped)
WHERE k.subject = w.subject AND k.class = w.class AND k.epoch = w.epoch
