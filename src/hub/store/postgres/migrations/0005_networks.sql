-- A network is one target (a row of egg_records whose cidr is its own key) and here a row for each
-- kind of work that can begin with an address alone. Its addresses become records when that kind of
-- work comes to them, so that a /8 costs the same as a single host.
CREATE TABLE networks (
    record_id  UUID   NOT NULL REFERENCES egg_records (id) ON DELETE CASCADE,
    kind       BIGINT NOT NULL,
    -- Addresses as 16 bytes, those of IPv4 as ::ffff:a.b.c.d, which sort as numbers do.
    last       BYTEA  NOT NULL,
    next       BYTEA  NOT NULL,
    -- Addresses that became records, or were there before.
    expanded   BIGINT NOT NULL DEFAULT 0,
    -- Whose turn it is: the lowest number first. NULL: no address is left.
    turn       BIGINT,
    -- Nothing of what is left was in scope; it is looked at again then.
    wait_until BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (record_id, kind)
);

CREATE INDEX networks_turn ON networks (kind, turn) WHERE turn IS NOT NULL;

CREATE INDEX egg_records_cidr ON egg_records (cidr, id) WHERE cidr IS NOT NULL;
CREATE INDEX egg_records_group ON egg_records (eggname, id) WHERE eggname IS NOT NULL;
CREATE INDEX egg_records_project ON egg_records (projectegg, id) WHERE projectegg IS NOT NULL;
