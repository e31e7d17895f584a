-- Networks have their turns in the order in which they began to wait. One that takes no part waits
-- for ever (the largest number) until it takes part again, and is not stepped over by every claim.
DROP INDEX networks_turn;
UPDATE networks SET wait_until = 9223372036854775807
WHERE record_id IN (SELECT id FROM egg_records WHERE cidr = target_key AND (skip_scan OR NOT alive));
CREATE INDEX networks_turn ON networks (kind, wait_until, turn) WHERE turn IS NOT NULL;

-- Networks that are set aside, with all that is in them; each claim reads them.
CREATE INDEX egg_records_set_aside ON egg_records (target_key)
WHERE cidr = target_key AND (skip_scan OR NOT alive);

-- When what is set aside would have been due.
ALTER TABLE work ADD COLUMN resume_at INTEGER;
