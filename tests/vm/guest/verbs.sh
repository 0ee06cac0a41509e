#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The machine itself: two soft-RoCE devices, and rdma-core's own programs between them.
. "$ETA_SOURCE_DIR/tests/system/lib.sh"

# packets END: how many the interface has sent.
packets() {
	cat "/sys/class/net/$1/statistics/tx_packets"
}

ibv_devices
for device in rxe0 rxe1; do
	ibv_devinfo -d "$device" | grep -q PORT_ACTIVE || fail "$device: no active port"
done

before=$(packets v0)
start_background "$test_dir/server" rping -s -a 192.0.2.2 -C 10 -v
server=$!
sleep 1
timeout 30 rping -c -I 192.0.2.1 -a 192.0.2.2 -C 10 -v || fail "rping: $(cat "$test_dir/server")"
wait "$server" || fail "rping's server: $(cat "$test_dir/server")"
echo "rping: $(($(packets v0) - before)) packets over v0"
(($(packets v0) - before >= 20)) || fail "they did not go over v0"

gid() {
	local index
	for index in 0 1 2 3 4 5; do
		if grep -qi "ffff:c000:020$2" "/sys/class/infiniband/$1/ports/1/gids/$index"; then
			echo "$index"
			return
		fi
	done
}
start_background "$test_dir/server" ibv_rc_pingpong -d rxe1 -g "$(gid rxe1 2)" -n 100
server=$!
wait_until 10 is_listening 18515 || fail "ibv_rc_pingpong: $(cat "$test_dir/server")"
timeout 30 ibv_rc_pingpong -d rxe0 -g "$(gid rxe0 1)" -n 100 127.0.0.1 ||
	fail "ibv_rc_pingpong: $(cat "$test_dir/server")"
wait "$server" || fail "ibv_rc_pingpong's server: $(cat "$test_dir/server")"
