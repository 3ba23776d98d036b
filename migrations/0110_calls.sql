-- How often callers called, so that nodes enforce the limits of IDN-P1 together. `who` is a keyed hash of a class of routes
-- and of an account or an address. It may be lost: whoever is counted is then counted anew, which is why nothing of it is
-- in the write-ahead log.
CREATE UNLOGGED TABLE annals.calls (
    who     bytea    NOT NULL,
    win     bigint   NOT NULL,
    calls   integer  NOT NULL,
    refused boolean  NOT NULL DEFAULT false,
    until   bigint   NOT NULL,
    PRIMARY KEY (who, win)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX calls_until ON annals.calls (until);

COMMENT ON TABLE annals.calls IS 'How often callers called within a window of time, on all nodes.';
COMMENT ON COLUMN annals.calls.win IS 'The number of the window since the beginning of Unix time.';
COMMENT ON COLUMN annals.calls.refused IS 'Whether a call was refused in it.';
COMMENT ON COLUMN annals.calls.until IS 'Until when the row is of use, in seconds of Unix time.';
