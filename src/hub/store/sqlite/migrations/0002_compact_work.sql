-- Ten million targets have forty million rows here: the kind of work becomes a number (1 kage, 2 kaze,
-- 3 ryu port scan, 4 spider, 5 enumeration, 6 assessment), and what waits for a first result has no
-- row until there is one.

CREATE TABLE work_2 (
    record_id    BLOB    NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    kind         INTEGER NOT NULL,
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

INSERT INTO work_2 (record_id, kind, due_at, priority, lease_id, lease_until, lease_owner, lease_us,
                    attempts, last_done_at, last_error)
SELECT record_id,
       CASE kind WHEN 'kage_port_scan' THEN 1 WHEN 'kaze_port_scan' THEN 2
                 WHEN 'ryu_port_scan' THEN 3 WHEN 'kumo_spider' THEN 4 WHEN 'suzu_enum' THEN 5
                 ELSE 6 END,
       due_at, priority, lease_id, lease_until, lease_owner, lease_us, attempts, last_done_at,
       last_error
FROM work
WHERE NOT (kind IN ('suzu_enum', 'ryu_assessment') AND due_at IS NULL AND attempts = 0
           AND last_done_at IS NULL);

DROP TABLE work;
ALTER TABLE work_2 RENAME TO work;

-- Selection reads the first rows of one range of this index, however many targets there are.
CREATE INDEX work_due ON work (kind, priority, due_at) WHERE due_at IS NOT NULL;
CREATE UNIQUE INDEX work_lease ON work (lease_id) WHERE lease_id IS NOT NULL;
CREATE INDEX work_lease_until ON work (lease_until) WHERE lease_until IS NOT NULL;
