-- Who may talk to the hub. A secret is never kept, only its SHA-256.
CREATE TABLE tokens (
    id            BLOB NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    secret_sha256 BLOB NOT NULL UNIQUE,
    -- The only agent, and the only host, that the bearer may act as; NULL: any.
    agent         TEXT,
    host          TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    last_used_at  INTEGER,
    revoked_at    INTEGER
) STRICT, WITHOUT ROWID;

-- What operators changed. Ids grow with time.
CREATE TABLE audit (
    id         BLOB NOT NULL PRIMARY KEY,
    time       INTEGER NOT NULL,
    who        TEXT NOT NULL,
    role       TEXT NOT NULL,
    peer       TEXT NOT NULL,
    action     TEXT NOT NULL,
    object     TEXT NOT NULL,
    -- JSON; NULL: there was none, there is none.
    old        TEXT,
    new        TEXT,
    request_id BLOB NOT NULL
) STRICT, WITHOUT ROWID;
