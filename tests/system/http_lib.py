# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What the tests of the web server share: a site, the server as a process, and a client that sends
bytes as they are and takes nothing for granted in what comes back."""
import atexit
import calendar
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

SANITIZED = bool(os.environ.get("ETA_SANITIZE"))
BIN = os.environ.get("ETA_BIN_DIR") or os.path.join(os.path.dirname(__file__), "../../build/bin")
SERVER = os.path.join(BIN, "eta-webserver")
PATIENCE = 60 if SANITIZED else 15  # seconds, for anything that should come at once

# a server ends with the test that started it, however that ends
WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONG_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Wrong(Exception):
    """What the server did is not what it should have done."""


def skip(reason):
    print(f"skipped: {reason}")
    raise SystemExit(77)


# ------------------------------------------------------------------------------------- dates

def imf_date(t):
    g = time.gmtime(t)
    return (f"{DAYS[g.tm_wday]}, {g.tm_mday:02} {MONTHS[g.tm_mon - 1]} {g.tm_year:04} "
            f"{g.tm_hour:02}:{g.tm_min:02}:{g.tm_sec:02} GMT")


def rfc850_date(t):
    g = time.gmtime(t)
    return (f"{LONG_DAYS[g.tm_wday]}, {g.tm_mday:02}-{MONTHS[g.tm_mon - 1]}-{g.tm_year % 100:02} "
            f"{g.tm_hour:02}:{g.tm_min:02}:{g.tm_sec:02} GMT")


def asctime_date(t):
    g = time.gmtime(t)
    return (f"{DAYS[g.tm_wday]} {MONTHS[g.tm_mon - 1]} {g.tm_mday:2} "
            f"{g.tm_hour:02}:{g.tm_min:02}:{g.tm_sec:02} {g.tm_year:04}")


IMF = re.compile(r"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) "
                 r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4}) "
                 r"(\d\d):(\d\d):(\d\d) GMT$")


def parse_imf(text):
    """Seconds since 1970, or Wrong."""
    m = IMF.match(text)
    if not m:
        raise Wrong(f"no date: {text!r}")
    t = calendar.timegm((int(m[4]), MONTHS.index(m[3]) + 1, int(m[2]), int(m[5]), int(m[6]),
                         int(m[7])))
    if imf_date(t) != text:
        raise Wrong(f"a date that is none: {text!r}")
    return t


# --------------------------------------------------------------------------------- the server

_help = None


def has(flag):
    """Whether the server's --help names the option."""
    global _help
    if _help is None:
        _help = subprocess.run([SERVER, "--help"], check=True, capture_output=True,
                               text=True).stdout
    return flag in _help


def choose_backend(name):
    """The options for this back end; skips the test where it cannot be had."""
    if has("--aio"):
        return ["--aio", name]
    if name != "dusi":
        skip("the server has no --aio")
    return []


class Server:
    """eta-webserver on a port of its own; `prefix` runs it through another program."""

    def __init__(self, root, options=(), prefix=(), log=None, **popen):
        self.log_path = log or os.path.join(tempfile.mkdtemp(dir=scratch()), "log")
        self.log = open(self.log_path, "w+b")
        self.process = subprocess.Popen(
            [*WITH_US, *prefix, SERVER, "--listen", "127.0.0.1:0", *options, root],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, **popen)
        _servers.append(self)
        self.pid = self.process.pid
        self.port = self._port()

    def _port(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            code = self.process.poll()
            m = re.search(r"^listening on .*:(\d+)$", self.said(), re.M)
            if m:
                return int(m[1])
            if code is not None:
                if re.search("this machine does not have|no such --aio", self.said()):
                    skip(f"this back end cannot be had: {self.said().strip()}")
                raise Wrong(f"the server did not start: {code}: {self.said()}")
            time.sleep(0.02)
        raise Wrong("the server said nothing")

    def said(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def complaints(self):
        return [l for l in self.said().splitlines() if not l.startswith("listening on ")]

    def processes(self):
        """Of this process and its children."""
        pids = [self.pid]
        for pid in pids:
            try:
                with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                    pids += [int(p) for p in f.read().split()]
            except OSError:
                pass
        return pids

    def descriptors(self):
        total = 0
        for pid in self.processes():
            try:
                total += len(os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                pass
        return total

    def alive(self):
        if self.process.poll() is not None:
            raise Wrong(f"the server ended: {self.process.returncode}: {self.said()}")

    def kill(self, number):
        self.process.send_signal(number)

    def wait(self, seconds=PATIENCE):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Wrong("the server does not end") from None

    def end(self):
        """SIGTERM ends it, with exit code 0."""
        self.alive()
        self.kill(signal.SIGTERM)
        code = self.wait()
        if code:
            raise Wrong(f"exit code {code}: {self.said()}")


_servers = []
_scratch = None


def scratch():
    """A folder that goes with this process."""
    global _scratch
    if not _scratch:
        _scratch = tempfile.mkdtemp(prefix="eta-http.")
    return _scratch


@atexit.register
def _clean_up():
    for s in _servers:
        if s.process.poll() is None:
            s.process.kill()
            s.process.wait()
    if _scratch:
        shutil.rmtree(_scratch, ignore_errors=True)


# --------------------------------------------------------------------------------- the client

class Response:
    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def get(self, name, default=None):
        """The field's value; Wrong if it comes twice."""
        values = [v for n, v in self.fields if n == name.lower()]
        if len(values) > 1:
            raise Wrong(f"{name} comes {len(values)} times: {values}")
        return values[0] if values else default

    def closes(self):
        return "close" in [o.strip().lower() for o in self.get("connection", "").split(",")]

    def __repr__(self):
        return f"{self.status} {self.fields} {self.body[:60]!r}"


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\t -~\x80-\xff]*$")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*$")
NO_CONTENT = (204, 304)


class Client:
    def __init__(self, server, timeout=PATIENCE, rcvbuf=None):
        self.s = socket.socket()
        if rcvbuf:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.s.settimeout(timeout)
        self.s.connect(("127.0.0.1", server.port))
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.ended = None  # "fin" or "reset"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, data, pieces=None):
        """The server may have had enough already: that is no error here."""
        try:
            if not pieces:
                self.s.sendall(data)
                return
            for i in range(0, len(data), pieces):
                self.s.sendall(data[i:i + pieces])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def shut(self):
        try:
            self.s.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def reset(self):
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()

    def more(self):
        """False at the end."""
        if self.ended:
            return False
        try:
            piece = self.s.recv(1 << 18)
        except socket.timeout:
            raise Wrong(f"nothing comes; so far {bytes(self.data[:200])!r}") from None
        except ConnectionResetError:
            self.ended = "reset"
            return False
        if not piece:
            self.ended = "fin"
            return False
        self.data += piece
        return True

    def response(self, head=False):
        """The next one, well-formed; None at the end of the connection. head: that of HEAD."""
        while True:
            n = self.data.find(b"\r\n\r\n")
            if n >= 0:
                break
            if len(self.data) > 65536:
                raise Wrong("a head without end")
            if not self.more():
                if self.data:
                    raise Wrong(f"half a head: {bytes(self.data[:300])!r}")
                return None
        r = parse_head(bytes(self.data[:n]))
        del self.data[:n + 4]
        if 100 <= r.status < 200:
            return self.response(head)
        length = r.get("content-length")
        if r.get("transfer-encoding") is not None:
            raise Wrong("this server has no business with Transfer-Encoding")
        if head or r.status in NO_CONTENT:
            return r
        if length is None:
            raise Wrong(f"no length: {r}")
        r.body = self.take(int(length))
        return r

    def take(self, n):
        while len(self.data) < n:
            if not self.more():
                raise Wrong(f"{len(self.data)} of {n} bytes of content")
        body = bytes(self.data[:n])
        del self.data[:n]
        return body

    def expect_end(self):
        while not self.data and self.more():
            pass
        if self.data:
            raise Wrong(f"more than was asked for: {bytes(self.data[:200])!r}")


def parse_head(head):
    lines = head.split(b"\r\n")
    m = STATUS_LINE.match(lines[0])
    if not m:
        raise Wrong(f"no status line: {lines[0][:100]!r}")
    fields = []
    for line in lines[1:]:
        f = FIELD.match(line)
        if not f:
            raise Wrong(f"no field: {line[:100]!r}")
        fields.append((f[1].decode().lower(), f[2].decode("latin-1")))
    r = Response(int(m[1]), fields, b"")
    check_always(r)
    return r


def check_always(r):
    """What holds for every response (RFC 9110)."""
    for name in ("content-length", "content-type", "date", "etag", "last-modified", "location",
                 "content-range"):
        r.get(name)
    length = r.get("content-length")
    if length is not None and not re.match(r"\d+$", length):
        raise Wrong(f"length {length!r}")
    if r.status >= 200:
        if abs(parse_imf(r.get("date", "")) - time.time()) > 5:
            raise Wrong(f"the date is wrong: {r.get('date')}")
    if r.get("last-modified") is not None:
        if parse_imf(r.get("last-modified")) > parse_imf(r.get("date")):
            raise Wrong("modified in the future")
    if r.get("etag") is not None and not re.match(r'(W/)?"[!#-~\x80-\xff]*"$', r.get("etag")):
        raise Wrong(f"no entity tag: {r.get('etag')!r}")
    if r.status == 405 and not {"GET", "HEAD"} <= set(re.split(r",\s*", r.get("allow", ""))):
        raise Wrong(f"405, and Allow is {r.get('allow')!r}")
    if r.status == 416 and not re.match(r"bytes \*/\d+$", r.get("content-range", "")):
        raise Wrong(f"416, and Content-Range is {r.get('content-range')!r}")
    if r.status in (301, 302, 307, 308) and not r.get("location"):
        raise Wrong("a redirection to nowhere")


def request(target, *fields, method="GET", version="1.1", host="test"):
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


def ask(server, target, *fields, method="GET", **client):
    """One good request on a connection of its own."""
    with Client(server, **client) as c:
        c.send(request(target, "Connection: close", *fields, method=method))
        r = c.response(method == "HEAD")
        if not r:
            raise Wrong(f"no answer to {method} {target}")
        c.expect_end()
        return r


# ------------------------------------------------------------------------------------ the site

OLD = 1000000000  # Sun, 09 Sep 2001 01:46:40 GMT
LARGE = (3 << 20) + 17


def pattern(n, seed=1):
    """Bytes that differ wherever one looks, the same each time."""
    return hashlib.shake_128(b"%d" % seed).digest(n)


def make_site(root):
    """Returns what is where: path -> content."""
    files = {
        "index.html": b"<p>top</p>\n",
        "hello.txt": b"hello, world\n",
        "probe.txt": b"the connection is still good\n",
        "smuggled.txt": b"SMUGGLED\n",
        "range.bin": pattern(1000),
        "empty.bin": b"",
        "one.bin": b"1",
        "4096.bin": pattern(4096, 2),
        "large.bin": pattern(LARGE, 3),
        "a b.txt": b"space\n",
        "plus+sign.txt": b"plus\n",
        "percent%41.txt": b"percent\n",
        "quote\".txt": b"quote\n",
        "question?.txt": b"question\n",
        "semi;colon=1.txt": b"semicolon\n",
        "tilde~.txt": b"tilde\n",
        "back\\slash.txt": b"backslash\n",
        "co:lon.txt": b"colon\n",
        "...": b"three dots\n",
        "..x": b"two dots and a name\n",
        "\u00fcml\u00e4ut.txt": b"umlaut\n",
        "folder/index.html": b"<p>folder</p>\n",
        "folder/file.css": b"p { }\n",
        "folder/deep/index.html": b"<p>deep</p>\n",
        "sp ace/index.html": b"<p>sp ace</p>\n",
        "noindex/file": b"file\n",
    }
    for name, content in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content)
        os.utime(path, (OLD, OLD))
    with open(os.path.join(root, "../secret"), "wb") as f:
        f.write(b"THE SECRET\n")
    with open(os.path.join(root, "../root-secret"), "wb") as f:
        f.write(b"THE SECRET\n")
    links = {"link-out": "../secret", "link-abs": os.path.abspath(os.path.join(root, "../secret")),
             "link-in": "folder/index.html", "link-dir": "folder", "link-root": "/",
             "link-loop": "link-loop", "link-up": "folder/../../secret", "link-parent": "..",
             "dangling": "not-there", "folder/link-two-up": "../../secret",
             "link-proc": "/proc/self/root" + os.path.abspath(os.path.join(root, "../secret")),
             "link-back": "../" + os.path.basename(os.path.abspath(root)) + "/hello.txt"}
    for name, to in links.items():
        os.symlink(to, os.path.join(root, name))
    os.mkfifo(os.path.join(root, "pipe"))
    s = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(root)  # its path may be longer than a socket's can be
    s.bind("socket")
    os.chdir(here)
    s.close()
    with open(os.path.join(root, "forbidden.txt"), "wb") as f:
        f.write(b"nobody may read this\n")
    os.chmod(os.path.join(root, "forbidden.txt"), 0)
    return {"/" + n: c for n, c in files.items()}
