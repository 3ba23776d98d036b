-- Counts one more call where the window has room for it, and tells what was counted before and since.
-- $3: what of a thousand parts of the window before still counts; $4: the limit.
WITH before AS (
    SELECT coalesce((SELECT calls FROM annals.calls WHERE who = $1 AND win = $2 - 1), 0) AS calls
), carried AS (
    SELECT (calls::bigint * $3 + 999) / 1000 AS calls FROM before
), admitted AS (
    INSERT INTO annals.calls AS counted (who, win, calls, until)
    SELECT $1, $2, 1, $5 FROM carried WHERE carried.calls < $4
    ON CONFLICT (who, win) DO UPDATE SET calls = counted.calls + 1
        WHERE counted.calls + (SELECT calls FROM carried) < $4
    RETURNING calls
)
SELECT (SELECT calls FROM before), (SELECT calls FROM admitted),
    coalesce((SELECT calls FROM annals.calls WHERE who = $1 AND win = $2), 0)
