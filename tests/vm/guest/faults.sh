#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Faults of an RDMA path under load: a peer is killed, the link is cut, the device is removed. What was
# under way ends with an error, on both sides and in time; one web server, under load by RDMA as well,
# goes on with its clients by TCP through all of it, and takes RDMA again where that is back.
. "$(dirname "$0")/lib.sh"

patience=$(seconds 60) # seconds until a process that has to end counts as hanging
limit=40 # seconds that it may take: retries are over after some 4 s, silence is noticed within 30 s

now_ms() {
	date +%s%3N
}

# ------------------------------------------------------------------ what is under way

declare -A pid=() # by name: what has to end by itself
run() {
	local name=$1
	shift
	start_background "$test_dir/$name" timeout "$patience" "$@"
	pid[$name]=$!
}

# program NAME: the process itself, below its timeout.
program() {
	pgrep -P "${pid[$1]}"
}

# start_streams: a receiver on rxe1, a transmitter on rxe0, far more than they will get done.
start_streams() {
	local address
	run receiver env ETA_FABRIC=roce eta-ttcp --receive --listen 10.0.1.2:0 --verify
	address=$(listening_address "$test_dir/receiver" "${pid[receiver]}") || fail "no receiver"
	run transmitter env ETA_FABRIC=roce:rxe0 eta-ttcp --transmit "$address" --verify --total 100g
}

# pingpong NAME DEVICE OPTION...: fi_pingpong, which writes to its peer's socket when all is over.
pingpong() {
	local name=$1 device=$2
	shift 2
	run "$name" env --ignore-signal=PIPE ETA_FABRIC=roce FI_LOG_LEVEL=info FI_LOG_PROV=eta \
		fi_pingpong -p eta -d "$device" -e msg -I 10000000 -S 65536 "$@"
}

start_messages() {
	pingpong pingpong_server rxe1 -B 47592
	wait_until 20 is_listening 47592 || fail "no server: $(cat "$test_dir/pingpong_server")"
	pingpong pingpong_client rxe0 -P 47592 10.0.1.2
	wait_until 20 grep -q 'connected by roce' "$test_dir/pingpong_client" ||
		fail "not connected: $(cat "$test_dir/pingpong_client")"
}

# get WAY ADDRESS FILE COUNT: a client of the web server.
get() {
	ETA_FABRIC=$1 timeout "$patience" http_get "$2" "$port" "/$3" "$4"
}

start_client() {
	run client env ETA_FABRIC=roce:rxe0 http_get 10.0.1.2 "$port" /large 1000000
}

flows() {
	(($(sent v0) > $1 + 3000))
}

# under_load: once it is.
under_load() {
	wait_until 30 flows "$(sent v0)" || fail "nothing flows: $(tail -n 3 "$test_dir"/*)"
	alive "${!pid[@]}"
}

alive() {
	local name
	for name in "$@"; do
		kill -0 "${pid[$name]}" 2>/dev/null ||
			fail "$name ended too early: $(cat "$test_dir/$name")"
	done
}

# hangs NAME: says what there is to say about it.
hangs() {
	local task
	for task in /proc/"$(program "$1")"/task/*; do
		printf '%s in %s\n' "${task##*/}" "$(cat "$task/wchan")"
		cat "$task/stack"
	done
	fail "$1 hangs: $(grep -v ':core:\|:psm' "$test_dir/$1")"
}

is_over() {
	! kill -0 "${pid[$1]}" 2>/dev/null
}

# ends FAULT SINCE NAME...: with an error, and a reason, within $limit from SINCE on. In any order.
ends() {
	local fault=$1 since=$2 name status said
	shift 2
	for name in "$@"; do
		wait_until "$limit" is_over "$name" || hangs "$name"
		said=$(($(now_ms) - since))
		status=0
		wait "${pid[$name]}" || status=$?
		unset "pid[$name]"
		((status == 1 || (status > 1 && status < 124))) ||
			fail "$fault: $name ended with $status: $(cat "$test_dir/$name")"
		printf '%s: %s after at most %s ms: %s\n' "$fault" "$name" "$said" \
			"$(grep -v '^libfabric:\|roce: a connection\|^$' "$test_dir/$name" | tail -n 1)"
	done
}

# kill_one NAME: it gets no chance to say so.
kill_one() {
	kill -KILL "$(program "$1")"
	wait "${pid[$1]}" 2>/dev/null || true
	unset "pid[$1]"
}

# ------------------------------------------------------------------ the server, and TCP

# Clients by TCP from the namespace far, one after the other, each line of $test_dir/rounds one of them.
tcp_clients() {
	export ETA_FABRIC=tcp
	while [[ ! -e $test_dir/enough ]]; do
		timeout "$patience" "${far[@]}" http_get 10.0.2.1 "$port" /small 5 >"$test_dir/tcp_got" \
			2>"$test_dir/tcp" || break
		cmp -s "$test_dir/tcp_got" "$root/small" || break
		echo >>"$test_dir/rounds"
	done
	[[ -e $test_dir/enough ]]
}

rounds() {
	wc -l <"$test_dir/rounds"
}

more_rounds() {
	(($(rounds) >= $1 + 2))
}

# tcp_goes_on FAULT: another two clients are served.
tcp_goes_on() {
	wait_until 20 more_rounds "$(rounds)" || fail "$1: no TCP meanwhile: $(cat "$test_dir/server")"
}

# by_rdma FAULT: the same server, asked by RDMA.
by_rdma() {
	local before
	before=$(sent v1)
	get roce:rxe0 10.0.1.2 large 1 >"$test_dir/got" || fail "$1: not by RDMA afterwards"
	cmp "$test_dir/got" "$root/large" || fail "$1: wrong by RDMA afterwards"
	(($(sent v1) - before > 200)) || fail "$1: what came afterwards came not by RDMA"
	echo "$1: afterwards RDMA again"
}

root=$test_dir/root
mkdir "$root"
head -c 100000 /dev/urandom >"$root/small"
head -c 2000000 /dev/urandom >"$root/large"
: >"$test_dir/rounds"
ETA_FABRIC=roce start_background "$test_dir/server" eta-webserver --listen '*:0' "$root"
server=$!
address=$(listening_address "$test_dir/server" "$server") || fail "no server"
port=${address##*:}
tcp_clients &
tcp=$!

# ------------------------------------------------------------------------------ killed

start_streams
start_messages
start_client
under_load
since=$(now_ms)
for name in receiver pingpong_server client; do
	kill_one "$name"
done
ends "killed" "$since" transmitter pingpong_client
start_streams
start_messages
under_load
since=$(now_ms)
for name in transmitter pingpong_client; do
	kill_one "$name"
done
ends "killed" "$since" receiver pingpong_server
tcp_goes_on "killed"
by_rdma "killed"

# -------------------------------------------------------------------------- link cut

# Nothing arrives any more. Not "ip link set v1 down": soft-RoCE of Linux 6.1 then repeats without end,
# once in some eight times, what the interface refuses, and the whole machine stands still.
start_streams
start_messages
start_client
under_load
since=$(now_ms)
for end in v0 v1; do
	tc qdisc add dev "$end" root netem loss 100%
done
tcp_goes_on "link cut"
ends "link cut" "$since" client transmitter receiver pingpong_client pingpong_server
tcp_goes_on "link cut"
for end in v0 v1; do
	tc qdisc del dev "$end" root
done
by_rdma "link mended"

# -------------------------------------------------------------------- device removed

start_streams
start_messages
start_client
under_load
since=$(now_ms)
run delete rdma link delete rxe1
tcp_goes_on "removed"
wait_until 20 is_over delete || hangs delete
wait "${pid[delete]}" || fail "removed: $(cat "$test_dir/delete")"
echo "removed: the device is gone after at most $(($(now_ms) - since)) ms"
unset "pid[delete]"
ends "removed" "$since" client transmitter receiver pingpong_client pingpong_server
tcp_goes_on "removed"
# by TCP over the same addresses, too
get tcp 10.0.1.2 large 1 >"$test_dir/got" || fail "removed: no TCP at its address"
cmp "$test_dir/got" "$root/large" || fail "removed: wrong"
devices_up
by_rdma "there again"

: >"$test_dir/enough"
wait "$tcp" || fail "TCP: a client failed: $(tail -n 3 "$test_dir/server")"
echo "TCP: $(rounds) times 5 clients were served meanwhile"
kill "$server"
wait "$server" || fail "the server ended with $?: $(cat "$test_dir/server")"
