#!/usr/bin/env python3
"""Runs the tools of one row of the web benchmark turn by turn, and says how they did.

    measure.py run SPEC RESULTS DIR   SPEC: JSON of benches/web/run; appends a JSON line a run to RESULTS
    measure.py table RESULTS GOALS    prints the table; writes the rows of web.json to stdout's fd 3

Times, CPU seconds and resident sets are taken, and the table is made, as for the ports (../ports).
Pages count as the server logged them. Paths are what the tool says; that of wrk is a rate, as the
time that so many requests take at it.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

HERE = os.path.dirname(os.path.abspath(__file__))


def ports():
    """The other benchmark's measure.py, which is of the same name."""
    import importlib.util
    spec = importlib.util.spec_from_file_location("ports_measure", f"{HERE}/../ports/measure.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------ what the tools print: paths

def ours(text):
    return [found["path"] for found in json.loads(text).get("paths", [])]


def gobuster(text):
    # It clears the line before each, whatever it is told of colours and progress.
    return re.findall(r"(/\S*)\s+\(Status", text)


def ffuf(text):
    return ["/" + found["input"]["FUZZ"] for found in json.loads(text)["results"]]


def feroxbuster(text):
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [urlsplit(line["url"]).path for line in lines if line.get("type") == "response" and line["status"] != 404]


def paths(tool, text, truth, nested):
    """Found, false, and how many there are. Nested ones are neither where they are not asked for."""
    wanted = set(truth["hidden"]) | (set(truth["nested"]) if nested else set())
    known = set(truth["hidden"]) | set(truth["nested"]) | set(truth["others"]) | {"/login"}
    found = {path.rstrip("/") or "/" for path in globals()[tool["format"]](text)}
    return len(found & wanted), len(found - known), len(wanted)


def flush(folder):
    """nginx writes what it holds back when its log is opened anew."""
    subprocess.run(["nginx", "-c", f"{folder}/nginx.conf", "-s", "reopen"], check=True, stderr=subprocess.DEVNULL)
    size = -1
    while size != os.path.getsize(f"{folder}/nginx.log"):
        size = os.path.getsize(f"{folder}/nginx.log")
        time.sleep(0.3)


def pages(tool, text, truth, folder):
    flush(folder)
    asked = {line.split()[4] for line in open(f"{folder}/nginx.log", errors="replace") if len(line.split()) == 5}
    got = set(truth["pages"]) & asked
    if tool["format"] == "ours":
        got &= {urlsplit(page["url"]).path for page in json.loads(text)["pages"]}
    return len(got), 0, len(truth["pages"])


# ------------------------------------------------------------------------------------------------- one run

def once(tool, spec, folder):
    out, usage, files = "/run/lab-out", "/run/lab-time", "/run/lab-files"
    for file in (out, usage):
        if os.path.exists(file):
            os.unlink(file)
    shutil.rmtree(files, ignore_errors=True)
    open(f"{folder}/nginx.log", "w").close()
    argv = [word.replace("{out}", out).replace("{dir}", files) for word in tool["argv"]]
    to_file = any("{out}" in word for word in tool["argv"])
    with open("/dev/null" if to_file else out, "w") as stdout, open("/run/lab-err", "w") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%U %S %M", "-o", usage, *argv],
                                   stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, start_new_session=True)
        # A wait with a limit looks only every 50 ms; this one ends with the process.
        late = threading.Timer(spec["limit"], os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        status = process.wait()
        wall = time.perf_counter() - began
        late.cancel()
        if wall >= spec["limit"]:
            status = "timeout"
    # wget says so when any page was not there: robots.txt is one.
    if tool["name"].startswith("wget") and status == 8:
        status = 0
    user, system, rss = (open(usage).read().split() + ["nan"] * 3)[:3] if os.path.exists(usage) else ["nan"] * 3
    truth = json.load(open(f"{folder}/site.json" if spec["counts"] == "pages" else f"{folder}/hidden/truth.json"))
    try:
        text = open(out, errors="replace").read()
        if tool["format"] == "wrk":
            wall = spec["probes"] / float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1])
            found, false, true = 1, 0, 1
        elif spec["counts"] == "pages":
            found, false, true = pages(tool, text, truth, folder)
        else:
            found, false, true = paths(tool, text, truth, spec["counts"] == "nested")
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        found, false, true, status = 0, 0, 1, status or f"no result: {error}"
    if status and status != "timeout":
        status = f"{status}: " + " ".join(open("/run/lab-err", errors="replace").read().split())[-120:]
    return {"wall": wall, "cpu": float(user) + float(system), "rss": float(rss) / 1024,
            "found": found, "false": false, "true": true, "status": status or "ok"}


def run(spec_file, results, folder):
    spec = json.load(open(spec_file))
    broken = {}
    for turn in range(spec["ours_runs"]):
        for tool in spec["tools"]:
            if broken.get(tool["name"], 0) >= 2 or (tool["kind"] != "ours" and turn >= spec["runs"]):
                continue  # twice not to have ended, or to have failed, is enough
            result = once(tool, spec, folder)
            if result["status"] != "ok":
                broken[tool["name"]] = broken.get(tool["name"], 0) + 1
            result |= {"row": spec["row"], "tool": tool["name"], "kind": tool["kind"], "turn": turn, "probes": spec["probes"]}
            with open(results, "a") as file:
                file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    {"run": run, "table": ports().table}[sys.argv[1]](*sys.argv[2:])
