#!/usr/bin/env python3
"""Web servers that mean ill, or are broken: each port has its own way. Prints `ready`.

    hostile.py LOG

Each home page leads to /good/1 to /good/20, which must be found, and to what is bad. LOG gets `TIME PORT
0 METHOD URI` for each request, as nginx's does.

9001 redirects     loops, chains that never end, to itself, with cookies
9002 outside       everything that leads elsewhere: links, redirects, forms, scripts, refresh, base, robots
9003 bombs         a few KiB of gzip, brotli, zstd, and gzip in gzip, that are 1 GiB
9004 endless       bodies, chunks, headers, status lines that do not end, and lengths that lie
9005 drips         a byte now and then, in the head and in the body
9006 large         a script of 10 MB in one line, HTML that is nested, broken, of other charsets
9007 traps         sessions in paths and queries, a calendar, paths that grow, a counter
9008 forbidden     403 for all but the home page
9009 limits        429 with Retry-After above 50 requests a second
9010 breaks        resets, half answers, nothing at all, answers before the request
9011 random        404 with another body, length and title each time
"""
import asyncio
import gzip
import random
import socket
import string
import struct
import sys
import time
import zlib

OUTSIDE = "10.99.0.1"
GOOD = 20
LOG = None


# ------------------------------------------------------------------------------------------------ what is sent

def answer(status, body, *headers, kind="text/html; charset=utf-8"):
    body = body if isinstance(body, bytes) else body.encode()
    head = [f"HTTP/1.1 {status} X", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def redirect(to, *headers, status=302):
    return answer(status, "", f"Location: {to}", *headers)


def home(*bad, extra=""):
    links = "".join(f'<a href="{path}">x</a>\n' for path in [f"/good/{i}" for i in range(1, GOOD + 1)] + list(bad))
    return answer(200, f"<!doctype html><title>Home</title>{links}{extra}")


def good(path):
    words = random.Random(path).choices(["red", "green", "blue", "house", "river", "mountain", "book"], k=60)
    return answer(200, f"<!doctype html><title>{path}</title><p>{' '.join(words)}</p>")


def gzip_bomb(size):
    packer, piece = zlib.compressobj(9, wbits=31), bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(size >> 20)) + packer.flush()


def zstd_bomb(size):
    """Blocks that say: 128 KiB of the same byte."""
    block = struct.pack("<I", 1 << 1 | (128 << 10) << 3)[:3] + b"a"
    blocks = [block] * (size >> 17)
    last = struct.pack("<I", 1 | 1 << 1 | 1 << 3)[:3] + b"a"
    return b"\x28\xb5\x2f\xfd" + b"\x00\x50" + b"".join(blocks) + last


def brotli_bomb(size):
    import brotli
    packer, piece = brotli.Compressor(quality=5), bytes(1 << 20)
    return b"".join(packer.process(piece) for _ in range(size >> 20)) + packer.finish()


class Bombs:
    def __init__(self):
        once = gzip_bomb(1 << 30)
        self.of = {"/gzip": ("gzip", once), "/twice": ("gzip, gzip", gzip.compress(once)), "/zstd": ("zstd", zstd_bomb(1 << 30)),
                   "/br": ("br", brotli_bomb(1 << 30)), "/broken": ("gzip", once[:2000] + b"broken" * 100)}

    def answer(self, path):
        encoding, body = self.of[path]
        return answer(200, body, f"Content-Encoding: {encoding}")


# ------------------------------------------------------------------------------------------------ the servers
# Each takes a path and a writer; what it returns is sent, and None means that it wrote by itself and the
# connection ends.

async def redirects(path, _):
    if path == "/":
        return home("/loop/a", "/self", "/grow/1", "/cookie", "/wide/1", "/empty", "/to-good")
    return {
        "/loop/a": redirect("/loop/b"), "/loop/b": redirect("/loop/a"), "/self": redirect("/self"),
        "/cookie": redirect("/cookie", f"Set-Cookie: n={random.random()}; Path=/"), "/empty": redirect(""), "/to-good": redirect("/good/1"),
    }.get(path) or (redirect(f"/grow/{int(path[6:]) + 1}") if path.startswith("/grow/")
                    else redirect("/wide/" + "a" * 60_000) if path == "/wide/1" else None) or answer(404, "no")


async def outside(path, _):
    away = f"http://{OUTSIDE}"
    if path == "/":
        return home(
            f"{away}/link", f"//{OUTSIDE}/network", f"http://10.77.3.4@{OUTSIDE}/user", f"http:\\\\{OUTSIDE}\\back", f"http://10.99.1/short",
            "http://177405953/number", "/redirect", "/redirect-relative", "/refresh", "/header", "/base", "https://10.99.0.1:80/tls", "ftp://10.99.0.1/",
            "http://10.76.0.2/next-door", "/permanent", extra=(
                f'<form action="{away}/form"><input name=a></form><script src="{away}/script.js"></script><iframe src="{away}/frame"></iframe>'
                f'<img src="{away}/i.png" srcset="{away}/2.png 2x"><link rel=stylesheet href="{away}/s.css"><object data="{away}/o"></object>'
                f'<link rel=manifest href="{away}/m.json"><video src="{away}/v" poster="{away}/p"></video><a ping="{away}/ping" href="/good/1">x</a>'
                f'<script>fetch("{away}/api/steal");location="{away}/go";new WebSocket("ws://{OUTSIDE}/ws");import("{away}/x.js")</script>'
                f'<style>@import "{away}/i.css"; a {{ background: url({away}/b.png) }}</style><!-- {away}/comment -->'))
    if path == "/robots.txt":
        return answer(200, f"User-agent: *\nDisallow: /good/2\nSitemap: {away}/sitemap.xml\n", kind="text/plain")
    if path == "/sitemap.xml":
        return answer(200, f"<urlset><url><loc>{away}/map</loc></url><url><loc>http://10.77.3.4:9002/good/3</loc></url></urlset>", kind="text/xml")
    return {
        "/redirect": redirect(f"{away}/r"), "/redirect-relative": redirect(f"//{OUTSIDE}/r"), "/permanent": redirect(f"{away}/p", status=308),
        "/refresh": answer(200, f'<meta http-equiv=refresh content="0; url={away}/refresh">'),
        "/header": answer(200, "<p>x", f"Refresh: 0; url={away}/h", f"Link: <{away}/l>; rel=next", f"Content-Location: {away}/c", f"Alt-Svc: h2=\"{OUTSIDE}:80\""),
        "/base": answer(200, f'<base href="{away}/"><a href="relative">x</a>'),
    }.get(path, answer(404, "no"))


async def bombs(path, _):
    if path == "/":
        return home(*BOMBS.of)
    return BOMBS.answer(path) if path in BOMBS.of else answer(404, "no")


async def endless(path, writer):
    heads = {
        "/body": b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\n\r\n<p>", "/chunks": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n",
        "/header": b"HTTP/1.1 200 X\r\nX-Long: ", "/headers": b"HTTP/1.1 200 X\r\n", "/status": b"HTTP/1.1 200 ",
        "/extension": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5;a=", "/links": b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\n\r\n",
        "/trailers": b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "/continue": b"",
    }
    pieces = {"/body": b"<b>word " * 2000, "/chunks": b"3e8\r\n" + b"x" * 1000 + b"\r\n", "/headers": b"X-A: b\r\n" * 1000, "/continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 500,
              "/trailers": b"X-A: b\r\n" * 1000}
    if path == "/":
        return home(*heads, "/longer", "/shorter", "/negative", "/two")
    if path in heads:
        writer.write(heads[path])
        count = 0
        while True:
            count += 1
            piece = b"".join(b'<a href="/links/%d">x</a>' % (count * 100 % 1000 + i) for i in range(100)) if path == "/links" else pieces.get(path, b"a" * 16384)
            writer.write(piece)
            await writer.drain()
    if path == "/longer":
        writer.write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n<p>short")
        return None
    return {"/shorter": b"HTTP/1.1 200 X\r\nContent-Length: 3\r\n\r\n<p>longer than it says",
            "/negative": b"HTTP/1.1 200 X\r\nContent-Length: -1\r\n\r\nx",
            "/two": b"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 200\r\n\r\nx"}.get(path, good(path) if path.startswith("/links/") else answer(404, "no"))


async def drips(path, writer):
    if path == "/":
        return home("/head", "/drip", "/silent")
    if path not in ("/head", "/drip", "/silent"):
        return answer(404, "no")
    if path == "/drip":
        writer.write(b"HTTP/1.1 200 X\r\nContent-Type: text/html\r\n\r\n")
    while path == "/silent":
        await asyncio.sleep(60)
    while True:
        writer.write(b"H" if path == "/drip" else b"HTTP/1.1 200 X\r\n"[:1])
        await writer.drain()
        await asyncio.sleep(0.5)


LARGE = ("var a=[" + ",".join(f"'{i}'" for i in range(1_400_000)) + "];fetch('/api/at-the-end');var k='ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0cD3fG6" + "';").encode()


async def large(path, _):
    if path == "/":
        return home("/deep", "/broken", "/nul", "/utf16", "/liar", "/attributes", "/binary", "/open", extra='<script src="/large.js"></script>')
    link = '<a href="/good/%s">x</a>'
    return {
        "/large.js": lambda: answer(200, LARGE, kind="application/javascript"),
        "/deep": lambda: answer(200, "<div>" * 200_000 + link % 21),
        "/broken": lambda: answer(200, "<html><a href='/good/22'<b <<i>></a <p class=x\"y>" + "<table><a href=/good/23 ><tr></b><a HREF = \"/good/24\"><!-- <table>"),
        "/nul": lambda: answer(200, b"\0\xff\xfe<a href='/good/25'>\0\xc3\x28</a>\xf0\x28\x8c\x28"),
        "/utf16": lambda: answer(200, ("\ufeff" + link % 26).encode("utf-16-le"), kind="text/html"),
        "/liar": lambda: answer(200, (link % 27).encode(), kind="text/html; charset=utf-99"),
        "/attributes": lambda: answer(200, "<a " + " ".join(f"a{i}=b" for i in range(100_000)) + "></a>" + link % 28),
        "/binary": lambda: answer(200, random.Random(1).randbytes(300_000), kind="text/html"),
        "/open": lambda: answer(200, link % 29 + "<script>" + "var x = `${" * 50_000),
    }.get(path, lambda: answer(404, "no"))()


async def traps(path, _):
    session = "".join(random.choices(string.hexdigits, k=32))
    path, _, query = path.partition("?")
    if path == "/":
        return home(f"/shop;jsessionid={session}", f"/shop?PHPSESSID={session}", "/calendar?year=2026&month=11", "/grow/", "/count?n=1", f"/(S({session[:24]}))/net", "/same/x/")
    if path.startswith("/shop"):
        links = "".join(f'<a href="/good/{i};jsessionid={session}">x</a><a href="/good/{i}?PHPSESSID={session}">y</a>' for i in range(1, GOOD + 1))
        return answer(200, f"<title>Shop</title>{links}<a href='/shop;jsessionid={session}'>again</a>")
    if path == "/calendar":
        values = dict(part.split("=") for part in query.split("&") if "=" in part)
        year, month = int(values.get("year", 2026)), int(values.get("month", 1))
        then, before = (year + month // 12, month % 12 + 1), (year - (month == 1), (month - 2) % 12 + 1)
        links = "".join(f'<a href="/calendar?year={y}&month={m}">x</a>' for y, m in (then, before))
        return answer(200, f"<title>{month}/{year}</title>{links}" + "".join(f'<a href="/calendar?year={year}&month={month}&day={d}">{d}</a>' for d in range(1, 29)))
    if path.startswith("/grow/"):
        return answer(200, f"<title>{path}</title><a href='deeper/'>x</a><a href='wider/{session[:6]}/'>x</a>")
    if path == "/count":
        n = int(query.partition("=")[2] or 0)
        return answer(200, f"<title>{n}</title><a href='/count?n={n + 1}'>next</a>")
    if path.startswith("/same/"):
        return answer(200, "<title>Same</title><a href='x/'>x</a><a href='y/x/'>x</a>")
    if path.startswith("/(S("):
        return answer(200, f"<title>Net</title><a href='/(S({session[:24]}))/net'>x</a>")
    return answer(404, "no")


async def forbidden(path, _):
    return home() if path == "/" else answer(403, "<title>Forbidden</title><h1>Forbidden</h1>")


WINDOW = []


async def limits(path, _):
    now = time.monotonic()
    WINDOW[:] = [at for at in WINDOW if at > now - 1] + [now]
    if len(WINDOW) > 50:
        return answer(429, "Too many", "Retry-After: 1")
    return home() if path == "/" else good(path) if path.startswith("/good/") else answer(404, "no")


async def breaks(path, writer):
    if path == "/":
        return home("/reset", "/half", "/nothing", "/garbage", "/late", "/half-head", "/switch", "/ancient")
    if path == "/reset":
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return None
    sent = {"/half": b"HTTP/1.1 200 X\r\nContent-Length: 5000\r\n\r\n<a href='/good/1'>", "/nothing": b"", "/half-head": b"HTTP/1.1 200 X\r\nConte",
            "/garbage": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 50, "/late": answer(200, "a") + answer(200, "<a href='/injected'>b"),
            "/switch": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n" + b"\0" * 1000, "/ancient": b"<html>HTTP/0.9</html>"}
    if path in sent:
        writer.write(sent[path])
        return None
    return answer(404, "no")


async def randomly(path, _):
    if path == "/":
        return home()
    words = random.choices(["red", "green", "blue", "house", "river"], k=random.randrange(300))
    return answer(404, f"<title>{random.random()}</title><p>{' '.join(words)}</p>")


SERVERS = {9001: redirects, 9002: outside, 9003: bombs, 9004: endless, 9005: drips, 9006: large, 9007: traps, 9008: forbidden,
           9009: limits, 9010: breaks, 9011: randomly}
WITHOUT_GOOD = (forbidden, limits)


async def talk(port, serve, reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method, path, *_ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ") + ["", ""]
            print(f"{time.time():.3f} {port} 0 {method} {path}", file=LOG, flush=True)
            plain = path.partition("?")[0].partition(";")[0]
            if plain.startswith("/good/") and serve not in WITHOUT_GOOD:
                said = good(plain)
            else:
                said = await serve(path, writer)
            if said is None:
                break
            if method == "HEAD":
                said = said.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            writer.write(said)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    servers = []
    for port, serve in SERVERS.items():
        def connected(reader, writer, port=port, serve=serve):
            return talk(port, serve, reader, writer)
        servers.append(await asyncio.start_server(connected, "0.0.0.0", port, backlog=1024))
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    BOMBS = Bombs()
    LOG = open(sys.argv[1], "a")
    asyncio.run(main())
