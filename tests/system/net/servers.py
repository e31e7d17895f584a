#!/usr/bin/env python3
"""Servers for scans, well-behaved and hostile, on many ports at once. Only the standard library.

    servers.py MODE PORTS [ADDRESS]...

PORTS: `22,80,1000-1100`. Without an ADDRESS: every address, IPv4 and IPv6 alike. Prints `ready` once
all of them listen. A connection that is reset or left is no error.

    accept       accepts, and closes after the client did (at most 4,096 at once; the oldest go first)
    close        accepts and closes at once
    reset        accepts and resets (RST)
    half         sends 20 bytes of an HTTP answer that promises more, then resets
    silent       accepts, never says or reads anything, and its window is as small as can be
    ssh          says `SSH-2.0-OpenSSH_9.2p1` and closes
    puzzle       answers any request with what no protocol says, and closes: a scanner tries all that it has
    http         answers any request with a small page
    banner       sends 100 MB of letters without a line end, as fast as they are taken
    drip         sends a byte of a banner every 100 ms, for ever
    garbage      sends 64 KiB of random bytes, every value of a byte among them, in lines
    escapes      a banner and an HTTP answer full of terminal escapes, C0 and C1 controls, bidi marks
    tls-forever  a TLS ServerHello, then handshake records byte by byte, for ever
    http-forever an HTTP answer whose headers never end
"""
import errno
import os
import resource
import selectors
import socket
import struct
import sys
import time

EVIL = (
    b"\x1b[2J\x1b[1;1H\x1b]0;owned\x07\x1b]52;c;cm0gLXJmIC8=\x07\x1bP+q544e\x1b\\ \x9b31m\x90q\x9c"
    + bytes(range(1, 9)) + b"\x0b\x0c\x0e\x0f\x7f\x00"
    + "\u202e\u2066\u200f\ufeff\u0085\u009b31m".encode() + b"%s%n%x <script>alert(1)</script> ';--"
)
TRICKLE = 0.1  # seconds between bytes of what never ends
KEPT = 4096


def escapes():
    page = b"<html><title>" + EVIL + b"</title></html>"
    return (b"HTTP/1.1 200 " + EVIL.replace(b"\x00", b"") + b"\r\nServer: " + EVIL + b"\r\nX-" + EVIL[:8]
            + b": 1\r\nContent-Length: %d\r\n\r\n" % len(page)) + page


def garbage():
    return b"\n".join(bytes(range(256)) + os.urandom(768) for _ in range(64))


def server_hello():
    """A ServerHello of TLS 1.2 with a plausible cipher, and the head of a Certificate that is never there."""
    body = b"\x03\x03" + os.urandom(32) + b"\x00" + b"\xc0\x2f" + b"\x00"
    hello = b"\x02" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x03" + struct.pack(">H", len(hello)) + hello + b"\x16\x03\x03\x00\x04\x0b\xff\xff\xff"


PAGE = b"<html><head><title>a page</title></head><body>hello</body></html>"
HTTP = b"HTTP/1.1 200 OK\r\nServer: lab/1.0\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE) + PAGE
LETTERS = b"A" * (1 << 18)

# mode: what it says at once, what it goes on with for ever, whether it waits for a request first
TALK = {
    "ssh": (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n", b"", False),
    "puzzle": (b"\x02?\x03\r\n", b"", True),
    "http": (HTTP, b"", True),
    "garbage": (garbage(), b"", False),
    "escapes": (escapes(), b"", False),
    "drip": (b"", b"A", False),
    "tls-forever": (server_hello(), b"\x16\x03\x03\x00\x01\x0b", True),
    "http-forever": (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n", True),
}


def numbers(text):
    for part in text.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def listener(port, address, mode):
    family = socket.AF_INET6 if address is None or ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address is not None))
    if mode == "silent":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.bind((address or "::", port))
    s.listen(65535)
    s.setblocking(False)
    return s


class Server:
    def __init__(self, mode):
        self.mode = mode
        self.poll = selectors.DefaultSelector()
        self.kept = {}  # connection: [greeting left, what is repeated, next time, letters left]

    def run(self, listeners):
        for s in listeners:
            self.poll.register(s, selectors.EVENT_READ, True)
        print("ready", flush=True)
        while True:
            trickling = any(state[1] for state in self.kept.values()) if self.mode in TALK else False
            for key, events in self.poll.select(TRICKLE if trickling else None):
                if key.data is True:
                    self.accept(key.fileobj)
                else:
                    self.serve(key.fileobj, events)
            if trickling:
                self.trickle()

    def accept(self, s):
        for _ in range(256):
            try:
                connection, _ = s.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.drop_oldest()
                return
            self.begin(connection)

    def begin(self, connection):
        mode = self.mode
        if mode == "close":
            connection.close()
        elif mode == "reset":
            self.reset(connection)
        elif mode == "half":
            self.say(connection, b"HTTP/1.1 200 OK\r\nCon")
            self.reset(connection)
        else:
            connection.setblocking(False)
            greeting, again, waits = TALK.get(mode, (b"", b"", False))
            self.kept[connection] = [greeting, b"" if waits else again, 0.0, 100_000_000 if mode == "banner" else 0]
            if mode == "silent":
                pass
            elif mode == "banner":
                self.poll.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            else:
                self.poll.register(connection, selectors.EVENT_READ)
                if greeting and not waits:
                    self.greet(connection)
            if len(self.kept) > KEPT:
                self.drop_oldest()

    def greet(self, connection):
        state = self.kept[connection]
        greeting, state[0] = state[0], b""
        state[1] = TALK[self.mode][1]
        self.say(connection, greeting)
        if not state[1] and self.mode != "http":
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                self.drop(connection)

    def serve(self, connection, events):
        if connection not in self.kept:
            return
        state = self.kept[connection]
        if events & selectors.EVENT_WRITE and state[3] > 0:
            try:
                state[3] -= connection.send(LETTERS[: state[3]])
            except BlockingIOError:
                pass
            except OSError:
                return self.drop(connection)
            if state[3] <= 0:
                return self.drop(connection)
        if events & selectors.EVENT_READ:
            try:
                read = connection.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                read = b""
            if not read:
                return self.drop(connection)
            if state[0] or self.mode == "http":
                state[0] = state[0] or HTTP
                self.greet(connection)

    def trickle(self):
        now = time.monotonic()
        for connection, state in list(self.kept.items()):
            if state[1] and state[2] <= now:
                state[2] = now + TRICKLE
                self.say(connection, state[1])

    def say(self, connection, data):
        try:
            connection.send(data)
        except BlockingIOError:
            pass
        except OSError:
            self.drop(connection)

    def reset(self, connection):
        if connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    def drop_oldest(self):
        for connection in list(self.kept)[: len(self.kept) // 4 + 1]:
            self.drop(connection)

    def drop(self, connection):
        if self.kept.pop(connection, None) is not None and self.mode != "silent":
            self.poll.unregister(connection)
        connection.close()


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, 200_000),) * 2)
    except (ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    mode, addresses = sys.argv[1], sys.argv[3:] or [None]
    if mode not in __doc__:
        sys.exit(f"servers.py: no mode {mode}")
    # One process for all: its memory is the kernel's sockets, 65,535 of them take about 250 MB.
    Server(mode).run([listener(port, address, mode) for address in addresses for port in numbers(sys.argv[2])])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
