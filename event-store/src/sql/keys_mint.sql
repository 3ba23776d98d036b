-- Binds new keys to (subject, class, epoch), unless one is bound already or they were shredded.
--
-- A shred locks the table against this statement. One that had to wait for a shred sees its tombstone: PostgreSQL
-- takes the snapshot of a statement after it has got its table locks. The order keeps two nodes from deadlocking.
INSERT INTO annals_keys.data_keys (subject, class, epoch, master_key, wrapped)
SELECT w.subject, w.class, w.epoch, $1, w.wrapped
FROM unnest($2::uuid[], $3::text[], $4::int[], $5::bytea[]) AS w(subject, class, epoch, wrapped)
WHERE NOT EXISTS (
    SELECT FROM annals_keys.shreds s
    WHERE s.subject = w.subject AND s.class IN (w.class, '*') AND (s.through IS NULL OR s.through >= w.epoch)
)
ORDER BY w.subject, w.class, w.epoch
ON CONFLICT DO NOTHING
