# Root trees and package layers, built once and cached in target/bed. Sourced by bed.
# shellcheck shell=bash
#
# CACHE/base/trixie-KEY/     debootstrap tree, never changed once it is there
# CACHE/layers/REL-KEY.tar   what installing a set of packages adds to a root tree (an overlay's upper directory)
# CACHE/debs/REL/            downloaded packages
# CACHE/REL.lock             taken while one of these is built

# In every bed, whatever the release.
BED_PACKAGES=(systemd systemd-sysv libpam-systemd dbus polkitd iproute2 iputils-ping procps util-linux nftables
    ca-certificates curl jq netcat-openbsd openssl python3-minimal)

BASE_TREE=
LAYER=
BUILDING=
BUILDER=

prepare_image() {
    mkdir -p "$CACHE"/{base,layers,debs/"$RELEASE"}
    case $RELEASE in
    host) BASE_TREE=/ ;;
    trixie)
        BASE_TREE=$CACHE/base/trixie-$(trixie_key)
        locked need_tree
        ;;
    esac
    local -a packages
    mapfile -t packages < <(packages_to_add)
    ((${#packages[@]})) || return 0
    LAYER=$CACHE/layers/$RELEASE-$(layer_key "${packages[@]}").tar
    locked need_layer "${packages[@]}"
}

# One builder at a time for each release. What an earlier one left unfinished goes first: it has ended, or it would
# hold the lock still.
locked() {
    local lock
    exec {lock}>"$CACHE/$RELEASE.lock"
    flock "$lock"
    rm -rf --one-file-system "$CACHE"/{base,layers}/".new-$RELEASE".*
    "$@"
    exec {lock}>&-
}

short_hash() {
    sha256sum | cut -c1-16
}

trixie_key() {
    printf '%s\n' 1 "$(uname -m)" "${BED_PACKAGES[@]}" | short_hash
}

layer_key() {
    { printf '%s\n' 1 "$@"; cat "$BASE_TREE/var/lib/dpkg/status"; } | short_hash
}

# Wanted packages that the tree does not have yet, sorted.
packages_to_add() {
    # shellcheck disable=SC2016 # the ${} are dpkg-query's
    comm -23 <(printf '%s\n' "${BED_PACKAGES[@]}" ${WITH[@]+"${WITH[@]}"} | sort -u) \
        <(chroot "$BASE_TREE" dpkg-query --show --showformat='${db:Status-Abbrev} ${Package}\n' |
            sed -n 's/^.i. *//p' | sort -u)
}

need_tree() {
    [[ ! -d $BASE_TREE ]] || return 0
    local mirror proxy
    mirror=$(debian_mirror)
    proxy=$(apt_setting Acquire::http::Proxy)
    BUILDING=$(mktemp -d "$CACHE/base/.new-$RELEASE.XXXXXX")
    say "building the trixie tree (about a minute, once)"
    # Only what apt needs is left to debootstrap: apt orders the rest better.
    build ${proxy:+env http_proxy="$proxy"} debootstrap --variant=minbase --include=ca-certificates \
        --cache-dir="$CACHE/debs/trixie" trixie "$BUILDING" "$mirror"
    printf 'deb %s trixie main\n' "$mirror" >"$BUILDING/etc/apt/sources.list"
    apt_install "$BUILDING" "${BED_PACKAGES[@]}"
    rm -rf "$BUILDING"/var/lib/apt/lists/* "$BUILDING"/var/cache/apt/*.bin
    chmod 755 "$BUILDING"
    mv "$BUILDING" "$BASE_TREE"
    discard_build
}

need_layer() {
    [[ ! -e $LAYER ]] || return 0
    BUILDING=$(mktemp -d "$CACHE/layers/.new-$RELEASE.XXXXXX")
    say "adding to $RELEASE (once): $*"
    # The upper directory is in memory: target/ may be on an overlay itself, where no upper can be.
    mount -t tmpfs -o mode=755 bed-layer "$BUILDING"
    mkdir "$BUILDING"/{base,upper,work,root}
    mount_overlay "$BUILDING/base" "$BUILDING"
    apt_install "$BUILDING/root" "$@"
    umount "$BUILDING/root" "$BUILDING/base"
    rm -rf "$BUILDING"/upper/{etc/hosts,etc/resolv.conf,var/lib/apt/lists,var/cache/apt,var/log/apt,dev,proc,tmp,run}
    tar --create --file="$BUILDING.tar" --directory="$BUILDING/upper" --numeric-owner \
        --xattrs --xattrs-include=trusted.overlay.opaque --xattrs-include=security.capability .
    mv "$BUILDING.tar" "$LAYER"
    discard_build
}

# build COMMAND...: in mount and PID namespaces of its own, so that nothing it starts stays, and in the background, so
# that a signal to us is heard.
build() {
    unshare --mount --pid --ipc --uts --fork --kill-child -- "$@" >>"$BUILDING.log" 2>&1 </dev/null &
    BUILDER=$!
    if ! wait "$BUILDER"; then
        tail -n 25 "$BUILDING.log" >&2
        die "a package could not be installed, see above"
    fi
    BUILDER=
}

# After a build, and by teardown when one was cut short.
discard_build() {
    if [[ -n $BUILDER ]]; then
        kill -KILL "$BUILDER" 2>/dev/null
        wait "$BUILDER" 2>/dev/null
        BUILDER=
    fi
    [[ -n $BUILDING ]] || return 0
    ! mountpoint -q "$BUILDING" || umount --recursive "$BUILDING" || umount --recursive --lazy "$BUILDING"
    rm -rf --one-file-system -- "$BUILDING" "$BUILDING.log" "$BUILDING.tar"
    BUILDING=
}

# mount_overlay BASE DIR: DIR/root is BASE_TREE (bound at BASE without what is mounted below it) under DIR/upper.
mount_overlay() {
    mount --bind "$BASE_TREE" "$1"
    mount -o remount,bind,ro "$1"
    mount -t overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work,index=off,metacopy=off,redirect_dir=off" \
        bed "${3:-$2/root}"
    # A running machine's /dev may hold device nodes below its devtmpfs; the bed gets its own.
    rm -rf --one-file-system "${3:-$2/root}/dev"
    mkdir "${3:-$2/root}/dev"
}

# apt_install ROOT PACKAGE...: no service is started by it.
apt_install() {
    local root=$1
    shift
    cp --remove-destination --dereference /etc/resolv.conf /etc/hosts "$root/etc/"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    build bash -euc "$(declare -f enter_tree apt_settings); enter_tree \"\$@\"" \
        bash "$root" "$CACHE/debs/$RELEASE" "$@"
    rm "$root/usr/sbin/policy-rc.d"
}

# enter_tree ROOT DEBS PACKAGE...: runs apt-get in ROOT, which gets a small /dev and a /tmp and /run of its own.
enter_tree() {
    local root=$1 debs=$2 node
    shift 2
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 bed-dev "$root/dev"
    for node in null zero full random urandom tty; do
        touch "$root/dev/$node"
        mount --bind "/dev/$node" "$root/dev/$node"
    done
    mkdir "$root"/dev/{pts,shm}
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=1777 bed-tmp "$root/tmp"
    mount -t tmpfs -o mode=755 bed-run "$root/run"
    mkdir "$root"/run/{debs,lock}
    mount --bind "$debs" "$root/run/debs"
    apt_settings >"$root/run/apt.conf"
    # An update that fails for one source is no reason to stop: the install says what is missing.
    exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive APT_CONFIG=/run/apt.conf \
        sh -c 'apt-get update; apt-get install --yes --no-install-recommends "$@"' sh "$@"
}

# How this machine reaches its mirror, and what is different in a bed.
apt_settings() {
    apt-config dump 2>/dev/null | grep -E '^Acquire::(http|https|Check-[A-Za-z-]*|Retries)' || true
    printf '%s\n' 'APT::Sandbox::User "root";' 'APT::Keep-Downloaded-Packages "true";' \
        'Dir::Cache::Archives "/run/debs";' 'DPkg::Options:: "--force-confold";'
}

# The Debian mirror that this machine uses itself.
debian_mirror() {
    local uri
    if [[ -n ${BED_MIRROR-} ]]; then
        echo "$BED_MIRROR"
        return
    fi
    # shellcheck disable=SC2016 # the $() are apt's
    uri=$(apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
        sed -n 's,^Debian/Debian ,,p' | head -n 1) || true
    echo "${uri:-http://deb.debian.org/debian}"
}

apt_setting() {
    local value=
    ! command -v apt-config >/dev/null || eval "$(apt-config shell value "$1")"
    printf '%s' "$value"
}
