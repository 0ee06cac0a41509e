# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Requests as messages: request lines, fields, where a request ends, sizes, pieces (RFC 9112)."""
from http_lib import request
from http_rows import ANY, CLOSE, KEEP, NONE, Want

SMUGGLED = b"GET /smuggled.txt HTTP/1.1\r\nHost: test\r\n\r\n"
TOP = "/hello.txt"


def raw(line, *fields, host=True):
    """A request whose first line is @line as it stands."""
    lines = [line] + (["Host: test"] if host else []) + [*fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def with_field(field):
    return request(TOP, field)


def request_lines(t):
    hello = t.files[TOP]
    for name, line in (
            ("no target", "GET HTTP/1.1"), ("no version", "GET /hello.txt"),
            ("method alone", "GET"), ("empty version", "GET / "), ("two spaces", "GET  / HTTP/1.1"),
            ("two spaces before the version", "GET /  HTTP/1.1"),
            ("space in the target", "GET /a b.txt HTTP/1.1"), ("tabs", "GET\t/\tHTTP/1.1"),
            ("tab before the version", "GET /\tHTTP/1.1"), ("leading space", " GET / HTTP/1.1"),
            ("leading tab", "\tGET / HTTP/1.1"), ("trailing space", "GET / HTTP/1.1 "),
            ("more behind the version", "GET / HTTP/1.1 x"), ("small http", "GET / http/1.1"),
            ("HTTP/1", "GET / HTTP/1"), ("HTTP/1.", "GET / HTTP/1."), ("HTTP/.1", "GET / HTTP/.1"),
            ("HTTP/1.1.1", "GET / HTTP/1.1.1"), ("HTTP/1.10", "GET / HTTP/1.10"),
            ("HTTP/01.1", "GET / HTTP/01.1"), ("HTTP/+1.1", "GET / HTTP/+1.1"),
            ("HTTP/1,1", "GET / HTTP/1,1"), ("HTTP/a.b", "GET / HTTP/a.b"),
            ("HTTP 1.1", "GET / HTTP 1.1"), ("another protocol", "GET / ICY/1.1"),
            ("HTTP//1.1", "GET / HTTP//1.1"), ("method that is no token", "G(T / HTTP/1.1"),
            ("method with a colon", "GET: / HTTP/1.1"), ("method in quotes", "\"GET\" / HTTP/1.1"),
            ("method beyond ASCII", "G\xc9T / HTTP/1.1"), ("no slash", "GET hello.txt HTTP/1.1"),
            ("query alone", "GET ?x HTTP/1.1"), ("asterisk", "GET * HTTP/1.1"),
            ("authority", "GET test:80 HTTP/1.1"), ("ftp", "GET ftp://test/hello.txt HTTP/1.1"),
            ("no authority in an absolute target", "GET http:///hello.txt HTTP/1.1"),
            ("one slash in an absolute target", "GET http:/hello.txt HTTP/1.1"),
            ("NUL in the target", "GET /hel\0lo.txt HTTP/1.1"),
            ("NUL in the method", "GE\0T / HTTP/1.1"), ("NUL in the version", "GET / HTTP/1.\x001"),
            ("control character in the target", "GET /\x01 HTTP/1.1"),
            ("DEL in the target", "GET /\x7f HTTP/1.1"),
            ("CR in the target", "GET /\rhello.txt HTTP/1.1"),
            ("LF in the target", "GET /\nhello.txt HTTP/1.1"),
            ("CR before the version", "GET /\r HTTP/1.1"), ("CR CR LF", "GET / HTTP/1.1\r"),
            ("vertical tab", "GET\x0b/\x0bHTTP/1.1"),
            ("a TLS handshake", "\x16\x03\x01\x02\0\x01\0"),
            ("an SSH banner", "SSH-2.0-client"), ("nothing but zeroes", "\0\0\0\0"),
            ("braces", "{}"), ("a response", "HTTP/1.1 200 OK"),
            ("a fragment", "GET /#x HTTP/1.1")):
        t.refused(f"request line: {name}", raw(line) + SMUGGLED)
    for version in ("0.9", "2.0", "3.0", "9.9"):
        t.refused(f"version {version}", raw(f"GET / HTTP/{version}") + SMUGGLED, (505, 400))
    t.refused("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SMUGGLED,
              (505, 400, 501))
    t.refused("HTTP/0.9", b"GET /hello.txt\r\n", (400, 408, NONE), half=True)
    t.row("HTTP/1.2 is HTTP/1.1", request(TOP, version="1.2"), Want(200, hello), KEEP)
    t.row("HTTP/1.9 is HTTP/1.1", request(TOP, version="1.9"), Want(200, hello), KEEP)
    t.row("an empty line before it", b"\r\n" + request(TOP), Want(200, hello), KEEP)
    t.row("three empty lines before it", b"\r\n" * 3 + request(TOP), Want((200, 400), hello))
    t.refused("a thousand empty lines before it", b"\r\n" * 5000 + SMUGGLED, (400, 414, 431, NONE))
    t.refused("LF alone before it", b"\n\n" + SMUGGLED)
    t.refused("CR alone before it", b"\r" + SMUGGLED)
    for name, target in (("http", "http://test/hello.txt"), ("HTTP", "HTTP://test/hello.txt"),
                         ("https", "https://test/hello.txt"), ("port", "http://test:80/hello.txt"),
                         ("IPv6", "http://[::1]:8/hello.txt"), ("other", "http://other/hello.txt")):
        t.found(f"absolute target: {name}", target, TOP)
    t.found("absolute target without a path", "http://test", "/index.html")
    t.found("absolute target with a query alone", "http://test?x=y", "/index.html")
    t.refused("absolute target with a user", raw("GET http://user:pw@test/ HTTP/1.1"), (400, 200))
    t.refused("absolute target with a space", raw("GET http://te st/ HTTP/1.1"))


def methods(t):
    for method in ("POST", "PUT", "DELETE", "TRACE", "PATCH", "OPTIONS"):
        t.status(f"{method} without content", request(TOP, method=method), (405, 200, 204)
                 if method == "OPTIONS" else 405, KEEP)
    t.status("OPTIONS *", request("*", method="OPTIONS"), (200, 204, 405), KEEP)
    t.status("CONNECT", request("test:80", method="CONNECT"), (405, 400, 501))
    for method in ("BREW", "get", "Get", "GETX", "HEADER", "M-SEARCH", "!#$%&'*+-.^_`|~", "X" * 60):
        t.status(f"unknown method {method[:20]}", request(TOP, method=method), (501, 400))
    t.status("PROPFIND", request(TOP, method="PROPFIND"), (501, 405))
    t.refused("a method of 9,000 characters", request(TOP, method="X" * 9000), (400, 414, 431, 501))
    t.status("POST with content", request(TOP, "Content-Length: 5", method="POST") + b"hello", 405)
    t.refused("PUT with chunks", request(TOP, "Transfer-Encoding: chunked", method="PUT") +
              b"5\r\nhello\r\n0\r\n\r\n", (405, 501, 413, 411))
    t.status("Expect on GET", request(TOP, "Expect: 100-continue"), (200, 417))
    t.status("Expect on POST", request(TOP, "Content-Length: 5", "Expect: 100-continue",
                                       method="POST"), (405, 417, 413))
    t.status("Expect on GET with content", request(TOP, "Content-Length: 5",
                                                   "Expect: 100-continue"), (413, 417, 400))
    t.status("unknown expectation", request(TOP, "Expect: miracles"), (200, 417))
    t.status("unknown upgrade", request(TOP, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings",
                                        "HTTP2-Settings: AAMAAABkAAQAAP__"), 200, KEEP)
    for path, status in (("/none", 404), ("/%zz", 400), ("/folder", 301)):
        t.row(f"HEAD with {status}", request(path, method="HEAD"), Want(status, head=True), KEEP
              if status != 400 else ANY)


def hosts(t):
    hello = t.files[TOP]
    t.refused("no Host", request(TOP, host=None) + SMUGGLED)
    t.row("no Host in HTTP/1.0", request(TOP, host=None, version="1.0"), Want(200, hello), CLOSE)
    t.refused("Host twice", request(TOP, "Host: test") + SMUGGLED)
    t.refused("Host twice, HTTP/1.0", request(TOP, "Host: other", version="1.0") + SMUGGLED)
    t.refused("Host twice, one in another case", request(TOP, "hOST: test") + SMUGGLED)
    for host in ("a b", "a/b", "\"test\"", "a<b", "a\\b", "a\x7f", "user@test", "a#b", "a?b",
                 "a\tb",
                 "test/", "http://test", "a\0b", "{a}", "a|b", "a^b", "a`b"):
        t.refused(f"Host: {host!r}", request(TOP, host=host) + SMUGGLED)
    for host in ("test:port", "a:b:c", "test:80:80", "[::1", "::1]", "[::1]x", "test:-1", "a[b]",
                 "[not-an-address]", "[]"):
        t.refused(f"Host: {host!r}", request(TOP, host=host) + SMUGGLED, since="--aio")
    for host in ("test", "TEST", "test.", "test:80", "test:", "127.0.0.1", "127.0.0.1:8080",
                 "[::1]",
                 "[::1]:8080", "a-b_c.d~e", "xn--bcher-kva.example", "te%73t"):
        t.row(f"Host: {host}", request(TOP, host=host),
              Want((200, 400) if "%" in host else 200, hello))
    t.status("Host without a value", request(TOP, host=""), (200, 400))
    t.row("spaces around the host", b"GET /hello.txt HTTP/1.1\r\nHost: \t test \t \r\n\r\n",
          Want(200, hello), KEEP)


def fields(t):
    hello = t.files[TOP]
    for name, field in (
            ("space before the colon", "X : y"), ("tab before the colon", "X\t: y"),
            ("no colon", "X"), ("no name", ": y"), ("space in the name", "X Y: z"),
            ("name in quotes", "\"X\": y"), ("slash in the name", "X/Y: z"),
            ("name beyond ASCII", "X\xe9: y"), ("NUL in the name", "X\0: y"),
            ("NUL in the value", "X: a\0b"), ("CR in the value", "X: a\rb"),
            ("CR at the end", "X: a\r"), ("LF in the value", "X: a\nY: b"),
            ("control character", "X: a\x01b"), ("DEL", "X: a\x7f"), ("ESC", "X: \x1b[31m"),
            ("folded", "X: a\r\n b"), ("folded by a tab", "X: a\r\n\tb"),
            ("folded length", "Content-Length:\r\n 0"), ("form feed", "X: a\x0cb"),
            ("leading space", " X: y"), ("CR before the colon", "X\r: y"),
            ("brackets in the name", "X[]: y"), ("comma in the name", "A,B: c")):
        t.refused(f"field: {name}", with_field(field) + SMUGGLED)
    t.refused("field: folded, the first one",
              b"GET /hello.txt HTTP/1.1\r\n Host: test\r\n\r\n" + SMUGGLED)
    for name, field in (
            ("no value", "X:"), ("spaces only", "X:   "), ("no space", "X:y"), ("tabs", "X:\ty\t"),
            ("colons", "X: a:b::c"), ("beyond ASCII", "X: \xe4\xf6\xfc"), ("quotes", "X: \"a, b\""),
            ("all token characters", "!#$%&'*+-.^_`|~09AZaz: y"), ("long name", "X" * 500 + ": y"),
            ("long value", "X: " + "y" * 3000), ("tab within", "X: a\tb"),
            ("underscore", "Content_Length: 5"), ("like a length", "X-Content-Length: 5")):
        t.row(f"field: {name}", with_field(field), Want(200, hello), KEEP)
    for value, then in (("close", CLOSE), ("Close", CLOSE), ("CLOSE", CLOSE), ("x, close", CLOSE),
                        ("close,x", CLOSE), ("keep-alive, close", CLOSE), (",close", CLOSE),
                        (" close\t", CLOSE), ("keep-alive", KEEP), ("closed", KEEP), ("", KEEP),
                        ("x-close", KEEP), ("Host", KEEP), (",,,", KEEP), ("TE, close", CLOSE)):
        t.row(f"Connection: {value}", request(TOP, f"Connection: {value}"), Want(200, hello), then)
    t.row("Connection twice", request(TOP, "Connection: x", "Connection: close"), Want(200, hello),
          CLOSE)
    keep = [("connection", "(?i)keep-alive")]
    for value, then, want in (("", CLOSE, ()), ("Connection: close", CLOSE, ()),
                              ("Connection: keep-alive", KEEP, keep),
                              ("Connection: Keep-Alive", KEEP, keep),
                              ("Connection: keep-alive, close", CLOSE, ())):
        t.row(f"HTTP/1.0, {value or 'no Connection'}",
              request(TOP, *([value] if value else []), version="1.0"),
              Want(200, hello, fields=want), then)
    t.refused("bare LF everywhere", b"GET /hello.txt HTTP/1.1\nHost: test\n\n" + SMUGGLED)
    t.refused("bare LF everywhere, and the end", b"GET /hello.txt HTTP/1.1\nHost: test\n\n",
              (400, NONE), half=True)
    t.refused("bare LF behind the request line", b"GET / HTTP/1.1\nHost: test\r\n\r\n" + SMUGGLED)
    t.refused("bare LF behind a field", b"GET / HTTP/1.1\r\nHost: test\n\r\n" + SMUGGLED)
    t.refused("bare LF as the empty line", b"GET / HTTP/1.1\r\nHost: test\r\n\n" + SMUGGLED)
    t.refused("CR alone everywhere", b"GET / HTTP/1.1\rHost: test\r\r" + SMUGGLED)
    t.refused("LF CR", b"GET / HTTP/1.1\n\rHost: test\n\r\n\r" + SMUGGLED)


def smuggling(t):
    """Nothing within or behind such a request is a request. TE: what must not be honoured."""
    bad = (400, 413, 501, 411)
    n = len(SMUGGLED)
    for name, lines in (
            ("length twice, the same", [f"Content-Length: {n}"] * 2),
            ("length twice, different", ["Content-Length: 0", f"Content-Length: {n}"]),
            ("length twice, the other way", [f"Content-Length: {n}", "Content-Length: 0"]),
            ("length and coding", [f"Content-Length: {n}", "Transfer-Encoding: chunked"]),
            ("coding and length", ["Transfer-Encoding: chunked", "Content-Length: 0"]),
            ("length 0 and coding", ["Content-Length: 0", "Transfer-Encoding: chunked"]),
            ("coding twice", ["Transfer-Encoding: chunked"] * 2),
            ("coding twice, different", ["Transfer-Encoding: chunked",
                                         "Transfer-Encoding: identity"])):
        t.refused(f"smuggling: {name}", request(TOP, *lines) + b"0\r\n\r\n" + SMUGGLED, bad)
    for value in ("+5", "-5", "-0", "5 5", "5,5", "5, 6", "0,0", "0x5", "5.0", "1e1", "", "\"5\"",
                  "5;", "\u0665", "five", "5\x0b", "+0", "0 0", "0x0", "00x", "\xb2"):
        t.refused(f"Content-Length: {value!r}",
                  b"GET /hello.txt HTTP/1.1\r\nHost: test\r\nContent-Length: " +
                  value.encode("utf-8") + b"\r\n\r\n" + SMUGGLED, bad)
    for value in ("18446744073709551616", "9" * 30, "9223372036854775808", "4294967296"):
        t.refused(f"Content-Length: {value}", request(TOP, f"Content-Length: {value}") + SMUGGLED,
                  bad)
    for value in ("chunked", "Chunked", "CHUNKED", "chunked, chunked", "gzip, chunked", "identity",
                  "chunked, identity", "xchunked", "chunked;q=1", "chunked,", ",chunked", "", "\x0b"
                  "chunked", "\"chunked\"", "chunk", "gzip", "chunked\x00", "chunked gzip",
                  "deflate"):
        t.refused(f"Transfer-Encoding: {value!r}", request(TOP, f"Transfer-Encoding: {value}") +
                  b"0\r\n\r\n" + SMUGGLED, bad)
    t.refused("Transfer-Encoding in HTTP/1.0",
              request(TOP, "Transfer-Encoding: chunked", "Connection: keep-alive", version="1.0") +
              b"0\r\n\r\n" + SMUGGLED, bad)
    t.refused("Transfer-Encoding, space before the colon",
              request(TOP, "Transfer-Encoding : chunked") + b"0\r\n\r\n" + SMUGGLED, bad)
    t.refused("Transfer-Encoding, folded",
              request(TOP, "Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n" + SMUGGLED, bad)
    t.refused("Transfer-Encoding behind LF",
              request(TOP, "X: y\nTransfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED, bad)
    t.refused("Transfer-Encoding behind CR",
              request(TOP, "X: y\rTransfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED, bad)
    for name, body in (("extensions", b"%x;a=b\r\n" % n + SMUGGLED + b"\r\n0\r\n\r\n"),
                       ("a quoted extension", b"%x;a=\"\r\n\"\r\n" % n + SMUGGLED +
                        b"\r\n0\r\n\r\n"),
                       ("LF within an extension", b"%x;\n" % n + SMUGGLED + b"\r\n0\r\n\r\n"),
                       ("a negative size", b"-1\r\n" + SMUGGLED), ("no size", b"\r\n" + SMUGGLED),
                       ("a huge size", b"f" * 17 + b"\r\n" + SMUGGLED),
                       ("trailers", b"0\r\nX: y\r\n\r\n" + SMUGGLED),
                       ("0x", b"0x0\r\n\r\n" + SMUGGLED),
                       ("LF alone", b"0\n\n" + SMUGGLED)):
        t.refused(f"chunks with {name}", request(TOP, "Transfer-Encoding: chunked") + body, bad)
    t.row("GET with content that looks like a request",
          request(TOP, f"Content-Length: {n}") + SMUGGLED, Want((200, 400, 413)), ANY)
    t.row("HEAD with content that looks like a request",
          request(TOP, f"Content-Length: {n}", method="HEAD") + SMUGGLED,
          Want((200, 400, 413), head=True), ANY)
    t.row("POST with content that looks like a request",
          request(TOP, f"Content-Length: {n}", method="POST") + SMUGGLED, Want(405), ANY)
    t.row("unknown method with content that looks like a request",
          request(TOP, f"Content-Length: {n}", method="BREW") + SMUGGLED, Want(501), ANY)
    t.row("content of a request for nothing", request("/none", f"Content-Length: {n}") + SMUGGLED,
          Want((404, 413, 400)), ANY)
    for value in ("0", "00", "000000000000000000000000000000000000"):
        t.row(f"Content-Length: {value}", request(TOP, f"Content-Length: {value}"),
              Want((200, 400) if len(value) > 1 else 200, t.files[TOP]), ANY)


def sizes(t):
    hello = t.files[TOP]
    t.refused("a target of 9,000", request("/" + "a" * 9000), 414)
    t.refused("a target of 100,000", request("/" + "a" * 100000), 414)
    t.refused("a target of 100,000 by the kilobyte", request("/" + "a" * 100000), 414, pieces=1000)
    t.refused("a target without end", b"GET /" + b"a" * 8300, 414)
    t.refused("a query of 9,000", request("/hello.txt?" + "a" * 9000), 414)
    t.row("a query of 3,000", request("/hello.txt?" + "a" * 3000), Want(200, hello), KEEP)
    t.status("a path of 5,000", request("/" + "a/" * 2500), (404, 414, 403))
    t.status("a name of 255", request("/" + "a" * 255), 404, KEEP)
    t.status("a name of 256", request("/" + "a" * 256), 404, KEEP)
    t.refused("a field of 9,000", request(TOP, "X: " + "a" * 9000), 431)
    t.refused("a field of 1,000,000", request(TOP, "X: " + "a" * 1000000), 431)
    t.refused("a name of 9,000", request(TOP, "X" * 9000 + ": y"), 431)
    t.refused("a host of 9,000", request(TOP, host="a" * 9000), (431, 400))
    t.refused("101 fields", request(TOP, *["X: y"] * 101), 431)
    t.refused("10,000 fields", request(TOP, *["X: y"] * 10000), 431)
    t.row("50 fields", request(TOP, *["X: y"] * 50), Want(200, hello), KEEP)
    t.row("a head of 7,900", request(TOP, *["X: " + "y" * 70] * 104)[:0] +
          request(TOP, "X: " + "y" * 7800), Want(200, hello), KEEP)
    t.row("long heads, one behind the other", request(TOP, "X: " + "y" * 3000) * 8,
          [Want(200, hello)] * 8, KEEP)
    t.row("3,000 bytes, by 100", request(TOP, "X: " + "y" * 3000), Want(200, hello), KEEP,
          pieces=100)
    for size in range(1018, 1031):  # around the size of a receive buffer
        n = size - len(request(TOP, "X: "))
        t.row(f"a head of {size}", request(TOP, "X: " + "y" * n) * 2, [Want(200, hello)] * 2, KEEP)
    for size in (8190, 8191, 8192):
        n = size - len(request(TOP, "X: "))
        t.row(f"a head of {size}", request(TOP, "X: " + "y" * n), Want((200, 431), hello))


def pieces(t):
    hello = t.files[TOP]
    for n in (1, 2, 3, 7):
        t.row(f"by {n}", request(TOP, "X: y"), Want(200, hello), KEEP, pieces=n)
        t.row(f"two, by {n}", request(TOP) + request("/none"), [Want(200, hello), Want(404)], KEEP,
              pieces=n)
    t.refused("a bad one by 1", request(TOP, "X : y"), pieces=1)
    t.row("half closed", request(TOP), Want(200, hello), CLOSE, half=True)
    t.row("half closed, three", request(TOP) + request("/none") + request("/one.bin"),
          [Want(200, hello), Want(404), Want(200, b"1")], CLOSE, half=True)
    t.row("half closed, large", request("/large.bin") + request(TOP),
          [Want(200, t.files["/large.bin"]), Want(200, hello)], CLOSE, half=True)
    t.row("half closed within the second", request(TOP) + b"GET /smugg", [Want(200, hello)], CLOSE,
          half=True)
    for n in (0, 1, 4, 10, 30):
        t.row(f"half closed after {n} bytes", request(TOP)[:n], Want((NONE, 400, 408)), CLOSE,
              half=True)
    t.row("1,000 at once", request(TOP) * 1000, [Want(200, hello)] * 1000, KEEP)
    names = ["/hello.txt", "/none", "/empty.bin", "/range.bin", "/folder", "/4096.bin"]
    want = [Want(200, t.files[n]) if n in t.files else Want((404, 301)) for n in names]
    t.row("1,002 different ones at once", b"".join(map(request, names)) * 167, want * 167, KEEP)
    t.row("1,000 HEAD at once", request("/4096.bin", method="HEAD") * 1000,
          [Want(200, t.files["/4096.bin"], head=True)] * 1000, KEEP)
    t.row("a thousand, half closed", request(TOP) * 1000, [Want(200, hello)] * 1000, CLOSE,
          half=True)
    t.row("499 good ones, a bad one, and more", request(TOP) * 499 + request(TOP, "X : y") +
          SMUGGLED * 10, [Want(200, hello)] * 499 + [Want(400)], CLOSE)
    t.row("more behind the last", request(TOP, "Connection: close") + SMUGGLED * 100,
          Want(200, hello), CLOSE)
    t.row("a megabyte behind the last", request(TOP, "Connection: close") + b"x" * 1000000,
          Want(200, hello), CLOSE)
    t.row("large ones, one behind the other", request("/large.bin") * 5,
          [Want(200, t.files["/large.bin"])] * 5, KEEP)


def add_all(t):
    for part in (request_lines, methods, hosts, fields, smuggling, sizes, pieces):
        part(t)
