-- What spiders know of a site: one row for each page, form and endpoint, whenever it was seen. They are
-- what the next run is compared with, and go with their target.

-- One run of a spider or an enumeration over a target, which may come in several results.
CREATE TABLE web_runs (
    id          UUID    NOT NULL PRIMARY KEY,
    record_id   UUID    NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    -- As in work.
    kind        BIGINT  NOT NULL,
    -- As the agent names it, else the hash of what it sent, else the id of the result.
    run         TEXT    NOT NULL,
    agent       TEXT,
    -- Whether it saw all that there is; NULL: it does not say.
    complete    BOOLEAN,
    -- JSON lists of sentences.
    notes       TEXT    NOT NULL,
    calibration TEXT    NOT NULL,
    -- Whether it tells of them.
    pages       BOOLEAN NOT NULL,
    forms       BOOLEAN NOT NULL,
    endpoints   BOOLEAN NOT NULL,
    -- When it ended, not when it was delivered.
    finished_at BIGINT  NOT NULL,
    created_at  BIGINT  NOT NULL
);

CREATE UNIQUE INDEX web_runs_once ON web_runs (record_id, kind, run);
CREATE INDEX web_runs_last ON web_runs (record_id, kind, finished_at);

CREATE TABLE web_pages (
    id            UUID    NOT NULL PRIMARY KEY,
    record_id     UUID    NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    -- SHA-256 of the URL.
    page_key      BYTEA   NOT NULL,
    url           TEXT    NOT NULL,
    -- 0: no answer.
    status        BIGINT  NOT NULL,
    content_type  TEXT,
    length        BIGINT,
    title         TEXT,
    -- Hex, lower case.
    content_hash  TEXT,
    depth         BIGINT  NOT NULL,
    truncated     BOOLEAN NOT NULL,
    -- The run that saw it last.
    run           TEXT    NOT NULL,
    first_seen_at BIGINT  NOT NULL,
    last_seen_at  BIGINT  NOT NULL,
    -- Since when it is known not to be there.
    gone_at       BIGINT
);

CREATE UNIQUE INDEX web_pages_once ON web_pages (record_id, page_key);
CREATE INDEX web_pages_record ON web_pages (record_id, id);
CREATE INDEX web_pages_run ON web_pages (record_id, run);

CREATE TABLE web_forms (
    id            UUID    NOT NULL PRIMARY KEY,
    record_id     UUID    NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    -- shape_key and the SHA-256 of the page.
    form_key      BYTEA   NOT NULL,
    -- SHA-256 of method, action and inputs: the same form on every page has the same.
    shape_key     BYTEA   NOT NULL,
    page          TEXT    NOT NULL,
    method        TEXT    NOT NULL,
    action        TEXT    NOT NULL,
    enctype       TEXT    NOT NULL,
    inputs        TEXT    NOT NULL,
    run           TEXT    NOT NULL,
    first_seen_at BIGINT  NOT NULL,
    last_seen_at  BIGINT  NOT NULL
);

CREATE UNIQUE INDEX web_forms_once ON web_forms (record_id, form_key);
CREATE INDEX web_forms_shape ON web_forms (record_id, shape_key);
CREATE INDEX web_forms_record ON web_forms (record_id, id);

CREATE TABLE web_endpoints (
    id            UUID    NOT NULL PRIMARY KEY,
    record_id     UUID    NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    -- SHA-256 of method and URL.
    endpoint_key  BYTEA   NOT NULL,
    url           TEXT    NOT NULL,
    -- Empty: not known.
    method        TEXT    NOT NULL,
    parameters    TEXT    NOT NULL,
    source        TEXT    NOT NULL,
    kind          TEXT    NOT NULL,
    run           TEXT    NOT NULL,
    first_seen_at BIGINT  NOT NULL,
    last_seen_at  BIGINT  NOT NULL
);

CREATE UNIQUE INDEX web_endpoints_once ON web_endpoints (record_id, endpoint_key);
CREATE INDEX web_endpoints_record ON web_endpoints (record_id, id);

-- What enumerations have taught: on how many records a path was found, of how many that were enumerated.
-- Counters, so that reading them costs the same with any number of records.

CREATE TABLE learned_totals (
    -- Name of what they run, lower case; empty: all of them.
    technology TEXT    NOT NULL PRIMARY KEY,
    records    BIGINT  NOT NULL
);

CREATE TABLE learned_paths (
    technology TEXT    NOT NULL,
    path       TEXT    NOT NULL,
    records    BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL,
    PRIMARY KEY (technology, path)
);

CREATE INDEX learned_paths_best ON learned_paths (technology, records DESC, path);
CREATE INDEX learned_paths_rare ON learned_paths (updated_at) WHERE records <= 1;

-- Under which technologies a record is counted.
CREATE TABLE learned_records (
    record_id    UUID NOT NULL PRIMARY KEY REFERENCES egg_records (id) ON DELETE CASCADE,
    technologies TEXT NOT NULL
);

-- Whether the path is counted for its record.
ALTER TABLE directory_enumeration ADD COLUMN learned BOOLEAN NOT NULL DEFAULT FALSE;
