-- Whose data is in these events, or whom they are about: what becomes of keys, holds and audit replays name people outside of
-- the envelope.
SELECT DISTINCT named.subject::uuid
FROM annals.events e
LEFT JOIN LATERAL (
    SELECT f.value AS fields
    FROM json_each(CASE json_typeof(e.payload) WHEN 'object' THEN e.payload ELSE '{}' END) f
    LIMIT 1
) told ON e.aggregate_type IN ('governance.legal_hold', 'governance.audit_replay')
CROSS JOIN LATERAL (
    SELECT unnest(string_to_array(e.metadata ->> 'subjects', ' '))
    UNION ALL
    SELECT e.aggregate_id WHERE e.aggregate_type = 'governance.subject_key'
    UNION ALL
    SELECT json_array_elements_text(coalesce(told.fields -> 'subjects', '[]'))
    WHERE e.aggregate_type = 'governance.legal_hold'
    UNION ALL
    SELECT json_array_elements_text(coalesce(told.fields -> 'held_subjects', '[]'))
    WHERE e.aggregate_type = 'governance.legal_hold'
    UNION ALL
    SELECT told.fields -> 'scope' ->> 'subject' WHERE e.aggregate_type = 'governance.audit_replay'
) AS named(subject)
WHERE e.position = ANY ($1) AND named.subject IS NOT NULL
