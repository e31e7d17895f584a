# What the scenarios of port scans share: each scanner, engine and address family in turn, and what
# they found against what there is. Sourced after lib/scenario.sh.
# shellcheck shell=bash

NET=${BASH_SOURCE[0]%/*}
# shellcheck source=lab
source "$NET/lab"
trap 'lab_down; clean_slate' EXIT
WORK=$(mktemp -d)
AGENTS_DIR=/usr/lib/recon

# A target of ours in each family; every address of 10.77.0.0/16 and fd77::/64 is the same host.
HOST4=10.77.3.4 HOST6=fd77::304

# knows AGENT OPTION : this build has it.
knows() { "$AGENTS_DIR/recon-$1" --help | grep -q -- "$2\b"; }

# scanners [AGENT]... : `AGENT ENGINE` a line, for what there is; an engine that cannot be chosen is
# the one that it has.
scanners() {
    local agent engine
    for agent in "${@:-kaze}"; do
        [[ -x $AGENTS_DIR/recon-$agent ]] || continue
        if knows "$agent" --engine; then
            for engine in connect syn; do printf '%s %s\n' "$agent" "$engine"; done
        else
            printf '%s connect\n' "$agent"
        fi
    done
}

# scan AGENT ENGINE TARGET PORTS [OPTION]... : JSON in $WORK/out.json, messages in $WORK/err.
# SCAN_LIMIT: it has to end within so many seconds.
scan() {
    local agent=$1 engine=$2 to=$3 ports=$4 options=()
    shift 4
    ! knows "$agent" --engine || options+=(--engine "$engine")
    # What is counted here is TCP.
    ! knows "$agent" --udp-ports || options+=(--udp-ports "")
    timeout -s KILL "${SCAN_LIMIT:-60}" ip netns exec "$LAB_SCANNER" "$AGENTS_DIR/recon-$agent" --once --target "$to" \
        --scope "$LAB_NET4" --scope "$LAB_NET6" --ports "$ports" --json "${options[@]}" "$@" \
        >"$WORK/out.json" 2>"$WORK/err" || {
        tail -n 5 "$WORK/err" >&2
        fail "$agent $engine of $to ended with status $?"
    }
}

# fast_scan AGENT ENGINE TARGET PORTS : which ports are open, with nothing that holds it back.
fast_scan() { scan "$@" --max-rate 4000000000 --no-services; }

# truth ADDRESS-LIST PORTS : what is there: `ADDRESS PORT` a line.
truth() {
    local address
    for address in $1; do
        tr , '\n' <<<"$2" | sed "s/^/$address /"
    done | LC_ALL=C sort >"$WORK/truth"
}

found() { jq -r '.scans[] | .ip_address as $a | .open_ports[] | select(.protocol == "tcp") | "\($a) \(.port)"' "$WORK/out.json" | LC_ALL=C sort -u; }

# right WHAT [PERMILLE] : nothing false, and all of it found, or so many of 1,000.
right() {
    local true got false
    found >"$WORK/found"
    true=$(wc -l <"$WORK/truth")
    got=$(LC_ALL=C comm -12 "$WORK/truth" "$WORK/found" | wc -l)
    false=$(LC_ALL=C comm -13 "$WORK/truth" "$WORK/found" | wc -l)
    FOUND=$got
    ((false == 0)) || fail "$1: $false false, among them $(LC_ALL=C comm -13 "$WORK/truth" "$WORK/found" | head -n 3 | paste -sd' ')"
    ((got * 1000 >= true * ${2:-1000})) ||
        fail "$1: $got of $true found; missing $(LC_ALL=C comm -23 "$WORK/truth" "$WORK/found" | head -n 5 | paste -sd' ')"
}

# counts OPEN CLOSED FILTERED UNREACHABLE WHAT : of all hosts together; - stands for whatever it is.
# They make up all ports that were asked for.
counts() {
    local sum number wanted
    sum=$(jq -r '[.scans[].port_counts | .open, .closed, .filtered, .unreachable] | add' "$WORK/out.json")
    same "$(jq -r '[.scans[].ports_scanned] | add' "$WORK/out.json")" "$sum" "$5: ports scanned, and all counts together"
    for number in open closed filtered unreachable; do
        wanted=$1 && shift
        [[ $wanted == - ]] ||
            same "$wanted" "$(jq -r "[.scans[].port_counts.$number] | add" "$WORK/out.json")" "$number ports"
    done
}

# referee TARGET PORTS : what nmap finds, number of open ports in REFEREE.
referee() {
    local six=()
    [[ $1 != *:* ]] || six=(-6)
    scanner nmap "${six[@]}" -n -Pn -sS -T5 --min-rate 20000 --max-retries 6 -p "$2" -oG "$WORK/nmap" "$1" >/dev/null
    REFEREE=$({ grep -o '[0-9]*/open/tcp' "$WORK/nmap" || true; } | wc -l)
}
