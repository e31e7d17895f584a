#!/usr/bin/env python3
"""Notes when each SYN, or datagram of UDP, or request of HTTP/1.1, arrives on `lan`, by the kernel's own clock. On SIGINT writes to FILE, in one
line: how many there were, seconds from the first to the last, and the most in any 100 ms and in any
second (sliding windows).

    watch.py FILE [udp|http]
"""
import ctypes
import signal
import socket
import struct
import sys

SO_TIMESTAMPNS, SO_ATTACH_FILTER, SO_RCVBUFFORCE, ETH_P_ALL = 35, 26, 33, 3
PACKET_STATISTICS, SOL_PACKET = 6, 263
# tcpdump -dd: TCP over IPv4 or IPv6, SYN without ACK, that came in.
FILTER = [
    (0x28, 0, 0, 0xFFFFF004), (0x15, 13, 0, 4), (0x28, 0, 0, 12), (0x15, 0, 5, 0x0800),
    (0x30, 0, 0, 23), (0x15, 0, 9, 6), (0xB1, 0, 0, 14), (0x50, 0, 0, 27), (0x05, 0, 0, 4),
    (0x15, 0, 5, 0x86DD), (0x30, 0, 0, 20), (0x15, 0, 3, 6), (0x30, 0, 0, 67),
    (0x54, 0, 0, 0x12), (0x15, 1, 0, 2), (0x06, 0, 0, 0), (0x06, 0, 0, 96),
]
# The same of UDP over IPv4 or IPv6 (no extension headers).
UDP = [
    (0x28, 0, 0, 0xFFFFF004), (0x15, 8, 0, 4), (0x28, 0, 0, 12), (0x15, 0, 2, 0x0800),
    (0x30, 0, 0, 23), (0x15, 3, 4, 17), (0x15, 0, 3, 0x86DD), (0x30, 0, 0, 20),
    (0x15, 0, 1, 17), (0x06, 0, 0, 96), (0x06, 0, 0, 0),
]
# All that came in of TCP over IPv4.
TCP = [
    (0x28, 0, 0, 0xFFFFF004), (0x15, 5, 0, 4), (0x28, 0, 0, 12), (0x15, 0, 3, 0x0800),
    (0x30, 0, 0, 23), (0x15, 0, 1, 6), (0x06, 0, 0, 160), (0x06, 0, 0, 0),
]
METHODS = (b"GET ", b"HEAD", b"POST", b"OPTI", b"PUT ")


def is_request(frame):
    """Whether a segment begins with one: small requests have a segment each."""
    ip = 14 + (frame[14] & 15) * 4
    data = ip + (frame[ip + 12] >> 4) * 4
    return frame[data:data + 4] in METHODS


def most(times, window):
    """The most that any half-open window of so many ns holds."""
    best = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - window:
            first += 1
        best = max(best, last - first + 1)
    return best


def main():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    http = sys.argv[2:] == ["http"]
    lines = TCP if http else UDP if sys.argv[2:] == ["udp"] else FILTER
    program = b"".join(struct.pack("HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(program)
    s.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(buffer)))
    s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    s.bind(("lan", 0))
    times = []
    running = True

    def stop(*_):
        nonlocal running
        running = False
        s.settimeout(0.05)

    signal.signal(signal.SIGINT, stop)
    signal.siginterrupt(signal.SIGINT, True)
    s.settimeout(0.2)
    print("ready", flush=True)
    while True:
        try:
            frame, extra, _, _ = s.recvmsg(160, 64)
        except (TimeoutError, InterruptedError):
            if not running:
                break
            continue
        if http and not is_request(frame):
            continue
        seconds, ns = struct.unpack("qq", extra[0][2])
        times.append(seconds * 1_000_000_000 + ns)
    _, lost = struct.unpack("II", s.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    times.sort()
    span = (times[-1] - times[0]) / 1e9 if times else 0
    with open(sys.argv[1], "w") as out:
        print(len(times) + lost, round(span, 4), most(times, 100_000_000), most(times, 1_000_000_000), file=out)


if __name__ == "__main__":
    main()
