# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Requests for files: paths, preconditions, ranges (RFC 9110 sections 13 and 14)."""
from http_lib import OLD, Wrong, asctime_date, imf_date, request, rfc850_date
from http_rows import ANY, KEEP, Want, partial

NEW = "--aio"  # the option that came with preconditions and ranges
TARGET = "/range.bin"


def encodings(t):
    for name, target, path in (
            ("plain", "/hello.txt", "/hello.txt"), ("query", "/hello.txt?x=y", "/hello.txt"),
            ("empty query", "/hello.txt?", "/hello.txt"), ("two queries", "/hello.txt?a?b",
                                                           "/hello.txt"),
            ("query with a path", "/hello.txt?/../../secret", "/hello.txt"),
            ("query with a broken escape", "/hello.txt?%zz", "/hello.txt"),
            ("escaped letter", "/%68ello.txt", "/hello.txt"),
            ("escaped dot", "/hello%2etxt", "/hello.txt"),
            ("capital escape", "/hello%2Etxt", "/hello.txt"), ("space", "/a%20b.txt", "/a b.txt"),
            ("plus", "/plus+sign.txt", "/plus+sign.txt"),
            ("escaped plus", "/plus%2Bsign.txt", "/plus+sign.txt"),
            ("escaped once only", "/percent%2541.txt", "/percent%41.txt"),
            ("quote", "/quote%22.txt", "/quote\".txt"),
            ("question mark", "/question%3F.txt", "/question?.txt"),
            ("semicolon", "/semi;colon=1.txt", "/semi;colon=1.txt"),
            ("tilde", "/tilde%7E.txt", "/tilde~.txt"),
            ("backslash", "/back%5Cslash.txt", "/back\\slash.txt"),
            ("colon", "/co:lon.txt", "/co:lon.txt"),
            ("UTF-8", "/%C3%BCml%C3%A4ut.txt", "/\u00fcml\u00e4ut.txt"),
            ("three dots", "/...", "/..."), ("two dots and a name", "/..x", "/..x"),
            ("one dot", "/./hello.txt", "/hello.txt"), ("dots", "/././hello.txt", "/hello.txt"),
            ("escaped dots", "/%2e/hello.txt", "/hello.txt"),
            ("index", "/", "/index.html"), ("index by name", "/index.html", "/index.html"),
            ("index of a folder", "/folder/", "/folder/index.html"),
            ("index below", "/folder/deep/", "/folder/deep/index.html"),
            ("folder and dot", "/folder/.", "/folder/index.html"),
            ("nothing", "/empty.bin", "/empty.bin"), ("one byte", "/one.bin", "/one.bin"),
            ("3 MiB", "/large.bin", "/large.bin"), ("link", "/link-in", "/folder/index.html"),
            ("linked folder", "/link-dir/", "/folder/index.html"),
            ("below a linked folder", "/link-dir/file.css", "/folder/file.css")):
        t.found(f"path: {name}", target, path)
    for name, target in (("two slashes", "//hello.txt"), ("slashes", "/folder///file.css"),
                         ("escaped slash", "/folder%2ffile.css")):
        t.status(f"path: {name}", request(target), (200, 400, 403, 404), KEEP)
    for target in ("/%00", "/hello.txt%00", "/hello.txt%00.html", "/%", "/%4", "/%zz", "/%4g",
                   "/%u002e", "/%-1", "/% 1".replace(" ", "+"), "/%25%", "/a%0", "/%%41"):
        t.status(f"escape: {target}", request(target), 400)
    for target in ("/%0a", "/%0d%0aX:%20y", "/%ff", "/%c3%28", "/%7f", "/%01"):
        t.row(f"escape: {target}", request(target), Want((400, 404)), ANY)


def escapes(t):
    """Ways out of the folder: none may give what lies outside, or tell whether it is there."""
    for target in ("/../secret", "/..", "/../", "/folder/../../secret",
                   "/folder/../hello.txt/../..",
                   "/%2e%2e/secret", "/%2E%2E/secret", "/.%2e/secret", "/%2e./secret",
                   "/..%2fsecret", "/..%2Fsecret", "/%2e%2e%2fsecret",
                   "/folder/%2e%2e/%2e%2e/secret",
                   "/./../secret", "//../secret", "/a/../../secret", "/folder/..%2f..%2fsecret",
                   "http://test/../secret", "http://test/%2e%2e/secret", "/../root-secret",
                   "/../root/hello.txt"):
        t.status(f"way out: {target}", request(target), (400, 403, 404))
    for target in ("/..%5csecret", "/..\\secret", "/%252e%252e/secret", "/%252e%252e%252fsecret",
                   "/%c0%ae%c0%ae/secret", "/%c0%ae%c0%ae%c0%afsecret",
                   "/%e0%80%ae%e0%80%ae/secret",
                   "/..%c0%afsecret", "/..%252fsecret", "/.../secret", "/..;/secret",
                   "/..%00/secret",
                   "/%uff0e%uff0e/secret", "/\uff0e\uff0e/secret".encode().decode("latin-1"),
                   "/~root/", "/~/secret", "/C:/secret", "/proc/self/environ", "/etc/passwd"):
        t.status(f"way out: {target!r}", request(target), (400, 403, 404))
    for name in ("link-out", "link-abs", "link-root/etc/passwd", "link-up", "link-parent/secret",
                 "folder/link-two-up", "link-loop", "link-proc", "link-dir/link-two-up"):
        t.status(f"link that leads out: {name}", request("/" + name), (403, 404), KEEP)
    t.status("link that leads nowhere", request("/dangling"), 404, KEEP)
    t.row("link that leads out and back", request("/link-back"), Want((200, 403, 404),
                                                                      t.files["/hello.txt"]), KEEP)
    t.status("pipe", request("/pipe"), (403, 404), KEEP)
    t.status("socket", request("/socket"), (403, 404), KEEP, since=NEW)
    t.status("none", request("/none"), 404, KEEP)
    t.status("below a file", request("/hello.txt/x"), 404, KEEP)
    t.status("file and slash", request("/hello.txt/"), (404, 301), KEEP)
    t.status("folder without an index", request("/noindex/"), (404, 403), KEEP)
    t.status("other case", request("/HELLO.TXT"), 404, KEEP)


def redirections(t):
    def to(pattern):
        return [("location", pattern)]
    for name, target, pattern in (
            ("folder", "/folder", r"^(http://test)?/folder/$"),
            ("folder below", "/folder/deep", r"/folder/deep/$"),
            ("folder and query", "/folder?x=y", r"/folder/(\?x=y)?$"),
            ("folder with an escape", "/sp%20ace", r"/sp%20ace/$"),
            ("linked folder", "/link-dir", r"/link-dir/$"),
            ("absolute target", "http://test/folder", r"^(http://test)?/folder/$"),
            ("two slashes first", "//folder", r"^(http://test)?/(\./)?/?folder/$"),
            ("five slashes first", "/////folder", r"^(http://test)?/+folder/$"),
            ("dot first", "/./folder", r"folder/$")):
        for method in ("GET", "HEAD"):
            t.row(f"redirection: {name} ({method})", request(target, method=method),
                  Want((301, 308), head=method == "HEAD", fields=to(pattern),
                       check=no_other_host), KEEP)


def no_other_host(r):
    if r.get("location").startswith(("//", "/\\")):
        raise Wrong(f"leads to another host: {r.get('location')}")


def representation(t):
    """What the fields say about a file."""
    modified = [("last-modified", imf_date(OLD))]
    for target, kind in (("/index.html", "text/html"), ("/hello.txt", "text/plain"),
                         ("/folder/file.css", "text/css"),
                         ("/range.bin", "application/octet-stream")):
        t.found(f"fields of {target}", target, target,
                wants=[("content-type", "^" + kind), *modified])
    t.found("entity tag", TARGET, TARGET, wants=[("etag", '^"')], since=NEW)
    t.found("ranges are announced", TARGET, TARGET, wants=[("accept-ranges", "bytes")], since=NEW)


# ------------------------------------------------------------------------------ preconditions

def outcome(match, none_match, modified, unmodified, current):
    """RFC 9110 section 13.2.2; each argument is None, True or False: what the condition is."""
    if match is not None:
        if not match:
            return 412
    elif unmodified is False:
        return 412
    if none_match is not None:
        if not none_match:
            return 304
    elif modified is False:
        return 304
    return current


def conditionals(t):
    content = t.files[TARGET]
    # text (with {e}: the entity tag), and whether the condition holds
    match = [("{e}", True), ("*", True), ("\"x\"", False), ("\"x\", {e}", True),
             ("{e},\"y\"", True), ("W/{e}", False), ("\"x\", W/{e}", False), (" {e} ", True),
             ("\"x\",,{e}", True), ("\"\"", False)]
    none = [("{e}", False), ("*", False), ("\"x\"", True), ("\"x\", {e}", False), ("W/{e}", False),
            ("W/\"x\"", True), ("\"x\",\"y\" ,W/{e}", False), ("\"a,b\", {e}", False),
            ("\"\"", True)]
    since = [(form(OLD + by), by < 0) for by in (-86400, -1, 0, 1, 86400)
             for form in (imf_date, rfc850_date, asctime_date)]
    until = [(date, not holds) for date, holds in since]
    names = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
    singles = (match, none, since, until)
    for at, values in enumerate(singles):
        for value, holds in values:
            case(t, content, [(names[at], value)], [holds if i == at else None for i in range(4)])
    # all pairs, triples and the four together, of one that holds and one that does not
    short = ([match[0], match[2]], [none[2], none[0]], [since[0], since[6]], [until[6], until[0]])
    for which in range(16):
        used = [i for i in range(4) if which >> i & 1]
        if len(used) < 2:
            continue
        for bits in range(1 << len(used)):
            chosen = {i: short[i][bits >> n & 1] for n, i in enumerate(used)}
            case(t, content, [(names[i], chosen[i][0]) for i in used],
                 [chosen[i][1] if i in chosen else None for i in range(4)])
    odd_conditionals(t, content)


def case(t, content, fields, holds):
    """GET and HEAD of one combination."""
    status = outcome(*holds, 200)
    for method in ("GET", "HEAD"):
        def data(ctx, method=method):
            tag = ctx.etag(TARGET)
            return request(TARGET, *[f"{n}: {v.format(e=tag)}" for n, v in fields], method=method)
        wants = [("etag", ".")] if status == 304 else []
        if status == 200:
            wants = [("last-modified", imf_date(OLD))]
        t.row(f"{method} with " + ", ".join(f"{n}: {v}" for n, v in fields), data,
              Want(status, content, method == "HEAD", fields=wants), KEEP, since=NEW)


def odd_conditionals(t, content):
    for date in ("never", "", "0", "1000000000", "Sun, 09 Sep 2001 01:46:40", "Sun, 09 Sep 2001",
                 "Sun, 32 Sep 2001 01:46:40 GMT", "Sun, 09 Foo 2001 01:46:40 GMT",
                 "Sun, 09 Sep 2001 25:46:40 GMT", "09 Sep 2001 01:46:40 GMT",
                 "Sun, 09 Sep 2001 01:46:40 GMT, Sun, 09 Sep 2001 01:46:40 GMT",
                 "Sun, 09 Sep 2001 01:46:40 GMT" + "x" * 500, "Sun, 30 Feb 2001 01:46:40 GMT",
                 "Sun, 09 Sep 99999 01:46:40 GMT"):
        for name in ("If-Modified-Since", "If-Unmodified-Since"):
            t.row(f"{name}: {date[:60]!r}", request(TARGET, f"{name}: {date}"),
                  Want((200, 400), content), ANY, since=NEW)
    t.row("If-Modified-Since in 1969", request(TARGET, "If-Modified-Since: " + imf_date(-86400)),
          Want(200, content), KEEP, since=NEW)
    t.row("If-Modified-Since in 2093", request(TARGET, "If-Modified-Since: " +
                                               imf_date(3900000000)),
          Want((200, 304), content), KEEP, since=NEW)
    for value in ("x", "\"x", "x\"", "W/", "w/\"x\"", "\"x\" \"y\"", ",", "\"a\"b"):
        t.row(f"If-None-Match: {value}", request(TARGET, f"If-None-Match: {value}"),
              Want((200, 400), content), ANY, since=NEW)
        t.row(f"If-Match: {value}", request(TARGET, f"If-Match: {value}"), Want((412, 400)), ANY,
              since=NEW)
    t.row("If-None-Match twice", lambda ctx: request(TARGET, "If-None-Match: \"x\"",
                                                     f"If-None-Match: {ctx.etag(TARGET)}"),
          Want((304, 400)), ANY, since=NEW)
    t.row("If-Match twice", lambda ctx: request(TARGET, "If-Match: \"x\"",
                                                f"If-Match: {ctx.etag(TARGET)}"),
          Want((200, 400), content), ANY, since=NEW)
    many = ", ".join(f"\"tag{i}\"" for i in range(300))
    t.row("If-None-Match with 300 tags", request(TARGET, f"If-None-Match: {many}"),
          Want(200, content), KEEP, since=NEW)
    for field in ("If-Match: *", "If-None-Match: *", "If-Match: \"x\"", "If-Unmodified-Since: " +
                  imf_date(0)):
        t.status(f"a missing file, {field}", request("/none", field), 404, KEEP)
        t.status(f"POST, {field}", request(TARGET, field, method="POST"), 405, KEEP)
        t.status(f"a folder, {field}", request("/folder", field), (301, 308), KEEP)
    t.row("the tag of another file", lambda ctx: request(TARGET, "If-None-Match: " +
                                                         ctx.etag("/hello.txt")),
          Want(200, content), KEEP, since=NEW)


# ------------------------------------------------------------------------------------- ranges

def ranges(t):
    content = t.files[TARGET]
    size = len(content)
    huge = "9" * 40
    for text, want in (
            ("0-0", (0, 0)), ("0-499", (0, 499)), ("500-999", (500, 999)), ("0-", (0, 999)),
            ("999-", (999, 999)), ("999-999", (999, 999)), ("0-999", (0, 999)),
            ("1-1000", (1, 999)),
            ("500-100000", (500, 999)), ("-1", (999, 999)), ("-500", (500, 999)),
            ("-1000", (0, 999)), ("-1001", (0, 999)), (f"-{huge}", (0, 999)),
            (f"0-{huge}", (0, 999)), ("0-18446744073709551615", (0, 999)),
            ("0-18446744073709551616", (0, 999)), ("-18446744073709551617", (0, 999)),
            ("1-9223372036854775807", (1, 999)), ("-4294967297", (0, 999)), ("000-001", (0, 1))):
        t.row(f"Range: {text}", request(TARGET, f"Range: bytes={text}"),
              Want(206, check=partial(content, [want]), fields=[("etag", ".")]), KEEP, since=NEW)
    for text in ("1000-", "1000-1001", f"{huge}-", f"{huge}-{huge}", "18446744073709551616-",
                 "4294967296-", "-0", "1000-1000,2000-", "-0,-0"):
        t.row(f"Range: {text}", request(TARGET, f"Range: bytes={text}"),
              Want(416, fields=[("content-range", rf"^bytes \*/{size}$")]), KEEP, since=NEW)
    whole = Want((200, 400, 416), content)
    for text in ("bytes=5-4", "bytes=", "bytes=-", "bytes=5", "bytes=--5", "bytes=+1-2",
                 "bytes=a-b",
                 "bytes=0x0-0x5", "bytes=1-2-3", "bytes=1.0-2", "bytes=1 - 2", "bytes= ", "0-5",
                 "=0-5", "bytes", "bytes:0-5", "bytes 0-5", "bytes=0-5;", "bytes=0-5 x", "",
                 "bytes=,",
                 "bytes=0-5,x", "bytes=5-4,0-1", "bytes==0-5", "bytes=-5-", "bytes=\"0-5\"",
                 "bytes=18446744073709551617-1"):
        t.row(f"Range: {text!r}", request(TARGET, f"Range: {text}"), whole, ANY, since=NEW)
    for text in ("items=0-5", "byte=0-5", "none", "seconds=1-2", "bytesx=0-5"):
        t.row(f"Range: {text!r}", request(TARGET, f"Range: {text}"), Want(200, content), KEEP,
              since=NEW)
    loose = Want((200, 206, 400, 416), content, check=partial(content, [(0, 5)]))
    for text in ("Bytes=0-5", "BYTES=0-5", "bytes =0-5", "bytes= 0-5", "bytes=0-5,", "bytes=,0-5",
                 "bytes=0-5 ", "bytes=\t0-5"):
        t.row(f"Range: {text!r}", request(TARGET, f"Range: {text}"), loose, ANY, since=NEW)
    t.row("Range twice", request(TARGET, "Range: bytes=0-5", "Range: bytes=10-15"),
          Want((200, 206, 400, 416), content), ANY, since=NEW)
    t.row("Range with HEAD", request(TARGET, "Range: bytes=0-5", method="HEAD"),
          Want(200, content, head=True), KEEP)
    t.row("Range with HEAD, not satisfiable", request(TARGET, "Range: bytes=5000-", method="HEAD"),
          Want(200, content, head=True), KEEP)
    t.status("Range of a missing file", request("/none", "Range: bytes=0-5"), 404, KEEP)
    t.status("Range with POST", request(TARGET, "Range: bytes=0-5", method="POST"), 405, KEEP)
    several_ranges(t, content)
    other_files(t)
    if_range(t, content)


def several_ranges(t, content):
    for text, want in (
            ("0-0,2-2", [(0, 0), (2, 2)]), ("0-9,990-999", [(0, 9), (990, 999)]),
            ("0-9, -10", [(0, 9), (990, 999)]), ("500-,0-99", [(500, 999), (0, 99)]),
            ("0-9 , 20-29\t,\t40-49", [(0, 9), (20, 29), (40, 49)]),
            ("0-0,-1", [(0, 0), (999, 999)]),
            ("0-9,10-19", [(0, 9), (10, 19)]), ("0-9,5-14", [(0, 9), (5, 14)]),
            ("0-999,0-999", [(0, 999)]), ("0-,0-,0-,0-", [(0, 999)]), ("5-9,0-4", [(5, 9), (0, 4)]),
            ("0-0,,2-2", [(0, 0), (2, 2)])):
        t.row(f"Range: {text}", request(TARGET, f"Range: bytes={text}"),
              Want((200, 206, 416), content, check=partial(content, want if len(want) > 1 else
                                                           want * 2)), KEEP, since=NEW)
    t.row("Range: one of two not satisfiable", request(TARGET, "Range: bytes=0-5,2000-"),
          Want((200, 206), content, check=partial(content, [(0, 5)])), KEEP, since=NEW)
    for n in (3, 8, 16, 17, 100, 1000):
        text = ",".join(f"{i % 900}-{i % 900}" for i in range(n))
        want = [(i % 900, i % 900) for i in range(n)]
        t.row(f"{n} ranges of a byte", request(TARGET, f"Range: bytes={text}"),
              Want((200, 206, 400, 416, 431), content, check=partial(content, want)), ANY,
              since=NEW)
    t.row("1,000 times everything", request("/large.bin", "Range: bytes=" + "0-," * 1000 + "0-"),
          Want((200, 400, 416), t.files["/large.bin"]), ANY, since=NEW)
    data = [request(TARGET, "Range: bytes=0-9,20-29"), request(TARGET, "Range: bytes=5-5")] * 100
    want = [Want((200, 206), content, check=partial(content, [(0, 9), (20, 29)])),
            Want(206, check=partial(content, [(5, 5)]))] * 100
    t.row("200 ranges, pipelined", b"".join(data), want, KEEP, since=NEW)


def other_files(t):
    for text in ("0-", "0-0", "-1", "1-", "0-999", "-0"):
        t.row(f"Range: {text} of nothing", request("/empty.bin", f"Range: bytes={text}"),
              Want((416, 200), b""), KEEP, since=NEW)
    t.row("Range: 0-0 of one byte", request("/one.bin", "Range: bytes=0-0"),
          Want(206, check=partial(b"1", [(0, 0)])), KEEP, since=NEW)
    large = t.files["/large.bin"]
    n = len(large)
    for first, last in ((0, 0), (0, n - 1), (n - 1, n - 1), (4095, 4096), (65535, 1 << 20),
                        (1 << 20, (2 << 20) - 1), (1, n - 2)):
        t.row(f"Range: {first}-{last} of 3 MiB",
              request("/large.bin", f"Range: bytes={first}-{last}"),
              Want(206, check=partial(large, [(first, last)])), KEEP, since=NEW)


def if_range(t, content):
    part, all_of_it = Want(206, check=partial(content, [(2, 4)])), Want(200, content)
    rng = "Range: bytes=2-4"

    def add(name, value, want, *fields):
        t.row(f"If-Range: {name}",
              lambda ctx: request(TARGET, rng, "If-Range: " + value.format(e=ctx.etag(TARGET)),
                                  *[f.format(e=ctx.etag(TARGET)) for f in fields]), want, KEEP,
              since=NEW)
    add("tag", "{e}", part)
    add("other tag", "\"x\"", all_of_it)
    add("weak tag", "W/{e}", all_of_it)
    add("date", imf_date(OLD), part)
    add("date, RFC 850", rfc850_date(OLD), Want((200, 206), content))
    add("date, asctime", asctime_date(OLD), Want((200, 206), content))
    add("earlier date", imf_date(OLD - 1), all_of_it)
    add("later date", imf_date(OLD + 1), all_of_it)
    add("no date", "yesterday", all_of_it)
    add("nothing", "", Want((200, 206), content))
    add("tag and If-Match", "{e}", part, "If-Match: {e}")
    add("tag and If-None-Match", "{e}", Want(304), "If-None-Match: {e}")
    add("tag and other If-Match", "{e}", Want(412), "If-Match: \"x\"")
    t.row("If-Range without Range", request(TARGET, "If-Range: \"x\""), all_of_it, KEEP)
    t.row("Range not satisfiable, If-Range not met",
          request(TARGET, "Range: bytes=5000-", "If-Range: \"x\""), all_of_it, KEEP, since=NEW)
    t.row("Range and If-None-Match", lambda ctx: request(TARGET, rng, "If-None-Match: " +
                                                         ctx.etag(TARGET)), Want(304), KEEP,
          since=NEW)
    t.row("Range not satisfiable and If-None-Match",
          lambda ctx: request(TARGET, "Range: bytes=5000-", "If-None-Match: " + ctx.etag(TARGET)),
          Want(304), KEEP, since=NEW)
    t.row("Range not satisfiable and If-Match not met",
          request(TARGET, "Range: bytes=5000-", "If-Match: \"x\""), Want(412), KEEP, since=NEW)


def add_all(t):
    for part in (encodings, escapes, redirections, representation, conditionals, ranges):
        part(t)
