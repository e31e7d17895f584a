-- One row, written to learn whether a write goes through.
CREATE TABLE readiness (
    id     BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    at     BIGINT NOT NULL,
    filler BYTEA  NOT NULL
);
