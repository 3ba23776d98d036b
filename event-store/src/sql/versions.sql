SELECT COALESCE((
    SELECT e.sequence FROM annals.events e
    WHERE e.aggregate_type = w.aggregate_type AND e.aggregate_id = w.aggregate_id
    ORDER BY e.sequence DESC LIMIT 1
), 0)
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w (aggregate_type, aggregate_id, place)
ORDER BY w.place
