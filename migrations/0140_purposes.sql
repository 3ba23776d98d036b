-- A purpose is written by hand: it may name people where the audit trail for analysts has pseudonyms. Of those who read
-- somebody's data analysts see no purpose at all, of others none of the identifiers in it.
CREATE OR REPLACE VIEW read.audit_trail AS
SELECT
    e.position,
    e.event_id,
    e.recorded_at,
    coalesce(annals.instant(e.metadata ->> 'occurred_at'), e.recorded_at) AS occurred_at,
    annals.pseudonymous(e.metadata ->> 'actor') AS actor,
    annals.pseudonymous(e.metadata ->> 'on_behalf_of') AS on_behalf_of,
    e.event_type AS action,
    e.event_version,
    e.aggregate_type AS resource_type,
    annals.pseudonym_of(e.aggregate_id) AS resource_id,
    e.sequence,
    ARRAY(
        SELECT annals.pseudonym_of(person)
        FROM regexp_split_to_table(e.metadata ->> 'subjects', '\s+') AS person WHERE person <> ''
    ) AS subjects,
    string_to_array(nullif(e.metadata ->> 'record_classes', ''), ' ') AS record_classes,
    CASE WHEN e.aggregate_type <> 'governance.access_log' THEN
        regexp_replace(e.metadata ->> 'purpose', '[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}', '…', 'gi')
    END AS purpose,
    e.metadata ->> 'legal_basis' AS legal_basis,
    e.metadata ->> 'correlation_id' AS correlation_id,
    e.metadata ->> 'causation_id' AS causation_id,
    ARRAY(
        SELECT annals.pseudonymous(source)
        FROM regexp_split_to_table(e.metadata ->> 'derived_from', '\s+') AS source WHERE source <> ''
    ) AS derived_from,
    e.metadata ->> 'transformation' AS transformation
FROM annals.events e;

COMMENT ON COLUMN read.audit_trail.purpose IS 'Why personal data was processed, with … for every identifier. Null for accesses: what readers say of their purpose is free text.';

-- What analysts see of read models changed with the program: every view is made anew.
UPDATE annals.projections SET viewed = false;
