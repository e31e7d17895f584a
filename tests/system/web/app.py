#!/usr/bin/env python3
"""A site whose links are made by scripts: app.py LOG ADDRESS OTHER [PAGE].

Serves on port 80 of ADDRESS until it is killed; with PAGE, / is that page. Each request is a line of LOG: client, method, path. Of its
pages only / has links in what the server sends; the others are made up from what an API answers, so that
no reader of scripts can guess them. Each page tries, too, to have the browser speak to OTHER.
"""

import http.server
import sys

LOG, ADDRESS, OTHER, *FIRST = sys.argv[1:]

# /item/21 and /item/27 stand nowhere: they are three times what the API says. /menu is made of letters.
APP = """
const add = href => {
    const link = document.createElement('a');
    link.href = href;
    link.textContent = href;
    document.body.append(link);
};
fetch('/api/items').then(answer => answer.json()).then(
    items => items.forEach(item => add(['', 'item', 3 * item].join('/'))));
add(String.fromCharCode(47, 109, 101, 110, 117));
const form = document.createElement('form');
form.action = ['', 'search'].join('/');
form.innerHTML = '<input name=q>';
document.body.append(form);
"""

ESCAPE = f"""
fetch('http://{OTHER}/fetched', {{mode: 'no-cors'}}).catch(() => {{}});
fetch('http://{OTHER}/posted', {{method: 'POST', mode: 'no-cors', body: 'x'}}).catch(() => {{}});
new Image().src = 'http://{OTHER}/image';
try {{ new WebSocket('ws://{OTHER}/socket'); }} catch (error) {{}}
new RTCPeerConnection({{iceServers: [{{urls: 'stun:{OTHER}'}}]}}).createOffer();
navigator.sendBeacon('http://{OTHER}/beacon', 'x');
open('http://{OTHER}/window');
alert('stop');
"""

PAGES = {
    "/": ("text/html", f"<title>Shop</title><body><script src=/app.js></script><script>{ESCAPE}</script>"),
    "/app.js": ("text/javascript", APP),
    "/api/items": ("application/json", "[7, 9]"),
    "/item/21": ("text/html", "<title>Item 21</title><p>one"),
    "/item/27": ("text/html", "<title>Item 27</title><p>two"),
    "/menu": ("text/html", "<title>Menu</title><p>three"),
    "/for-ever": ("text/html", "<title>For ever</title><script>for (;;);</script>"),
}
for page in FIRST:
    PAGES["/"] = PAGES[page]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        with open(LOG, "a", encoding="utf-8") as log:
            log.write(f"{self.client_address[0]} {self.command} {self.path}\n")
        kind, text = PAGES.get(self.path, (None, "none"))
        body = text.encode()
        self.send_response(200 if kind else 404)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer((ADDRESS, 80), Handler).serve_forever()
