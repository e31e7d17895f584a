# What is known of the beds on this machine, and how one is taken down. Sourced by bed.
# shellcheck shell=bash
#
# /run/recon-bed/ID/   owner, nspawn, leader: "PID STARTTIME" of the script, of systemd-nspawn, of the bed's PID 1
#                      info: release and command;  kept: exists once the owner has left the bed to itself
#                      console.txt: what the bed's PID 1 said
#                      rw, base, root: mount points, filled only in the bed's own mount namespace

STATE_DIR=/run/recon-bed
ID=
BED=

say() {
    printf 'bed: %s\n' "$*" >&2
}

# The bed itself failed, as opposed to COMMAND.
die() {
    say "$*"
    exit 125
}

# wait_until SECONDS COMMAND...: polls for a condition, with a deadline.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.02
    done
}

# A PID alone may be used again by another process; PID and start time are not. A zombie is gone.
identify() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} != [ZX] ]] || return 1
    printf '%s %s\n' "$1" "${stat[19]}"
}

# is_alive FILE: the process noted in FILE still runs.
is_alive() {
    local pid start
    read -r pid start 2>/dev/null <"$1" || return 1
    [[ $(identify "$pid") == "$pid $start" ]]
}

pid_in() {
    local pid rest
    read -r pid rest 2>/dev/null <"$1" && printf '%s\n' "$pid"
}

new_bed() {
    mkdir -p "$STATE_DIR"
    BED=$(mktemp -d "$STATE_DIR/XXXXXXXX")
    ID=${BED##*/}
    identify $$ >"$BED/owner"
    printf '%s\t%s\n' "$RELEASE" "${COMMAND[*]@Q}" >"$BED/info"
    mkdir "$BED"/{rw,base,root}
}

# state_of DIR: running (its owner lives), kept, orphan (owner gone, bed runs), or dead (only traces are left)
state_of() {
    local -a groups
    mapfile -t groups < <(cgroups_of "$1")
    if is_alive "$1/owner"; then
        echo running
    elif are_empty "${groups[@]}"; then
        echo dead
    elif [[ -e $1/kept ]]; then
        echo kept
    else
        echo orphan
    fi
}

list_beds() {
    local dir info
    for dir in "$STATE_DIR"/*; do
        [[ -e $dir/owner ]] || continue
        info=$(cat "$dir/info" 2>/dev/null) || info='?'
        printf '%s\t%s\tleader %s\t%s\n' "$(basename "$dir")" "$(state_of "$dir")" "$(pid_in "$dir/leader" || echo -)" "$info"
    done
}

stop_beds() {
    local dir
    if [[ $1 != all ]]; then
        [[ $1 =~ ^[A-Za-z0-9]+$ && -e $STATE_DIR/$1/owner ]] || { say "no bed '$1' (see --list)"; return 1; }
        stop_owner "$STATE_DIR/$1"
        remove_bed "$STATE_DIR/$1"
        return
    fi
    for dir in "$STATE_DIR"/*; do
        [[ -e $dir/owner && $(state_of "$dir") != running ]] || continue
        remove_bed "$dir" || return 1
    done
    # One that was killed before it could note its owner.
    [[ ! -d $STATE_DIR ]] || find "$STATE_DIR" -mindepth 1 -maxdepth 1 -type d -mmin +1 ! -exec test -e '{}/owner' \; \
        -exec rmdir -- {} +
}

# A bed asked for by its ID is stopped even while its owner runs: the owner takes it down itself.
stop_owner() {
    local owner
    is_alive "$1/owner" || return 0
    owner=$(pid_in "$1/owner")
    kill -TERM "$owner" 2>/dev/null || true
    wait_until 20 not is_alive "$1/owner" || say "owner $owner of ${1##*/} does not end"
}

not() {
    ! "$@"
}

# Kills what runs in the bed, and removes its cgroups and its directory. Its mounts go with its last process.
remove_bed() {
    local dir=$1
    local -a groups
    [[ -d $dir ]] || return 0
    mapfile -t groups < <(cgroups_of "$dir")
    wait_until 20 killed_all ${groups[@]+"${groups[@]}"} || { say "bed ${dir##*/} does not end"; return 1; }
    remove_cgroups ${groups[@]+"${groups[@]}"}
    unmount_own "$dir"
    rm -rf --one-file-system -- "$dir" || return 1
    rmdir --ignore-fail-on-non-empty -- "$STATE_DIR" 2>/dev/null || true
}

# Only the owner sees these mounts; for anybody else there is nothing to unmount.
unmount_own() {
    local place
    for place in root rw base; do
        ! mountpoint -q "$1/$place" || umount --recursive "$1/$place" || umount --lazy "$1/$place"
    done
}

# The cgroup made for a bed, or its scope where systemd is PID 1; nspawn repeats it in the old systemd tree where there
# is one. All that is in a bed is in it: nspawn, PID 1 and its units, COMMAND, and the nsenter that waits for COMMAND.
cgroups_of() {
    local mount
    while read -r mount; do
        find "$mount" -maxdepth 8 -type d \( -name "recon-bed-${1##*/}" -o -name "recon-bed-${1##*/}.scope" \) 2>/dev/null
    done < <(findmnt --noheadings --list --types cgroup,cgroup2 --output TARGET)
}

# Fails while there is something left to kill. Not by the name of a process: these are in the bed's own cgroups.
killed_all() {
    local -a pids
    mapfile -t pids < <(processes_in "$@")
    ((${#pids[@]})) || return 0
    kill -KILL "${pids[@]}" 2>/dev/null
    return 1
}

are_empty() {
    [[ -z $(processes_in "$@") ]]
}

# Without an argument there are none; a group that vanishes meanwhile has none either. (0 stands for a process that
# cannot be seen from here, and would mean ourselves to kill.)
processes_in() {
    (($# == 0)) || find "$@" -name cgroup.procs -exec cat {} + 2>/dev/null | grep -vx 0 || true
}

remove_cgroups() {
    (($# == 0)) || find "$@" -depth -type d -exec rmdir -- {} + 2>/dev/null || true
}

# The EXIT trap: whatever happened, the machine is as it was before, unless --keep was asked for and the bed is up.
teardown() {
    local status=$1
    trap - EXIT
    trap '' HUP INT TERM
    set +e
    discard_build
    if [[ -n $BED ]]; then
        report "$status"
        if [[ $KEEP == yes && -e $BED/kept ]]; then
            explain_kept
        else
            remove_bed "$BED"
        fi
    fi
    exit "$status"
}

explain_kept() {
    say "bed $ID keeps running; enter it:  nsenter -t $(pid_in "$BED/leader") -a env -i --chdir=/root $(bed_environment) bash"
    say "take it down:  $BED_SELF --stop $ID"
}
