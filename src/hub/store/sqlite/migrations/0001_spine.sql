-- Times are microseconds since 1970-01-01 UTC; ids are the 16 bytes of a UUID.

CREATE TABLE egg_records (
    id          BLOB    NOT NULL PRIMARY KEY,
    -- Normalised target (lower-case name, canonical address): the same target is never twice.
    target_key  TEXT    NOT NULL UNIQUE,
    sub_domain  TEXT,
    domainname  TEXT,
    ip_address  TEXT,
    cidr        TEXT,
    eggname     TEXT,
    projectegg  TEXT,
    alive       INTEGER NOT NULL DEFAULT 1,
    skip_scan   INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is to be done with a record, one row a kind.
CREATE TABLE work (
    record_id    BLOB    NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    kind         TEXT    NOT NULL,
    -- NULL: something must happen first. While a row is leased it is the end of the lease, so that
    -- an expired lease is due again with nobody doing anything, and due rows are one index range.
    due_at       INTEGER,
    priority     INTEGER NOT NULL DEFAULT 0 CHECK (priority IN (0, 1)),
    lease_id     BLOB,
    lease_until  INTEGER,
    lease_owner  TEXT,
    lease_us     INTEGER,
    attempts     INTEGER NOT NULL DEFAULT 0,
    last_done_at INTEGER,
    last_error   TEXT,
    PRIMARY KEY (record_id, kind)
) STRICT, WITHOUT ROWID;

-- Selection reads the first rows of one range of this index, however many targets there are.
CREATE INDEX work_due ON work (kind, priority, due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX work_lease ON work (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX work_lease_until ON work (lease_until) WHERE lease_until IS NOT NULL;

-- Port scans. No foreign key: what was found outlives the target.
CREATE TABLE nmap (
    id               BLOB    NOT NULL PRIMARY KEY,
    record_id        BLOB    NOT NULL,
    target           TEXT    NOT NULL,
    ip_address       TEXT,
    scan_type        TEXT    NOT NULL,
    caller           TEXT    NOT NULL,
    agent            TEXT,
    engine           TEXT    NOT NULL,
    scan_status      TEXT    NOT NULL,
    scan_command     TEXT    NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER NOT NULL,
    scan_duration    REAL    NOT NULL,
    ports_scanned    INTEGER NOT NULL,
    port_counts      TEXT    NOT NULL,
    open_ports       TEXT    NOT NULL,
    open_ports_count INTEGER NOT NULL,
    -- The rest of what the agent said, less what it said of every closed port.
    result           TEXT    NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX nmap_record ON nmap (record_id, scan_type, created_at);
CREATE INDEX nmap_target ON nmap (target, id);

-- Last heartbeat of each agent.
CREATE TABLE daemons (
    agent       TEXT    NOT NULL,
    host        TEXT    NOT NULL,
    personality TEXT    NOT NULL,
    heartbeat   TEXT    NOT NULL,
    seen_at     INTEGER NOT NULL,
    PRIMARY KEY (agent, host)
) STRICT, WITHOUT ROWID;

-- First answer to each submission that carried a key.
CREATE TABLE idempotency (
    key         TEXT    NOT NULL,
    route       TEXT    NOT NULL,
    body_sha256 BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    answer      TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (key, route)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE events (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB    NOT NULL UNIQUE,
    type        TEXT    NOT NULL,
    daemon_name TEXT,
    hostname    TEXT,
    timestamp   INTEGER NOT NULL,
    data        TEXT    NOT NULL
) STRICT;
