-- Whose data is in these events.
SELECT DISTINCT subject::uuid
FROM annals.events, unnest(string_to_array(metadata ->> 'subjects', ' ')) AS subject
WHERE position = ANY ($1)
