-- A result that was delivered late is older than what was stored before it: the scans of a record are
-- in the order in which they ended. None ended after it came.
UPDATE nmap SET finished_at = created_at WHERE finished_at > created_at;

DROP INDEX nmap_record;
CREATE INDEX nmap_record ON nmap (record_id, scan_type, finished_at);
