# What scenarios share. A scenario is a bash script that runs in a bed as root and proves one promise
# of the product; it sources this file, makes its fleet, and says what it checks with `it`. It never
# sleeps for luck: `until_true` waits for a condition, with a limit.
# A scenario that needs a slow scan sets scope.max_rate: each of the five sending agents of the fleet
# gets a fifth of it.
# shellcheck shell=bash

set -euo pipefail

# Longest wait for a condition, in seconds. It is generous: a slow machine is not a defect.
LIMIT=${LIMIT:-60}

# it "what is shown" : the next step, for the reader of the log.
it() { printf '  - %s\n' "$*"; }

# fail "why" : ends the scenario.
fail() {
    printf '  FAILED: %s\n' "$*" >&2
    exit 1
}

# until_true "what" COMMAND... : waits until COMMAND succeeds.
until_true() {
    local what=$1 end=$((SECONDS + LIMIT))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || fail "waited $LIMIT s for: $what ($*)"
        # A poll interval, not a guess at how long something takes.
        read -rt 0.1 <> <(:) || true
    done
}

# same EXPECTED ACTUAL "what"
same() { [[ $1 == "$2" ]] || fail "$3: expected '$1', got '$2'"; }

# like PATTERN TEXT "what" : TEXT matches the glob.
# shellcheck disable=SC2053 # the pattern is meant to be one
like() { [[ $2 == $1 ]] || fail "$3: '$2' is not like '$1'"; }

# prop AGENT PROPERTY : a property of its unit.
prop() { systemctl show "recon@$1.service" -p "$2" --value; }

# prop_like AGENT PROPERTY PATTERN
# shellcheck disable=SC2053
prop_like() { [[ $(prop "$1" "$2") == $3 ]]; }

# active AGENT, inactive AGENT : the state that a stopped or running unit must have.
active() { [[ $(prop "$1" ActiveState)/$(prop "$1" SubState) == active/running ]]; }
inactive() { [[ $(prop "$1" ActiveState) == inactive ]]; }

# state AGENT : our word for it.
state() { reconctl status --json | jq -r --arg n "$1" '.agents[] | select(.name == $n) | .state'; }
state_is() { [[ $(state "$1") == "$2" ]]; }

# journal AGENT [JOURNALCTL ARGUMENT]... : its lines since the scenario began.
journal() {
    local agent=$1
    shift
    journalctl --sync
    journalctl -u "recon@$agent" --since "@$STARTED" --no-pager -q "$@"
}

# settings NAME <<TOML : a drop-in of the fleet file.
settings() {
    mkdir -p /etc/recon/recon.d
    cat >"/etc/recon/recon.d/$1.toml"
}

# apply : unit files from the fleet file; hub and agents are not touched.
apply() { reconctl apply >/dev/null || fail "reconctl apply"; }

# api PATH [CURL ARGUMENT]... : the hub's answer, to root.
api() {
    local path=$1
    shift
    curl -sS --max-time 10 --unix-socket /run/recon/hub/control.sock "http://localhost$path" "$@"
}

# scans TARGET TYPE : number of stored scans.
scans() {
    api "/api/scans/?target=$1&scan_type=$2&limit=1000" | jq '.scans | length'
}
scans_are() { [[ $(scans "$1" "$2") == "$3" ]]; }
scanned() { (($(scans "$1" "$2") > 0)); }

# listen ADDRESS PORT : something that accepts connections, until the scenario ends.
listen() {
    systemd-run -q --collect --unit "listener-${1//[:.]/-}-$2" nc -lk "$1" "$2"
    until_true "a listener on $1 port $2" nc -z "$1" "$2"
}

# spooled AGENT N : it has N results in its spool.
spooled() {
    [[ $(find "/var/lib/recon/$1/spool" -maxdepth 1 -name '*.json' 2>/dev/null | wc -l) == "$2" ]]
}

# clean_slate : no agent runs, nothing is known, no drop-in is there.
clean_slate() {
    systemctl stop 'recon@*.service' 'listener-*.service' 2>/dev/null || true
    systemctl reset-failed 2>/dev/null || true
    rm -rf /etc/recon/recon.d /etc/recon/recon.toml /var/lib/recon/* /run/recon/*
    find /etc/systemd/system -maxdepth 1 -name 'recon*' -exec rm -rf {} +
    systemctl daemon-reload
}

STARTED=$(date +%s)
clean_slate
trap clean_slate EXIT
