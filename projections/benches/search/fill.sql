-- {rows} scholarships over four years of deadlines, in the order in which they were drafted. Words are spread as words are;
-- those named `even` and `late` and a per mille are in so many of the rows, `late` ones at the end of the order by deadline.
INSERT INTO {table}
SELECT id, title, description, title || E'\n' || description || marks,
    md5('sponsor' || floor(power(random(), 3) * 3000)::int)::uuid, award, CASE WHEN random() < 0.9 THEN 'USD' ELSE 'EUR' END,
    1 + (random() * 5)::int, deadline - interval '60 days', deadline, (ARRAY[0, 2500, 3000, 3200, 3500, 3800])[1 + floor(random() * 6)::int],
    (SELECT coalesce(array_agg(DISTINCT 'Major ' || floor(power(random(), 2) * 80)::int), '{}') FROM generate_series(1, i % 4) WHERE i > 0),
    CASE WHEN i % 3 = 0 THEN '{}'::text[] WHEN place > 0.85 THEN ARRAY['2030', '2031'] ELSE ARRAY[(2026 + i % 3)::text, (2027 + i % 3)::text] END,
    (SELECT coalesce(array_agg(DISTINCT 'tag ' || floor(power(random(), 2) * 200)::int), '{}') FROM generate_series(1, i % 5) WHERE i > 0),
    ARRAY['Tell us about a challenge that you met and what you learned from it.', 'Why this field?'], 2, random() < 0.3,
    CASE WHEN place > 0.94 AND random() < 0.5 THEN 'draft' WHEN place < 0.25 THEN 'closed' WHEN random() < 0.02 THEN 'archived' ELSE 'published' END,
    NULL, 0, award * 3, 0, (random() * 50)::int, i, '{}'
FROM (
    SELECT i, place, ('01900000-0000-7000-8000-' || lpad(to_hex(i), 12, '0'))::uuid AS id,
        100000 * (1 + floor(power(random(), 2) * 20))::bigint AS award,
        timestamptz '2026-01-01 00:00:00+00' + place * interval '1460 days' AS deadline
    FROM (SELECT i, i::float8 / {rows} * 0.75 + random() * 0.25 AS place FROM generate_series(1, {rows}) i) drafted
) base
CROSS JOIN LATERAL (SELECT string_agg(word, ' ') AS title FROM (SELECT 'w' || floor(power(20000, random()))::int AS word FROM generate_series(1, 6) WHERE i > 0) words) titles
CROSS JOIN LATERAL (SELECT string_agg(word, ' ') AS description FROM (SELECT 'w' || floor(power(20000, random()))::int AS word FROM generate_series(1, 50) WHERE i > 0) words) descriptions
CROSS JOIN LATERAL (SELECT
    CASE WHEN random() < 0.6 THEN ' even600' ELSE '' END || CASE WHEN random() < 0.05 THEN ' even50' ELSE '' END
    || CASE WHEN random() < 0.01 THEN ' even10' ELSE '' END || CASE WHEN random() < 0.001 THEN ' even1' ELSE '' END
    || CASE WHEN random() < 0.00001 THEN ' even0' ELSE '' END
    || CASE WHEN place > 0.4 THEN ' late600' ELSE '' END || CASE WHEN place > 0.8 AND random() < 0.3 THEN ' late50' ELSE '' END
    || CASE WHEN place > 0.93 THEN ' late10' ELSE '' END || CASE WHEN place > 0.978 THEN ' late1' ELSE '' END
    || CASE WHEN award >= 1000000 THEN ' dear' ELSE '' END AS marks WHERE i > 0) marked
