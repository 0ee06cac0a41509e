#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What eta puts on the wire is iWARP to others as well: fi_pingpong's traffic is captured on the
# loopback of a network namespace of this test's own, and tshark decodes it.
#
# tshark's dissector has limits. It loses a direction for good when a TCP segment ends within the
# first 7 bytes of an FPDU, so large messages may end its reading early; and other dissectors guess
# at what Sends carry. So the small messages are counted exactly and the large ones are not.
. "$(dirname "$0")/lib.sh"
need fi_pingpong tshark dumpcap ip unshare

# Once more, inside a namespace: of root's own, or of an unprivileged user.
if [[ ${1-} != inside ]]; then
	for flags in -n -rn; do
		if unshare "$flags" ip link set lo up 2>"$test_dir/why"; then
			trap - EXIT
			rm -rf "$test_dir"
			exec unshare "$flags" "$0" inside
		fi
	done
	skip "no network namespace: $(cat "$test_dir/why")"
fi
ip link set lo up

# capture NAME SIZE COUNT: the traffic of one fi_pingpong, in $test_dir/NAME.pcap.
capture() {
	local file=$test_dir/$1.pcap log=$test_dir/$1 port dumpcap server
	port=$(free_port)
	start_background "$log.dumpcap" dumpcap -q -i lo -s 0 -w "$file"
	dumpcap=$!
	wait_until 20 test -s "$file" || skip "dumpcap captures nothing: $(cat "$log.dumpcap")"
	start_background "$log.server" "${eta_run[@]}" timeout 60 fi_pingpong -p eta -e msg \
		-S "$2" -I "$3" -B "$port"
	server=$!
	wait_until 20 is_listening "$port" || fail "no server: $(cat "$log.server")"
	"${eta_run[@]}" timeout 60 fi_pingpong -p eta -e msg -S "$2" -I "$3" -P "$port" 127.0.0.1 \
		>"$log.client" 2>&1 || fail "the client: $(cat "$log.client")"
	wait "$server" || fail "the server: $(cat "$log.server")"
	# what was sent is in the file only when dumpcap has had its turn
	sleep 1
	kill -INT "$dumpcap"
	wait "$dumpcap" || true
}

# frames NAME FILTER: how many frames of the capture pass the display filter.
frames() {
	tshark -r "$test_dir/$1.pcap" --disable-protocol rpcordma --disable-protocol smb_direct \
		-Y "$2" 2>"$test_dir/tshark.err" | wc -l
}

# sends NAME: RDMAP Sends, opcode 3; a frame may hold several.
sends() {
	tshark -r "$test_dir/$1.pcap" --disable-protocol rpcordma --disable-protocol smb_direct \
		-Y iwarp_ddp_rdmap -T fields -e iwarp_rdma.opcode 2>>"$test_dir/tshark.err" |
		tr ',' '\n' | grep -cE '^(0x0*)?3$' || true
}

capture small 64 20
requests=$(frames small iwarp_mpa.req)
replies=$(frames small iwarp_mpa.rep)
sends=$(sends small)
bad=$(frames small _ws.malformed)
printf 'MPA requests %s, replies %s, Sends %s, malformed %s\n' "$requests" "$replies" "$sends" "$bad"
((requests == 1)) || fail "no MPA request was decoded"
((replies == 1)) || fail "no MPA reply was decoded"
# 20 each way, and the parting message of each side
((sends >= 40)) || fail "$sends of 40 Sends were decoded"
((bad == 0)) || fail "$bad malformed frames: $(frames small _ws.malformed)"

capture large 100000 10
sends=$(sends large)
bad=$(frames large _ws.malformed)
printf 'large messages: Sends %s, malformed %s\n' "$sends" "$bad"
((sends > 0)) || fail "no Send of a large message was decoded"
