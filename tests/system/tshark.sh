#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What eta puts on the wire is iWARP to others as well: traffic is captured on the loopback of a
# network namespace of this test's own, and tshark decodes it.
#
#   tshark.sh	fi_pingpong's, small and large messages
#   tshark.sh ops	that of wire_ops, which uses all that two etas say; wire_decode.py reads it as
#		well, and eta's upper-layer header, of which tshark knows nothing
#
# tshark's dissector has limits. It loses a direction for good when a TCP segment ends within the
# first 7 bytes of an FPDU, so large messages may end its reading early; and other dissectors guess
# at what Sends carry. So the small messages are counted exactly and the large ones are not, and
# wire_ops is given three captures.
. "$(dirname "$0")/lib.sh"
need fi_pingpong tshark dumpcap ip unshare python3

# Once more, inside a namespace: of root's own, or of an unprivileged user.
if [[ ${1-} != inside ]]; then
	for flags in -n -rn; do
		if unshare "$flags" ip link set lo up 2>"$test_dir/why"; then
			trap - EXIT
			rm -rf "$test_dir"
			exec unshare "$flags" "$0" inside "$@"
		fi
	done
	skip "no network namespace: $(cat "$test_dir/why")"
fi
ip link set lo up

# capture_start NAME, capture_stop NAME: what happens in between goes to $test_dir/NAME.pcap.
capture_start() {
	start_background "$test_dir/$1.dumpcap" dumpcap -q -i lo -s 0 -w "$test_dir/$1.pcap"
	dumpcap=$!
	wait_until 20 test -s "$test_dir/$1.pcap" ||
		skip "dumpcap captures nothing: $(cat "$test_dir/$1.dumpcap")"
}

capture_stop() {
	# what was sent is in the file only when dumpcap has had its turn
	sleep 1
	kill -INT "$dumpcap"
	wait "$dumpcap" || true
}

# dissect NAME FILTER [OPTION...]: frames of the capture that pass the display filter.
dissect() {
	tshark -r "$test_dir/$1.pcap" --disable-protocol rpcordma --disable-protocol smb_direct \
		-Y "$2" "${@:3}" 2>>"$test_dir/tshark.err"
}

# frames NAME FILTER: how many there are.
frames() {
	dissect "$1" "$2" | wc -l
}

# opcodes NAME: RDMAP opcodes, one a line; a frame may hold several.
opcodes() {
	dissect "$1" iwarp_ddp_rdmap -T fields -e iwarp_rdma.opcode | tr ',' '\n'
}

sends() {
	opcodes "$1" | grep -cE '^(0x0*)?3$' || true
}

# pingpong NAME SIZE COUNT: the traffic of one fi_pingpong.
pingpong() {
	local log=$test_dir/$1 port server
	port=$(free_port)
	capture_start "$1"
	start_background "$log.server" "${eta_run[@]}" timeout 60 fi_pingpong -p eta -e msg \
		-S "$2" -I "$3" -B "$port"
	server=$!
	wait_until 20 is_listening "$port" || fail "no server: $(cat "$log.server")"
	"${eta_run[@]}" timeout 60 fi_pingpong -p eta -e msg -S "$2" -I "$3" -P "$port" 127.0.0.1 \
		>"$log.client" 2>&1 || fail "the client: $(cat "$log.client")"
	wait "$server" || fail "the server: $(cat "$log.server")"
	capture_stop "$1"
}

test_pingpong() {
	local requests replies count bad
	pingpong small 64 20
	requests=$(frames small iwarp_mpa.req)
	replies=$(frames small iwarp_mpa.rep)
	count=$(sends small)
	bad=$(frames small _ws.malformed)
	printf 'MPA requests %s, replies %s, Sends %s, malformed %s\n' \
		"$requests" "$replies" "$count" "$bad"
	((requests == 1)) || fail "no MPA request was decoded"
	((replies == 1)) || fail "no MPA reply was decoded"
	# 20 each way, and the parting message of each side
	((count >= 40)) || fail "$count of 40 Sends were decoded"
	((bad == 0)) || fail "$bad malformed frames: $(frames small _ws.malformed)"

	pingpong large 100000 10
	count=$(sends large)
	bad=$(frames large _ws.malformed)
	printf 'large messages: Sends %s, malformed %s\n' "$count" "$bad"
	((count > 0)) || fail "no Send of a large message was decoded"
}

# ops_once NAME: one run. Whether both decoders found all that is sent, and nothing to complain of.
ops_once() {
	local port opcode missing=() bad
	port=$(free_port)
	capture_start "$1"
	"${eta_run[@]}" FI_PROVIDER=eta timeout 60 "$ETA_BIN_DIR/tests/wire_ops" "$port" \
		>"$test_dir/$1.log" 2>&1 || fail "wire_ops: $(cat "$test_dir/$1.log")"
	capture_stop "$1"

	tshark -r "$test_dir/$1.pcap" --disable-protocol iwarp_mpa -T fields -e tcp.stream \
		-e tcp.srcport -e tcp.seq -e tcp.payload 2>>"$test_dir/tshark.err" |
		"$ETA_SOURCE_DIR/tests/system/wire_decode.py" mpa-request mpa-reply write \
			read-request read-response send terminate immediate atomic-request \
			atomic-response ulp-eager ulp-announce ulp-done ulp-ack ulp-held ulp-ack-one \
			ulp-read-nak ulp-atomic ulp-result ulp-ping ulp-pong ulp-proof || return 1

	opcodes "$1" | sort | uniq -c >"$test_dir/$1.opcodes"
	# immediate data, 0x8, are more than some versions of tshark have heard of
	for opcode in 0 1 2 3 7 a b; do
		grep -qE " 0x0*$opcode\$" "$test_dir/$1.opcodes" || missing+=("0x$opcode")
	done
	bad=$(frames "$1" _ws.malformed)
	printf 'tshark: malformed %s, opcodes not seen: %s\n' "$bad" "${missing[*]:-none}"
	cat "$test_dir/$1.opcodes"
	((bad == 0 && ${#missing[@]} == 0))
}

test_ops() {
	local i
	for i in 1 2 3; do
		! ops_once "ops$i" || return 0
	done
	fail "not all of it was decoded, in three captures"
}

if [[ ${2-} == ops ]]; then
	test_ops
else
	test_pingpong
fi
