-- Whoever may only read leaves nothing behind: no temporary tables and no large objects, which PostgreSQL lets everybody make.
-- The owner of the database sees to the first, a superuser to both; docs/integrity.md says what is left to do where nodes
-- connect as neither.
CREATE FUNCTION annals.reserve_writing(node name DEFAULT current_user) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    made regprocedure;
    is_super boolean := (SELECT rolsuper FROM pg_roles WHERE rolname = current_user);
BEGIN
    IF is_super OR (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), node);
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
    IF is_super THEN
        FOR made IN
            SELECT oid FROM pg_proc
            WHERE pronamespace = 'pg_catalog'::regnamespace
                AND proname IN ('lo_creat', 'lo_create', 'lo_from_bytea', 'lo_put', 'lowrite', 'lo_truncate', 'lo_truncate64', 'lo_unlink')
        LOOP
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', made);
        END LOOP;
    END IF;
END
$$;

COMMENT ON FUNCTION annals.reserve_writing IS 'Run by a superuser: keeps temporary tables for the role that nodes connect as, and large objects for superusers.';

SELECT annals.reserve_writing();
