-- Rows must tell no more than daily use opens: after keys were archived read models are rebuilt, as after a destruction.
ALTER TABLE annals.projection_head ADD COLUMN archives bigint NOT NULL DEFAULT 0;

COMMENT ON COLUMN annals.projection_head.archives IS 'The last archiving of keys after which read models were rebuilt.';
