-- Who has withdrawn their demographics and not declared them anew, and when, in microseconds. $1 is the class.
SELECT subject, at FROM (
    SELECT DISTINCT ON (aggregate_id)
        aggregate_id::uuid AS subject, event_type, (extract(epoch FROM recorded_at) * 1000000)::bigint AS at
    FROM annals.events
    WHERE aggregate_type = 'identity.profile' AND event_type IN ('DemographicsDeclared', 'DemographicsWithdrawn')
    ORDER BY aggregate_id, sequence DESC
) AS last
WHERE event_type = 'DemographicsWithdrawn' AND $1 = 'sensitive'
