# One bed: its root tree, its systemd, its network, and COMMAND in it. Sourced by bed.
# shellcheck shell=bash

BOOT_SECONDS=90
ROOT=
NSPAWN=
LEADER=

# Units that would reach for the machine itself, or slow the boot and serve no test.
MASKED=(systemd-modules-load.service systemd-sysctl.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount
    dev-hugepages.mount systemd-firstboot.service systemd-repart.service ldconfig.service
    systemd-hwdb-update.service systemd-journal-catalog-update.service)

mount_root() {
    mount -t tmpfs -o mode=755,size=80% "bed-$ID" "$BED/rw"
    mkdir "$BED"/rw/{upper,work}
    [[ -z $LAYER ]] || tar --extract --file="$LAYER" --directory="$BED/rw/upper" --numeric-owner --preserve-permissions \
        --xattrs --xattrs-include='*'
    ROOT=$BED/root
    mount_overlay "$BED/base" "$BED/rw" "$ROOT"
    forget_machine
    furnish_root
}

# What the machine enabled, mounts or has of recon is no business of the bed.
forget_machine() {
    rm -rf --one-file-system "$ROOT"/etc/systemd/system/{*.wants,*.requires,default.target,recon*} \
        "$ROOT"/{etc,var/lib,var/cache,usr/lib}/recon "$ROOT"/var/log/journal
    rm -f "$ROOT"/etc/{fstab,crypttab,resolv.conf,hosts,hostname,machine-id}
    tr -d - </proc/sys/kernel/random/uuid >"$ROOT/etc/machine-id"
    echo bed >"$ROOT/etc/hostname"
    printf '%s\n' '127.0.0.1 localhost bed' '::1 localhost ip6-localhost' '10.20.0.1 bed.test' \
        '10.20.0.2 targets targets.test' >"$ROOT/etc/hosts"
    echo '# A bed has no resolver; without one the C library asks 127.0.0.1.' >"$ROOT/etc/resolv.conf"
}

furnish_root() {
    local unit etc=$ROOT/etc/systemd
    mkdir -p "$etc"/{system/systemd-sysusers.service.d,journald.conf.d}
    printf '%s\n' '[Unit]' 'Description=Test bed' 'Requires=basic.target dbus.service systemd-journald.service' \
        'Wants=polkit.service' 'After=basic.target dbus.service polkit.service' 'AllowIsolate=yes' >"$etc/system/bed.target"
    printf '%s\n' '[Journal]' 'Storage=volatile' 'RateLimitIntervalSec=0' >"$etc/journald.conf.d/bed.conf"
    # Users of a build just installed: systemd makes them at boot, before the D-Bus policies that name them are read.
    printf '%s\n' '[Unit]' 'ConditionNeedsUpdate=' >"$etc/system/systemd-sysusers.service.d/bed.conf"
    for unit in "${MASKED[@]}"; do
        ln -sf /dev/null "$etc/system/$unit"
    done
}

install_build() {
    [[ $INSTALL == yes ]] || return 0
    [[ -e $REPO/Makefile ]] || die "no Makefile in $REPO to install from (or use --no-install)"
    make --no-print-directory -s -C "$REPO" install DESTDIR="$ROOT" PROFILE="$PROFILE" </dev/null >&2 ||
        die "make install failed"
}

boot() {
    local -a options=(--directory="$ROOT" --boot --quiet --settings=no --register=no --keep-unit
        --machine="bed-$ID" --hostname=bed --private-network --link-journal=no --resolv-conf=off --timezone=off
        --capability=all --drop-capability="CAP_SYS_MODULE,CAP_SYS_TIME" --system-call-filter="bpf keyctl"
        --tmpfs=/var/tmp:mode=1777 --bind-ro="$REPO/tests:/bed/tests")
    local item
    if [[ -n $OUT ]]; then
        mkdir -p "$OUT"
        options+=(--bind="$OUT:/bed/out")
    else
        mkdir -p "$ROOT/bed/out"
    fi
    for item in ${BINDS[@]+"${BINDS[@]}"}; do
        options+=(--bind="$item")
    done
    start_nspawn "${options[@]}" systemd.unit=bed.target
    wait_until "$BOOT_SECONDS" find_leader || boot_failed "no PID 1"
    identify "$LEADER" >"$BED/leader"
    wait_until "$BOOT_SECONDS" systemd_answers || boot_failed "systemd does not answer"
    wait_booted
}

# With its own session, so that Ctrl-C is for COMMAND and for us; ends when we are killed, unless the bed is to be kept.
start_nspawn() {
    local -a launcher=(setsid)
    local group=$CGROUP_ROOT/recon-bed-$ID
    [[ $KEEP == yes ]] || launcher+=(setpriv --pdeathsig TERM)
    if systemd_is_pid1; then
        launcher+=(systemd-run --quiet --scope --collect --unit="recon-bed-$ID" --property=Delegate=yes --)
    else
        mkdir "$group"
    fi
    # What nspawn notes of its containers stays in our mount namespace.
    mkdir -p /run/systemd/nspawn
    mount -t tmpfs -o mode=755 bed-nspawn /run/systemd/nspawn
    (
        systemd_is_pid1 || echo "$BASHPID" >"$group/cgroup.procs"
        export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
        exec "${launcher[@]}" systemd-nspawn "$@"
    ) </dev/null >"$BED/console.txt" 2>&1 &
    NSPAWN=$!
    disown "$NSPAWN"
    identify "$NSPAWN" >"$BED/nspawn"
}

# The child of nspawn that is PID 1 in a PID namespace. Fails for now, or for good when nspawn is gone.
find_leader() {
    local child
    is_alive "$BED/nspawn" || boot_failed "systemd-nspawn ended"
    local -a children
    read -ra children 2>/dev/null <"/proc/$NSPAWN/task/$NSPAWN/children" || true
    for child in ${children[@]+"${children[@]}"}; do
        if grep -q '^NSpid:.*[[:space:]]1$' "/proc/$child/status" 2>/dev/null; then
            LEADER=$child
            return 0
        fi
    done
    return 1
}

systemd_answers() {
    is_alive "$BED/leader" || boot_failed "PID 1 ended"
    [[ -S /proc/$LEADER/root/run/systemd/private ]]
}

wait_booted() {
    local state
    state=$(timeout "$BOOT_SECONDS" nsenter -t "$LEADER" -a systemctl is-system-running --wait </dev/null 2>&1) || true
    case $state in
    running) ;;
    degraded) say "some units failed at boot: $(in_bed systemctl list-units --failed --plain --no-legend | cut -d' ' -f1 | xargs)" ;;
    *) boot_failed "still '$state'" ;;
    esac
    [[ $(in_bed systemctl is-active bed.target) == active ]] || boot_failed "bed.target is not active"
}

boot_failed() {
    tail -n 40 "$BED/console.txt" >&2 || true
    die "the bed did not boot: $1"
}

bed_environment() {
    printf '%s ' PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        TERM="${TERM:-dumb}" LANG=C.UTF-8 BED=1 BED_RELEASE="$RELEASE" BED_OUT=/bed/out
}

in_bed() (
    enter_bed "$@"
)

# enter_bed COMMAND...: becomes COMMAND in the namespaces and in a cgroup of the bed, as its PID 1 would run it. The
# nsenter that waits for COMMAND goes when we do: it would hold our stdout open, and keep the bed from its end.
enter_bed() {
    local -a environment
    read -ra environment <<<"$(bed_environment)"
    join_cgroup
    exec setpriv --pdeathsig KILL nsenter -t "$LEADER" -a -- \
        env -i --default-signal=INT,QUIT --chdir=/root "${environment[@]}" "$@"
}

join_cgroup() {
    local path
    path=$(sed -n 's/^0:://p' "/proc/$LEADER/cgroup")
    echo "$BASHPID" >"$CGROUP_ROOT$path/cgroup.procs"
}

make_network() {
    in_bed /bed/tests/system/lib/bed/network.sh </dev/null >&2 || die "cannot make the network of the bed"
}

run_hooks() {
    local hook
    [[ $INSTALL == yes ]] || return 0
    for hook in "$REPO"/tests/system/bed.d/*; do
        [[ -x $hook && -f $hook ]] || continue
        in_bed "/bed/tests/system/bed.d/${hook##*/}" </dev/null >&2 || die "bed.d/${hook##*/} failed"
    done
}

# In the background with our stdin, so that a signal to us is heard while COMMAND runs.
run_command() {
    local status=0 pid
    [[ $KEEP == no ]] || touch "$BED/kept"
    enter_bed "${COMMAND[@]}" <&0 &
    pid=$!
    wait "$pid" || status=$?
    exit "$status"
}

# report STATUS: before the bed goes, what one wants to know of a failure.
report() {
    [[ -n $LEADER ]] && is_alive "$BED/leader" || return 0
    [[ -z $OUT ]] || journal >"$OUT/journal.txt"
    [[ $1 != 0 && $INTERRUPTED == no ]] || return 0
    say "exit status $1; failed units and the end of the journal:"
    in_bed timeout 20 systemctl list-units --failed --no-pager --plain --no-legend >&2 </dev/null
    journal -n 80 >&2
}

journal() {
    in_bed timeout 20 journalctl -b --no-pager -o short-precise "$@" 2>&1 </dev/null
}
