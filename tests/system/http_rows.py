# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
"""Rows of the suite: what is sent, and what may come back."""
import re

from http_lib import Wrong, request

CLOSE, KEEP, ANY = "close", "keep", "any"
NONE = None  # as a status: the connection ends without a response


class Want:
    """One response: one of these statuses; the content, if given; a check of its own."""

    def __init__(self, status, body=None, head=False, check=None, fields=()):
        self.status = status if isinstance(status, tuple) else (status,)
        self.body, self.head, self.check, self.fields = body, head, check, fields

    def meet(self, r):
        if (r.status if r else None) not in self.status:
            raise Wrong(f"{r.status if r else 'no answer'} instead of {self.status}: {r}")
        if not r:
            return
        content = b"" if self.head else self.body
        if self.body is not None and r.status == 200 and r.body != content:
            raise Wrong(f"{len(r.body)} bytes of wrong content: {r.body[:60]!r}")
        if self.body is not None and r.status == 200:
            if r.get("content-length") != str(len(self.body)):
                raise Wrong(f"Content-Length {r.get('content-length')} of {len(self.body)}")
        if r.status != 200 and (b"SECRET" in r.body or b"SMUGGLED" in r.body):
            raise Wrong(f"it gives away {r.body[:60]!r}")
        for name, pattern in self.fields:
            value = r.get(name)
            if (value is None) != (pattern is None) or (pattern and not re.search(pattern, value)):
                raise Wrong(f"{name} is {value!r}, not {pattern!r}")
        if self.check:
            self.check(r)


class Row:
    """`data`: bytes, or what makes them of the suite's context (entity tags). `then`: whether the
    connection must be closed, must serve another request, or either. `since`: the option in --help
    that tells that the server has what the row is about. `half`: the client shuts down its side."""

    def __init__(self, name, data, want, then=ANY, since=None, pieces=None, half=False):
        self.name, self.data, self.then, self.since = name, data, then, since
        self.want = want if isinstance(want, list) else [want]
        self.pieces, self.half = pieces, half


class Table:
    def __init__(self, files):
        self.files, self.rows = files, []

    def row(self, *args, **kw):
        self.rows.append(Row(*args, **kw))

    def found(self, name, target, path, *fields, then=KEEP, check=None, wants=(), **kw):
        """GET and HEAD of @target give the file @path."""
        for method in ("GET", "HEAD"):
            self.row(f"{name} ({method})", request(target, *fields, method=method),
                     Want(200, self.files[path], method == "HEAD", check, wants), then, **kw)

    def status(self, name, data, status, then=ANY, **kw):
        """Requests whose answer is a status."""
        self.row(name, data, Want(status), then, **kw)

    def refused(self, name, data, status=400, **kw):
        """What is no request, or means harm: this status or nothing, and the connection ends; what
        stands behind it is never answered."""
        status = status if isinstance(status, tuple) else (status,)
        self.row(name, data, Want(status), CLOSE, **kw)


# ---------------------------------------------------------------------------- partial content

PART = re.compile(r"bytes (\d+)-(\d+)/(\d+)$")


def content_range(text, content, body):
    m = PART.match(text or "")
    if not m:
        raise Wrong(f"Content-Range {text!r}")
    first, last, size = map(int, m.groups())
    if size != len(content) or not first <= last < size:
        raise Wrong(f"Content-Range {text!r} of {len(content)} bytes")
    if body != content[first:last + 1]:
        raise Wrong(f"{len(body)} wrong bytes for {text!r}")
    return first, last


def multipart(r, content):
    """The ranges that its parts hold; each checked."""
    m = re.match(r'multipart/byteranges; *boundary="?([0-9A-Za-z\'()+_,./:=? -]{1,70})"?$',
                 r.get("content-type", ""))
    if not m:
        raise Wrong(f"no multipart/byteranges: {r.get('content-type')!r}")
    if r.get("content-range") is not None:
        raise Wrong("Content-Range beside several parts")
    delimiter = b"--" + m[1].encode()
    if delimiter in content:
        raise Wrong("the boundary is in the content")
    pieces = (b"\r\n" + r.body).split(b"\r\n" + delimiter)
    if pieces[-1] not in (b"--", b"--\r\n"):
        raise Wrong(f"the last part ends with {r.body[-40:]!r}")
    ranges = []
    for piece in pieces[1:-1]:
        if not piece.startswith(b"\r\n"):
            raise Wrong(f"a part begins with {piece[:20]!r}")
        head, _, body = piece[2:].partition(b"\r\n\r\n")
        fields = dict(re.findall(r"([^:\r\n]+): *([^\r\n]*)", head.decode().lower()))
        ranges.append(content_range(fields.get("content-range"), content, body))
    return ranges


def partial(content, wanted):
    """A check: 206 with exactly these bytes, or (several) with parts that have them."""
    def check(r):
        if r.status != 206:
            return
        if (r.get("content-type") or "").startswith("multipart/"):
            got = multipart(r, content)
            if len(wanted) == 1:
                raise Wrong("one range, and several parts")
        else:
            got = [content_range(r.get("content-range"), content, r.body)]
            if len(wanted) == 1 and got != wanted:
                raise Wrong(f"{got} instead of {wanted}")
        for first, last in wanted:
            if not any(a <= first and last <= b for a, b in got):
                raise Wrong(f"{first}-{last} is not in {got}")
        if len(wanted) == 1 and int(r.get("content-length")) != len(r.body):
            raise Wrong("length")
    return check
