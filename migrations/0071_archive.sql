-- Keys that are out of daily use: those of a subject and class up to an epoch. They are kept, and opened for a look into
-- history only.
CREATE TABLE annals_keys.archives (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject     uuid        NOT NULL,
    class       text        COLLATE "C" NOT NULL,
    through     int         NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX archives_subject ON annals_keys.archives (subject, class);

COMMENT ON TABLE annals_keys.archives IS 'What is kept and out of daily use. Nothing is destroyed by it.';
