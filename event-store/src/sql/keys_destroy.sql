DELETE FROM annals_keys.data_keys
WHERE subject = $1 AND ($2 = '*' OR class = $2) AND ($3::int IS NULL OR epoch <= $3)
