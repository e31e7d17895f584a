# What the web scenarios share: sites and servers in the lab's target namespace, the spider and the
# enumerator in the scanner's. Sourced after lib/scenario.sh.
# shellcheck shell=bash

WEB=$(realpath -- "${BASH_SOURCE[0]%/*}")
# shellcheck source=../net/lab
source "$WEB/../net/lab"
# shellcheck source=nginx.sh
source "$WEB/nginx.sh"
trap 'lab_down; clean_slate' EXIT
WORK=$(mktemp -d)
# Servers read it as users of their own.
chmod 755 "$WORK"
AGENTS_DIR=/usr/lib/recon
HOST=10.77.3.4

# web_site [OPTION]..., web_hidden [OPTION]... : the site of site.py, and that of hidden.py, below $WORK.
web_site() {
    mkdir -p "$WORK/site"
    echo '{"ok":true}' >"$WORK/taken.html"
    python3 "$WEB/site.py" "$WORK/site" "$WORK/site.json" "$@"
    site_text
}
# site_text [HOST:PORT] : what a site says of itself besides; wget and scrapy have no use for it.
site_text() { printf 'User-agent: *\nAllow: /\nSitemap: http://%s/sitemap.xml\n' "${1:-$HOST}" >"$WORK/site/robots.txt"; }
web_hidden() { python3 "$WEB/hidden.py" "$WORK/hidden" "$@"; }

# lab_tcp PORT COMMAND... : a server in the target's namespace; returns when the port is taken.
lab_tcp() {
    local port=$1 pid
    shift
    ip netns exec "$LAB_TARGET" "$@" >>"$WORK/servers" 2>&1 &
    pid=$!
    LAB_PIDS+=("$pid")
    until [[ $(target ss -Hltn "sport = :$port") ]]; do
        kill -0 "$pid" || { printf 'lab: %s did not start: %s\n' "$*" "$(tail -n 3 "$WORK/servers")" >&2; return 1; }
        read -rt 0.1 <> <(:) || true
    done
}

web_nginx() {
    mkdir -p "$WORK/temp"
    nginx_conf "$WORK" "$WORK/nginx.log" >"$WORK/nginx.conf"
    lab_tcp 80 nginx -c "$WORK/nginx.conf" -g 'daemon off;'
    NGINX=${LAB_PIDS[-1]}
}
web_apache() {
    apache_conf "$WORK" "$WORK/apache.log" >"$WORK/apache.conf"
    lab_tcp 81 /usr/sbin/apache2 -D FOREGROUND -f "$WORK/apache.conf"
}
# web_hostile : the servers of hostile.py; each request is a line of $WORK/hostile.log.
web_hostile() {
    lab_start ip netns exec "$LAB_TARGET" python3 "$WEB/hostile.py" "$WORK/hostile.log"
}
# Logs that are held back are written.
web_logged() {
    [[ ! ${NGINX:-} ]] || nginx -c "$WORK/nginx.conf" -s reopen
    local size=-1
    until [[ $size == "$(stat -c %s "$WORK/nginx.log")" ]]; do
        size=$(stat -c %s "$WORK/nginx.log")
        read -rt 0.5 <> <(:) || true
    done
}

# spider URL [OPTION]..., enumerate URL [OPTION]... : JSON in $WORK/out.json, messages in $WORK/err; ends
# within WEB_LIMIT seconds. What it took is in $TOOK (s) and $PEAK (MiB), its exit status in $STATUS.
spider() { web_run kumo "$@"; }
enumerate() { web_run suzu "$@"; }
web_run() {
    local agent=$1 url=$2
    shift 2
    ip netns exec "$LAB_SCANNER" python3 "$WEB/../net/peak.py" "$WORK/peak" "${WEB_LIMIT:-120}" "$AGENTS_DIR/recon-$agent" --once --target "$url" \
        --scope "$LAB_NET4" --scope "$LAB_NET6" --json "$@" >"$WORK/out.json" 2>"$WORK/err"
    read -r STATUS TOOK PEAK <"$WORK/peak"
    printf '    %s: status %s, %s s, %s MiB\n' "$agent" "$STATUS" "$TOOK" "$PEAK"
}
# done_well : the last run ended by itself, and with status 0.
done_well() { [[ $STATUS == 0 ]] || fail "status $STATUS after $TOOK s: $(tail -n 3 "$WORK/err")"; }
FREE=(--max-rate 4000000000)

# web_watch, web_watched : like lab_watch, for requests over connections that are kept.
web_watch() {
    lab_start ip netns exec "$LAB_TARGET" python3 "$LAB_HERE/watch.py" "$WORK/watched" http
    LAB_WATCH=${LAB_PIDS[-1]} LAB_WATCHED=$WORK/watched
}
