-- The audit trail and lineage for analysts: views over the log itself, with keyed pseudonyms for whatever may identify
-- somebody. Nothing is copied and nothing is indexed here: narrow them down by position.

-- `type:id` or `type:id@version` with a pseudonym for the id. Events, engines and parts of the system are nobody's.
CREATE FUNCTION annals.pseudonymous(name text) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN name ~ '^(event|transformation|policy|scheduler|worker):' THEN name
        WHEN parts IS NULL THEN 'unknown:' || annals.pseudonym(md5(name)::uuid)
        ELSE parts[1] || ':' || annals.pseudonym(CASE
                WHEN parts[2] ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN parts[2] ELSE md5(parts[2])
            END::uuid) || coalesce(parts[3], '')
    END FROM regexp_match(name, '^([^:]+):(.+?)(@[0-9]+)?$') AS parts
$$;

-- The pseudonym of an identifier, whatever it looks like.
CREATE FUNCTION annals.pseudonym_of(id text) RETURNS uuid
LANGUAGE sql STABLE STRICT PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT annals.pseudonym(CASE
        WHEN id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN id ELSE md5(id)
    END::uuid)
$$;

-- An instant that was written as RFC 3339; null for anything else.
CREATE FUNCTION annals.instant(written text) RETURNS timestamptz
LANGUAGE sql STABLE STRICT PARALLEL SAFE SET search_path = pg_catalog AS $$
    SELECT CASE
        WHEN written ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$'
        THEN written::timestamptz
    END
$$;

CREATE VIEW read.audit_trail AS
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
    e.metadata ->> 'purpose' AS purpose,
    e.metadata ->> 'legal_basis' AS legal_basis,
    e.metadata ->> 'correlation_id' AS correlation_id,
    e.metadata ->> 'causation_id' AS causation_id,
    ARRAY(
        SELECT annals.pseudonymous(source)
        FROM regexp_split_to_table(e.metadata ->> 'derived_from', '\s+') AS source WHERE source <> ''
    ) AS derived_from,
    e.metadata ->> 'transformation' AS transformation
FROM annals.events e;

COMMENT ON VIEW read.audit_trail IS 'Who did what to what, about whom and why: one row for each event. Identifiers are keyed pseudonyms. A view over the log: narrow it down by position.';
COMMENT ON COLUMN read.audit_trail.position IS 'Place in the log: 1, 2, 3 ... without gaps.';
COMMENT ON COLUMN read.audit_trail.event_id IS 'The event.';
COMMENT ON COLUMN read.audit_trail.recorded_at IS 'When it was recorded; never decreases along the log.';
COMMENT ON COLUMN read.audit_trail.occurred_at IS 'When it happened.';
COMMENT ON COLUMN read.audit_trail.actor IS 'Who acted: user or api_client and a pseudonym; policy, scheduler or worker and its name.';
COMMENT ON COLUMN read.audit_trail.on_behalf_of IS 'The person for whom they acted, as user and a pseudonym.';
COMMENT ON COLUMN read.audit_trail.action IS 'What happened: the event type.';
COMMENT ON COLUMN read.audit_trail.event_version IS 'The schema version of the event.';
COMMENT ON COLUMN read.audit_trail.resource_type IS 'To what kind of thing: the aggregate type.';
COMMENT ON COLUMN read.audit_trail.resource_id IS 'To which one: a pseudonym.';
COMMENT ON COLUMN read.audit_trail.sequence IS 'The version that it left.';
COMMENT ON COLUMN read.audit_trail.subjects IS 'Pseudonyms of those whose data the event carries.';
COMMENT ON COLUMN read.audit_trail.record_classes IS 'The record classes of that data.';
COMMENT ON COLUMN read.audit_trail.purpose IS 'Why personal data was processed.';
COMMENT ON COLUMN read.audit_trail.legal_basis IS 'On which legal basis.';
COMMENT ON COLUMN read.audit_trail.correlation_id IS 'What everything that one request brought about has in common.';
COMMENT ON COLUMN read.audit_trail.causation_id IS 'The event that caused it, where a policy reacted.';
COMMENT ON COLUMN read.audit_trail.derived_from IS 'What it was computed from: type, pseudonym, and version after the @.';
COMMENT ON COLUMN read.audit_trail.transformation IS 'How it was computed: engine@version.';

CREATE VIEW read.lineage_edges AS
SELECT
    'causation' AS kind,
    'event:' || (e.metadata ->> 'causation_id') AS from_node,
    'event:' || e.event_id AS to_node,
    NULL::text AS transformation,
    NULL::bigint AS version,
    e.recorded_at AS at,
    e.position
FROM annals.events e WHERE e.metadata ->> 'causation_id' <> ''
UNION ALL
SELECT
    'derived_from',
    regexp_replace(annals.pseudonymous(source), '@[0-9]+$', ''),
    'event:' || e.event_id,
    e.metadata ->> 'transformation',
    substring(source FROM '@([0-9]{1,18})$')::bigint,
    e.recorded_at,
    e.position
FROM annals.events e, regexp_split_to_table(e.metadata ->> 'derived_from', '\s+') AS source WHERE source <> ''
UNION ALL
SELECT
    'recorded',
    'event:' || e.event_id,
    e.aggregate_type || ':' || annals.pseudonym_of(e.aggregate_id),
    NULL,
    e.sequence,
    e.recorded_at,
    e.position
FROM annals.events e;

COMMENT ON VIEW read.lineage_edges IS 'What came of what, from what was there before to what came of it. Nodes are type:id with keyed pseudonyms; events keep their ids. A view over the log: narrow it down by position.';
COMMENT ON COLUMN read.lineage_edges.kind IS 'causation: event to event; derived_from: from a source to the event that carries the result; recorded: from an event to the aggregate whose new version it is.';
COMMENT ON COLUMN read.lineage_edges.from_node IS 'What was there before: type:id.';
COMMENT ON COLUMN read.lineage_edges.to_node IS 'What came of it: type:id.';
COMMENT ON COLUMN read.lineage_edges.transformation IS 'How it was computed: engine@version.';
COMMENT ON COLUMN read.lineage_edges.version IS 'The version of the aggregate that was used or recorded.';
COMMENT ON COLUMN read.lineage_edges.at IS 'When it was recorded.';
COMMENT ON COLUMN read.lineage_edges.position IS 'Where in the log.';

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'annals_analyst') THEN
        GRANT SELECT ON read.audit_trail, read.lineage_edges TO annals_analyst;
    END IF;
END
$$;
