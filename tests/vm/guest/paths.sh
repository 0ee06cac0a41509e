#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Which way connections go: the provider's domains for devices, what is taken by default and by name,
# listeners that RDMA and TCP reach, and reasons where a way cannot be had.
. "$(dirname "$0")/lib.sh"
unset ETA_FABRIC
export FI_LOG_PROV=eta

# names ARGUMENT...: the domains that fi_info lists, each once, in their order.
names() {
	fi_info -p eta -t FI_EP_MSG "$@" | awk '$1 == "domain:" && !seen[$2]++ { print $2 }' | xargs
}

# says TEXT COMMAND...: it fails, and gives this reason.
says() {
	local text=$1
	shift
	! FI_LOG_LEVEL=warn "$@" >"$test_dir/out" 2>&1 || fail "$*: did not fail"
	grep -q "$text" "$test_dir/out" || fail "$*: $(cat "$test_dir/out")"
}

[[ $(names) =~ ^[^r].*\ lo\ rxe[01]\ rxe[01]$ ]] || fail "domains: $(names)"
[[ $(names -d rxe0) == rxe0 ]] || fail "-d rxe0: $(names -d rxe0)"
[[ $(ETA_FABRIC=roce names) =~ ^rxe.\ rxe.$ ]] || fail "ETA_FABRIC=roce: $(ETA_FABRIC=roce names)"
[[ $(ETA_FABRIC=roce:rxe1 names) == rxe1 ]] || fail "ETA_FABRIC=roce:rxe1"
[[ $(ETA_FABRIC=tcp names) =~ \ lo$ ]] || fail "ETA_FABRIC=tcp: $(ETA_FABRIC=tcp names)"
says 'no RDMA device called rxe7' fi_info -p eta -f roce:rxe7
says 'ETA_FABRIC=tcp excludes it' env ETA_FABRIC=tcp fi_info -p eta -d rxe0
eta-info
eta-info --fabric roce >"$test_dir/out" || fail "eta-info: $(cat "$test_dir/out")"
grep -q '  rxe0 *usable: RoCE' "$test_dir/out" || fail "eta-info: $(cat "$test_dir/out")"
grep -q 'by roce (asked for)' "$test_dir/out" || fail "eta-info: $(cat "$test_dir/out")"
says 'no RDMA device called rxe7' eta-info --fabric roce:rxe7

# pingpong KIND SERVER-DOMAIN CLIENT-DOMAIN WAY: between 10.0.1.2 and 10.0.1.1.
pingpong() {
	local kind=$1 log="$test_dir/$1-$2-$3" server
	start_background "$log.server" env FI_LOG_LEVEL=info timeout "$(seconds 60)" \
		fi_pingpong -p eta -d "$2" -e "$kind" -c -I 5 -S 65536
	server=$!
	wait_until 20 is_listening 47592 || fail "no server: $(tail -n 3 "$log.server")"
	FI_LOG_LEVEL=info timeout "$(seconds 60)" fi_pingpong -p eta -d "$3" -e "$kind" -c -I 5 -S 65536 \
		10.0.1.2 >"$log.client" 2>&1 || fail "$kind $2 $3: $(tail -n 3 "$log.client")"
	wait "$server" || fail "$kind $2 $3: $(tail -n 3 "$log.server")"
	if [[ $kind == msg ]]; then
		grep -q "connected by $4" "$log.client" || fail "$2 $3: the client: not by $4"
		grep -q "connected by $4" "$log.server" || fail "$2 $3: the server: not by $4"
	fi
	echo "$kind from $3 to $2: by $4"
}

pingpong msg rxe1 rxe0 roce
pingpong rdm rxe1 rxe0 roce
# a listener of a device takes what comes by TCP, too
pingpong msg rxe1 v0 tcp
# and what listens by TCP alone is not reached by RDMA
start_background "$test_dir/server" timeout "$(seconds 30)" fi_pingpong -p eta -d v1 -e msg
server=$!
wait_until 20 is_listening 47592 || fail "no server"
says 'not connected' env FI_LOG_LEVEL=info timeout "$(seconds 30)" fi_pingpong -p eta -d rxe0 -e msg 10.0.1.2
kill "$server"

# the fabric by itself, and under the engine
test_both >"$test_dir/out" 2>&1 || fail "test_both: $(tail -n 5 "$test_dir/out")"

ip link set v1 down
says 'its link is down' fi_info -p eta -d rxe1
ip link set v1 up
rdma link delete rxe1
[[ $(names -f roce) == rxe0 ]] || fail "without rxe1: $(names -f roce)"
