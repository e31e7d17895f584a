-- What a scan says of the host itself, and of its UDP ports (JSON as in port_counts); NULL: nothing.
ALTER TABLE nmap ADD COLUMN hostname text;
ALTER TABLE nmap ADD COLUMN host_state text;
ALTER TABLE nmap ADD COLUMN host_state_reason text;
ALTER TABLE nmap ADD COLUMN udp_counts text;
