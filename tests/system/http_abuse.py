#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""The web server when things go wrong around it: files that change under it, clients that dawdle,
vanish and come in crowds, no descriptors left, a full disk, signals under load, a worker that dies.

Usage: http_abuse.py BACKEND [NAME...]
"""
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True

from http_lib import (PATIENCE, SANITIZED, Client, Server, Wrong, ask, choose_backend, has,
                      make_site,
                      pattern, request, scratch)

SLOW = 4 if SANITIZED else 1
HUGE = (8 << 20) + 11  # more than sockets and engine buffer


class Skip(Exception):
    """What it is about is not there."""


def need_option(flag):
    if not has(flag):
        raise Skip(f"the server has no {flag}")


class Abuse:
    def __init__(self, backend):
        self.options = choose_backend(backend)
        self.root = os.path.join(scratch(), "root")
        os.mkdir(self.root)
        self.files = make_site(self.root)
        self.huge = pattern(HUGE, 7)
        self.write("huge.bin", self.huge)

    def write(self, name, content):
        with open(os.path.join(self.root, name), "wb") as f:
            f.write(content)
        return os.path.join(self.root, name)

    def start(self, *options, **kw):
        return Server(self.root, [*self.options, *options], **kw)

    def good(self, server, seconds=None):
        """A good client is served, and soon."""
        begin = time.monotonic()
        r = ask(server, "/hello.txt")
        if r.status != 200 or r.body != self.files["/hello.txt"]:
            raise Wrong(f"a good client got {r}")
        if seconds and time.monotonic() - begin > seconds * SLOW:
            raise Wrong(f"a good client waited for {time.monotonic() - begin:.1f} s")

    def settled(self, server, baseline):
        """No more descriptors than before, after a while."""
        end = time.monotonic() + PATIENCE
        while server.descriptors() > baseline:
            if time.monotonic() > end:
                raise Wrong(f"{server.descriptors()} descriptors, {baseline} before")
            time.sleep(0.05)

    # ----------------------------------------------------------------------------- files

    def begun(self, server, name):
        """A client in the middle of a response, which it does not read on."""
        c = Client(server, rcvbuf=65536)
        c.send(request("/" + name))
        while b"\r\n\r\n" not in c.data:
            if not c.more():
                raise Wrong("no response")
        time.sleep(0.1)
        return c

    def changing(self, what, change, verdict):
        """Twice: mapped, and (where the server tells large files from others) not."""
        for options in ([], ["--cache-largest", "1m"]):
            if not options or has(options[0]):
                self.change_once(what, change, verdict, options)

    def change_once(self, what, change, verdict, options):
        server = self.start(*options)
        path = self.write("changing", self.huge)
        c = self.begun(server, "changing")
        change(path)
        try:
            r = c.response()
            body = r.body if r else b""
        except Wrong as cut:
            if "bytes of content" not in str(cut):
                raise
            body = bytes(c.data)
        verdict(body, c)
        c.s.close()
        self.good(server)
        if os.path.exists(path):
            os.unlink(path)
        time.sleep(1.2)  # what is cached is looked at again
        if ask(server, "/changing").status != 404:
            raise Wrong(f"{what}: a file that is gone is still served")
        server.end()

    def whole(self, body, _):
        if body != self.huge:
            raise Wrong(f"{len(body)} bytes, or wrong ones")

    def cut_off(self, body, c):
        if len(body) >= HUGE or not self.huge.startswith(body[:HUGE // 4]):
            raise Wrong(f"{len(body)} bytes of a file that shrank")
        if not c.ended:
            raise Wrong("the connection goes on")

    def of_that_length(self, body, _):
        if len(body) != HUGE:
            raise Wrong(f"{len(body)} bytes of {HUGE}")

    def vanishing(self):
        self.changing("vanishing", os.unlink, self.whole)

    def replaced(self):
        def change(path):
            os.rename(self.write("new", b"new"), path)
        self.changing("replaced", change, self.whole)

    def growing(self):
        def change(path):
            with open(path, "ab") as f:
                f.write(b"x" * 1000000)
        self.changing("growing", change, self.whole)

    def shrinking(self):
        self.changing("shrinking", lambda path: os.truncate(path, HUGE // 2), self.cut_off)

    def emptied(self):
        self.changing("emptied", lambda path: os.truncate(path, 0), self.cut_off)

    def overwritten(self):
        def change(path):
            with open(path, "r+b") as f:
                f.write(b"x" * HUGE)
        self.changing("overwritten", change, self.of_that_length)

    def churn(self):
        """Files that come, change and go all the time, under load: always one of the states."""
        server = self.start()
        states = [b"a" * 100000, b"b" * 200000, b"c" * 50000]
        stop = time.monotonic() + 2
        path = self.write("churn", states[0])
        i = 0
        while time.monotonic() < stop:
            i += 1
            if i % 5 == 0 and os.path.exists(path):
                os.unlink(path)
            else:
                os.rename(self.write("next", states[i % 3]), path)
            r = ask(server, "/churn")
            if r.status != 404 and r.body not in states:
                raise Wrong(f"{r.status}, {len(r.body)} bytes of no state")
        server.end()

    # ------------------------------------------------------------------------- shortages

    def no_descriptors(self):
        """503, or waiting; never a crash; no burning; and all is well afterwards."""
        server = self.start("--connections", "64")
        for i in range(40):
            self.write(f"fresh{i}", b"%d" % i)
        before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        baseline = server.descriptors()
        for pid in server.processes():
            own = len(os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (own + 5, before[1]))
        clients = [Client(server) for _ in range(40)]
        for i, c in enumerate(clients):
            c.send(request(f"/fresh{i}", "Connection: close"))
        spent = cpu(server)
        time.sleep(1)
        server.alive()
        spent = cpu(server) - spent
        if spent > 0.7 and not SANITIZED:
            raise Wrong(f"without descriptors it burns the CPU: {spent:.2f} s in 1 s")
        for pid in server.processes():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        statuses = {}
        for i, c in enumerate(clients):
            r = c.response()
            status = r.status if r else None
            statuses[status] = statuses.get(status, 0) + 1
            if status not in (200, 503) or (status == 200 and r.body != b"%d" % i):
                raise Wrong(f"without descriptors: {r}")
            c.s.close()
        print(f"  without descriptors: {statuses}, {spent:.2f} s of CPU in 1 s")
        self.good(server)
        self.settled(server, baseline)
        server.end()

    def log_to(self, path, prefix=()):
        server = self.start("--access-log", path, prefix=prefix)
        for _ in range(3):
            with Client(server) as c:
                c.send(request("/hello.txt", "X-Long: " + "x" * 100) * 500)
                for _ in range(500):
                    r = c.response()
                    if not r or r.status != 200:
                        raise Wrong(f"with a full disk: {r}")
        self.good(server, 5)
        end = time.monotonic() + 5
        while not server.complaints() and time.monotonic() < end:
            time.sleep(0.1)
        said = server.complaints()
        if not said:
            raise Wrong("a log that cannot be written, and not a word on stderr")
        if len(said) > 50:
            raise Wrong(f"{len(said)} complaints about one log")
        server.end()

    def full_device(self):
        need_option("--access-log")
        self.log_to("/dev/full")

    def full_disk(self):
        need_option("--access-log")
        folder = os.path.join(scratch(), "tiny")
        os.mkdir(folder)
        mount = f"mount -t tmpfs -o size=16k none '{folder}' && exec \"$@\""
        user = [] if os.getuid() == 0 else ["-r"]
        prefix = ["unshare", *user, "-m", "sh", "-c", mount, "sh"]
        if not shutil.which("unshare") or subprocess.run([*prefix, "true"], check=False,
                                                         capture_output=True).returncode:
            raise Skip("no private mount is to be had")
        self.log_to(os.path.join(folder, "log"), prefix)

    # --------------------------------------------------------------------------- clients

    def slow_loris(self):
        """Hundreds that send a byte now and then: all are dropped, and harm nobody meanwhile."""
        server = self.start("--timeout", "2")
        baseline = server.descriptors()
        text = request("/hello.txt", "X: " + "y" * 100)
        clients = [Client(server) for _ in range(300)]
        begin = time.monotonic()
        sent = 0
        while time.monotonic() - begin < 5:
            for c in clients:
                c.send(text[sent:sent + 1])
            sent += 1
            self.good(server, 2)
            time.sleep(0.5)
        dropped = 0
        for c in clients:
            c.s.settimeout(10 * SLOW)
            try:
                r = c.response()
            except Wrong:
                raise Wrong(f"slow clients are kept: only {dropped} were dropped") from None
            if r and r.status != 408:
                raise Wrong(f"a slow client got {r}")
            dropped += 1
            c.s.close()
        self.settled(server, baseline)
        server.end()

    def slow_readers(self):
        """Clients that never read: nobody else notices."""
        server = self.start("--timeout", "2")
        baseline = server.descriptors()
        clients = [Client(server, rcvbuf=4096) for _ in range(100)]
        for c in clients:
            c.send(request("/huge.bin") * 20)
        for _ in range(20):
            self.good(server, 2)
        for i, c in enumerate(clients):
            if i % 2:
                c.reset()
            else:
                c.s.close()
        self.settled(server, baseline)
        server.end()

    def crowd(self):
        """More connections than --connections: those that have a request are all answered, though
        none of them ever closes its connection."""
        server = self.start("--connections", "20", "--timeout", "5")
        clients = [Client(server) for _ in range(200)]
        for c in clients:
            c.send(request("/hello.txt"))
        begin = time.monotonic()
        for i, c in enumerate(clients):
            r = c.response()
            if not r or r.status not in (200, 503):
                raise Wrong(f"client {i} of a crowd got {r}")
        print(f"  200 clients on 20 connections: {time.monotonic() - begin:.1f} s")
        for c in clients:
            c.s.close()
        self.good(server)
        server.end()

    def silent_crowd(self):
        defer = ["--no-defer"] if has("--no-defer") else []
        server = self.start("--connections", "20", "--timeout", "1", *defer)
        clients = [Client(server) for _ in range(60)]
        self.good(server)  # after those before it have had their time
        for c in clients:
            c.s.close()
        self.good(server, 5)
        server.end()

    def resets(self):
        server = self.start()
        self.good(server)
        baseline = server.descriptors()
        for i in range(200):
            c = Client(server, rcvbuf=4096)
            c.send(request("/huge.bin") if i % 2 else request("/4096.bin") * 50)
            if i % 3:
                c.more()
            if i % 4 == 3:
                c.shut()
            if i % 5:
                c.reset()
            else:
                c.s.close()
        self.good(server, 5)
        self.settled(server, baseline + 1)  # one more: a file may be kept open
        server.end()
        if server.complaints():
            raise Wrong(f"it complained: {server.complaints()[:3]}")

    # --------------------------------------------------------------------------- signals

    def load(self, server, stop, lost, served):
        """Requests one after the other. A response that began must be whole; a connection that ends
        before one is all right only when the server is ending."""
        while not stop.is_set():
            try:
                c = Client(server)
            except OSError:
                if not stop.is_set():
                    lost.append("connect")
                return
            with c:
                for _ in range(50):
                    target = "/4096.bin" if len(served) % 10 else "/large.bin"
                    c.send(request(target))
                    try:
                        r = c.response()
                    except Wrong as wrong:
                        lost.append(str(wrong))
                        return
                    if r and r.body != self.files[target]:
                        lost.append(f"{r}")
                    if not r and not stop.is_set():
                        lost.append("closed without an answer")
                    if not r:
                        return
                    served.append(target)
                    if r.closes():
                        break

    def under_load(self, server, act, ends=False):
        """act() in the middle of 8 threads' requests and of 8 responses that are read slowly."""
        stop, lost, served = threading.Event(), [], []
        readers = [self.begun(server, "huge.bin") for _ in range(8)]
        threads = [threading.Thread(target=self.load, args=(server, stop, lost, served))
                   for _ in range(8)]
        for t in threads:
            t.start()
        time.sleep(0.5)
        if ends:
            stop.set()  # no more requests behind those that are under way
        act()
        for c in readers:
            r = c.response()
            if not r or r.body != self.huge:
                lost.append("a response that had begun")
            c.s.close()
        if not ends:
            time.sleep(0.5)
            stop.set()
        for t in threads:
            t.join(PATIENCE)
        if lost:
            raise Wrong(f"{len(lost)} lost: {lost[:3]}")
        if not served:
            raise Wrong("nothing was served")

    def term(self):
        for _ in range(3):
            server = self.start()
            self.under_load(server, lambda: server.kill(signal.SIGTERM), ends=True)
            code = server.wait()
            if code:
                raise Wrong(f"exit code {code}: {server.said()}")

    def second_term(self):
        """A second signal does not wait for anybody."""
        server = self.start()
        clients = [self.begun(server, "huge.bin") for _ in range(4)]
        server.kill(signal.SIGTERM)
        time.sleep(0.3)
        server.kill(signal.SIGTERM)
        if server.wait(4 * SLOW):
            raise Wrong(f"exit code {server.process.returncode}")
        for c in clients:
            c.s.close()

    def hang_up(self):
        need_option("--config")
        server = self.start()

        def act():
            for _ in range(5):
                server.kill(signal.SIGHUP)
                time.sleep(0.1)
        self.under_load(server, act)
        server.end()

    def killed_worker(self):
        need_option("--workers")
        server = self.start("--workers", "2")
        self.good(server)
        old = server.processes()[1:]
        if len(old) < 2:
            raise Wrong(f"--workers 2, and the children are {old}")
        for victim in old:
            os.kill(victim, signal.SIGKILL)
            end = time.monotonic() + PATIENCE
            while victim in server.processes() or len(server.processes()) < 3:
                if time.monotonic() > end:
                    raise Wrong(f"a worker that was killed is not replaced: {server.processes()}")
                time.sleep(0.05)
            server.alive()
            self.good(server, 5)
        served = 0
        for _ in range(50):
            self.good(server)
            served += 1
        server.end()

    def many_rounds(self):
        """No descriptor is left behind by visitors of every kind."""
        server = self.start("--timeout", "1")
        self.good(server)
        baseline = server.descriptors()
        for i in range(300):
            c = Client(server)
            c.send((b"", b"GET /", request("/none"), request("/hello.txt"), request("/folder"),
                    b"\0" * 100, request("/hello.txt", "X : y"),
                    request("/", "X: " + "y" * 9000), request("/large.bin"))[i % 9])
            if i % 2:
                c.shut()
            if i % 3 == 0:
                c.reset()
            elif i % 3 == 1:
                c.s.close()
            else:
                c.s.settimeout(0.01)
                try:
                    c.more()
                except Wrong:
                    pass
                c.s.close()
        # A cached file, and what asynchronous look-ups of files keep open once there was one.
        self.settled(server, baseline + 4)
        self.good(server)
        server.end()
        if server.complaints():
            raise Wrong(f"it complained: {server.complaints()[:3]}")


def cpu(server):
    """Seconds that it has used."""
    ticks = 0
    for pid in server.processes():
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            words = f.read().rsplit(")", 1)[1].split()
        ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


# The longest first. Nearly all of them wait, each for its own server: some at a time, each a process.
TESTS = ("crowd", "slow_loris", "term", "growing", "vanishing", "replaced", "emptied", "overwritten",
         "shrinking", "silent_crowd", "hang_up", "churn", "killed_worker", "no_descriptors",
         "second_term", "full_device", "full_disk", "slow_readers", "resets", "many_rounds")
AT_A_TIME = 4
SKIPPED = 77


def run(backend, name):
    """In this process."""
    begin = time.monotonic()
    try:
        getattr(Abuse(backend), name)()
    except Skip as why:
        print(f"{name}: SKIPPED: {why}")
        return SKIPPED
    except (Wrong, OSError) as wrong:
        print(f"FAILED: {name}: {str(wrong)[:600]}")
        return 1
    print(f"{name}: {time.monotonic() - begin:.1f} s")
    return 0


def run_apart(backend, name):
    """In a process of its own."""
    child = subprocess.run([sys.executable, os.path.abspath(__file__), backend, name], check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(child.stdout, end="", flush=True)
    return child.returncode


def main():
    backend, *names = sys.argv[1:] or ["dusi"]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    if len(names) == 1:
        sys.exit(run(backend, names[0]))
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        codes = list(pool.map(lambda name: run_apart(backend, name), names or TESTS))
    skipped = codes.count(SKIPPED)
    failed = len(codes) - skipped - codes.count(0)
    print(f"{len(codes)} tests, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
