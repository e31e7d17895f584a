#!/usr/bin/env python3
"""Real servers, and how many of them a scanner names: product and version. In a bed, as root.

    services.py packages                     the Debian packages that it wants, with commas
    services.py serve ADDRESS                starts them all on ADDRESS; prints `ready`; JSON of those that listen in
                                             /run/services.json, the others on stderr; ends them on SIGTERM
    services.py measure ADDRESS RUNS KAZE    runs our scanner and `nmap -sV` turn by turn; rows of ports.json to fd 3

A product is right when the name that the package is known by is in what the scanner says; a version
when it says the package's upstream version, at least its first two numbers.
"""
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

DIR = "/run/services"

# name: package, port, product (a regular expression), command ({a} address, {p} port, {d} own directory), files
SERVICES = {
    "nginx": ("nginx-light", 80, "nginx", "nginx -c {d}/conf -g 'daemon off;'",
              {"conf": "pid {d}/pid;\nevents {{}}\nhttp {{ access_log off; server {{ listen {a}:{p}; root {d}; }} }}\n"}),
    "apache": ("apache2-bin", 8080, "apache", "apache2 -D FOREGROUND -d {d} -f {d}/conf",
               {"conf": "Listen {a}:{p}\nServerName x\nPidFile {d}/pid\nErrorLog {d}/log\nDocumentRoot {d}\n"
                        "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n"
                        "LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so\n"}),
    "lighttpd": ("lighttpd", 8081, "lighttpd", "lighttpd -D -f {d}/conf",
                 {"conf": 'server.bind = "{a}"\nserver.port = {p}\nserver.document-root = "{d}"\n'}),
    "openssh": ("openssh-server", 22, "openssh", "ssh-keygen -q -t ed25519 -N '' -f {d}/key; mkdir -p /run/sshd; exec /usr/sbin/sshd -D -h {d}/key -p {p} -o ListenAddress={a}", {}),
    "dropbear": ("dropbear-bin", 2222, "dropbear", "dropbearkey -t ed25519 -f {d}/key; exec dropbear -F -E -r {d}/key -p {a}:{p}", {}),
    "redis": ("redis-server", 6379, "redis", "redis-server --bind {a} --port {p} --protected-mode no --save ''", {}),
    "memcached": ("memcached", 11211, "memcached", "memcached -u root -l {a} -p {p}", {}),
    "vsftpd": ("vsftpd", 21, "vsftpd", "mkdir -p /var/run/vsftpd/empty; exec vsftpd {d}/conf",
               {"conf": "listen=YES\nlisten_address={a}\nlisten_port={p}\nbackground=NO\nanonymous_enable=YES\n"}),
    "exim": ("exim4-daemon-light", 25, "exim", "chown -R Debian-exim {d}; chown root {d}/conf; exec exim4 -bdf -q1h -C {d}/conf -oX '<; {a}.{p}' -oP {d}/pid",
             {"conf": "primary_hostname = x.test\nlog_file_path = {d}/%slog\nspool_directory = {d}\nacl_smtp_rcpt = deny\nbegin acl\ndeny:\n  deny\n"}),
    "dovecot": ("dovecot-imapd", 143, "dovecot", "dovecot -F -c {d}/conf",
                {"conf": "protocols = imap\nlisten = {a}\nssl = no\nbase_dir = {d}/run\nlog_path = {d}/log\n"
                         "service imap-login {{\n inet_listener imap {{\n  port = {p}\n }}\n}}\n"}),
    "postgresql": ("postgresql-15", 5432, "postgres", "chown postgres {d}; su postgres -c '/usr/lib/postgresql/15/bin/initdb -D {d}/db >/dev/null'; "
                   "exec su postgres -c '/usr/lib/postgresql/15/bin/postgres -D {d}/db -h {a} -p {p} -k {d}'", {}),
    "mariadb": ("mariadb-server", 3306, "mariadb", "mariadb-install-db --user=root --datadir={d}/db >/dev/null; "
                "exec mariadbd --no-defaults --user=root --datadir={d}/db --bind-address={a} --port={p} --socket={d}/sock", {}),
    "mosquitto": ("mosquitto", 1883, "mosquitto|mqtt", "mosquitto -c {d}/conf", {"conf": "listener {p} {a}\nallow_anonymous true\nuser root\n"}),
    "dnsmasq": ("dnsmasq-base", 53, "dnsmasq", "dnsmasq -k -C /dev/null -u root -a {a} -z -p {p} -R -h -x {d}/pid", {}),
    "bind": ("bind9", 5300, "bind", "named -f -u root -c {d}/conf",
             {"conf": 'options {{ directory "{d}"; listen-on port {p} {{ {a}; }}; listen-on-v6 {{ none; }}; pid-file "{d}/pid"; '
                      'session-keyfile "{d}/key"; recursion no; }}; controls {{}};\n'}),
    "unbound": ("unbound", 5301, "unbound", "unbound -d -c {d}/conf",
                {"conf": "server:\n interface: {a}@{p}\n access-control: 0.0.0.0/0 allow\n username: root\n chroot: \"\"\n pidfile: {d}/pid\n"
                         "remote-control:\n control-enable: no\n"}),
    "squid": ("squid", 3128, "squid", "squid -N -f {d}/conf",
              {"conf": "http_port {a}:{p}\npid_filename {d}/pid\naccess_log none\ncache_log {d}/log\nvisible_hostname x\nhttp_access deny all\ncoredump_dir {d}\n"}),
    "tinyproxy": ("tinyproxy-bin", 8888, "tinyproxy", "tinyproxy -d -c {d}/conf", {"conf": "Port {p}\nListen {a}\nTimeout 60\n"}),
    "haproxy": ("haproxy", 8404, "haproxy", "haproxy -db -f {d}/conf",
                {"conf": "defaults\n mode http\n timeout client 9s\n timeout server 9s\n timeout connect 9s\nfrontend x\n bind {a}:{p}\n stats enable\n stats uri /\n"}),
    "slapd": ("slapd", 389, "openldap", "mkdir {d}/db; exec slapd -d 0 -f {d}/conf -h ldap://{a}:{p}",
              {"conf": "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {d}/pid\ndatabase mdb\nsuffix \"o=x\"\ndirectory {d}/db\n"}),
    "samba": ("samba", 445, "samba", "mkdir -p /run/samba; exec smbd -F --no-process-group -s {d}/conf -p {p}",
              {"conf": "[global]\ninterfaces = {a}/32\nbind interfaces only = no\nlock directory = {d}\nprivate dir = {d}\nstate directory = {d}\ncache directory = {d}\npid directory = {d}\n"}),
    "rsync": ("rsync", 873, "rsync", "rsync --daemon --no-detach --config={d}/conf --address={a} --port={p}", {"conf": "use chroot = no\n[x]\npath = {d}\n"}),
    "cups": ("cups-daemon", 631, "cups", "mkdir -p /usr/share/cups/banners; exec cupsd -f -c {d}/conf -s {d}/files",
             {"conf": "Listen {a}:{p}\nListen 127.0.0.1:6310\n<Location />\n Order allow,deny\n Allow all\n</Location>\nServerTokens Full\n",
              "files": "StateDir {d}\nServerRoot {d}\nCacheDir {d}\nRequestRoot {d}\nTempDir {d}\nErrorLog stderr\n"}),
    "prometheus": ("prometheus", 9090, "prometheus", "prometheus --config.file={d}/conf --storage.tsdb.path={d}/db --web.listen-address={a}:{p}", {"conf": "global: {{}}\n"}),
    "node-exporter": ("prometheus-node-exporter", 9100, "prometheus|node.exporter", "prometheus-node-exporter --web.listen-address={a}:{p}", {}),
    "etcd": ("etcd-server", 2379, "etcd", "etcd --data-dir {d}/db --listen-client-urls http://{a}:{p} --advertise-client-urls http://{a}:{p} "
             "--listen-peer-urls http://127.0.0.1:2380", {}),
    "tigervnc": ("tigervnc-standalone-server", 5900, "vnc", "Xtigervnc :9 -rfbport {p} -SecurityTypes None -interface {a}", {}),
    "ngircd": ("ngircd", 6667, "ngircd", "ngircd -n -f {d}/conf",
               {"conf": "[Global]\nName = irc.x.test\nInfo = x\nListen = {a}\nPorts = {p}\nServerUID = root\n[Options]\nPAM = no\nDNS = no\nIdent = no\n"}),
    "python": ("python3", 8000, "python|simplehttp", "cd {d}; exec python3 -m http.server -b {a} {p}", {}),
    "varnish": ("varnish", 6081, "varnish", "varnishd -F -a {a}:{p} -n {d}/v -b 127.0.0.1:8080 -j none", {}),
    "inspircd": ("inspircd", 6668, "inspircd", "inspircd --runasroot --nofork --config {d}/conf",
                 {"conf": '<server name="irc.y.test" description="y" network="y" id="1AA">\n<admin name="a" nick="a" email="a@y.test">\n'
                          '<bind address="{a}" port="{p}" type="clients">\n<connect allow="*">\n<path logdir="{d}" datadir="{d}" runtimedir="{d}">\n'}),
    "nats": ("nats-server", 4222, "nats", "nats-server -a {a} -p {p}", {}),
}


def upstream(package):
    text = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True).stdout
    numbers = re.match(r"(?:\d+:)?v?(\d+(?:[._]\d+)*)", text)
    return numbers[1] if numbers else ""


def answers(address, port):
    try:
        socket.create_connection((address, port), 0.5).close()
        return True
    except OSError:
        return False


def serve(address):
    running = {}
    for name, (package, port, product, command, files) in SERVICES.items():
        where = f"{DIR}/{name}"
        os.makedirs(where, exist_ok=True)
        words = {"a": address, "p": port, "d": where}
        for file, text in files.items():
            with open(f"{where}/{file}", "w") as out:
                out.write(text.format(**words))
        log = open(f"{where}.log", "w")
        running[name] = subprocess.Popen(["/bin/bash", "-c", command.format(**words)], stdout=log, stderr=log,
                                         stdin=subprocess.DEVNULL, start_new_session=True)
    missing, end = set(SERVICES), time.monotonic() + 30
    while missing and time.monotonic() < end:
        missing = {name for name in missing if not answers(address, SERVICES[name][1])}
        time.sleep(0.2)
    for name in sorted(missing):
        tail = " ".join(open(f"{DIR}/{name}.log", errors="replace").read().split())[-160:]
        print(f"    not there: {name}: {tail}", file=sys.stderr)
    with open("/run/services.json", "w") as out:
        json.dump([{"name": name, "port": port, "product": product, "version": upstream(package)}
                   for name, (package, port, product, _, _) in SERVICES.items() if name not in missing], out)
    print("ready", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    for process in running.values():
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def of_nmap(text):
    said = {}
    for port in xml.fromstring(text).iter("port"):
        service = port.find("service")
        if port.find("state").get("state") == "open":
            keys = service.attrib if service is not None else {}
            said[int(port.get("portid"))] = (f"{keys.get('product', '')} {keys.get('extrainfo', '')} {keys.get('name', '')}", keys.get("version", ""))
    return said


def of_ours(text):
    return {port["port"]: (f"{port.get('product', '')} {port.get('service', '')}", port.get("version", ""))
            for scan in json.loads(text)["scans"] for port in scan["open_ports"]}


def score(said, truth):
    products, versions, wrong = 0, 0, []
    for service in truth:
        product, version = said.get(service["port"], ("", ""))
        right = re.search(service["product"], product, re.I)
        wanted = ".".join(re.split("[._]", service["version"])[:2])
        exact = bool(right and wanted and re.search(rf"(^|[^\d.]){re.escape(wanted)}", version))
        products += bool(right)
        versions += exact
        if not exact:
            wrong.append(f"{service['name']}={product.strip()}/{version}")
    return products, versions, wrong


def measure(address, runs, kaze):
    truth = json.load(open("/run/services.json"))
    ports = ",".join(str(service["port"]) for service in truth)
    tools = {
        "ours": ([kaze, "--once", "--target", address, "--scope", address, "--ports", ports, "--max-rate", "4000000000", "--json"], of_ours),
        "nmap -sV": (["nmap", "-n", "-Pn", "-sS", "-sV", "-T5", "-p", ports, "-oX", "-", address], of_nmap),
    }
    times = {name: [] for name in tools}
    scores = {name: [] for name in tools}
    for _ in range(int(runs)):
        for name, (command, read) in tools.items():
            began = time.monotonic()
            text = subprocess.run(command, capture_output=True, text=True, timeout=600).stdout
            times[name].append(time.monotonic() - began)
            scores[name].append(score(read(text), truth))
    rows = []
    print(f"services, {len(truth)} real servers  ({runs} runs)")
    for name in tools:
        worst = min(scores[name], key=lambda s: (s[1], s[0]))
        print(f"    {name:10} {statistics.median(times[name]):8.2f} s ({min(times[name]):.2f}–{max(times[name]):.2f})  "
              f"{worst[0]} products, {worst[1]} versions; not whole: {'; '.join(worst[2])}")
    ours, peer = statistics.median(times["ours"]), statistics.median(times["nmap -sV"])
    no_fewer = all(min(s[i] for s in scores["ours"]) >= max(s[i] for s in scores["nmap -sV"]) for i in (0, 1))
    rows.append({"work": f"services, {len(truth)} real servers", "metric": "wall time", "unit": "s", "ours": ours,
                 "min": min(times["ours"]), "max": max(times["ours"]), "peer_name": "nmap -sV", "peer": peer,
                 "peer_min": min(times["nmap -sV"]), "peer_max": max(times["nmap -sV"]), "ratio": round(peer / ours, 2),
                 "goal": peer / 2, "met": ours <= peer / 2 and no_fewer})
    for i, what in enumerate(("products", "versions")):
        mine, theirs = (min(s[i] for s in scores["ours"]), max(s[i] for s in scores["nmap -sV"]))
        rows.append({"work": f"services, {len(truth)} real servers", "metric": f"right {what}", "unit": "servers", "ours": mine,
                     "peer_name": "nmap -sV", "peer": theirs, "ratio": round(mine / max(theirs, 1), 2), "goal": theirs, "met": mine >= theirs})
    with os.fdopen(3, "w") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "packages":
        print(",".join(sorted({service[0] for service in SERVICES.values()})))
    else:
        {"serve": serve, "measure": measure}[sys.argv[1]](*sys.argv[2:])
