# Web sites in the bed's "targets" namespace, for scenarios in which agents run under systemd. Sourced
# after lib/scenario.sh; SITE is the address.
# shellcheck shell=bash

WEB=$(realpath -- "${BASH_SOURCE[0]%/*}")
# shellcheck source=nginx.sh
source "$WEB/nginx.sh"
SITE=10.20.0.7
WORK=$(mktemp -d)
chmod 755 "$WORK"

# serve_site PAGES : the site of site.py on port 80, with the hidden paths of hidden.py in it, by nginx.
serve_site() {
    mkdir -p "$WORK"/{site,temp}
    python3 "$WEB/site.py" "$WORK/site" "$WORK/site.json" --base "http://$SITE" --pages "$1" >/dev/null
    python3 "$WEB/hidden.py" "$WORK/hidden" --words "${2:-2000}"
    cp -r "$WORK/hidden/www/." "$WORK/hidden/copy"
    rm "$WORK/hidden/copy/index.html"
    cp -rn "$WORK/hidden/copy/." "$WORK/site"
    nginx_conf "$WORK" "$WORK/nginx.log" |
        sed -e "/listen 80 /a include $WORK/hidden/nginx.conf;" -e 's/ buffer=64k flush=1s//' -e '/listen \[::\]/d' -e "s/listen \([0-9]*\)/listen $SITE:\1/" >"$WORK/nginx.conf"
    systemd-run -q --collect --unit listener-nginx ip netns exec targets nginx -c "$WORK/nginx.conf" -g 'daemon off;'
    until_true "nginx" nc -z "$SITE" 80
}
# pages_asked : how many pages of the site the server was asked for; repeated : requests for pages beyond the first.
pages_asked() { python3 "$WEB/check.py" log "$WORK/site.json" "$WORK/nginx.log" 80 | cut -d' ' -f1; }
asked_for() { (($(pages_asked) >= $1)); }
