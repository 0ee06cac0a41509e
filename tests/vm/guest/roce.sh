#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The message service over soft-RoCE: its contract, the engine's tests between datagram endpoints, and
# fi_pingpong with its content checked.
. "$(dirname "$0")/lib.sh"

export ETA_FABRIC=roce ETA_TEST_HOST=10.0.1.1 ETA_TEST_DOMAIN=rxe0

# unit PROGRAM: a unit test's program.
unit() {
	local status=0
	timeout "$(seconds 150)" "test_$1" >"$test_dir/$1" 2>&1 || status=$?
	((status == 0)) || fail "test_$1 ended with $status: $(cat "$test_dir/$1")"
	printf '%s: %s\n' "$1" "$(grep -o 'PASSED.*' "$test_dir/$1")"
}

unit roce
unit roce_place
unit rdm_device
# the rest is slow under a sanitizer, and runs under it over simulated devices
if [[ -z $ETA_SANITIZE ]]; then
	unit rdm_peers
	ETA_TEST_ROUNDS=15 unit rdm_rma
fi

# From one end of the veth pair to the other, all sizes up to 1 MiB.
for kind in msg rdm; do
	FI_ETA_IFACE=v1 start_background "$test_dir/server" \
		fi_pingpong -p eta -e "$kind" -c -I 5 -S all
	server=$!
	sleep 1
	FI_ETA_IFACE=v0 timeout "$(seconds 60)" fi_pingpong -p eta -e "$kind" -c -I 5 -S all 10.0.1.2 \
		>"$test_dir/client" 2>&1 ||
		fail "fi_pingpong -e $kind: $(cat "$test_dir/client" "$test_dir/server")"
	wait "$server" || fail "fi_pingpong's server: $(cat "$test_dir/server")"
	tail -n 1 "$test_dir/client"
done
