-- What was restored is another log from here on: events that others saw after the backup are not in it.
BEGIN;

UPDATE annals.head SET incarnation = gen_random_uuid();

-- Policies go on where they stood: that is in the same snapshot as the log.
UPDATE annals.policies SET incarnation = (SELECT incarnation FROM annals.head);

-- Read models are folded again, and the log is published to NATS from its beginning.
DELETE FROM annals.projections;
DELETE FROM annals.projection_witnesses;
DELETE FROM annals.relay;
UPDATE annals.projection_head
SET position = 0, shreds = 0, archives = 0, layout = layout + 1, incarnation = (SELECT incarnation FROM annals.head);

-- The grants of the analysts, whose role may be new in this cluster.
DO $$
BEGIN
    CREATE ROLE annals_analyst NOLOGIN;
EXCEPTION
    WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END
$$;

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'annals_analyst') THEN
        REVOKE ALL ON SCHEMA annals FROM annals_analyst;
        GRANT USAGE ON SCHEMA read TO annals_analyst;
        GRANT EXECUTE ON FUNCTION annals.pseudonym(uuid) TO annals_analyst;
        GRANT SELECT ON ALL TABLES IN SCHEMA read TO annals_analyst;
        ALTER DEFAULT PRIVILEGES IN SCHEMA read GRANT SELECT ON TABLES TO annals_analyst;
    END IF;
    -- A backup from before there were these functions gets them with the next migration, which calls them.
    IF to_regprocedure('annals.reserve_locks(name)') IS NOT NULL THEN
        PERFORM annals.reserve_locks();
    END IF;
    IF to_regprocedure('annals.reserve_writing(name)') IS NOT NULL THEN
        PERFORM annals.reserve_writing();
    END IF;
END
$$;

COMMIT;
