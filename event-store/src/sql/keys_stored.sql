-- Which of these keys are there. Their ids are spelled as in keys_destroy.sql.
SELECT w.subject, w.id
FROM unnest($1::uuid[], $2::text[]) AS w(subject, id)
JOIN annals_keys.data_keys k
    ON k.subject = w.subject AND k.class = split_part(w.id, '/', 1)
    AND lpad((k.epoch / 100)::text, 4, '0') || '-' || lpad((k.epoch % 100)::text, 2, '0') = split_part(w.id, '/', 2)
ORDER BY w.subject, w.id
