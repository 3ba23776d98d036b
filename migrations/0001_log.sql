-- The log: one append-only table, one head row, and the claims that stand beside it.

CREATE SCHEMA IF NOT EXISTS annals;

-- A superset of the table `events` of postgres-es: its columns have the same names and types, so the stock
-- PostgresEventRepository reads any aggregate from here (it cannot write: `position` has no default).
-- `json`, not `jsonb`: jsonb does not keep the bytes that the integrity leaf was hashed from. Names are compared byte
-- by byte (COLLATE "C"): indexes are quicker so, and survive an upgrade of the operating system's locales.
CREATE TABLE annals.events (
    position       bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL,
    sequence       bigint      NOT NULL CHECK (sequence > 0),
    event_id       uuid        NOT NULL,
    command_id     uuid,
    command_index  smallint    NOT NULL DEFAULT 0 CHECK (command_index >= 0),
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    event_type     text        NOT NULL,
    event_version  text        NOT NULL,
    payload        json        NOT NULL,
    metadata       json        NOT NULL,
    sealed         bytea,
    fingerprint    bytea,
    CONSTRAINT events_pkey PRIMARY KEY (position),
    CONSTRAINT events_stream_key UNIQUE (aggregate_type, aggregate_id, sequence)
);

-- A command is in the log once. Its events stand side by side, so the first stands for all: the index has one
-- entry for a command and not one for each of its events, and the others are found by position.
CREATE UNIQUE INDEX events_command_key ON annals.events (command_id) WHERE command_index = 0;

COMMENT ON TABLE annals.events IS 'The log. Append-only: UPDATE, DELETE and TRUNCATE are refused for every role.';
COMMENT ON COLUMN annals.events.position IS 'Place in the log: 1, 2, 3 ... without gaps, in commit order.';
COMMENT ON COLUMN annals.events.recorded_at IS 'When it was recorded, exact to the microsecond; never decreases along the log.';
COMMENT ON COLUMN annals.events.sequence IS 'Place in its stream (aggregate_type, aggregate_id): 1, 2, 3 ...';
COMMENT ON COLUMN annals.events.command_id IS 'The command that caused it; null for imported events without one.';
COMMENT ON COLUMN annals.events.command_index IS 'Place among the events of its command, from 0.';
COMMENT ON COLUMN annals.events.sealed IS 'The personal fields of the payload, encrypted for their data subjects.';
COMMENT ON COLUMN annals.events.fingerprint IS 'Keyed hash of what the client sent, on the first event of a command.';

-- `batch` is a random number that every append sets anew. An append expects position AND batch: had it expected the
-- position alone, a pipelined batch could mistake another node's events for those of its own lost predecessor.
CREATE TABLE annals.head (
    singleton   boolean     NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    position    bigint      NOT NULL CHECK (position >= 0),
    recorded_at timestamptz NOT NULL,
    batch       bigint      NOT NULL,
    incarnation uuid        NOT NULL
) WITH (fillfactor = 10);

INSERT INTO annals.head (position, recorded_at, batch, incarnation) VALUES (0, 'epoch', 0, gen_random_uuid());

COMMENT ON TABLE annals.head IS 'One row: the last position of the log. Its lock puts the appends of all nodes in order.';
COMMENT ON COLUMN annals.head.incarnation IS 'Made when the log was created; a follower of another incarnation must not go on.';

-- Uniqueness and capacity across streams. A pure function of the events, written in their transaction.
-- `seat` is empty for a claim that one stream holds alone; for a seat it names the holder, so that each sits once.
CREATE TABLE annals.claims (
    key         text COLLATE "C" NOT NULL,
    seat        text COLLATE "C" NOT NULL,
    holder_type text COLLATE "C" NOT NULL,
    holder_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (key, seat)
);

COMMENT ON TABLE annals.claims IS 'What streams hold alone, or one of a limited number of seats of. Rebuildable from the log.';

CREATE FUNCTION annals.refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % of %.% is refused', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON annals.events
    FOR EACH STATEMENT EXECUTE FUNCTION annals.refuse_rewriting();
-- ALWAYS: also in a session that has set session_replication_role to replica.
ALTER TABLE annals.events ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER one_head BEFORE DELETE OR TRUNCATE ON annals.head
    FOR EACH STATEMENT EXECUTE FUNCTION annals.refuse_rewriting();
ALTER TABLE annals.head ENABLE ALWAYS TRIGGER one_head;

-- The last position recorded at or before an instant (0: none). recorded_at never decreases along the log, so
-- bisecting the primary key finds it in some twenty probes and the log needs no index on time.
CREATE FUNCTION annals.position_at(instant timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    low    bigint := 0;
    high   bigint := (SELECT position FROM annals.head);
    middle bigint;
BEGIN
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        IF (SELECT recorded_at FROM annals.events WHERE position = middle) <= instant THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;
