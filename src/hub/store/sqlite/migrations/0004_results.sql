-- What spiders, enumerations and assessments found. No foreign keys: what was found outlives the
-- target. Long texts (URLs, paths) are unique by a hash: an index holds only short keys.

CREATE TABLE request_metadata (
    id               BLOB    NOT NULL PRIMARY KEY,
    record_id        BLOB    NOT NULL,
    -- One run of a spider: as the agent names it, else the hash of what it sent.
    run              TEXT    NOT NULL,
    -- SHA-256 of method and URL.
    request_key      BLOB    NOT NULL,
    target_url       TEXT    NOT NULL,
    request_method   TEXT    NOT NULL,
    request_headers  TEXT,
    -- 0: no connection.
    response_status  INTEGER NOT NULL,
    response_headers TEXT,
    response_time_ms REAL    NOT NULL,
    user_agent       TEXT    NOT NULL,
    -- What its scripts showed; secrets are redacted.
    javascript       TEXT,
    endpoints        INTEGER NOT NULL,
    created_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX request_metadata_once ON request_metadata (record_id, run, request_key);
CREATE INDEX request_metadata_record ON request_metadata (record_id, id);

CREATE TABLE technologies (
    record_id     BLOB    NOT NULL,
    name          TEXT    NOT NULL,
    version       TEXT    NOT NULL,
    category      TEXT    NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL,
    PRIMARY KEY (record_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE directory_enumeration (
    id                       BLOB    NOT NULL PRIMARY KEY,
    record_id                BLOB    NOT NULL,
    -- SHA-256 of the path.
    path_key                 BLOB    NOT NULL,
    discovered_path          TEXT    NOT NULL,
    path_status_code         INTEGER,
    path_content_length      INTEGER,
    path_content_type        TEXT,
    path_response_time_ms    REAL,
    detected_cms             TEXT,
    detected_cms_version     TEXT,
    cms_detection_confidence REAL,
    priority_score           REAL    NOT NULL,
    priority_factors         TEXT,
    enumeration_tool         TEXT    NOT NULL,
    wordlist_used            TEXT    NOT NULL,
    discovered_at            INTEGER NOT NULL,
    last_seen_at             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX directory_enumeration_once ON directory_enumeration (record_id, path_key);

CREATE TABLE ryu_assessment (
    id                     BLOB    NOT NULL PRIMARY KEY,
    record_id              BLOB    NOT NULL,
    target                 TEXT    NOT NULL,
    risk_level             TEXT    NOT NULL,
    threat_summary         TEXT,
    vulnerabilities        TEXT    NOT NULL,
    attack_vectors         TEXT    NOT NULL,
    remediation_priorities TEXT    NOT NULL,
    narrative              TEXT,
    agent                  TEXT,
    created_at             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX ryu_assessment_record ON ryu_assessment (record_id, id);
CREATE INDEX ryu_assessment_risk ON ryu_assessment (risk_level, id);

CREATE TABLE findings (
    id            BLOB    NOT NULL PRIMARY KEY,
    record_id     BLOB    NOT NULL,
    -- SHA-256 of what makes it the same finding again.
    fingerprint   BLOB    NOT NULL,
    target        TEXT    NOT NULL,
    type          TEXT    NOT NULL,
    severity      TEXT    NOT NULL,
    category      TEXT    NOT NULL,
    title         TEXT    NOT NULL,
    location      TEXT    NOT NULL,
    evidence      TEXT    NOT NULL,
    status        TEXT    NOT NULL DEFAULT 'open',
    discovered_by TEXT,
    source_id     BLOB    NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX findings_once ON findings (record_id, fingerprint);
CREATE INDEX findings_record ON findings (record_id, id);
CREATE INDEX findings_severity ON findings (severity, id);

-- What each agent says of the work in its hands.
CREATE TABLE progress (
    agent      TEXT    NOT NULL PRIMARY KEY,
    progress   TEXT    NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
