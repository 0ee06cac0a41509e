#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# A page and what belongs to it, fetched from eta-webserver as a browser does: six connections, kept
# open, each with one request after the other, for several pages.
. "$(dirname "$0")/lib.sh"
need python3

mkdir "$test_dir/root"
start_background "$test_dir/log" "$ETA_BIN_DIR/eta-webserver" --listen 127.0.0.1:0 "$test_dir/root"
server=$!
address=$(listening_address "$test_dir/log" "$server") || fail "the server did not start"

python3 - "$address" "$test_dir/root" <<'PYTHON'
import concurrent.futures
import http.client
import os
import random
import re
import sys

address, root = sys.argv[1:]
random.seed(1)
parts = {f"part{i}.{kind}": random.randbytes(random.choice((0, 100, 3000, 70000, 900000)))
         for i, kind in enumerate(["css", "js", "png", "woff2", "svg", "bin"] * 10)}
page = "".join(f'<img src="{name}">\n' for name in parts).encode()
for name, data in {**parts, "index.html": page}.items():
    with open(os.path.join(root, name), "wb") as f:
        f.write(data)

headers = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) " + "browsers say a lot about themselves " * 20,
    "Accept": "text/html,image/avif,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "; ".join(f"name{i}=value{i}" for i in range(40)),
}


def fetch(connection, path):
    """The same connection each time: reopening it silently would hide that it was closed."""
    sock = connection.sock
    connection.request("GET", "/" + path, headers=headers)
    response = connection.getresponse()
    data = response.read()
    assert response.status == 200, (path, response.status)
    assert sock is None or connection.sock is sock, "the connection was not kept"
    return data


def fetch_all(connection, names):
    for name in names:
        assert fetch(connection, name) == parts[name], f"{name} arrived wrong"


connections = [http.client.HTTPConnection(address, timeout=30) for _ in range(6)]
for visit in range(5):
    names = re.findall(r'src="([^"]*)"', fetch(connections[0], "").decode())
    assert len(names) == len(parts)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(fetch_all, c, names[i::6]) for i, c in enumerate(connections)]:
            done.result()
print(f"{visit + 1} visits, {len(names)} parts each, over {len(connections)} connections")
PYTHON

kill -TERM "$server"
wait "$server" || fail "the server's exit code is $?"
