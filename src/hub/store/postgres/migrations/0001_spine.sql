-- Times are microseconds since 1970-01-01 UTC.

CREATE TABLE egg_records (
    id          UUID NOT NULL PRIMARY KEY,
    -- Normalised target (lower-case name, canonical address): the same target is never twice.
    target_key  TEXT NOT NULL UNIQUE,
    sub_domain  TEXT,
    domainname  TEXT,
    ip_address  TEXT,
    cidr        TEXT,
    eggname     TEXT,
    projectegg  TEXT,
    alive       BOOLEAN NOT NULL DEFAULT true,
    skip_scan   BOOLEAN NOT NULL DEFAULT false,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);

-- What is to be done with a record, one row a kind.
CREATE TABLE work (
    record_id    UUID NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    -- 1 kage, 2 kaze, 3 ryu port scan, 4 spider, 5 enumeration, 6 assessment.
    kind         BIGINT NOT NULL,
    -- NULL: something must happen first. While a row is leased it is the end of the lease, so that
    -- an expired lease is due again with nobody doing anything, and due rows are one index range.
    due_at       BIGINT,
    priority     BIGINT NOT NULL DEFAULT 0 CHECK (priority IN (0, 1)),
    lease_id     UUID,
    lease_until  BIGINT,
    lease_owner  TEXT,
    lease_us     BIGINT,
    attempts     BIGINT NOT NULL DEFAULT 0,
    last_done_at BIGINT,
    last_error   TEXT,
    PRIMARY KEY (record_id, kind)
);

-- Selection reads the first rows of one range of this index, however many targets there are.
CREATE INDEX work_due ON work (kind, priority, due_at, record_id) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX work_lease ON work (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX work_lease_until ON work (lease_until) WHERE lease_until IS NOT NULL;

-- Port scans. No foreign key: what was found outlives the target.
CREATE TABLE nmap (
    id               UUID NOT NULL PRIMARY KEY,
    record_id        UUID NOT NULL,
    target           TEXT NOT NULL,
    ip_address       TEXT,
    scan_type        TEXT NOT NULL,
    caller           TEXT NOT NULL,
    agent            TEXT,
    engine           TEXT NOT NULL,
    scan_status      TEXT NOT NULL,
    scan_command     TEXT NOT NULL,
    started_at       BIGINT,
    finished_at      BIGINT NOT NULL,
    scan_duration    DOUBLE PRECISION NOT NULL,
    ports_scanned    BIGINT NOT NULL,
    port_counts      TEXT NOT NULL,
    open_ports       TEXT NOT NULL,
    open_ports_count BIGINT NOT NULL,
    -- The rest of what the agent said, less what it said of every closed port.
    result           TEXT NOT NULL,
    created_at       BIGINT NOT NULL
);

CREATE INDEX nmap_record ON nmap (record_id, scan_type, created_at);
CREATE INDEX nmap_target ON nmap (target, id);

-- Last heartbeat of each agent.
CREATE TABLE daemons (
    agent       TEXT NOT NULL,
    host        TEXT NOT NULL,
    personality TEXT NOT NULL,
    heartbeat   TEXT NOT NULL,
    seen_at     BIGINT NOT NULL,
    PRIMARY KEY (agent, host)
);

-- First answer to each submission that carried a key.
CREATE TABLE idempotency (
    key         TEXT NOT NULL,
    route       TEXT NOT NULL,
    body_sha256 BYTEA NOT NULL,
    status      BIGINT NOT NULL,
    answer      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (key, route)
);

CREATE INDEX idempotency_age ON idempotency (created_at);

-- Numbered in the order of insertion (ord) at once, and in the order of commits (seq), by which
-- readers go on, when the first of them comes along.
CREATE SEQUENCE event_seq;
CREATE TABLE events (
    ord         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq         BIGINT UNIQUE,
    id          UUID NOT NULL UNIQUE,
    type        TEXT NOT NULL,
    daemon_name TEXT,
    hostname    TEXT,
    timestamp   BIGINT NOT NULL,
    data        TEXT NOT NULL
);
CREATE INDEX events_unsettled ON events (ord) WHERE seq IS NULL;
