# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""What curl would not send. Usage: webserver_client.py ADDRESS ROOT SIZE; for webserver.sh."""
import os
import re
import socket
import sys
import time

host, port = sys.argv[1].rsplit(":", 1)
root, large = sys.argv[2], int(sys.argv[3])


def connect():
    s = socket.create_connection((host, int(port)), timeout=30)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def rest(s):
    return b"".join(iter(lambda: s.recv(1 << 20), b""))


def content(name):
    with open(f"{root}/{name}", "rb") as f:
        return f.read()


def request(path, *fields, method="GET"):
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *fields, "", ""]
    return "\r\n".join(lines).encode()


def exchange(data, pieces=None):
    """Sends, in pieces if asked to, and returns all that comes back."""
    with connect() as s:
        for i in range(0, len(data), pieces or len(data)):
            s.sendall(data[i : i + (pieces or len(data))])
        return rest(s)


def status_of(response):
    assert response.startswith(b"HTTP/1.1 "), response[:100]
    return int(response[9:12])


def expect_status(want, data):
    got = status_of(exchange(data))
    assert got == want, f"{data[:80]!r}: {got} instead of {want}"


def split_responses(data):
    """The bodies of responses that come one behind the other."""
    bodies, at = [], 0
    while at < len(data):
        begin = data.index(b"\r\n\r\n", at) + 4
        fields = data[at:begin].lower().split(b"\r\n")
        n = [int(f.split(b":")[1]) for f in fields if f.startswith(b"content-length:")][0]
        at = begin + n
        assert at <= len(data), f"{len(data) - begin} of {n} bytes"
        bodies.append(data[begin:at])
    return bodies


close = "Connection: close"
expect_status(400, b"GET / HTTP/1.1\r\n\r\n")
expect_status(400, b"GET /\r\n\r\n")
expect_status(400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
expect_status(400, request("/", "X : y"))
expect_status(400, request("/", "Content-Length: 1", "Transfer-Encoding: chunked"))
expect_status(501, request("/", "Transfer-Encoding: gzip"))
expect_status(413, request("/", "Content-Length: 10") + b"0123456789")
expect_status(413, request("/", "Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n")
expect_status(505, b"GET / HTTP/2.0\r\nHost: h\r\n\r\n")
expect_status(414, request("/" + "a" * 9000))
expect_status(414, request("/" + "a" * 8000, close)[:8192] + b"a" * 8192)
expect_status(431, request("/", "X: " + "a" * 9000))
expect_status(431, request("/", *["X: y"] * 101, close))
expect_status(414, request("/" + "a" * 7000, close))
expect_status(404, request("/" + "a" * 3000, close))
expect_status(200, request("/", "X: " + "a" * 7000, close))
# a lot of content that nobody reads must not cost the sender its answer
expect_status(405, request("/", "Content-Length: 3000000", method="POST") + b"x" * 3000000)

# in pieces of any size, also of a head that outgrows the first buffer
for pieces in (1, 3, 100, 1000, 1025):
    for field in ("X: y", "X: " + "b" * 2500):
        if pieces > 1 or len(field) < 100:
            got = exchange(request("/1024", field, close), pieces)
            assert split_responses(got) == [content("1024")], (pieces, field)

# pipelined, small and large, more than any buffer holds; two passes, with a longer head in between
names = ["1024", "0", "65536", "1", "1000000", "4095"] * 40
data = b"".join(request("/" + n, "X: " + "c" * (1500 if i % 50 == 7 else 0)) for i, n in enumerate(names))
data += request("/none", close)
bodies = split_responses(exchange(data))
assert len(bodies) == len(names) + 1, len(bodies)
assert all(b == content(n) for b, n in zip(bodies, names))
assert bodies[-1] == b"404 Not Found\n"

# several ranges
def parts_of(response):
    """(first, last, bytes) of each part."""
    head, body = response.split(b"\r\n\r\n", 1)
    assert b" 206 " in head.split(b"\r\n")[0], head
    boundary = head.split(b"boundary=")[1].split(b"\r\n")[0]
    assert f"Content-Length: {len(body)}".encode() in head, (head, len(body))
    pieces = body.split(b"\r\n--" + boundary)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n", pieces
    found = []
    for piece in pieces[1:-1]:
        fields, data = piece.split(b"\r\n\r\n", 1)
        first, last = fields.split(b"Content-Range: bytes ")[1].split(b"/")[0].split(b"-")
        assert b"Content-Type: " in fields
        found.append((int(first), int(last), data))
    return found


for name, spec in (("65536", "0-0,100-199,-10"), (str(large), "5-2000004,3000000-3000009")):
    data = content(name)
    parts = parts_of(exchange(request("/" + name, f"Range: bytes={spec}", close)))
    assert len(parts) == len(spec.split(",")), parts
    for first, last, part in parts:
        assert part == data[first : last + 1], (name, first, last)
# so many that the whole is cheaper; and what is not defined for HEAD
many = ",".join(f"{i}-{i}" for i in range(0, 40, 2))
assert split_responses(exchange(request("/4096", f"Range: bytes={many}", close))) == [content("4096")]
expect_status(200, request("/4096", "Range: bytes=0-1", close, method="HEAD"))
# behind each other, with and without content
got = exchange(
    request("/1024", "If-None-Match: *")
    + request("/1024", "Range: bytes=5-6")
    + request("/1024", "Range: bytes=5000-")
    + request("/1024", close)
)
statuses = re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", got)
assert statuses == [b"304", b"206", b"416", b"200"], statuses

# requests behind one that closes, or that is broken, are not answered
assert len(split_responses(exchange(request("/1", close) + request("/1")))) == 1
assert len(split_responses(exchange(b"GET\r\n\r\n" + request("/1")))) == 1

# a client that has shut down its sending side gets all its answers
with connect() as s:
    s.sendall(request("/1000000") + request("/65536"))
    s.shutdown(socket.SHUT_WR)
    assert split_responses(rest(s)) == [content("1000000"), content("65536")]

# clients that vanish: in the middle of a request, of a response, and with a reset
for data in (b"GET /1024 HTTP", request(f"/{large}")):
    for reset in (False, True):
        s = connect()
        s.sendall(data)
        time.sleep(0.05)
        if reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()

# a file that shrinks while it is being sent ends that connection, and nothing else
with connect() as s:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    with open(f"{root}/shrinking", "wb") as f:
        f.write(content(str(large)))
    s.sendall(request("/shrinking"))
    got = s.recv(1000)
    os.truncate(f"{root}/shrinking", large // 2)
    try:
        got += rest(s)
    except ConnectionResetError:
        pass
    assert len(got) < large, "a file that shrank arrived whole"
expect_status(200, request("/1024", close))

# one that takes nothing holds up nobody
with connect() as greedy:
    greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    greedy.sendall(request(f"/{large}"))
    for _ in range(20):
        assert split_responses(exchange(request("/65536", close))) == [content("65536")]
