-- Lists of what was found, of one target or of one kind: each reads one range of an index.
CREATE INDEX nmap_type ON nmap (scan_type, id);
CREATE INDEX findings_target ON findings (target, id);
CREATE INDEX findings_type ON findings (type, id);
CREATE INDEX ryu_assessment_target ON ryu_assessment (target, id);

-- The few targets that take no part.
CREATE INDEX egg_records_asleep ON egg_records (id) WHERE NOT alive;
CREATE INDEX egg_records_skipped ON egg_records (id) WHERE skip_scan;
