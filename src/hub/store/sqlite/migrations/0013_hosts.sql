-- What a scan says of the host itself, and of its UDP ports (JSON as in port_counts); NULL: nothing.
ALTER TABLE nmap ADD COLUMN hostname TEXT;
ALTER TABLE nmap ADD COLUMN host_state TEXT;
ALTER TABLE nmap ADD COLUMN host_state_reason TEXT;
ALTER TABLE nmap ADD COLUMN udp_counts TEXT;
