#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Copyright (c) 2026 The eta authors
"""Check the ownership protocol: the correct variants exhaustively, and that
every rule that a mutant removes was needed.  Nothing is written to the tree."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ownership.pml")
SKIP = 77           # ctest's SKIP_RETURN_CODE
MEGABYTES = 1450    # per run; two run at a time
PROPERTIES = {
    "stuck": "stuck",
    "lost_doorbell": "LOST doorbell",
    "lost_data": "LOST data",
    "lost_backlog": "LOST backlog",
    "lost_event": "LOST event",
    "late_waiter": "LATE waiter",
    "late_post": "LATE post",
}


class Variant:
    """bounds: operations of A, B (and C), then arrivals."""

    def __init__(self, name, bounds, flags="", bug=None, cycles=False, big=False,
                 covers=False):
        self.name = name
        self.covers = covers    # every statement must have been reached
        self.cycles = cycles    # look for busy loops instead of states of rest
        self.big = big          # wants a larger stack and more memory
        self.mutant = bug is not None
        *ops, data = bounds
        self.defs = flags.split()
        self.defs += [f"-DOPS{i}={n}" for i, n in enumerate(ops)]
        self.defs += [f"-DDATA={data}"]
        if bug:
            self.defs.append("-DBUG_" + bug)
        if cycles:
            self.defs.append("-DNP")


# The dear ones first: the pool is then busy to the end.
CORRECT = [
    Variant("adaptive-all", (2, 1, 1), "-DFD -DSTICKY -DBACKLOG", covers=True),
    Variant("adaptive", (1, 1, 2)),
    Variant("adaptive-one", (2, 0, 2), "-DFD -DSTICKY -DBACKLOG"),
    Variant("inline", (2, 1, 1, 1), "-DINLINE"),
    Variant("inline-two", (2, 2, 0, 2), "-DINLINE -DFD -DSTICKY -DBACKLOG"),
    Variant("inline-sticky", (2, 1, 1, 0), "-DINLINE -DFD -DSTICKY"),
    Variant("inline-all", (1, 1, 1, 1), "-DINLINE -DFD -DSTICKY -DBACKLOG"),
    Variant("adaptive-busy", (1, 1, 1), "-DEPOCH", cycles=True),
    Variant("inline-busy", (2, 1, 0, 1), "-DINLINE -DFD", cycles=True),
]

DEEP = [
    Variant("deep-adaptive", (2, 2, 2), big=True),
    Variant("deep-adaptive-all", (2, 1, 2), "-DFD -DSTICKY -DBACKLOG", big=True),
    Variant("deep-adaptive-three", (1, 1, 1, 0), "-DNAPP=3", big=True),
    Variant("deep-inline", (2, 2, 1, 2), "-DINLINE", big=True),
    Variant("deep-inline-busy", (2, 1, 1, 1), "-DINLINE -DFD", cycles=True, big=True),
    Variant("deep-adaptive-busy", (1, 1, 1), "-DFD -DBACKLOG", cycles=True,
            big=True),
    Variant("deep-inline-all", (2, 1, 1, 1), "-DINLINE -DFD -DSTICKY -DBACKLOG", big=True),
]


def mutants(flags, bounds, bugs, prefix=""):
    return [Variant(prefix + bug.lower().replace("_", "-"), bounds, flags, bug)
            for bug in bugs.split()]


MUTANTS = (
    mutants("", (1, 1, 1), """
        SLOT_BEFORE_RING POST_NO_KICK
        POLLER_CLEARS_SLOT TURN_DRAINS RELEASE_FIRST
        LEADER_NOT_ARMED LEADER_NO_RECHECK LEADER_NO_EVQ_RECHECK LEADER_NOT_KICKED
        LEAVE_NO_RECALL LEAVE_NO_HANDOVER
        FOLLOWER_NO_RECHECK FOLLOWER_NO_HANDOVER STATE_BEFORE_WORD
        GUARD_UNTIMED DEEP_NO_RECHECK T_NO_RECHECK STEP_DOWN_ARMED""")
    + mutants("", (2, 0, 2), "ARM_BEFORE_SLOT")
    + mutants("", (2, 1, 0), "RUNG_AFTER_TAIL")
    + mutants("-DFD", (1, 1, 1),
              "FD_DRAIN_LATE FD_NO_RECHECK FD_NO_HANDOVER STEP_DOWN_FD")
    + mutants("-DSTICKY", (2, 1, 0), "STICKY_NO_RECHECK STICKY_AFTER_TAIL")
    + mutants("-DBACKLOG", (1, 1, 1), "BACKLOG_NO_RECHECK BACKLOG_NOT_KICKED")
    + mutants("-DINLINE", (1, 1, 1, 1), """
        FOLLOWERS_NOT_WOKEN FOLLOWER_NO_SLOT_RECHECK LEAVE_NO_TURN LEAVE_TRYLOCK
        RELEASE_FIRST TURN_DRAINS LEADER_NOT_KICKED""", "inline-")
    + mutants("-DINLINE -DFD -DSTICKY", (2, 1, 1, 0), "INLINE_FD_NO_STICKY_RECHECK")
    + mutants("-DNAPP=3", (1, 1, 1, 1), "LEAVE_NO_TURN LEAVE_TRYLOCK", "three-")
    + mutants("-DINLINE", (2, 1, 0, 2), "ARM_BEFORE_SLOT", "inline-")
    + mutants("-DINLINE -DFD", (1, 1, 1, 1),
              "INLINE_FD_NOT_SEEN INLINE_FD_NO_POKE INLINE_FD_NO_RECHECK INLINE_FD_NO_TURN")
    + [Variant("inline-busy-leave-trylock", (1, 1, 0, 0), "-DINLINE",
               "LEAVE_TRYLOCK", cycles=True),
       Variant("inline-busy-fd-no-drain", (1, 1, 1, 0), "-DINLINE -DFD",
               "INLINE_FD_NO_DRAIN", cycles=True)]
)


def build(variant, folder, bfs=False):
    """spin turns the model into pan.c, gcc into a program that searches."""
    shutil.copy(MODEL, folder)
    subprocess.run(["spin", "-a", *variant.defs, "ownership.pml"], cwd=folder,
                   check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    flags = ["-DCOLLAPSE", f"-DMEMLIM={8000 if variant.big else MEGABYTES}"]
    flags += ["-DNP"] if variant.cycles else ["-DSAFETY"]
    flags += ["-DBFS"] if bfs else []
    subprocess.run(["gcc", "-O1" if variant.mutant else "-O2", "-w", *flags,
                    "-o", "pan", "pan.c"], cwd=folder, check=True)


def search(variant, folder):
    # -E: a thread that never calls again is no error; the model judges states
    # of rest itself.  -m: depth of the search, -w: 2^n slots in the hash table.
    options = ["-E", "-m20000000" if variant.big else "-m500000"]
    options += ["-w24" if variant.mutant else "-w25"]
    options += ["-l"] if variant.cycles else []
    with subprocess.Popen(["./pan", *options], cwd=folder, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as pan:
        text = pan.stdout.read()
        _, status, usage = os.wait4(pan.pid, 0)
        pan.returncode = os.waitstatus_to_exitcode(status)
    return text, usage.ru_utime + usage.ru_stime


def unreached(text):
    """Statements that no run executed: a model may be right by being idle."""
    lines = re.findall(r'ownership\.pml:(\d+), state \d+, "(.*)"', text)
    return [line for line in lines if line[1] != "-end-"]


def verdict(text):
    found = re.search(r"assertion violated +!\(+(\w+)", text)
    if found:
        return PROPERTIES[found.group(1)]
    if re.search(r"^pan:\d+: non-progress cycle", text, re.M):
        return "busy loop"
    if ("Search not completed" in text or "max search depth" in text
            or "errors: 0" not in text):
        return "incomplete"
    return "holds"


def check(variant):
    with tempfile.TemporaryDirectory(prefix="eta-model-") as folder:
        build(variant, folder)
        text, seconds = search(variant, folder)
    states = re.search(r"([\d.e+]+) states, stored", text)
    states = int(float(states.group(1))) if states else 0
    result = verdict(text)
    if variant.mutant:
        good = result not in ("holds", "incomplete", "stuck")
    else:
        good = result == "holds"
    if good and variant.covers:
        left = unreached(text)
        if left:
            good, result = False, f"unreached: line {left[0][0]}"
    expected = "counter-example" if variant.mutant else "holds"
    print(f"{variant.name:34} {states:10} "
          f"{seconds:7.1f}  {result:16} {expected:16} {'ok' if good else 'FAIL'}",
          flush=True)
    return good


def trail(variant):
    """The shortest counter-example (breadth first), one shared access a line."""
    threads = ["net", "A", "B", "C"] if "-DINLINE" in variant.defs else \
              ["net", "T", "A", "B", "C"]
    with tempfile.TemporaryDirectory(prefix="eta-model-") as folder:
        build(variant, folder, bfs=not variant.cycles)
        result = verdict(search(variant, folder)[0])
        print(f"{variant.name}: {result}")
        if not os.path.exists(os.path.join(folder, "ownership.pml.trail")):
            return result == "holds"
        replay = subprocess.run(["spin", "-t", "-p", *variant.defs, "ownership.pml"],
                                cwd=folder, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT).stdout
    # Line numbers are spin's; inside inlines with #ifdef they are off by a few.
    step = re.compile(r"\s*\d+:\s+proc\s+(\d+) \(.*ownership\.pml:(\d+) .*?\t\[(.*)\]")
    boring = re.compile(r"goto|else|break|\(\(left|\(1\)$|\(?run |n = |\(\(n<|q = |was = 0|skip")
    at_rest = False
    for line in replay.splitlines():
        found = step.match(line)
        if "START OF CYCLE" in line:
            print("-- from here on, again and again")
        elif "(timeout)" in line:
            print("-- nobody can move any more")
            at_rest = True
        elif re.match(r"\t\t\S+ = [1-9]", line):
            print("at the end:", line.strip())
        elif found and not at_rest and not boring.match(found.group(3)):
            print(f"{threads[int(found.group(1))]:4}{found.group(2):>4}  {found.group(3)}")
    return True


def main():
    everything = {v.name: v for v in CORRECT + MUTANTS + DEEP}
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="exit: 0 all as expected, 1 not, 77 no spin or gcc")
    parser.add_argument("names", nargs="*", help="check only these (default: all)")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--trail", metavar="NAME",
                        help="print the shortest counter-example of NAME")
    parser.add_argument("--deep", action="store_true",
                        help="larger bounds instead: up to 8 GB a run, half an hour")
    parser.add_argument("-j", type=int, default=2, help="runs at a time (default 2)")
    args = parser.parse_args()

    if args.list:
        print(*everything, sep="\n")
        return 0
    for name in args.names + ([args.trail] if args.trail else []):
        if name not in everything:
            parser.error(f"no variant {name}; see --list")
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"skipped: {tool} is not installed (Debian: apt install {tool})")
            return SKIP
    if args.trail:
        return 0 if trail(everything[args.trail]) else 1

    chosen = [everything[n] for n in args.names] or (
        DEEP if args.deep else CORRECT + MUTANTS)
    print(f"{'variant':34} {'states':>10} {'cpu s':>7}  {'verdict':16} {'expected':16}")
    start = time.monotonic()
    with ThreadPoolExecutor(1 if args.deep else args.j) as pool:
        results = list(pool.map(check, chosen))
    print(f"{sum(results)} of {len(results)} as expected, "
          f"{time.monotonic() - start:.0f} s")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
