-- Which store of keys this is. It keeps its name when it is moved or restored, and the log knows it by that.
CREATE TABLE annals_keys.store (
    singleton boolean NOT NULL DEFAULT true PRIMARY KEY CHECK (singleton),
    id        uuid    NOT NULL
);

INSERT INTO annals_keys.store (id) VALUES (gen_random_uuid());
