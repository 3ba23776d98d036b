-- What a log was begun with and must go on with: where its keys are, and the secret by which people are found. With
-- others everybody would look erased, or be registered a second time.
CREATE TABLE annals.bound (
    what  text  COLLATE "C" NOT NULL PRIMARY KEY,
    value bytea NOT NULL
);

COMMENT ON TABLE annals.bound IS 'What a log must go on with: the store of its keys, and fingerprints of secrets.';

-- Nodes hold advisory locks; whoever may only read must not be able to take them. Only a superuser can see to that: for
-- anybody else this does nothing, and docs/integrity.md says what is left to do.
CREATE FUNCTION annals.reserve_locks(node name DEFAULT current_user) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lock regprocedure;
BEGIN
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        FOR lock IN
            SELECT oid FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^pg_(try_)?advisory_'
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', lock, node);
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', lock);
        END LOOP;
    END IF;
END
$$;

COMMENT ON FUNCTION annals.reserve_locks IS 'Run by a superuser: keeps advisory locks for the role that nodes connect as.';

SELECT annals.reserve_locks();

-- The views of groups are made anew: a condition of the analyst's must not reach the rows behind them.
UPDATE annals.projections SET viewed = false;
