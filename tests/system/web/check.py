#!/usr/bin/env python3
"""Compares what was found out with what there is; exit status 1, and what differs, when it is not right.

    check.py site TRUTH OUT LOG PORT      OUT: recon-kumo --json of the site of site.py; LOG: of the server
    check.py hidden TRUTH OUT [--nested] [PATH]...
                                          OUT: recon-suzu --json of the site of hidden.py; --nested: 15 of 15 too;
                                          PATH: what this server has, too, and nobody hid
    check.py log TRUTH LOG PORT           prints how many pages of the site a log has, and requests

A log has `TIME PORT STATUS METHOD URI` a line, and perhaps the protocol after that.
"""
import json
import sys
from collections import Counter
from urllib.parse import urlsplit

LEAST = 0.99


def local(url, port):
    """From the root; whole, when it is of another port: that is another site."""
    parts = urlsplit(url)
    return ("" if (parts.port or 80) == int(port) else f"//{parts.netloc}") + (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def log(file, port):
    asked = Counter()
    for line in open(file, errors="replace"):
        words = line.split()
        if len(words) in (5, 6) and words[1] == port:
            asked[words[4]] += 1
    return asked


class Verdict:
    def __init__(self):
        self.bad = []

    def all_of(self, what, wanted, got, least=1.0):
        """`got` has so many of `wanted`, and nothing else."""
        wanted, got = set(wanted), set(got)
        lost, false = sorted(wanted - got), sorted(got - wanted)
        print(f"    {what}: {len(wanted) - len(lost)} of {len(wanted)}, {len(false)} false")
        if len(wanted) - len(lost) < least * len(wanted):
            self.bad.append(f"{what}: {len(lost)} not found, among them {lost[:3]}")
        if false:
            self.bad.append(f"{what}: {len(false)} false, among them {false[:3]}")

    def none(self, what, found):
        if found:
            self.bad.append(f"{what}: {len(found)}, among them {sorted(found)[:3]}")

    def end(self):
        for line in self.bad:
            print(f"    WRONG {line}")
        return 1 if self.bad else 0


def site(truth, out, log_file, port):
    truth, out, verdict = json.load(open(truth)), json.load(open(out)), Verdict()
    pages = out["pages"]

    def at(url):
        return local(url, port)

    names = Counter(at(page["url"]) for page in pages)
    others = set(truth["others"])
    verdict.all_of("pages", truth["pages"], set(names) - others)
    verdict.none("pages told more than once", [name for name, count in names.items() if count > 1])
    asked = log(log_file, port)
    verdict.none("pages asked for more than once", [name for name in truth["pages"] if asked[name] > 1])
    verdict.none("pages not asked for", [name for name in truth["pages"] if not asked[name]])
    verdict.none("asked for, and no page", [name for name in asked if name not in others and name not in names])
    verdict.all_of("forms", [(f["at"], f["action"], f["method"], ",".join(f["fields"])) for f in truth["forms"]],
                   [(at(p["url"]), at(f["action"]), f["method"], ",".join(sorted(field["name"] for field in f["fields"] if field["name"])))
                    for p in pages for f in p["forms"] if at(p["url"]) not in others], LEAST)
    # A string that is a path or an address and not used for a request is told as such, and is nothing false.
    verdict.all_of("endpoints", [(e["at"], e["url"], e["method"] or "", e["kind"]) for e in truth["endpoints"]],
                   [(at(p["url"]), e["url"], e.get("method") or "", e["kind"]) for p in pages for e in p["endpoints"] if e["kind"] != "literal"], LEAST)
    verdict.all_of("secrets", [(s["at"], s["kind"], s["sha256"]) for s in truth["secrets"]],
                   [(at(p["url"]), s["kind"], s["sha256"]) for p in pages for s in p["secrets"]], LEAST)
    if out["summary"][0]["ended"] != "complete":
        verdict.bad.append(f"it ended {out['summary'][0]['ended']}")
    return verdict.end()


def hidden(truth, out, *options):
    truth, out, verdict = json.load(open(truth)), json.load(open(out)), Verdict()
    # `/a` and `/a/` are the same find; what nobody hid and is there, too, is neither found nor false.
    bare = {path.rstrip("/") or "/" for path in (found["path"] for found in out.get("paths", []))}
    nested, others = set(truth["nested"]), {*truth["others"], *options}
    verdict.all_of("hidden", truth["hidden"], bare - others - nested)
    if "--nested" in options:
        verdict.all_of("nested", nested, bare & nested)
    if out["summary"][0]["ended"] != "complete":
        verdict.bad.append(f"it ended {out['summary'][0]['ended']}: {out['summary'][0].get('interference')}")
    return verdict.end()


def main():
    what, *rest = sys.argv[1:]
    if what == "log":
        truth, asked = json.load(open(rest[0])), log(rest[1], rest[2])
        print(sum(1 for page in truth["pages"] if asked[page]), sum(asked.values()))
        return 0
    return {"site": site, "hidden": hidden}[what](*rest)


if __name__ == "__main__":
    sys.exit(main())
