-- Read models: how far each is, and what operators did to them. The rows are in schemas of their own, one for each
-- generation of a read model, and can all be folded again from the log.

-- The pack: all read models that are up to date move on together, in one row. `layout` changes whenever a read model
-- joins, leaves or is switched, so that a follower that does not know of it yet commits nothing.
CREATE TABLE annals.projection_head (
    singleton   boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    position    bigint  NOT NULL CHECK (position >= 0),
    incarnation uuid    NOT NULL,
    layout      bigint  NOT NULL,
    shreds      bigint  NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

INSERT INTO annals.projection_head (position, incarnation, layout)
SELECT 0, incarnation, 0 FROM annals.head;

COMMENT ON TABLE annals.projection_head IS 'How far the pack of read models is. One row.';
COMMENT ON COLUMN annals.projection_head.incarnation IS 'The log that was folded.';
COMMENT ON COLUMN annals.projection_head.shreds IS 'The last destruction of keys after which read models were rebuilt.';

CREATE TABLE annals.projections (
    name        text        NOT NULL,
    generation  int         NOT NULL,
    version     int         NOT NULL,
    schema_name text        NOT NULL,
    state       text        NOT NULL
                CHECK (state IN ('building', 'behind', 'live', 'parked', 'frozen', 'retired')),
    position    bigint      CHECK (position >= 0),
    incarnation uuid        NOT NULL,
    serving     boolean     NOT NULL DEFAULT false,
    unlogged    boolean     NOT NULL,
    viewed      boolean     NOT NULL DEFAULT false,
    reason      text,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, generation),
    CHECK ((position IS NULL) = (state = 'live'))
);

CREATE UNIQUE INDEX projections_serving ON annals.projections (name) WHERE serving;

COMMENT ON TABLE annals.projections IS 'The generations of the read models.';
COMMENT ON COLUMN annals.projections.position IS 'How far it is; null: as far as the pack.';
COMMENT ON COLUMN annals.projections.state IS 'building: made from the log; behind: catching up; live: in the pack; parked: an event stopped it; frozen: no running program knows this version; retired: another generation serves.';
COMMENT ON COLUMN annals.projections.serving IS 'Whether queries read this generation.';
COMMENT ON COLUMN annals.projections.viewed IS 'Whether the view of the analysts shows this generation.';
COMMENT ON COLUMN annals.projections.reason IS 'Why it is parked or frozen.';

-- A crash of PostgreSQL empties every UNLOGGED table, this one too: a generation that is UNLOGGED and has no witness
-- here has lost its rows.
CREATE UNLOGGED TABLE annals.projection_witnesses (
    name       text NOT NULL,
    generation int  NOT NULL,
    PRIMARY KEY (name, generation)
);

-- What operators did. A skipped event stays skipped in every rebuild.
CREATE TABLE annals.projection_interventions (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    action     text        NOT NULL CHECK (action IN ('retry', 'skip', 'drop')),
    position   bigint      CHECK ((position IS NOT NULL) = (action = 'skip')),
    actor      text        NOT NULL,
    reason     text        NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX projection_interventions_skips ON annals.projection_interventions (name) WHERE action = 'skip';

-- Moves the pack, if it is where the follower thinks it is and nobody has joined or left.
CREATE FUNCTION annals.advance_projections(before bigint, after bigint, known_layout bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE annals.projection_head SET position = after WHERE position = before AND layout = known_layout;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the pack of read models has moved or changed' USING ERRCODE = 'AN001';
    END IF;
END
$$;

-- Moves read models that are not in the pack but together with one another.
CREATE FUNCTION annals.advance_projections_apart(models text[], numbers int[], before bigint, after bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    UPDATE annals.projections p SET position = after
    FROM unnest(models, numbers) AS m(name, generation)
    WHERE p.name = m.name AND p.generation = m.generation AND p.position = before AND p.state = 'behind';
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> cardinality(models) THEN
        RAISE EXCEPTION 'the read models % have moved or changed', models USING ERRCODE = 'AN001';
    END IF;
END
$$;

-- How far the relay has published to NATS.
CREATE TABLE annals.relay (
    singleton   boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    position    bigint  NOT NULL CHECK (position >= 0),
    incarnation uuid    NOT NULL
) WITH (fillfactor = 10);

-- Analysts: the schema `read` and nothing else. SQL passes by the access log, so what they see of people is a pseudonym,
-- computed with a key that they cannot read.
CREATE SCHEMA IF NOT EXISTS read;
COMMENT ON SCHEMA read IS 'Read models for analysts: pseudonymous or aggregated, groups of fewer than 5 left out.';

CREATE TABLE annals.pseudonym_key (
    singleton boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    key       bytea   NOT NULL
);
INSERT INTO annals.pseudonym_key (key)
SELECT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

-- Analysts may run it through a view, but not name it: they may not use this schema. So they cannot compute the
-- pseudonym of somebody whose identifier they know.
CREATE FUNCTION annals.pseudonym(id uuid) RETURNS uuid
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT encode(substr(sha256(k.key || uuid_send(id)), 1, 16), 'hex')::uuid FROM annals.pseudonym_key k
$$;

DO $$
BEGIN
    CREATE ROLE annals_analyst NOLOGIN;
EXCEPTION
    -- It exists, or another database of this cluster is just making it.
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'the role annals_analyst is to be made by an administrator';
END
$$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'annals_analyst') THEN
        REVOKE ALL ON SCHEMA annals FROM annals_analyst;
        GRANT USAGE ON SCHEMA read TO annals_analyst;
        GRANT EXECUTE ON FUNCTION annals.pseudonym(uuid) TO annals_analyst;
        ALTER DEFAULT PRIVILEGES IN SCHEMA read GRANT SELECT ON TABLES TO annals_analyst;
    END IF;
END
$$;
