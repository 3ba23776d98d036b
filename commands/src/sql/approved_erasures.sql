-- Whose erasure of a class was approved, and when last, in microseconds. No class named means all of them.
SELECT (payload -> event_type ->> 'subject')::uuid, (extract(epoch FROM max(recorded_at)) * 1000000)::bigint
FROM annals.events
WHERE aggregate_type = 'governance.privacy_request' AND event_type = 'PrivacyRequestApproved'
    AND payload -> event_type ->> 'type' = 'erasure'
    AND (json_array_length(payload -> event_type -> 'classes') = 0
        OR EXISTS (SELECT FROM json_array_elements_text(payload -> event_type -> 'classes') AS c WHERE c = $1))
GROUP BY 1
