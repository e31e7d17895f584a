-- What is otherwise than the last time somebody looked: one row a difference. No foreign key: it
-- outlives the target.
CREATE TABLE changes (
    id          BLOB NOT NULL PRIMARY KEY,
    record_id   BLOB NOT NULL,
    target      TEXT NOT NULL,
    -- port_opened, port_closed, service_changed, certificate_changed, path_appeared, …
    type        TEXT NOT NULL,
    -- What differs: 443/tcp, /admin, …
    subject     TEXT NOT NULL,
    -- JSON; NULL: was not there, is not there.
    before      TEXT,
    after       TEXT,
    -- The result that showed it.
    source_id   BLOB NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX changes_record ON changes (record_id, id);
CREATE INDEX changes_type ON changes (type, id);
