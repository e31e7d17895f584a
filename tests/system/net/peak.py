#!/usr/bin/env python3
"""Runs COMMAND, ends it with SIGKILL after SECONDS, and writes `STATUS SECONDS MIB` to FILE: its exit
status (`killed` when it did not end), how long it took, and its largest resident set (with that of
this program, some 10 MiB, as the least that can be told).

    peak.py FILE SECONDS COMMAND...
"""
import resource
import subprocess
import sys
import time

file, limit, command = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
began = time.monotonic()
process = subprocess.Popen(command)
try:
    status = process.wait(limit)
except subprocess.TimeoutExpired:
    process.kill()
    process.wait()
    status = "killed"
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
with open(file, "w") as out:
    print(status, round(time.monotonic() - began, 2), round(peak, 1), file=out)
