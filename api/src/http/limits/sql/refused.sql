-- Notes that a call was refused in a window, and tells in which of the three windows before one was.
WITH noted AS (
    INSERT INTO annals.calls AS counted (who, win, calls, refused, until) VALUES ($1, $2, 0, true, $3)
    ON CONFLICT (who, win) DO UPDATE SET refused = true
)
SELECT win FROM annals.calls WHERE who = $1 AND win BETWEEN $2 - 3 AND $2 - 1 AND refused
