# What the benchmarks share. Everything runs in a test bed, on the bed's own loopback.
# shellcheck shell=bash
set -euo pipefail

# seconds COMMAND... : wall time of one run, in seconds.
seconds() {
    local begin end
    begin=$(date +%s.%N)
    "$@" >/dev/null 2>&1 || { printf 'failed: %s\n' "$*" >&2 && return 1; }
    end=$(date +%s.%N)
    awk -v a="$begin" -v b="$end" 'BEGIN { printf "%.4f\n", b - a }'
}

# spread FILE : median, least and most of the numbers in it.
spread() { sort -n "$1" | awk '{ v[NR] = $1 } END { m = (NR % 2) ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2; print m, v[1], v[NR] }'; }

# row WORK METRIC UNIT OURS_FILE PEER_NAME PEER_FILE|- GOAL : one line of the table and one element
# of the JSON. GOAL is the most that ours may be: a number, or `peer` for the peer's median.
row() {
    local ours lo hi peer=null plo=null phi=null goal=$7
    read -r ours lo hi < <(spread "$4")
    [[ $6 == - ]] || read -r peer plo phi < <(spread "$6")
    [[ $goal == peer ]] && goal=$peer
    jq -nc --arg work "$1" --arg metric "$2" --arg unit "$3" --argjson ours "$ours" \
        --argjson min "$lo" --argjson max "$hi" --arg peer_name "$5" --argjson peer "$peer" \
        --argjson peer_min "$plo" --argjson peer_max "$phi" --argjson goal "$goal" \
        '{$work, $metric, $unit, $ours, min: $min, max: $max, $peer_name, $peer, peer_min: $peer_min,
          peer_max: $peer_max, ratio: (if $peer == null or $ours == 0 then null else ($peer / $ours * 100 | round / 100) end),
          $goal, met: ($ours <= $goal)}' >>"$ROWS"
    printf '%-46s %10.4f (%.4f–%.4f) %s   %s %s   goal ≤ %s\n' "$1, $2" "$ours" "$lo" "$hi" "$3" \
        "$5" "$([[ $6 == - ]] || printf '%.4f (%.4f–%.4f)' "$peer" "$plo" "$phi")" "$goal"
}

# finish NAME : writes NAME.json to the output directory, if there is one.
finish() {
    [[ -d /bed/out ]] && jq -s . "$ROWS" >"/bed/out/$1.json"
    jq -se 'all(.[]; .met)' "$ROWS" >/dev/null || printf 'some goals were not met\n'
}

ROWS=$(mktemp)
RUNS=${RUNS:-7}
