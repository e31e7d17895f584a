-- A scan that goes on is a row whose result is not whole yet.
ALTER TABLE nmap ADD COLUMN run BLOB;
-- Number of the last part of its result; NULL: it has its result.
ALTER TABLE nmap ADD COLUMN partial_seq INTEGER;

CREATE UNIQUE INDEX nmap_run ON nmap (record_id, scan_type, run) WHERE run IS NOT NULL;
CREATE INDEX nmap_unfinished ON nmap (scan_type, record_id) WHERE partial_seq IS NOT NULL;
CREATE INDEX nmap_running ON nmap (scan_type, record_id) WHERE scan_status = 'running';
