-- Many streams in one query: each from its own sequence on, up to its own position.
SELECT {columns}, w.request::int AS request
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[])
     WITH ORDINALITY AS w(aggregate_type, aggregate_id, after, until, request)
CROSS JOIN LATERAL (
    SELECT * FROM annals.events e
    WHERE e.aggregate_type = w.aggregate_type AND e.aggregate_id = w.aggregate_id
      AND e.sequence > w.after AND e.position <= w.until
    ORDER BY e.sequence
) AS e
