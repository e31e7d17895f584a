#!/bin/sh
# The network of a bed, run in it as root: a network namespace "targets", and a cable to it. The picture is in ../../bed.
set -eu

addresses() { # INTERFACE IPV6 LAST-BYTE...
    interface=$1 ipv6=$2
    shift 2
    for last; do
        echo "addr add 10.20.0.$last/24 dev $interface"
    done
    [ ! -d /proc/sys/net/ipv6 ] || echo "addr add $ipv6/64 dev $interface nodad"
}

no_address_detection() {
    [ ! -d /proc/sys/net/ipv6 ] || echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad
}

both_ends_up() {
    ip -br link show bed0 | grep -q ' UP ' && ip -n targets -br link show targets0 | grep -q ' UP '
}

ip netns add targets
no_address_detection
ip link add bed0 type veth peer name targets0
ip link set targets0 netns targets
{
    addresses targets0 fd20::2 2 3 4 5 6 7 8 9 10 11 12
    echo 'link set lo up'
    echo 'link set targets0 up'
} | ip -n targets -batch -
{
    addresses bed0 fd20::1 1
    echo 'link set bed0 up'
} | ip -batch -

tries=0
until both_ends_up; do
    tries=$((tries + 1))
    [ "$tries" -lt 500 ] || { echo 'the cable between bed and targets has no carrier' >&2; exit 1; }
    sleep 0.02
done
