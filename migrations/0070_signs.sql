-- Signs of something wrong that gather until an incident is opened (GOV-I2). They follow from the log and are kept for a
-- day or so; `who` is a keyed hash, for it may be the address of a visitor.
CREATE TABLE annals.signs (
    kind text   NOT NULL,
    who  text   COLLATE "C" NOT NULL,
    sign uuid   NOT NULL,
    at   bigint NOT NULL,
    PRIMARY KEY (kind, who, sign)
);
CREATE INDEX signs_at ON annals.signs (kind, at);

COMMENT ON TABLE annals.signs IS 'What gathers by one person within a window of time: denials, failed logins.';
COMMENT ON COLUMN annals.signs.sign IS 'The event.';
COMMENT ON COLUMN annals.signs.at IS 'When it was recorded, in microseconds of Unix time.';
