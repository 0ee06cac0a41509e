#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Byte streams by RDMA: eta-ttcp and eta-webserver, content checked, while the same listeners are
# reached by TCP.
. "$(dirname "$0")/lib.sh"

total=16m
count=20
[[ -z $ETA_SANITIZE ]] || { total=2m; count=5; }

# transfer FABRIC OPTION...: one transmitter, to the receiver that is there.
transfer() {
	local fabric=$1 before after
	shift
	before=$(sent v0)
	ETA_FABRIC=$fabric timeout "$(seconds 120)" eta-ttcp --transmit "$address" --verify "$@" \
		>"$test_dir/out" 2>&1 || fail "$fabric $*: $(cat "$test_dir/out" "$test_dir/receiver")"
	after=$(sent v0)
	echo "$fabric $*: $((after - before)) packets over v0"
	packets=$((after - before))
}

# listen FABRIC OPTION...: a receiver.
listen() {
	local fabric=$1
	shift
	: >"$test_dir/receiver"
	ETA_FABRIC=$fabric start_background "$test_dir/receiver" eta-ttcp --receive \
		--listen 10.0.1.2:0 --verify --forever "$@"
	receiver=$!
	address=$(listening_address "$test_dir/receiver" "$receiver") ||
		fail "no receiver: $(cat "$test_dir/receiver")"
}

for placement in adaptive inline dedicated; do
	listen roce --placement "$placement"
	transfer roce:rxe0 --total "$total" --size 64k --placement "$placement"
	((packets > 500)) || fail "not by RDMA"
	transfer roce:rxe0 --total 1m --size 701
	# the same process, reached by TCP
	transfer tcp --total "$total"
	((packets < 500)) || fail "not by TCP, which has the near end of everything"
	kill "$receiver"
	wait "$receiver" || true
done
listen roce --latency
transfer roce:rxe0 --latency --count 200 --size 64
kill "$receiver"
wait "$receiver" || true

# Files over both wires, from one server.
root=$test_dir/root
mkdir "$root"
for size in 0 1 1024 65536 3000000; do
	head -c "$size" /dev/urandom >"$root/$size"
done
ETA_FABRIC=roce start_background "$test_dir/log" eta-webserver --listen 10.0.1.2:0 "$root"
server=$!
address=$(listening_address "$test_dir/log" "$server") || fail "no server: $(cat "$test_dir/log")"
port=${address##*:}
for size in 0 1 1024 65536 3000000; do
	before=$(sent v1)
	ETA_FABRIC=roce:rxe0 timeout "$(seconds 60)" http_get 10.0.1.2 "$port" "/$size" >"$test_dir/got" ||
		fail "$size by RDMA: $(cat "$test_dir/log")"
	cmp "$test_dir/got" "$root/$size" || fail "$size by RDMA"
	((size < 60000 || $(sent v1) - before > size / 4096)) || fail "$size: not by RDMA"
	ETA_FABRIC=tcp timeout "$(seconds 60)" http_get 10.0.1.2 "$port" "/$size" >"$test_dir/got" ||
		fail "$size by TCP"
	cmp "$test_dir/got" "$root/$size" || fail "$size by TCP"
done
# at the same time
ETA_FABRIC=tcp timeout "$(seconds 100)" http_get 10.0.1.2 "$port" /65536 "$count" >"$test_dir/tcp" &
by_tcp=$!
ETA_FABRIC=roce:rxe0 timeout "$(seconds 100)" http_get 10.0.1.2 "$port" /3000000 "$count" >"$test_dir/got" ||
	fail "many by RDMA"
cmp "$test_dir/got" "$root/3000000" || fail "many by RDMA"
wait "$by_tcp" || fail "TCP clients meanwhile"
cmp "$test_dir/tcp" "$root/65536" || fail "TCP clients meanwhile"
kill "$server"
wait "$server" || fail "the server ended with $?: $(cat "$test_dir/log")"
echo "the web server served both"
