-- Up to which shred the table of keys was written anew: a deleted row lives on in its page until that is used again, and with
-- it the wrapped bytes of a key that was destroyed.
CREATE TABLE annals_keys.scrubbed (
    singleton boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    shred     bigint  NOT NULL DEFAULT 0
);

INSERT INTO annals_keys.scrubbed DEFAULT VALUES;

COMMENT ON COLUMN annals_keys.scrubbed.shred IS 'The last shred of whose keys the table holds no wrapped bytes any more.';
