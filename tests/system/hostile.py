#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Peers that mean harm, or die.

A server (msg_echo) with a message listener and a stream listener is visited by peers that send
garbage, halves of frames and frames of wrong lengths, vanish in every way, say nothing, open
connections by the thousand, or are killed in the middle of their traffic. All the while a good client
goes on, every message it gets back checked, and after each kind of visit a new one is served. At the
end nothing is left of the visitors: no descriptor, no thread, no connection, no memory.
"""
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import sys
import time

SANITIZED = bool(os.environ.get("ETA_SANITIZE"))
BIN = os.environ.get("ETA_BIN_DIR") or os.path.join(os.path.dirname(__file__), "../../build/bin")
MSG_ECHO = os.path.join(BIN, "tests", "msg_echo")
HANDSHAKE_MS = 1500
KILLS = 40 if SANITIZED else 200
ROUNDS = 3 if SANITIZED else 12
HALF_OPEN = 2000
RSS_BOUND = 16 << 20
LEFT_BEHIND = ("fds", "threads", "connections", "dtis", "pool_used")
LANDING = 16384  # the buffer that an engine keeps for the next bytes nobody has asked for

SEED = int(os.environ.get("ETA_SEED", "1"))
rnd = random.Random(SEED)


def fail(reason):
    sys.exit(f"FAILED: {reason} (seed {SEED})")


class Server:
    def __init__(self):
        self.process = subprocess.Popen(
            [MSG_ECHO, "server", str(HANDSHAKE_MS)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ports = self.answer()
        self.message, self.stream = int(ports["message"]), int(ports["stream"])

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            fail(f"the server ended: {self.process.wait()}")
        return dict(word.split("=") for word in line.split())

    def stats(self):
        self.process.stdin.write("stats\n")
        self.process.stdin.flush()
        return {name: int(value) for name, value in self.answer().items()}

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    def settled(self, baseline):
        """The levels are those of the baseline again; what differs, after a while."""
        end = time.monotonic() + 20
        while True:
            now = self.stats()
            left = {n: now[n] - baseline[n] for n in LEFT_BEHIND if now[n] != baseline[n]}
            if left.get("pool_used") == LANDING:
                del left["pool_used"]
            if not left or time.monotonic() > end:
                return left
            time.sleep(0.05)

    def close(self):
        self.process.stdin.close()
        if self.process.wait(60):
            fail(f"the server's end: {self.process.returncode}")


class Client:
    """A good one: goes on until told to end, and has then checked every message."""

    def __init__(self, server, count=0):
        self.process = subprocess.Popen(
            [MSG_ECHO, "client", str(server.message)] + ([str(count)] if count else []),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def check(self):
        if self.process.poll() is not None:
            fail(f"the good client ended: {self.process.returncode}")

    def finish(self):
        out, _ = self.process.communicate(timeout=60)
        if self.process.returncode or "ok " not in out:
            fail(f"a good client: {self.process.returncode}, said {out!r}")
        return int(out.split("ok ")[1])


# ------------------------------------------------------------------------------ by hand

def dial(port):
    s = socket.create_connection(("127.0.0.1", port), timeout=30)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def vanish(s, how):
    """close, FIN first, or a reset"""
    try:
        if how == 1:
            s.shutdown(socket.SHUT_WR)
        elif how == 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    s.close()


def send(s, data):
    """The server may have had enough already."""
    try:
        s.sendall(data)
    except OSError:
        pass


def read_end(s, seconds):
    """Whether the other side ends the connection in that time."""
    s.settimeout(seconds)
    try:
        while s.recv(4096):
            pass
    except socket.timeout:
        return False
    except OSError:
        pass
    return True


def request(flags=0, rev=1, data=b"", length=None):
    length = len(data) if length is None else length
    return b"MPA ID Req Frame" + struct.pack(">BBH", flags, rev, length) + data


def fpdu(payload, msn=1, offset=0, last=True, length=None, opcode=3, queue=0):
    body = struct.pack(">BBIIII", 0x41 if last else 0x01, 0x40 | opcode, 0, queue, msn, offset)
    body += payload
    frame = struct.pack(">H", len(body) if length is None else length) + body
    return frame + bytes(-len(frame) % 4) + bytes(4)


def established(server):
    s = dial(server.message)
    s.sendall(request())
    reply = b""
    while len(reply) < 20 or len(reply) < 20 + struct.unpack(">H", reply[18:20])[0]:
        piece = s.recv(4096)
        if not piece:
            fail("no reply to a good request")
        reply += piece
    return s


# ------------------------------------------------------------------------------ visits

def garbage(server):
    for port in (server.message, server.stream):
        for how in range(3):
            s = dial(port)
            send(s, rnd.randbytes(rnd.randrange(1, 5000)))
            vanish(s, how)
    s = dial(server.message)
    send(s, b"GET / HTTP/1.1\r\n\r\n")
    if not read_end(s, 20):
        fail("what is no request was not turned away")
    s.close()


def half_requests(server):
    whole = request(data=b"0123456789")
    for length in range(1, len(whole), 3):
        s = dial(server.message)
        send(s, whole[:length])
        vanish(s, length % 3)


def wrong_requests(server):
    wrong = [request(length=513), request(length=65535), request(rev=0), request(rev=3),
             request(flags=0x80), request(flags=0x10, rev=2), request(flags=0x10, rev=2, data=b"abc"),
             request(data=b"\x00\xe7eta\x01\xff"), request() + b"too eager"]
    for how, data in enumerate(wrong):
        s = dial(server.message)
        send(s, data)
        if how % 2:
            read_end(s, 20)
        vanish(s, how % 3)


def half_frames(server):
    whole = fpdu(b"x" * 40)
    for length in range(1, len(whole), 5):
        s = established(server)
        send(s, whole[:length])
        vanish(s, length % 3)


def wrong_frames(server):
    wrong = [fpdu(b"x" * 40, length=5), fpdu(b"x" * 40, length=65535), fpdu(b"x", msn=7),
             fpdu(b"x", offset=9), fpdu(b"x", opcode=15), fpdu(b"x", queue=3), fpdu(b"", last=False),
             fpdu(b"x" * 28, opcode=1, queue=1), fpdu(b"x" * 16, opcode=7, queue=2),
             fpdu(b"x" * 40) + rnd.randbytes(3000)]
    for how, data in enumerate(wrong):
        s = established(server)
        send(s, data)
        if how != 1 and not read_end(s, 20):
            fail(f"wrong frame {how} was not answered by the end")
        vanish(s, how % 3)


def in_the_middle(server):
    """Good messages, echoes not read, gone at a random place."""
    for how in range(ROUNDS * 3):
        s = established(server)
        msn = 1
        for _ in range(rnd.randrange(1, 60)):
            data = rnd.randbytes(rnd.randrange(0, 20000))
            frame = fpdu(data, msn)
            msn += 1
            s.settimeout(0.02)
            try:
                s.sendall(frame[:rnd.randrange(1, len(frame))] if rnd.random() < 0.02 else frame)
            except OSError:
                break
        vanish(s, how % 3)
        s = dial(server.stream)
        s.settimeout(0.05)
        try:
            for _ in range(rnd.randrange(1, 30)):
                s.sendall(rnd.randbytes(rnd.randrange(1, 60000)))
        except OSError:
            pass
        vanish(s, how % 3)


def silent(server):
    visitors = []
    for length in (0, 0, 0, 1, 15, 16, 19):
        s = dial(server.message)
        send(s, request()[:length])
        visitors.append(s)
    for s in visitors:
        if not read_end(s, HANDSHAKE_MS / 1000 + 20):
            fail("a peer that says nothing was not turned away")
        s.close()


def half_open(server):
    visitors = []
    for i in range(HALF_OPEN):
        visitors.append(dial(server.message))
        if i % 500 == 499:
            Client(server, 3).finish()
    begin = time.monotonic()
    Client(server, 3).finish()
    if time.monotonic() - begin > 20:
        fail("half-open connections keep others waiting")
    connections = server.stats()["dtis"]
    if connections > 100:
        fail(f"{connections} DTIs for peers that have said nothing")
    for i, s in enumerate(visitors):
        vanish(s, i % 3)


def killed(server):
    for _ in range(KILLS):
        client = Client(server)
        if rnd.random() < 0.7:
            client.process.stdout.readline()  # "connected"
        time.sleep(rnd.random() * 0.02)
        client.process.send_signal(signal.SIGKILL)
        client.process.wait()
        client.process.stdin.close()
        client.process.stdout.close()


VISITS = (garbage, half_requests, wrong_requests, half_frames, wrong_frames, in_the_middle, silent,
          half_open, killed)


def raise_limits():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = HALF_OPEN * 2 + 500
    if hard != resource.RLIM_INFINITY and hard < want:
        print(f"skipped: only {hard} descriptors")
        sys.exit(77)
    resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))


def main():
    raise_limits()
    server = Server()
    baseline = server.stats()
    Client(server, 50).finish()
    if server.settled(baseline):
        fail("a good client left something behind")
    for visit in VISITS:  # once for what is allocated the first time
        if visit not in (half_open, killed):
            visit(server)
    left = server.settled(baseline)
    if left:
        fail(f"left behind by the first visits: {left}")
    rss = server.rss()

    good = Client(server)
    for visit in VISITS:
        begin = time.monotonic()
        visit(server)
        good.check()
        Client(server, 20).finish()
        print(f"{visit.__name__}: {time.monotonic() - begin:.1f} s", flush=True)
    print(f"the good client had {good.finish()} messages back")

    left = server.settled(baseline)
    if left:
        fail(f"left behind: {left}")
    grown = server.rss() - rss
    print(f"resident memory grew by {grown >> 10} KiB")
    if grown > RSS_BOUND and not SANITIZED:
        fail("resident memory grew")
    server.close()


if __name__ == "__main__":
    main()
