SELECT position
FROM annals.events
WHERE aggregate_type = $1 AND event_type = ANY ($2) AND position <= $3
  AND ($4::bigint IS NULL OR recorded_at >= timestamptz 'epoch' + $4 * interval '1 microsecond')
ORDER BY position
