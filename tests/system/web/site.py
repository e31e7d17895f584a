#!/usr/bin/env python3
"""Makes a web site of files, and tells in TRUTH (JSON) all that is in it. The same arguments make the
same site, to the byte.

    site.py DIR TRUTH [--base URL] [--pages N] [--plain]

DIR gets the files, TRUTH what a spider must find: `pages` (each exactly once), `forms`, `endpoints`,
`secrets`, and `others`: what it may ask for besides, as the site names it. Of each page there are 15
links in five spellings. --plain leaves out all but pages. --base: how absolute links begin.
"""
import argparse
import hashlib
import json
import os
import random
import string

PAGE_BYTES = 4700
LINKS = 15
FORMS = 200
SCRIPTS = 40
# Of each script; one secret and three endpoints of each inline script.
ENDPOINTS = 5
INLINE = 60

LETTERS = string.ascii_letters + string.digits
# A value that holds one of these is in doubt for people, too.
DOUBTFUL = ("null", "test", "todo", "fake", "demo", "mock", "your", "xxxx", "form", "http", "aaaaaaaa")

# What is planted; the value is what stands in the place of the braces. %s: the whole of it.
SECRETS = [
    ("aws-access-key", lambda r: "AKIA" + letters(r, string.ascii_uppercase + "234567", 16), "var id = '%s';"),
    ("github-token", lambda r: "ghp_" + letters(r, LETTERS, 36), "const t=\"%s\";"),
    ("gitlab-token", lambda r: "glpat-" + letters(r, LETTERS, 20), "{token:'%s'};"),
    ("gcp-api-key", lambda r: "AIza" + letters(r, LETTERS, 35), "load('https://maps.googleapis.com/maps/api/js?key=%s&v=3');"),
    ("slack-token", lambda r: f"xoxb-{letters(r, string.digits, 12)}-{letters(r, string.digits, 12)}-{letters(r, LETTERS, 24)}", "var slack='%s';"),
    ("stripe-secret", lambda r: "sk_live_" + letters(r, LETTERS, 24), "Stripe('%s');"),
    ("sendgrid-key", lambda r: f"SG.{letters(r, LETTERS, 22)}.{letters(r, LETTERS, 43)}", "mail.key=`%s`;"),
    ("npm-token", lambda r: "npm_" + letters(r, LETTERS, 36), "/* publish with %s */"),
    ("jwt", lambda r: f"eyJ{letters(r, LETTERS, 30)}.eyJ{letters(r, LETTERS, 60)}.{letters(r, LETTERS, 43)}", "localStorage.jwt='%s';"),
    ("database-url", lambda r: letters(r, LETTERS, 16), "// postgres://app:%s@db.internal:5432/shop"),
    ("generic-key", lambda r: letters(r, LETTERS, 32), "var config={apiKey:'%s'};"),
]
# What looks like secrets and is none.
DECOYS = [
    "var commit='{hex40}';", "var id='{hex8}-{hex4}-4{hex3}-a{hex3}-{hex12}';", "var apiKey='your-api-key-goes-here-123';",
    "var integrity='sha384-{b64}';", "password: 'Password123example',", "img.src='data:image/png;base64,iVBORw0KGgo{b64}';",
    "// AKIAIOSFODNN7EXAMPLE is how it looks", "var token = getToken(); var secret = options.secret;", "var h='{hex64}';",
    "label={{password:'Enter your password',api_key:'The API key of your account'}};",
]
WORDS = """account archive area article asset basket board branch budget calendar campaign catalogue category channel
checkout client comment community company contact content contract course customer delivery department design detail
document download edition employee event exchange export feature feedback field gallery guide history holiday image
import index industry insurance invoice journal knowledge language library licence market material meeting member
message method network newsletter notice office order organisation overview package partner payment person policy
portfolio press price product profile programme project public question rating record region release report request
research resource result review sample schedule school science season section security service session shipping
solution source standard statement station status store strategy student subject summary supplier support survey
system teacher technology ticket topic training transport travel update vehicle vendor version video visitor weather""".split()


def letters(r, alphabet, count):
    while True:
        value = "".join(r.choices(alphabet, k=count))
        if not any(word in value.lower() for word in DOUBTFUL):
            return value


def path_of(i):
    if i == 0:
        return "/"
    # Shapes that real sites have: they must not be taken for traps.
    return [f"/p/{i % 50}/{i}.html", f"/news/20{10 + i % 16}/{1 + i % 12:02}/{WORDS[i % len(WORDS)]}-{i}.html",
            f"/shop/{WORDS[i % 40]}/{WORDS[i // 40 % 40]}/item-{i}.html", f"/u/{i}.html"][i % 4]


class Site:
    def __init__(self, options):
        self.options = options
        self.r = random.Random(20260)
        self.truth = {"pages": [], "others": [], "forms": [], "endpoints": [], "secrets": []}
        self.names = 0

    def write(self, path, text):
        file = os.path.join(self.options.dir, path.lstrip("/") or "index.html")
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w", encoding="utf-8") as out:
            out.write(text)

    def name(self, what):
        """Another one each time."""
        self.names += 1
        return f"{what}-{self.r.choice(WORDS)}-{self.names}"

    def fill(self, decoy):
        for key, alphabet, count in (("hex40", "0123456789abcdef", 40), ("hex64", "0123456789abcdef", 64), ("hex12", "0123456789abcdef", 12),
                                     ("hex8", "0123456789abcdef", 8), ("hex4", "0123456789abcdef", 4), ("hex3", "0123456789abcdef", 3), ("b64", LETTERS + "+/", 64)):
            while "{" + key + "}" in decoy:
                decoy = decoy.replace("{" + key + "}", letters(self.r, alphabet, count), 1)
        return decoy.replace("{{", "{").replace("}}", "}")

    # ------------------------------------------------------------------------------------------ what is planted

    def secret(self, where):
        kind, make, around = SECRETS[len(self.truth["secrets"]) % len(SECRETS)]
        value = make(self.r)
        digest = hashlib.sha256(value.encode()).hexdigest()
        self.truth["secrets"].append({"at": where, "kind": kind, "sha256": digest})
        return around % value

    def endpoint(self, where):
        name, field = self.name("/api/v1/e"), self.r.choice(WORDS)
        kind = self.r.randrange(8)
        code, url, method, told = [
            (f"fetch('{name}').then(r=>r.json());", name, None, "request"),
            (f"fetch(\"{name}\",{{method:'POST',body:JSON.stringify({{{field}:v}})}});", name, "POST", "request"),
            (f"axios.put('{name}',{{{field}:1}});", name, "PUT", "request"),
            (f"var x=new XMLHttpRequest();x.open('DELETE','{name}/'+id,true);", name + "/{}", "DELETE", "request"),
            (f"$.ajax({{url:'{name}',type:'PATCH'}});", name, "PATCH", "request"),
            (f"new EventSource('{name}');", name, None, "event_source"),
            (f"http.get(`{name}/${{user.id}}/{field}`);", f"{name}/{{}}/{field}", "GET", "request"),
            (f"$.getJSON('{name}?{field}='+q);", f"{name}?{field}={{}}", None, "request"),
        ][kind]
        self.truth["endpoints"].append({"at": where, "url": url, "method": method, "kind": told})
        if "{}" not in url:
            self.truth["others"].append(url)
        return code

    def script(self, where, endpoints):
        parts = [self.endpoint(where) for _ in range(endpoints)] + [self.secret(where)]
        parts += [self.fill(decoy) for decoy in self.r.sample(DECOYS, 3)]
        parts += [f"var n{i}=/[/\"'`]x{i}/.test(a)?b/{i + 1}/c:\"\\\"{self.r.choice(WORDS)}\";" for i in range(3)]
        self.r.shuffle(parts)
        # A comment to the end of the line must not swallow what comes.
        return "(function(){\n" + "\n".join(parts) + "\n})();"

    def form(self, where):
        action, method = self.name("/do/f"), self.r.choice(["get", "post", "POST"])
        fields = self.r.sample(WORDS, 3)
        self.truth["forms"].append({"at": where, "action": action, "method": method.upper(), "fields": sorted(fields)})
        if method == "get":
            self.truth["others"].append(action)
        return (f'<form action="{action}" method={method}><input name="{fields[0]}"><select name=\'{fields[1]}\'><option>1</select>'
                f'<textarea name={fields[2]}></textarea><input type=submit></form>')

    # ------------------------------------------------------------------------------------------------- the pages

    def spelled(self, at, to, how):
        path = path_of(to)
        if how == 0:
            return path
        if how == 1:
            return os.path.relpath(path, os.path.dirname(path_of(at))) if path != "/" else "/"
        if how == 2:
            return f"{path}#{self.r.choice(WORDS)}"
        if how == 3:
            return self.options.base + path
        return "/./" + path.lstrip("/").replace("/", "/x/../", 1)

    def links(self, i):
        count = self.options.pages
        # A tree, so that all are linked, and others at random.
        to = [child for child in (2 * i + 1, 2 * i + 2) if child < count]
        to += [self.r.randrange(count) for _ in range(LINKS - len(to))]
        return [(self.spelled(i, page, n % 5), self.r.choice(WORDS)) for n, page in enumerate(to)]

    def page(self, i):
        where = path_of(i)
        self.truth["pages"].append(where)
        head = body = ""
        if not self.options.plain:
            if i % (self.options.pages // FORMS) == 3:
                body += self.form(where)
            if i % (self.options.pages // INLINE) == 5:
                body += f"<script>\n{self.script(where, 2)}\n</script>"
            if i % 97 == 11:
                body += f"<!-- {self.secret(where)} -->"
            head = f'<script src="/js/app-{i % SCRIPTS}.js"></script>'
        links = "".join(f'<li><a href="{href}">{text}</a></li>\n' for href, text in self.links(i))
        text = (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Page {i} of the {WORDS[i % len(WORDS)]}</title>'
                f'<link rel="stylesheet" href="/site.css">{head}</head>\n<body><h1>{WORDS[i % len(WORDS)]} {i}</h1>\n<ul>\n{links}</ul>\n{body}\n')
        while len(text) < PAGE_BYTES - 40:
            text += f"<p>{' '.join(self.r.choices(WORDS, k=12)).capitalize()}.</p>\n"
        self.write(where, text + "</body></html>\n")

    def make(self):
        self.write("/site.css", "body { margin: 2em; font-family: sans-serif }\n")
        self.truth["others"] += ["/site.css", "/robots.txt", "/sitemap.xml", "/.well-known/security.txt"]
        for i in range(self.options.pages):
            self.page(i)
        if not self.options.plain:
            for i in range(SCRIPTS):
                where = f"/js/app-{i}.js"
                self.truth["others"].append(where)
                self.write(where, self.script(where, ENDPOINTS))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("truth")
    parser.add_argument("--base", default="http://10.77.3.4")
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--plain", action="store_true")
    site = Site(parser.parse_args())
    site.make()
    with open(site.options.truth, "w") as out:
        json.dump(site.truth, out, indent=1)
    print({key: len(value) for key, value in site.truth.items()})


if __name__ == "__main__":
    main()
