#!/usr/bin/env python3
"""Runs the tools of one row of the ports benchmark turn by turn, and says how they did.

    measure.py run SPEC RESULTS     SPEC: JSON of benches/ports/run; appends a JSON line a run to RESULTS
    measure.py table RESULTS GOALS  prints the table; writes the rows of ports.json to stdout's fd 3

Wall time is taken around the tool; CPU seconds and the largest resident set are GNU time's.
A run counts as complete with every open port found and none that is not there.
"""
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import threading
import time


# ------------------------------------------------------------------ what the tools print: {(address, port)}

def ours(text):
    found = set()
    for scan in json.loads(text)["scans"]:
        found |= {(scan["ip_address"], port["port"]) for port in scan["open_ports"]}
    return found


def nmap(text):
    found = set()
    for line in text.splitlines():
        host = re.match(r"Host: (\S+) .*Ports: (.*)", line)
        if host:
            found |= {(host[1], int(port)) for port in re.findall(r"(\d+)/open/tcp", host[2])}
    return found


def masscan(text):
    return {(m[2], int(m[1])) for m in re.finditer(r"^open tcp (\d+) (\S+)", text, re.M)}


def zmap(text):
    return {(line.strip(), 80) for line in text.splitlines() if re.match(r"[\d.]+$", line.strip())}


def rustscan(text):
    found = set()
    for host, ports in re.findall(r"^(\S+) -> \[([\d,]*)\]", text, re.M):
        found |= {(host, int(port)) for port in ports.split(",") if port}
    return found


def expand(hosts, ports):
    """hosts: a dotted address, how many of them."""
    first = int.from_bytes(bytes(map(int, hosts[0].split("."))), "big")
    return {(".".join(map(str, (first + i).to_bytes(4, "big"))), port) for i in range(hosts[1]) for port in ports}


def count(tool, text, truth):
    """Found and false."""
    if tool["format"] == "bare":
        opened = int(text.split()[0])
        return min(opened, len(truth)), max(0, opened - len(truth))
    found = globals()[tool["format"]](text)
    return len(found & truth), len(found - truth)


# ------------------------------------------------------------------------------------------------- one run

def once(tool, truth, limit):
    out, usage = "/run/lab-out", "/run/lab-time"
    for file in (out, usage):
        if os.path.exists(file):
            os.unlink(file)
    argv = [word.replace("{out}", out) for word in tool["argv"]]
    to_file = any("{out}" in word for word in tool["argv"])
    with open("/dev/null" if to_file else out, "w") as stdout, open("/run/lab-err", "w") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(["/usr/bin/time", "-q", "-f", "%U %S %M", "-o", usage, *argv],
                                   stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, start_new_session=True)
        # A wait with a limit looks only every 50 ms; this one ends with the process.
        late = threading.Timer(limit, os.killpg, (process.pid, signal.SIGKILL))
        late.start()
        status = process.wait()
        wall = time.perf_counter() - began
        late.cancel()
        if wall >= limit:
            status = "timeout"
    user, system, rss = (open(usage).read().split() + ["nan"] * 3)[:3] if os.path.exists(usage) else ["nan"] * 3
    try:
        found, false = count(tool, open(out, errors="replace").read(), truth)
    except (OSError, ValueError, KeyError, IndexError) as error:
        found, false, status = 0, 0, status or f"no result: {error}"
    if status and status != "timeout":
        status = f"{status}: " + " ".join(open("/run/lab-err", errors="replace").read().split())[-120:]
    return {"wall": wall, "cpu": float(user) + float(system), "rss": float(rss) / 1024,
            "found": found, "false": false, "status": status or "ok"}


def run(spec_file, results):
    spec = json.load(open(spec_file))
    truth = expand(spec["hosts"], spec["open"])
    broken = {}
    for turn in range(spec["runs"]):
        for tool in spec["tools"]:
            if broken.get(tool["name"], 0) >= 2:
                continue  # twice not to have ended, or to have failed, is enough
            result = once(tool, truth, spec["limit"])
            if result["status"] != "ok":
                broken[tool["name"]] = broken.get(tool["name"], 0) + 1
            result |= {"row": spec["row"], "tool": tool["name"], "kind": tool["kind"], "turn": turn,
                       "true": len(truth), "probes": spec["probes"]}
            with open(results, "a") as file:
                file.write(json.dumps(result) + "\n")


# --------------------------------------------------------------------------------------------------- table

class Tool:
    def __init__(self, runs):
        self.name, self.kind, self.true = runs[0]["tool"], runs[0]["kind"], runs[0]["true"]
        self.runs = runs
        good = [r for r in runs if r["status"] == "ok"] or runs
        self.wall, self.cpu, self.rss = ([r[key] for r in good] for key in ("wall", "cpu", "rss"))
        self.found = [r["found"] for r in runs]
        self.false = sum(r["false"] for r in runs)
        self.failed = [r["status"] for r in runs if r["status"] != "ok"]
        self.probes = runs[0]["probes"]

    def complete(self):
        return not self.failed and self.true > 0 and min(self.found) == self.true and self.false == 0

    def value(self, metric):
        if metric == "cpu":
            return [value / self.probes * 1e6 for value in self.cpu]
        return {"wall": self.wall, "rss": self.rss}[metric]

    def median(self, metric="wall"):
        return statistics.median(self.value(metric))

    def line(self):
        found = f"{min(self.found)}" + (f"–{max(self.found)}" if min(self.found) != max(self.found) else "")
        wall = f"{self.median():8.3f} s ({min(self.wall):.3f}–{max(self.wall):.3f})"
        return (f"    {self.name:48} {wall:28} {found}/{self.true}, {self.false} false  "
                f"{self.median('cpu'):6.2f} CPU s/M  {self.median('rss'):6.1f} MiB"
                + (f"  FAILED {len(self.failed)} of {len(self.runs)}: {self.failed[0]}" if self.failed else ""))


METRICS = {"wall": ("wall time", "s"), "cpu": ("CPU time a million probes", "s"), "rss": ("peak resident set", "MiB")}


def judge(row, goal, tools):
    """One row of ports.json: ours against the best of the peers that the goal names."""
    mine = next((t for t in tools if t.kind == "ours"), None)
    metric, unit = METRICS[goal["metric"]]
    peers = [t for t in tools if t.kind != "ours" and goal.get("peers") and re.search(goal["peers"], t.name)]
    complete = [t for t in peers if t.complete()] or sorted(peers, key=lambda t: -sum(t.found) / len(t.found))[:1]
    best = min(complete, key=lambda t: t.median(goal["metric"]), default=None)
    limit = goal.get("most") or (best.median(goal["metric"]) / goal["factor"] if best else None)
    value = mine.median(goal["metric"]) if mine and mine.wall else None
    result = {"work": row, "metric": metric, "unit": unit, "ours": value, "min": None, "max": None,
              "peer_name": best.name if best else None, "peer": None, "peer_min": None, "peer_max": None,
              "ratio": None, "goal": limit, "met": False,
              "ours_found": f"{min(mine.found)}/{mine.true}" if mine else None, "ours_false": mine.false if mine else None,
              "peer_found": f"{min(best.found)}/{best.true}" if best else None}
    if value is not None:
        result |= {"min": min(mine.value(goal["metric"])), "max": max(mine.value(goal["metric"]))}
    if best:
        values = best.value(goal["metric"])
        result |= {"peer": statistics.median(values), "peer_min": min(values), "peer_max": max(values)}
        if value:
            result["ratio"] = round(result["peer"] / value, 2)
    result["met"] = bool(mine and mine.complete() and limit is not None and value <= limit)
    return result


def table(results, goals):
    runs, order = {}, []
    for line in open(results):
        r = json.loads(line)
        if r["row"] not in order:
            order.append(r["row"])
        runs.setdefault(r["row"], {}).setdefault(r["tool"], []).append(r)
    goals = [json.loads(line) for line in open(goals)]
    rows = []
    for row in order:
        tools = [Tool(r) for r in runs[row].values()]
        print(f"{row}  ({max(len(t.runs) for t in tools)} runs)")
        for tool in sorted(tools, key=lambda t: t.median()):
            print(tool.line())
        for goal in goals:
            if goal["row"] != row:
                continue
            verdict = judge(row, goal, tools)
            rows.append(verdict)
            if verdict["ours"] is None:
                print("  ours: not there")
                continue
            print(f"  {'met    ' if verdict['met'] else 'NOT met'} {verdict['metric']}: ours {verdict['ours']:.3f} {verdict['unit']}"
                  + (f", {verdict['peer_name']} {verdict['peer']:.3f}, ratio {verdict['ratio']}" if verdict["peer"] is not None else "")
                  + (f", goal ≤ {verdict['goal']:.3f}" if verdict["goal"] is not None else ""))
    with os.fdopen(3, "w") as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    {"run": run, "table": table}[sys.argv[1]](*sys.argv[2:])
