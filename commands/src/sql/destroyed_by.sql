-- Whose keys were destroyed on the order of a run, and how many.
SELECT aggregate_id::uuid, sum(json_array_length(payload -> event_type -> 'key_ids'))::bigint
FROM annals.events
WHERE aggregate_type = 'governance.subject_key' AND event_type = 'SubjectKeysDestroyed'
    AND payload -> event_type ->> 'cause' = $1
GROUP BY 1
