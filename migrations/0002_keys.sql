-- The keys of personal data. They may live in another database than the log, and should have another backup life.

CREATE SCHEMA IF NOT EXISTS annals_keys;

-- One random data key for each subject, record class and epoch, wrapped by a master key that is not in any database.
-- An epoch is written as its last month, yyyymm: 202612 is the year 2026, or its December for a class kept by months.
CREATE TABLE annals_keys.data_keys (
    subject    uuid  NOT NULL,
    class      text  COLLATE "C" NOT NULL,
    epoch      int   NOT NULL,
    master_key bytea NOT NULL,
    wrapped    bytea NOT NULL,
    PRIMARY KEY (subject, class, epoch)
);

COMMENT ON COLUMN annals_keys.data_keys.master_key IS 'Which master key wraps this one (its identifier, not the key).';

-- What was destroyed, for ever. An erasure is final for subject and class; retention ends the epochs up to `through`.
-- The class `*` stands for every class. Rows come in the order of their ids: a shred locks data_keys first.
CREATE TABLE annals_keys.shreds (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject     uuid        NOT NULL,
    class       text        COLLATE "C" NOT NULL,
    through     int,
    shredded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX shreds_subject ON annals_keys.shreds (subject, class);

COMMENT ON COLUMN annals_keys.shreds.through IS 'Null for an erasure: no key is ever made again. Else the last epoch that retention ended.';
