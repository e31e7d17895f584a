# What the machine must have, and the few tools that are installed on it. Sourced by bed.
# shellcheck shell=bash

CGROUP_ROOT=

cannot_run() {
    say "cannot run here: $*"
    exit 77
}

# Looks only, changes nothing.
check_machine() {
    ((EUID == 0)) || cannot_run "not root"
    [[ $(uname -s) == Linux ]] || cannot_run "not Linux"
    unshare --mount true 2>/dev/null || cannot_run "no right to make a mount namespace (CAP_SYS_ADMIN)"
    grep -qw overlay /proc/filesystems || modprobe -q overlay 2>/dev/null || cannot_run "the kernel has no overlayfs"
    find_cgroup2
    check_bpf
    [[ $RELEASE != host ]] || check_host_release
    [[ -z $(missing_tools) ]] || command -v apt-get >/dev/null || cannot_run "missing $(missing_tools | xargs), and no apt-get to install them"
}

find_cgroup2() {
    CGROUP_ROOT=$(findmnt --noheadings --first-only --types cgroup2 --output TARGET 2>/dev/null) ||
        cannot_run "no cgroup2 file system is mounted"
    [[ -w $CGROUP_ROOT/cgroup.procs ]] || cannot_run "$CGROUP_ROOT is not writable"
}

# systemd's IP firewall (IPAddressDeny=) is a BPF program on a cgroup.
check_bpf() {
    local config
    config=/boot/config-$(uname -r)
    [[ ! -r /proc/config.gz ]] || config=/proc/config.gz
    [[ -e /proc/sys/kernel/unprivileged_bpf_disabled ]] || cannot_run "the kernel has no bpf()"
    # Not by grep -q: it would end the pipe early, and zcat with it.
    [[ ! -r $config || $(zcat -f -- "$config") == *CONFIG_CGROUP_BPF=y* ]] || cannot_run "the kernel lacks CONFIG_CGROUP_BPF"
}

check_host_release() {
    local place
    [[ -r /var/lib/dpkg/status && -x /usr/bin/apt-get ]] ||
        cannot_run "--release host needs Debian or Ubuntu (try --release trixie)"
    [[ -x /usr/lib/systemd/systemd || -x /lib/systemd/systemd ]] ||
        cannot_run "--release host: systemd is not installed (apt-get install systemd, or --release trixie)"
    for place in /usr /etc /var /var/lib; do
        ! mountpoint -q "$place" ||
            cannot_run "--release host: $place is a mount of its own, an overlay of / would miss it (try --release trixie)"
    done
}

# tool:package pairs; prints the packages of the tools that are not there.
missing_tools() {
    local pair
    local -a wanted=(systemd-nspawn:systemd-container nsenter:util-linux setpriv:util-linux flock:util-linux
        findmnt:util-linux tar:tar)
    [[ $RELEASE != trixie ]] || wanted+=(debootstrap:debootstrap)
    [[ $INSTALL != yes ]] || wanted+=(make:make)
    for pair in "${wanted[@]}"; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done | sort -u
}

install_tools() {
    local -a packages
    mapfile -t packages < <(missing_tools)
    ((${#packages[@]})) || return 0
    say "installing on this machine: ${packages[*]}"
    {
        apt-get -o DPkg::Lock::Timeout=300 update -qq
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "${packages[@]}"
    } </dev/null >&2 || die "cannot install ${packages[*]}"
}

systemd_is_pid1() {
    [[ -d /run/systemd/system ]]
}
