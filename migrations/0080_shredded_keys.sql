-- Which keys a shred destroyed, kept in the transaction that destroyed them: whoever certifies it may be interrupted, and
-- cannot ask the keys any more.
ALTER TABLE annals_keys.shreds ADD COLUMN key_ids text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN annals_keys.shreds.key_ids IS 'The ids of the keys that this shred destroyed, as class/yyyy-mm.';
