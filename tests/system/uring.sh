#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta-ttcp and eta-webserver over io_uring: everything arrives, also from and to programs over epoll;
# and it is refused, with a reason, where any thread may run the engine. with_uring.sh runs this.
. "$(dirname "$0")/lib.sh"
need curl

ttcp=$ETA_BIN_DIR/eta-ttcp
server=$ETA_BIN_DIR/eta-webserver
total=256m
count=2000
[[ -z $ETA_SANITIZE ]] || { total=16m; count=200; }

# transfer RECEIVER_FABRIC TRANSMITTER_FABRIC OPTION...: of both sides.
transfer() {
	local address receiver from=$1 to=$2
	shift 2
	: >"$test_dir/receiver"
	ETA_FABRIC=$from start_background "$test_dir/receiver" "$ttcp" --receive \
		--listen 127.0.0.1:0 --verify "$@"
	receiver=$!
	address=$(listening_address "$test_dir/receiver" "$receiver") || fail "no receiver"
	ETA_FABRIC=$to timeout 100 "$ttcp" --transmit "$address" --verify "${amount[@]}" "$@" \
		>"$test_dir/out" || fail "$from receives from $to: $*"
	wait "$receiver" || fail "$from receives from $to: $*: $(cat "$test_dir/receiver")"
}

transfers() {
	local fabric
	say "$total each way, sleeping and polling"
	amount=(--total "$total" --size 100000)
	transfer uring uring
	transfer uring tcp --poll
	transfer tcp uring --poll
	say "round trips"
	amount=(--count "$count" --size 64)
	for fabric in uring tcp; do
		transfer "$fabric" uring --latency
		transfer "$fabric" uring --latency --poll
	done
	say "a thread of its own"
	amount=(--total 8m)
	transfer uring uring --placement dedicated
}

refused() {
	say "adaptive placement is refused"
	! timeout 20 "$ttcp" --receive --listen 127.0.0.1:0 --placement adaptive \
		>"$test_dir/out" 2>&1 || fail "it was not"
}

web() {
	local root=$test_dir/root pid address size
	say "files, many at a time"
	mkdir "$root"
	for size in 0 1 1024 65536 5000000; do
		head -c "$size" /dev/urandom >"$root/$size"
	done
	start_background "$test_dir/log" "$server" --listen 127.0.0.1:0 "$root"
	pid=$!
	address=$(listening_address "$test_dir/log" "$pid") || fail "the server did not start"
	for size in 0 1 1024 65536 5000000; do
		curl --silent --fail --max-time 60 -o "$test_dir/got" "http://$address/$size"
		cmp "$test_dir/got" "$root/$size"
	done
	if command -v wrk >/dev/null; then
		wrk -t1 -c64 -d2s "http://$address/1024" >"$test_dir/out"
		wrk -t1 -c16 -d1s -H 'Connection: close' "http://$address/1024" >>"$test_dir/out"
		! grep -iE 'Non-2xx|Socket errors.*(connect|timeout) [1-9]' "$test_dir/out" ||
			fail "wrk: $(cat "$test_dir/out")"
	fi
	kill -TERM "$pid"
	wait "$pid" || fail "the server's exit code is $?"
}

transfers
refused
web
