-- What to see to first: 0 to 100. What was found before is worth what its severity stands for.
ALTER TABLE findings ADD COLUMN priority REAL NOT NULL DEFAULT 0;
UPDATE findings SET priority = CASE severity WHEN 'critical' THEN 95 WHEN 'high' THEN 80 WHEN 'medium' THEN 55
                                             WHEN 'low' THEN 25 ELSE 0 END;
ALTER TABLE findings ADD COLUMN confidence REAL;
ALTER TABLE findings ADD COLUMN cve TEXT;
ALTER TABLE findings ADD COLUMN kev INTEGER NOT NULL DEFAULT 0;

-- status: open, fixed, accepted or false_positive.
ALTER TABLE findings ADD COLUMN fixed_at INTEGER;
ALTER TABLE findings ADD COLUMN reopened_at INTEGER;
ALTER TABLE findings ADD COLUMN times_reopened INTEGER NOT NULL DEFAULT 0;

-- What somebody decided: accepted or false_positive; NULL: nothing. One that has run out is taken away.
ALTER TABLE findings ADD COLUMN decision TEXT;
ALTER TABLE findings ADD COLUMN decision_reason TEXT;
ALTER TABLE findings ADD COLUMN decided_by TEXT;
ALTER TABLE findings ADD COLUMN decided_at INTEGER;
ALTER TABLE findings ADD COLUMN decided_until INTEGER;

CREATE INDEX findings_priority ON findings (priority, id);
CREATE INDEX findings_status_priority ON findings (status, priority, id);
CREATE INDEX findings_counted ON findings (status, severity);
CREATE INDEX findings_cve ON findings (cve, id) WHERE cve IS NOT NULL;
CREATE INDEX findings_running_out ON findings (decided_until) WHERE decided_until IS NOT NULL;

-- When what an assessment rests on changed while somebody held it; NULL: it did not.
ALTER TABLE work ADD COLUMN changed_at INTEGER;
