#!/usr/bin/env python3
"""Makes a site with hidden paths, the word list that they are in, and tells what is hidden. The same
arguments make the same, to the byte.

    hidden.py DIR [--words N]

DIR/words.txt     N different words (20,000), the 50 + 15 among them
DIR/www           the site's files
DIR/nginx.conf    the paths that are no files, for nginx; DIR/apache.conf: for Apache
DIR/truth.json    `hidden`: path to status, 50; `nested`: 15 paths in the directories; `others`: what is
                  there, too, and nobody hid
"""
import argparse
import json
import os
import random

STARTS = "ba be bi bo bu da de di do du fa fe fi fo ga ge go ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no pa pe pi po ra re ri ro sa se si so ta te ti to va ve vi vo za zo".split()
ENDS = ["", "", "", "s", "-old", "_v2", ".php", ".html", ".txt", "-2019", ".bak", "admin", "data", "Info", "01"]
# What every list has, so that it is like real ones.
USUAL = "admin login index backup images css js api test static assets uploads files old new blog wiki shop cgi-bin .git .env .htaccess robots.txt server-status".split()
STATUSES = [200] * 25 + [301] * 10 + [403] * 5 + [401] * 5 + [302] * 5
NESTED = 15


def words(r, count):
    known = dict.fromkeys(USUAL)
    while len(known) < count:
        known["".join(r.choices(STARTS, k=r.randint(2, 4))) + r.choice(ENDS)] = None
    made = list(known)
    r.shuffle(made)
    return made


def page(r, title):
    text = " ".join("".join(r.choices(STARTS, k=3)) for _ in range(r.randint(30, 200)))
    return f"<!doctype html><html><head><title>{title}</title></head><body><h1>{title}</h1><p>{text}</p></body></html>\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("--words", type=int, default=20_000)
    options = parser.parse_args()
    r = random.Random(50)
    all_words = words(r, options.words)
    # Words of letters only: what is hidden must not look like the backup of something else.
    plain = [word for word in all_words if word.isalpha() and word not in USUAL]
    step = len(plain) // 50
    chosen = [plain[i * step + r.randrange(step)] for i in range(50)]
    r.shuffle(chosen)
    truth = {"hidden": {}, "nested": {}, "others": ["/", "/index.html"]}
    www = os.path.join(options.dir, "www")

    def write(path, title):
        file = os.path.join(www, path.lstrip("/"))
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "w") as out:
            out.write(page(r, title))

    write("index.html", "Welcome")
    nginx, apache, directories = [], [], []
    for i, (word, status) in enumerate(zip(chosen, STATUSES)):
        path = "/" + word
        truth["hidden"][path] = status
        if status == 200:
            write(path, f"Room {i}")
        elif status == 301:
            directories.append(path)
            write(path + "/index.html", f"Part {i}")
            truth["others"].append(path + "/index.html")
        elif status == 302:
            nginx.append(f"location = {path} {{ return 302 /elsewhere/{i}; }}")
            apache.append(f"RedirectMatch 302 ^{path}$ /elsewhere/{i}")
        else:
            nginx.append(f"location = {path} {{ return {status}; }}")
            apache.append(f"RedirectMatch {status} ^{path}$")
    for i in range(NESTED):
        path = f"{directories[i % len(directories)]}/{r.choice(plain)}"
        truth["nested"][path] = 200
        write(path, f"Below {i}")
    for name, lines in (("nginx.conf", nginx), ("apache.conf", apache), ("words.txt", all_words)):
        with open(os.path.join(options.dir, name), "w") as out:
            out.write("\n".join(lines) + "\n")
    with open(os.path.join(options.dir, "truth.json"), "w") as out:
        json.dump(truth, out, indent=1)


if __name__ == "__main__":
    main()
