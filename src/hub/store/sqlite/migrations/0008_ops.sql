-- One row, written to learn whether a write goes through.
CREATE TABLE readiness (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at     INTEGER NOT NULL,
    -- As long as a result: what fits, a result fits, too.
    filler BLOB    NOT NULL
) STRICT;
