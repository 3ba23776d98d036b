-- What a sign counts for: signs of the same account count once where an incident follows from so many accounts (GOV-I2).
-- Where every sign counts for itself it is the sign.
ALTER TABLE annals.signs ADD COLUMN counts uuid;
UPDATE annals.signs SET counts = sign;
ALTER TABLE annals.signs ALTER COLUMN counts SET NOT NULL;

COMMENT ON COLUMN annals.signs.counts IS 'What it counts for, once: the event itself, or the account that it happened to.';
