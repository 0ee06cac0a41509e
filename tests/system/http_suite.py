#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Requests of every kind, from tables: valid, odd, malformed, and meant to harm.

Usage: http_suite.py BACKEND [WORD...]; with words, only rows whose name has one of them. Each row
is sent on a connection of its own, and it is seen what comes back, whether it is well-formed, and
whether the connection ends or serves another request. Rows about what this server cannot do yet (its
--help does not name the option that came with it) are left out, and counted.
"""
import os
import sys
import time

sys.dont_write_bytecode = True

import http_rows_files
import http_rows_message
from http_lib import (Client, Server, Wrong, ask, choose_backend, has, make_site, request, scratch)
from http_rows import ANY, CLOSE, KEEP, Table

PATIENT = 20 if os.environ.get("ETA_SANITIZE") else 4  # seconds of tolerance
PROBE = request("/probe.txt", "Connection: close")


class Suite:
    def __init__(self, backend):
        self.options = choose_backend(backend)
        self.root = os.path.join(scratch(), "root")
        os.mkdir(self.root)
        self.files = make_site(self.root)
        self.tags = {}
        self.failed, self.done, self.skipped = [], 0, 0

    def start(self, *options):
        return Server(self.root, [*self.options, *options])

    def etag(self, target):
        if target not in self.tags:
            self.tags[target] = ask(self.server, target, method="HEAD").get("etag", '"none"')
        return self.tags[target]

    def attempt(self, name, what):
        """One test of its own; what it raises is noted."""
        try:
            what()
        except (Wrong, OSError) as wrong:
            self.failed.append(name)
            print(f"FAILED: {name}: {str(wrong)[:600]}", flush=True)
        self.done += 1

    def rows(self, words):
        self.server = self.start()
        table = Table(self.files)
        http_rows_message.add_all(table)
        http_rows_files.add_all(table)
        for row in table.rows:
            if words and not any(w in row.name for w in words):
                continue
            if row.since and not has(row.since):
                self.skipped += 1
                continue
            self.attempt(row.name, lambda: self.run(row))
            self.server.alive()
        if os.getuid():
            self.attempt("an unreadable file", self.unreadable)
        self.attempt("the server's end", self.server.end)
        if self.server.complaints():
            self.failed.append("complaints")
            print(f"FAILED: the server complained: {self.server.complaints()[:5]}")

    def run(self, row):
        data = row.data(self) if callable(row.data) else row.data
        with Client(self.server) as c:
            c.send(data, row.pieces)
            if row.half:
                c.shut()
            r = None
            for want in row.want:
                r = c.response(want.head)
                want.meet(r)
            self.afterwards(c, row, r)

    def afterwards(self, c, row, last):
        """The connection ends, or serves another request; and it has said so."""
        then = row.then
        if then == ANY:
            then = CLOSE if not last or last.closes() else KEEP
        if then == CLOSE:
            if last and not row.half and not last.closes():
                raise Wrong("no Connection: close")
            c.expect_end()
            return
        if last.closes():
            raise Wrong("Connection: close")
        c.send(PROBE)
        r = c.response()
        if not r or r.status != 200 or r.body != self.files["/probe.txt"]:
            raise Wrong(f"the next request on the connection: {r}")
        c.expect_end()

    def unreadable(self):
        r = ask(self.server, "/forbidden.txt")
        if r.status not in (403, 404):
            raise Wrong(f"an unreadable file: {r}")

    # ---------------------------------------------------- what needs a server of its own

    def time_outs(self):
        server = self.start("--timeout", "1", *(["--idle", "1"] if has("--idle") else []),
                            *(["--no-defer"] if has("--no-defer") else []))
        cases = {"nothing": (b"", (None, 408)), "half a line": (b"GET /", (408,)),
                 "half a head": (request("/hello.txt")[:-2], (408,)),
                 "empty lines": (b"\r\n\r\n", (None, 408)),
                 "half a second one": (request("/hello.txt") + b"GET", (200, 408)),
                 "nothing more": (request("/hello.txt"), (200,))}
        clients = {name: Client(server) for name in cases}
        begin = time.monotonic()
        for name, c in clients.items():
            c.send(cases[name][0])
        for name, c in clients.items():
            first = c.response()
            statuses = [first.status] if first else [None]
            while first:
                first = c.response()
                if first:
                    statuses.append(first.status)
            want = cases[name][1]
            if statuses[0] not in want or (len(statuses) > 1 and tuple(statuses) != want):
                raise Wrong(f"{name}: {statuses} instead of {want}")
            c.s.close()
        if time.monotonic() - begin > 8 + PATIENT:
            raise Wrong("it took long")
        server.end()

    def max_requests(self):
        server = self.start("--max-requests", "3")
        with Client(server) as c:
            c.send(request("/hello.txt") * 5)
            for i in range(3):
                r = c.response()
                if not r or r.status != 200 or r.closes() != (i == 2):
                    raise Wrong(f"request {i}: {r}")
            c.expect_end()
        server.end()

    def idle(self):
        server = self.start("--idle", "1", "--timeout", "30")
        with Client(server) as c:
            c.send(request("/hello.txt"))
            c.response()
            begin = time.monotonic()
            c.expect_end()
            if time.monotonic() - begin > 5 + PATIENT:
                raise Wrong("an idle connection is kept")
        server.end()

    def status_page(self):
        server = self.start("--status", "/server-status")
        r = ask(server, "/server-status")
        if r.status != 200 or not r.body:
            raise Wrong(f"status: {r}")
        for method in ("POST", "BREW"):
            if ask(server, "/server-status", method=method).status not in (405, 501):
                raise Wrong(method)
        if ask(server, "/hello.txt").body != self.files["/hello.txt"]:
            raise Wrong("files beside the status page")
        server.end()

    def log(self):
        path = os.path.join(scratch(), "access.log")
        server = self.start("--access-log", path)
        for target in ("/hello.txt", "/none", "/range.bin?a=%22b%22"):
            ask(server, target)
        with Client(server) as c:
            c.send(request("/hello.txt", "User-Agent: a\"b\\c\x9b31m\xe4") * 20)
            for _ in range(20):
                c.response()
        server.end()
        with open(path, "rb") as f:
            lines = f.read().split(b"\n")
        if len(lines) != 24 or lines[-1]:
            raise Wrong(f"{len(lines)} lines in the log for 23 requests")
        if any(b < 32 or b >= 127 for line in lines for b in line):
            raise Wrong("the log has bytes that a terminal may obey")

    def others(self):
        for name, flag, test in (("time-outs", None, self.time_outs),
                                 ("--max-requests", "--max-requests", self.max_requests),
                                 ("--idle", "--idle", self.idle),
                                 ("--status", "--status", self.status_page),
                                 ("--access-log", "--access-log", self.log)):
            if flag and not has(flag):
                self.skipped += 1
            else:
                self.attempt(name, test)


def main():
    suite = Suite(sys.argv[1] if len(sys.argv) > 1 else "dusi")
    begin = time.monotonic()
    suite.rows(sys.argv[2:])
    if not sys.argv[2:]:
        suite.others()
    print(f"{suite.done} rows, {len(suite.failed)} failed, {suite.skipped} skipped because this "
          f"server lacks what they are about; {time.monotonic() - begin:.1f} s")
    sys.exit(1 if suite.failed else 0)


if __name__ == "__main__":
    main()
