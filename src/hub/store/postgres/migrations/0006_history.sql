-- What was known of a target beyond the open ports of this scan: ports that it did not look at, and
-- facts that it did not see again. JSON; NULL: nothing.
ALTER TABLE nmap ADD COLUMN known TEXT;

CREATE INDEX changes_target ON changes (target, id);

-- How far each webhook is. One hub at a time holds one.
CREATE TABLE webhooks (
    name          TEXT   NOT NULL PRIMARY KEY,
    -- Number of the last event that is done.
    position      BIGINT NOT NULL,
    -- Since when deliveries fail; NULL: they do not.
    failing_since BIGINT,
    delivered     BIGINT NOT NULL DEFAULT 0,
    given_up      BIGINT NOT NULL DEFAULT 0,
    holder        UUID   NOT NULL,
    held_until    BIGINT NOT NULL
);
