-- Who may talk to the hub. A secret is never kept, only its SHA-256.
CREATE TABLE tokens (
    id            UUID NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    secret_sha256 BYTEA NOT NULL UNIQUE,
    -- The only agent, and the only host, that the bearer may act as; NULL: any.
    agent         TEXT,
    host          TEXT,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT,
    last_used_at  BIGINT,
    revoked_at    BIGINT
);

-- What operators changed. Ids grow with time.
CREATE TABLE audit (
    id         UUID NOT NULL PRIMARY KEY,
    time       BIGINT NOT NULL,
    who        TEXT NOT NULL,
    role       TEXT NOT NULL,
    peer       TEXT NOT NULL,
    action     TEXT NOT NULL,
    object     TEXT NOT NULL,
    -- JSON; NULL: there was none, there is none.
    old        TEXT,
    new        TEXT,
    request_id UUID NOT NULL
);
