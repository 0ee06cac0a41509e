#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta-webserver under curl, wrk, and a client of its own that sends what those would not: are files
# right, is bad input refused with the right status, do slow, greedy and vanishing clients harm
# anybody, does it end cleanly?
#
# webserver.sh BACKEND; with dusi, which is the default, also what only the engine has.
. "$(dirname "$0")/lib.sh"
need curl wrk python3 prlimit

server=$ETA_BIN_DIR/eta-webserver
backend=${1-dusi}
export ETA_AIO=$backend
root=$test_dir/root
large=$((32 * 1024 * 1024 + 17)) # more than two sends, and more than the engine's buffers
pid=

make_site() {
	local size
	mkdir -p "$root/folder/deep" "$root/empty"
	for size in 0 1 2 1023 1024 4095 4096 65535 65536 1000000 "$large"; do
		head -c "$size" /dev/urandom >"$root/$size"
	done
	for size in 1 2 3 4 5 6; do
		head -c "$((size * 30000))" /dev/urandom >"$root/part$size.bin"
	done
	echo '<p>top</p>' >"$root/index.html"
	echo '<p>deep</p>' >"$root/folder/deep/index.html"
	echo 'with space' >"$root/a b.txt"
	echo 'the secret' >"$test_dir/secret"
	ln -s ../secret "$root/link-out"
	ln -s "$test_dir/secret" "$root/link-absolute"
	ln -s folder/deep/index.html "$root/link-in"
	ln -s / "$root/link-root"
	mkfifo "$root/pipe"
}

# start_on ADDRESS OPTION...: a server on a free port of it; sets $pid, $address, $url.
start_on() {
	local listen=$1:0
	shift
	: >"$test_dir/log" # the address of the last one must not be found there
	start_background "$test_dir/log" "$server" --listen "$listen" "$@" "$root"
	pid=$!
	address=$(listening_address "$test_dir/log" "$pid") || fail "the server did not start"
	url=http://$address
}

start() {
	start_on 127.0.0.1 "$@"
}

# Does it work here?
has_backend() {
	local code=0
	timeout 10 "$server" --listen 127.0.0.1:0 "$test_dir/none" \
		>"$test_dir/out" 2>&1 || code=$?
	grep -q 'cannot serve the folder' "$test_dir/out"
}

# ends SIGNAL: the signal ends the server, with exit code 0, and it had nothing to say.
ends() {
	local code=0
	kill "-$1" "$pid" 2>/dev/null || true # it may have ended by an earlier one
	wait "$pid" || code=$?
	[[ $code == 0 ]] || { cat "$test_dir/log"; fail "exit code $code after SIG$1"; }
	[[ $(grep -vc '^listening on ' "$test_dir/log") == 0 ]] ||
		{ cat "$test_dir/log"; fail "the server complained"; }
}

get() {
	curl --silent --show-error --no-progress-meter --max-time 60 "$@"
}

# same PATH FILE: what the server has at PATH is FILE.
same() {
	get --fail -o "$test_dir/got" "$url/$1"
	cmp "$test_dir/got" "$2" || fail "/$1 arrived wrong"
}

# status PATH: prints it; as it stands, nothing is normalised.
status() {
	get --path-as-is -o "$test_dir/got" -w '%{http_code}' "$url$1"
}

descriptors() {
	find "/proc/$pid/fd" -mindepth 1 | wc -l
}

# has_descriptors N: no more than that, except for those of a service of files, which stays.
has_descriptors() {
	(($(descriptors) <= $1 + 3))
}

all_files() {
	local file
	for file in "$root"/[0-9]* "$root"/*.bin; do
		same "${file##*/}" "$file"
	done
	same "" "$root/index.html"
	same folder/deep/ "$root/folder/deep/index.html"
	same link-in "$root/folder/deep/index.html"
	same a%20b.txt "$root/a b.txt"
	same 1024?query "$root/1024"
	get --fail --http1.0 -o "$test_dir/got" "$url/4096"
	cmp "$test_dir/got" "$root/4096"
}

# A file of 5 GiB, which takes no room: its length is told right.
huge_file() {
	local size=$((5 * 1024 * 1024 * 1024 + 3)) got
	truncate -s "$size" "$root/huge"
	got=$(get --head "$url/huge" | tr -d '\r' | sed -n 's/^Content-Length: //p')
	[[ $got == "$size" ]] || fail "5 GiB are announced as $got bytes"
	rm "$root/huge" # which changed_files looks at later
}

heads() {
	local head
	head=$(get --head "$url/1000000" | tr -d '\r')
	[[ $head == "HTTP/1.1 200 OK"*"Content-Length: 1000000"* ]] || fail "HEAD: $head"
	[[ $(get --head -w '%{size_download}' -o /dev/null "$url/1000000") == 0 ]]
	head=$(get --head "$url/a%20b.txt" | tr -d '\r')
	[[ $head == *"Content-Type: text/plain"* ]] || fail "no media type: $head"
	[[ $head == *"Date: "*" GMT"* && $head == *"Last-Modified: "*" GMT"* ]] ||
		fail "no dates: $head"
	[[ $head == *'ETag: "'*"Accept-Ranges: bytes"* ]] || fail "no validators: $head"
	head=$(get --head "$url/folder/deep" | tr -d '\r')
	[[ $head == *" 301 "*"Location: /folder/deep/"* ]] || fail "no redirection: $head"
	head=$(get --path-as-is --head "$url///folder/deep" | tr -d '\r')
	[[ $head == *"Location: /folder/deep/"* ]] || fail "leads to another host: $head"
}

refusals() {
	local path
	[[ $(status /none) == 404 ]] || fail "a missing file"
	[[ $(status /empty/) == 404 ]] || fail "a folder without an index"
	[[ $(status /1024/x) == 404 ]] || fail "below a file"
	[[ $(status /pipe) == 403 ]] || fail "a pipe"
	[[ $(status /%zz) == 400 ]] || fail "a broken escape"
	[[ $(get -X DELETE -o /dev/null -w '%{http_code}' "$url/1024") == 405 ]] || fail DELETE
	[[ $(get -d x=y -o /dev/null -w '%{http_code}' "$url/1024") == 405 ]] || fail POST
	[[ $(get -X BREW -o /dev/null -w '%{http_code}' "$url/1024") == 501 ]] || fail BREW
	for path in /../secret /folder/../../secret /%2e%2e/secret /..%2fsecret \
		/link-out /link-absolute /link-root/etc/passwd "/link-root$test_dir/secret"; do
		[[ $(status "$path") == 403 ]] || fail "$path is not refused"
		! grep -q secret "$test_dir/got" || fail "$path leads out"
	done
}

# Several requests on one connection; and two urls with one connection by curl itself.
keep_alive() {
	local connections
	connections=$(get -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' \
		"$url/1024" "$url/none" "$url/65536")
	[[ $connections == "1 0 0 " ]] || fail "connections were not kept: $connections"
}

# What curl would not send.
raw_client() {
	python3 "$(dirname "$0")/webserver_client.py" "$address" "$root" "$large"
}

# A file that is replaced, grows, or vanishes is noticed.
changed_files() {
	echo one >"$root/changing"
	same changing "$root/changing"
	echo 'two, longer' >"$root/new"
	mv "$root/new" "$root/changing"
	sleep 1.2
	same changing "$root/changing"
	echo more >>"$root/changing"
	sleep 1.2
	same changing "$root/changing"
	rm "$root/changing"
	sleep 1.2
	[[ $(status /changing)$(status /huge) == 404404 ]] || fail "a removed file is still there"
}

# range SPEC FILE: prints the status; what came is in got.
range() {
	get -H "Range: bytes=$1" -o "$test_dir/got" -w '%{http_code}' "$url/$2"
}

ranges() {
	[[ $(range 10-99 65536) == 206 ]] || fail "no range"
	cmp "$test_dir/got" <(tail -c +11 "$root/65536" | head -c 90) || fail "wrong range"
	[[ $(range -100 1000000) == 206 ]] || fail "no suffix"
	cmp "$test_dir/got" <(tail -c 100 "$root/1000000") || fail "wrong suffix"
	[[ $(range 1000- "$large") == 206 ]] || fail "no range of a large file"
	cmp "$test_dir/got" <(tail -c +1001 "$root/$large") || fail "wrong range of a large file"
	[[ $(range 5000- 4096) == 416 ]] || fail "a range behind the end"
	[[ $(range 9-5 4096) == 200 ]] || fail "a range that is none"
	# resumed where it was cut off
	head -c 20000000 "$root/$large" >"$test_dir/part"
	get --fail -C - -o "$test_dir/part" "$url/$large"
	cmp "$test_dir/part" "$root/$large" || fail "resumed wrong"
}

# conditional FILE FIELD: prints the status.
conditional() {
	rm -f "$test_dir/got" # with nothing to write curl does not make it
	get -H "$2" -o "$test_dir/got" -w '%{http_code}' "$url/$1"
}

conditions() {
	local head etag date
	head=$(get --head "$url/4096" | tr -d '\r')
	etag=$(sed -n 's/^ETag: //p' <<<"$head")
	date=$(sed -n 's/^Last-Modified: //p' <<<"$head")
	[[ $(conditional 4096 "If-None-Match: $etag") == 304 && ! -s $test_dir/got ]] ||
		fail "If-None-Match"
	[[ $(conditional 4096 "If-None-Match: \"x\"") == 200 ]] || fail "another tag"
	[[ $(conditional 4096 "If-Modified-Since: $date") == 304 ]] || fail "If-Modified-Since"
	[[ $(conditional 4096 "If-Match: \"x\"") == 412 ]] || fail "If-Match"
	[[ $(conditional 4096 "If-Match: $etag") == 200 ]] || fail "If-Match of the same"
	[[ $(conditional none "If-None-Match: *") == 404 ]] || fail "a condition on nothing"
	get --etag-save "$test_dir/etag" -o "$test_dir/got" "$url/1024"
	[[ $(get --etag-compare "$test_dir/etag" -o "$test_dir/got" -w '%{http_code}' \
		"$url/1024") == 304 ]] || fail "curl's own comparison"
}

# log_has PATTERN
log_has() {
	grep -q -- "$1" "$test_dir/access"
}

# The log is written behind the requests, is opened anew by SIGHUP, and is no reason not to serve.
access_log() {
	local config=$test_dir/config code
	rm -f "$test_dir"/access*
	printf 'access-log = %s\nlog-format = combined # no comment here\n' "$test_dir/access" \
		>"$config"
	code=0
	timeout 10 "$server" --listen 127.0.0.1:0 --config "$config" "$root" \
		>"$test_dir/out" 2>&1 || code=$?
	[[ $code == 2 ]] || fail "a broken settings file: $code"
	grep -q "$config:2:" "$test_dir/out" || fail "which line is broken: $(cat "$test_dir/out")"
	printf '# settings\naccess-log = %s\nlog-format = common\n' "$test_dir/access" >"$config"
	start --config "$config"
	same 1024 "$root/1024"
	[[ $(status /none) == 404 ]]
	get -A 'an "agent"' -o /dev/null "$url/1"
	wait_until 10 log_has '"GET /1 HTTP/1.1" 200 1$' || fail "the log: $(cat "$test_dir/access")"
	log_has '^127.0.0.1 - - \[../.../....:..:..:.. [+-]....\] "GET /1024 HTTP/1.1" 200 1024$' ||
		fail "the log: $(cat "$test_dir/access")"
	log_has '"GET /none HTTP/1.1" 404 14$' || fail "the log: $(cat "$test_dir/access")"
	mv "$test_dir/access" "$test_dir/access.1"
	sed -i 's/common/combined/' "$config"
	kill -HUP "$pid"
	wait_until 10 test -e "$test_dir/access" || fail "the log was not opened anew"
	get -A 'an "agent"' -o /dev/null "$url/2"
	wait_until 10 log_has '"GET /2 HTTP/1.1" 200 2 "-" "an \\"agent\\""$' ||
		fail "the log: $(cat "$test_dir/access")"
	[[ $(wc -l <"$test_dir/access.1") == 3 ]] || fail "the old log: $(cat "$test_dir/access.1")"
	kill -TERM "$pid"
	ends TERM
}

# A disk that is full: lines are lost, which is said once; files are served.
full_disk() {
	start --access-log /dev/full
	same 1024 "$root/1024"
	wait_until 10 grep -q 'lines are lost' "$test_dir/log" || fail "nothing was said"
	same 65536 "$root/65536"
	sleep 1.2
	same 1024 "$root/1024"
	[[ $(grep -c 'access log' "$test_dir/log") == 1 ]] || fail "$(cat "$test_dir/log")"
	kill -TERM "$pid"
	wait "$pid" || fail "exit code $?"
}

# children: prints the processes of the workers.
children() {
	cat "/proc/$pid/task/$pid/children"
}

has_children() {
	[[ $(children | wc -w) == "$1" ]]
}

# has_lost CHILD: it was replaced.
has_lost() {
	[[ " $(children) " != *" $1 "* ]] && has_children 2
}

workers() {
	local first
	start --workers 2
	has_children 2 || fail "there are not two workers: $(children)"
	same "$large" "$root/$large"
	parallel 6
	load 1024
	wrong_address_in_use
	first=$(children | cut -d ' ' -f 1)
	kill -KILL "$first"
	wait_until 20 has_lost "$first" || fail "the worker was not replaced"
	same 65536 "$root/65536"
	kill -HUP "$pid"
	same 65536 "$root/65536"
	kill -TERM "$pid"
	wait "$pid" || fail "exit code $?"
	! get -o /dev/null "$url/1" 2>/dev/null || fail "somebody still listens"
}

wrong_address_in_use() {
	local code=0
	timeout 10 "$server" --workers 2 --listen "$address" "$root" >"$test_dir/out" 2>&1 ||
		code=$?
	[[ $code == 1 ]] || fail "two servers at one address: $code"
}

status_page() {
	start --status /.eta/status --max-requests 2
	same 1024 "$root/1024"
	get --fail "$url/.eta/status" | python3 -c '
import json
import sys

status = json.load(sys.stdin)
assert status["requests"] == 1 and status["bytes_sent"] > 1024 and status["io"], status
assert status["backend"] and status["sockets"] and status["cached_files"] == 1, status
' || fail "the status page"
	[[ $(get -o /dev/null -o /dev/null -o /dev/null -w '%{num_connects} ' \
		"$url/1" "$url/1" "$url/1") == "1 0 1 " ]] || fail "more requests than allowed"
	ends TERM
}

# limit_for N: the limit of descriptors that leaves the server N that it does not use yet.
limit_for() {
	local fd=0 free=0
	while ((free < $1)); do
		[[ -e /proc/$pid/fd/$fd ]] || free=$((free + 1))
		fd=$((fd + 1))
	done
	echo "$fd"
}

# With descriptors for a connection but not for a file: 503, and a while later as before.
no_descriptors() {
	local before limit
	start
	before=$(descriptors)
	same 1024 "$root/1024"
	wait_until 10 has_descriptors "$before" || fail "the connection stays open"
	limit=$(limit_for 1)
	prlimit --pid "$pid" --nofile="$limit:4096"
	same 1024 "$root/1024" # cached
	[[ $(status /65536) == 503 ]] || fail "$(status /65536) instead of 503"
	prlimit --pid "$pid" --nofile=4096:4096
	same 65536 "$root/65536"
	ends TERM
}

# Files that are not mapped, and a cache that holds next to nothing.
small_cache() {
	start --cache-largest 4095 --cache-files 2 --cache-bytes 8k
	all_files
	ranges
	raw_client
	load 65536
	ends TERM
}

parallel() {
	local i arguments=()
	mkdir -p "$test_dir/many"
	for i in $(seq 60); do
		arguments+=(-o "$test_dir/many/$i" "$url/part$((i % 6 + 1)).bin")
	done
	get --fail --parallel --parallel-max "$1" "${arguments[@]}"
	for i in $(seq 60); do
		cmp "$test_dir/many/$i" "$root/part$((i % 6 + 1)).bin"
	done
}

load() {
	local output
	output=$(timeout 60 wrk -t 1 -c 32 -d 1s --timeout 30s "$url/$1")
	[[ $output == *"requests in"* && $output != *"Socket errors"* && $output != *Non-2xx* ]] ||
		fail "wrk: $output"
	sed -n 's/^Requests/&/p' <<<"$output"
}

# Half a request, and silence: refused in time. A connection without any request: closed.
slow_clients() {
	python3 - "$address" <<'PYTHON'
import socket
import sys

host, port = sys.argv[1].rsplit(":", 1)


def connect(request):
    s = socket.create_connection((host, int(port)), timeout=30)
    s.sendall(request)
    return s


half, none = connect(b"GET / HT"), connect(b"")
assert half.recv(1000).startswith(b"HTTP/1.1 408 ")
assert none.recv(1000) == b""
PYTHON
}

# The response that has begun is sent before a signal ends the server.
end_in_order() {
	local client
	rm -f "$test_dir/begun" "$test_dir/ending"
	python3 - "$address" "$root/$large" "$test_dir" <<'PYTHON' &
import http.client
import os
import sys
import time

address, path, signs = sys.argv[1:]
connection = http.client.HTTPConnection(address, timeout=60)
connection.request("GET", "/" + os.path.basename(path))
response = connection.getresponse()
data = response.read(1000)
open(signs + "/begun", "w").close()
while not os.path.exists(signs + "/ending"):
    time.sleep(0.01)
data += response.read()
assert data == open(path, "rb").read()
PYTHON
	client=$!
	wait_until 30 test -e "$test_dir/begun" || fail "no response"
	kill -TERM "$pid"
	touch "$test_dir/ending"
	wait "$client" || fail "the transfer was cut off"
	ends TERM
}

wrong_calls() {
	local code
	for arguments in "" "$root" "--listen 127.0.0.1:0" "--listen x $root" "--listen ::1:0 $root" \
		"--listen 127.0.0.1:99999 $root" "--listen 127.0.0.1:0 --connections 0 $root" \
		"--listen 127.0.0.1:0 $root more" "--no-such-option"; do
		code=0
		# shellcheck disable=SC2086
		timeout 10 "$server" $arguments >"$test_dir/out" 2>&1 || code=$?
		[[ $code == 2 && -s $test_dir/out ]] || fail "'$arguments': exit code $code"
	done
	for arguments in "--listen 127.0.0.1:0 $test_dir/none" "--listen 127.0.0.1:0 $root/1024" \
		"--listen 127.0.0.1:0 --workers 2 $test_dir/none" \
		"--listen 127.0.0.1:0 --aio telepathy $root" \
		"--listen 127.0.0.1:0 --access-log /none/log $root" \
		"--listen 127.0.0.1:0 --aio dusi --placement upside-down $root"; do
		code=0
		# shellcheck disable=SC2086
		timeout 10 "$server" $arguments >"$test_dir/out" 2>&1 || code=$?
		[[ $code == 1 && -s $test_dir/out ]] || fail "'$arguments': exit code $code"
	done
	"$server" --help | grep -q -- --placement
	"$server" --version | grep -q '^eta-webserver [0-9]'
}

# in_use: another server at the same address.
in_use() {
	local code=0
	timeout 10 "$server" --listen "$address" "$root" >"$test_dir/out" 2>&1 || code=$?
	[[ $code == 1 && -s $test_dir/out ]] || fail "two servers at one address: $code"
	wrong_address_in_use
}

make_site
has_backend || skip "no $backend here"
wrong_calls

say "files, and what is refused"
start
before=$(descriptors)
all_files
huge_file
heads
refusals
keep_alive
ranges
conditions
say "a client of our own"
raw_client
changed_files
say "many at a time"
parallel 6
parallel 30
load 1024
load 65536
in_use
kill -HUP "$pid" # no file is kept open
wait_until 20 has_descriptors "$before" ||
	fail "$before descriptors in the beginning, $(descriptors) in the end"
end_in_order

say "small cache"
small_cache

say "slow clients"
start --timeout 1 --no-defer
slow_clients
ends TERM

say "fewer connections than clients"
start --connections 4
parallel 30
load 1024
ends INT

say "the log, settings, status, short of this and that"
access_log
full_disk
status_page
no_descriptors
say "workers"
workers

for batch in 0 1; do
	say "accepts: one posted, in batches of $batch"
	start --accepts 1 --accept-batch "$batch"
	parallel 30
	ends TERM
done
[[ $backend == dusi ]] || exit 0

for placement in adaptive dedicated; do
	say "placement $placement"
	start --placement "$placement"
	all_files
	parallel 6
	ends TERM
done

if [[ -e /proc/net/if_inet6 ]]; then
	say "IPv6"
	start_on '[::1]' --access-log "$test_dir/access6"
	same "$large" "$root/$large"
	ends TERM
	grep -q '^::1 - - ' "$test_dir/access6" || fail "$(cat "$test_dir/access6")"
fi
