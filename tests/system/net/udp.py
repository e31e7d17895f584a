#!/usr/bin/env python3
"""UDP servers for scans. Only the standard library.

    udp.py MODE PORTS ADDRESS...

PORTS: `53,1000-1100`. Prints `ready` once all of them listen.

    services     answers as the usual service of the port does: 137 NetBIOS names, 1900 SSDP, 3478 STUN, 5060 SIP;
                 nothing to a request that is none of that service
    echo         sends back what it gets
    garbage      sends 1,400 random bytes
    silent       takes what comes and says nothing
    other        answers from another port: that is not the port that was asked
    second       answers the second datagram of a sender, not the first
"""
import os
import selectors
import socket
import struct
import sys

NAMES = b"".join(name.ljust(15) + bytes([kind, flags, 0]) for name, kind, flags in
                 [(b"FILES", 0, 4), (b"WORK", 0, 0x84), (b"FILES", 0x20, 4)])


def netbios(asked):
    if len(asked) < 50 or asked[46:48] != b"\x00\x21":
        return None
    body = b"\x03" + NAMES + bytes.fromhex("00112233445500")
    return asked[:2] + b"\x84\x00\0\0\0\x01\0\0\0\0" + asked[12:50] + b"\0\0\0\0" + struct.pack(">H", len(body)) + body


def ssdp(asked):
    if not asked.startswith(b"M-SEARCH * HTTP/1.1\r\n") or b"\r\n\r\n" not in asked:
        return None
    return b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\nSERVER: Linux/6.1 UPnP/1.1 MiniUPnPd/2.3.1\r\nUSN: uuid:1\r\n\r\n"


def stun(asked):
    if len(asked) < 20 or asked[:2] != b"\x00\x01" or asked[4:8] != b"\x21\x12\xa4\x42":
        return None
    software = b"\x80\x22\x00\x0cCoturn-4.6.1"
    return b"\x01\x01" + struct.pack(">H", len(software)) + asked[4:20] + software


def sip(asked):
    if not asked.startswith(b"OPTIONS sip:"):
        return None
    kept = [line for line in asked.split(b"\r\n") if line.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")]
    return b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Server: kamailio (5.6.3 (x86_64/linux))", b"Content-Length: 0", b"", b""])


SERVICES = {137: netbios, 1900: ssdp, 3478: stun, 5060: sip}


def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def bound(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    s.setblocking(False)
    return s


def main():
    mode, ports, addresses = sys.argv[1], list(numbers(sys.argv[2])), sys.argv[3:]
    poll = selectors.DefaultSelector()
    for address in addresses:
        for port in ports:
            poll.register(bound(address, port), selectors.EVENT_READ, (address, port))
    seen = set()
    print("ready", flush=True)
    while True:
        for key, _ in poll.select():
            s, (address, port) = key.fileobj, key.data
            try:
                asked, sender = s.recvfrom(65535)
            except OSError:  # what ICMP says of an answer
                continue
            answer = asked
            if mode == "services":
                answer = SERVICES[port](asked)
            elif mode == "garbage":
                answer = os.urandom(1400)
            elif mode == "silent":
                answer = None
            elif mode == "other":
                s = bound(address, 0)
            elif mode == "second" and (sender, port) not in seen:
                seen.add((sender, port))
                answer = None
            if answer is not None:
                try:
                    s.sendto(answer, sender)
                except OSError:  # a rule of the lab that loses packets
                    pass


if __name__ == "__main__":
    main()
