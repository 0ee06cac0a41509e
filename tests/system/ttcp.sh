#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta-ttcp: does everything arrive, and in order, when the receiver is late, slow, and short of
# buffers; with each placement; and do both sides say so when it does not?
. "$(dirname "$0")/lib.sh"
need python3

ttcp=$ETA_BIN_DIR/eta-ttcp
total=1g
[[ -z $ETA_SANITIZE ]] || total=48m

# receiver OPTION...: one on a free port; sets $receiver, $address.
receiver_on() {
	local listen=$1:0
	shift
	: >"$test_dir/receiver" # the address of the last one must not be found there
	start_background "$test_dir/receiver" "$ttcp" --receive --listen "$listen" "$@"
	receiver=$!
	address=$(listening_address "$test_dir/receiver" "$receiver") || fail "no receiver"
}

receiver() {
	receiver_on 127.0.0.1 "$@"
}

transmit() {
	timeout 250 "$ttcp" --transmit "$address" "$@"
}

# ended CODE [PATTERN]: the receiver ends with this code, and says this.
ended() {
	local code=0
	wait "$receiver" || code=$?
	[[ $code == "$1" ]] || { cat "$test_dir/receiver"; fail "the receiver's exit code is $code"; }
	grep -q -- "${2-}" "$test_dir/receiver" ||
		{ cat "$test_dir/receiver"; fail "the receiver does not say: $2"; }
}

# refused CODE PATTERN COMMAND...
refused() {
	local want=$1 pattern=$2 code=0
	shift 2
	timeout 60 "$@" >"$test_dir/out" 2>&1 || code=$?
	[[ $code == "$want" ]] || { cat "$test_dir/out"; fail "exit code $code: $*"; }
	grep -q -- "$pattern" "$test_dir/out" ||
		{ cat "$test_dir/out"; fail "does not say '$pattern': $*"; }
}

adverse() {
	say "$total while the receiver is late, has tiny buffers, and pauses"
	receiver --verify --late-ms 300 --receive-size 701 --pause-every 12m --pause-ms 10
	transmit --verify --total "$total" --size 100000
	ended 0 "received $(numfmt --from=iec "${total^^}") bytes"
}

sizes() {
	say "operations of all sizes"
	local size
	for size in 1 7 4096 65537 3m; do
		receiver --verify --receive-size 10000
		transmit --verify --size "$size" --count 9 --window 4 >/dev/null
		ended 0 "^received"
	done
	receiver --verify --window 1
	transmit --verify --size 1000 --total 12345 --window 1 | grep -q "transmitted 12345 bytes"
	ended 0 "received 12345 bytes"
}

latency() {
	say "round trips"
	local size count=2000
	[[ -z $ETA_SANITIZE ]] || count=200
	for size in 1 64 100000; do
		receiver --latency --verify
		transmit --latency --verify --size "$size" --count "$count" >"$test_dir/out"
		grep -q "^$count round trips in us: min" "$test_dir/out"
		ended 0 "^received $((size * count)) bytes"
	done
	receiver --poll
	transmit --latency --poll --size 64 --count "$count" | tail -n 1
	ended 0
}

placements() {
	say "each placement with each"
	local one other
	for one in inline adaptive dedicated; do
		for other in inline adaptive dedicated; do
			receiver --verify --placement "$one" --receive-size 30000
			transmit --verify --placement "$other" --total 8m --json >"$test_dir/out" ||
				fail "$one receives from $other"
			ended 0 "^received 8388608 bytes"
		done
	done
}

ipv6() {
	[[ -e /proc/net/if_inet6 ]] || return 0
	say "IPv6"
	receiver_on '[::1]' --verify
	[[ $address == '[::1]:'* ]] || fail "listens on $address"
	transmit --verify --total 4m | grep -q "^transmitted"
	ended 0 "^received"
}

has_connection() {
	[[ $(find "/proc/$receiver/fd" -mindepth 1 | wc -l) -gt $1 ]]
}

# A transfer that takes long is under way; sets $transmitter.
transfer_slowly() {
	local before
	receiver --pause-every 1m --pause-ms 50
	before=$(find "/proc/$receiver/fd" -mindepth 1 | wc -l)
	start_background "$test_dir/out" "$ttcp" --transmit "$address" --total 1g
	transmitter=$!
	wait_until 30 has_connection "$before" || fail "no connection"
	sleep 0.3
}

# A peer that is killed in the middle: the other end says so, and does not wait for ever.
killed() {
	say "killed peers"
	local transmitter code
	transfer_slowly
	kill -KILL "$receiver"
	wait "$receiver" 2>/dev/null || true
	code=0
	wait "$transmitter" || code=$?
	[[ $code == 1 ]] || fail "without its receiver, the transmitter's exit code is $code"
	grep -q "^eta-ttcp: the \(connection\|receiver\)" "$test_dir/out"

	transfer_slowly
	kill -KILL "$transmitter"

	wait "$transmitter" 2>/dev/null || true
	ended 1 "^eta-ttcp: the \(connection\|transmitter\)"
}

# A transmitter written from protocol.h and pattern.h anew: right content, then one wrong byte.
foreign() {
	say "a transmitter that was not written here"
	cat >"$test_dir/transmit.py" <<'PYTHON'
import socket
import struct
import sys

address, total, wrong = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
host, port = address.rsplit(":", 1)
seed, mask = 0xFFFFFFFFFFFFFFF0, (1 << 64) - 1


def word(i):
    z = (seed + i + 1) * 0x9E3779B97F4A7C15 & mask
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


data = bytearray(b"".join(struct.pack("<Q", word(i)) for i in range(total // 8 + 1))[:total])
if wrong >= 0:
    data[wrong] ^= 0x20
with socket.create_connection((host, int(port)), timeout=30) as s:
    s.sendall(b"eta-ttcp" + struct.pack(">QQII", total, seed, 1000, 2) + data)
    s.shutdown(socket.SHUT_WR)
    reply = b""
    while chunk := s.recv(100):
        reply += chunk
got = struct.unpack(">QQ", reply)
assert got == (total, wrong & mask), got
PYTHON
	receiver --verify --receive-size 999
	python3 "$test_dir/transmit.py" "$address" 300001 -1
	ended 0 "received 300001 bytes"
	receiver --verify --receive-size 999
	python3 "$test_dir/transmit.py" "$address" 300001 123457
	ended 1 "wrong byte at offset 123457"
}

strangers() {
	say "what is no transfer"
	receiver
	python3 -c 'import socket, sys
h, p = sys.argv[1].rsplit(":", 1)
socket.create_connection((h, int(p))).sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")' "$address"
	ended 1 "the peer is no eta-ttcp"
	receiver
	python3 -c 'import socket, sys
h, p = sys.argv[1].rsplit(":", 1)
socket.create_connection((h, int(p))).sendall(b"eta-ttcp half")' "$address"
	ended 1 "^eta-ttcp: the "
	receiver --verify
	refused 1 "^eta-ttcp: the " "$ttcp" --transmit "$address" --count 10
	ended 1 "sends no pattern"
	receiver --latency
	refused 1 "^eta-ttcp: the " "$ttcp" --transmit "$address" --count 10
	ended 1 "measures no latency"
	refused 1 "cannot connect to .*refused" "$ttcp" --transmit "127.0.0.1:$(free_port)"
}

forever() {
	say "one receiver for several transmitters"
	receiver --forever --verify
	transmit --verify --total 3m >/dev/null
	refused 1 "^eta-ttcp: the " "$ttcp" --transmit "$address" --total 3m
	transmit --verify --total 5m --seed 7 >/dev/null
	# The transmitter has ended when the receiver has answered, and the receiver reports after that.
	local bytes
	for bytes in 3145728 5242880; do
		wait_until 30 grep -q "^received $bytes bytes" "$test_dir/receiver" ||
			{ cat "$test_dir/receiver"; fail "no report of $bytes bytes"; }
	done
	kill "$receiver"
	wait "$receiver" || true
}

machine_readable() {
	say "figures for programs"
	receiver --json --counters
	transmit --json --counters --latency --size 100 --count 50 >"$test_dir/out"
	ended 0
	sed -i 1d "$test_dir/receiver"
	python3 - "$test_dir/out" "$test_dir/receiver" <<'PYTHON'
import json
import sys

transmitted, received = (json.load(open(path)) for path in sys.argv[1:])
assert transmitted["bytes"] == received["bytes"] == 5000
assert transmitted["operations"] == transmitted["round_trips"] == 50
assert 0 < transmitted["rtt_us"]["min"] <= transmitted["rtt_us"]["p99"]
assert received["counters"]["recv_bytes"] >= 5000
PYTHON
	receiver
	transmit --count 10 --counters | grep -q "^send_bytes  *655392"
	ended 0 "processor time"
}

wrong_calls() {
	say "wrong usage"
	refused 2 "expected one of them" "$ttcp"
	refused 2 "expected one of them" "$ttcp" --receive --transmit 127.0.0.1:1
	refused 2 "needs --listen" "$ttcp" --receive
	refused 2 "ADDRESS:PORT" "$ttcp" --transmit 127.0.0.1
	refused 2 "--size 0: expected a number" "$ttcp" --transmit 127.0.0.1:1 --size 0
	refused 2 "--count 1x: expected a number" "$ttcp" --transmit 127.0.0.1:1 --count 1x
	refused 2 "not expected" "$ttcp" --transmit 127.0.0.1:1 more
	refused 2 "one of them" "$ttcp" --transmit 127.0.0.1:1 --count 1 --total 1
	refused 1 "placement" "$ttcp" --receive --listen 127.0.0.1:0 --placement upside-down
	refused 0 "Exit status" "$ttcp" --help
	refused 0 "^eta-ttcp [0-9]" "$ttcp" --version
}

adverse
sizes
latency
placements
ipv6
killed
foreign
strangers
forever
machine_readable
wrong_calls
