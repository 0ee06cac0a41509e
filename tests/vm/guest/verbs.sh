#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The machine itself: two soft-RoCE devices, and rdma-core's own programs between them.
. "$(dirname "$0")/lib.sh"

for device in rxe0 rxe1; do
	ibv_devinfo -d "$device" >"$test_dir/info" || fail "$device: $(cat "$test_dir/info")"
	grep -q PORT_ACTIVE "$test_dir/info" || fail "$device: $(cat "$test_dir/info")"
done

# The connection manager, Send, Read and Write; and that they go from one end to the other.
before=$(sent v0)
start_background "$test_dir/server" rping -s -a 10.0.1.2 -C 10 -v
server=$!
sleep 1
timeout "$(seconds 30)" rping -c -I 10.0.1.1 -a 10.0.1.2 -C 10 >"$test_dir/client" 2>&1 ||
	fail "rping: $(cat "$test_dir/client" "$test_dir/server")"
wait "$server" || fail "rping's server: $(cat "$test_dir/server")"
pings=$(grep -c 'ping data' "$test_dir/server")
echo "rping: $pings pings, $(($(sent v0) - before)) packets over v0"
((pings == 10 && $(sent v0) - before >= 20)) || fail "too few"

# The same devices without the connection manager.
start_background "$test_dir/server" ibv_rc_pingpong -d rxe1 -g "$(gid rxe1 10.0.1.2)" -n 100
server=$!
wait_until 10 is_listening 18515 || fail "ibv_rc_pingpong: $(cat "$test_dir/server")"
timeout "$(seconds 30)" ibv_rc_pingpong -d rxe0 -g "$(gid rxe0 10.0.1.1)" -n 100 127.0.0.1 ||
	fail "ibv_rc_pingpong: $(cat "$test_dir/server")"
wait "$server" || fail "ibv_rc_pingpong's server: $(cat "$test_dir/server")"
