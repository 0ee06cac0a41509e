#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The machine that asks, 10.0.3.2: byte streams and datagrams by RDMA to the other machine, whose
# processes serve clients by TCP meanwhile.
. "$(dirname "$0")/lib.sh"

answers() {
	(exec 3<>"/dev/tcp/$server/$web_port") 2>/dev/null
}

# get WAY FILE COUNT: from the web server, and compared.
get() {
	ETA_FABRIC=$1 timeout "$patience" http_get "$server" "$web_port" "/$2" "$3" \
		>"$test_dir/$1-$2" || fail "web: $2 by $1"
	cmp "$test_dir/$1-$2" "$test_dir/$2" || fail "web: $2 by $1 is another"
}

# transmit WAY OPTION...: what the receiver verifies.
transmit() {
	local way=$1
	shift
	ETA_FABRIC=$way timeout "$patience" eta-ttcp --transmit "$server:$ttcp_port" --verify "$@" \
		>"$test_dir/out" 2>&1 || fail "ttcp by $way: $(cat "$test_dir/out")"
}

# by_rdma PACKETS WHAT COMMAND...: which makes the device send at least so many.
by_rdma() {
	local least=$1 what=$2 before
	shift 2
	before=$(sent)
	"$@"
	(($(sent) - before >= least)) || fail "$what: only $(($(sent) - before)) packets by RDMA"
	echo "$what: $(($(sent) - before)) packets by RDMA"
}

# by_tcp WHAT COMMAND...: of which the device knows nothing.
by_tcp() {
	local what=$1 before
	shift
	before=$(sent)
	"$@"
	(($(sent) == before)) || fail "$what: $(($(sent) - before)) packets by RDMA"
	echo "$what: by TCP"
}

# both_ways: two clients of the server at the same time.
both_ways() {
	get tcp small 5 &
	local other=$!
	get roce:rxe2 large 2
	wait "$other" || fail "web: by TCP meanwhile"
}

pingpong() {
	ETA_FABRIC=roce timeout "$patience" fi_pingpong -p eta -d rxe2 -e rdm -c -I 10 -S 70000 \
		"$server" >"$test_dir/pingpong" 2>&1 || fail "fi_pingpong: $(cat "$test_dir/pingpong")"
	tail -n 1 "$test_dir/pingpong"
}

octets 100000 >"$test_dir/small"
octets 1500000 >"$test_dir/large"
wait_until 60 answers || fail "nobody answers"
by_rdma 1000 "ttcp" transmit roce:rxe2 --total 4m --size 64k
by_tcp "ttcp, the same process" transmit tcp --total 4m --size 64k
# its answers are what is large: of these the device acknowledges some
by_rdma 20 "web" get roce:rxe2 large 1
by_tcp "web, the same process" get tcp large 1
by_rdma 20 "web, both at once" both_ways
by_rdma 500 "datagrams" pingpong
