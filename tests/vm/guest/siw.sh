#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta's iWARP over TCP against the kernel's: eta, in the namespace "far", on one side and libfabric's
# verbs provider over soft-iWARP on the other, each as server and as client. Messages by fi_pingpong,
# memory by rma_peer.
. "$(dirname "$0")/lib.sh"
need_siw

# shellcheck disable=SC2034
eta_end=("${far[@]}" "${eta_run[@]}" FI_ETA_IFACE=10.0.2.2 fi_pingpong -p eta)
# shellcheck disable=SC2034
verbs_end=(env -u FI_PROVIDER_PATH fi_pingpong -p verbs -d siw0)
# shellcheck disable=SC2034
eta_memory=("${far[@]}" rma_peer eta)
# shellcheck disable=SC2034
verbs_memory=(env -u FI_PROVIDER_PATH rma_peer verbs)

# pingpong SERVER CLIENT ADDRESS SIZE...: the content is checked.
pingpong() {
	local server_name=$1 client_name=$2 address=$3 size
	shift 3
	for size in "$@"; do
		one_pingpong "$server_name" "$client_name" "$address" "$size"
	done
}

# listens END: whether the server of one_pingpong is there.
listens() {
	# shellcheck disable=SC2016
	if [[ $1 == eta ]]; then
		"${far[@]}" awk '$2 ~ /:07D0$/ && $4 == "0A" { found = 1 } END { exit !found }' \
			/proc/net/tcp
	else
		is_listening 2000
	fi
}

# start_server END LOG ARGUMENT...: sets $server, its pid, once it listens.
start_server() {
	local end=$1 log=$2
	local -n command=$1_end
	shift 2
	start_background "$log" timeout "$(seconds 100)" "${command[@]}" "$@" -B 2000
	server=$!
	wait_until 30 listens "$end" || fail "no server: $(cat "$log")"
}

one_pingpong() {
	local name="$1 serves $2, $4" log="$test_dir/$1-$2-$4" server
	local arguments=(-e msg -c -S "$4" -I 3)
	local -n client_end=$2_end

	start_server "$1" "$log.server" "${arguments[@]}"
	timeout "$(seconds 100)" "${client_end[@]}" "${arguments[@]}" -P 2000 "$3" >"$log.client" 2>&1 ||
		fail "$name: the client: $(cat "$log.client" "$log.server")"
	wait "$server" || fail "$name: the server: $(cat "$log.server")"
	! grep -iE 'error|corrupt' "$log.client" "$log.server" || fail "$name: see above"
	printf '%s: %s sizes, up to %s\n' "$name" "$(grep -c '=3 ' "$log.client")" \
		"$(tail -n 1 "$log.client")"
}

# soft-iWARP's FPDUs are as long as a segment: fewer packets, for the emulated processor's sake
ip link set w0 mtu 9000
"${far[@]}" ip link set w1 mtu 9000
# flows COUNT: whether far more packets have gone over w0 than COUNT, more than making a connection takes.
flows() {
	(($(sent w0) > $1 + 500))
}

# one_death SERVER CLIENT ADDRESS: the server is killed in mid-transfer; the client ends by itself, and
# says that something is wrong.
one_death() {
	local name="$1 dies before $2" log="$test_dir/death-$1" server client status=0
	local arguments=(-e msg -S 65536 -I 1000000)
	local -n client_command=$2_end

	start_server "$1" "$log.server" "${arguments[@]}"
	start_background "$log.client" timeout "$(seconds 60)" "${client_command[@]}" "${arguments[@]}" -P 2000 "$3"
	client=$!
	wait_until 60 flows "$(sent w0)" || fail "$name: nothing flows: $(cat "$log.client")"
	kill -0 "$client" || fail "$name: the client ended too early: $(cat "$log.client")"
	kill -KILL "$(pgrep -P "$server")"
	wait "$server" 2>/dev/null || true
	wait "$client" || status=$?
	((status != 0 && status != 124)) || fail "$name: the client ended with $status"
	printf '%s: %s\n' "$name" "$(tail -n 1 "$log.client")"
}

# one_memory SERVER CLIENT ADDRESS: writes and reads, both ways, and a read that must fail.
one_memory() {
	local name="$1 serves $2, memory" log="$test_dir/memory-$1" server
	local -n server_command=$1_memory client_command=$2_memory

	start_background "$log.server" timeout "$(seconds 100)" "${server_command[@]}" server "$3" 2000
	server=$!
	wait_until 30 listens "$1" || fail "$name: no server: $(cat "$log.server")"
	timeout "$(seconds 100)" "${client_command[@]}" client "$3" 2000 >"$log.client" 2>&1 ||
		fail "$name: the client: $(cat "$log.client" "$log.server")"
	wait "$server" || fail "$name: the server: $(cat "$log.server")"
	printf '%s: %s\n' "$name" "$(tail -n 1 "$log.client")"
}

sizes=(all)
[[ -z $ETA_SANITIZE ]] || sizes=(1 1048576)
pingpong verbs eta 10.0.2.1 "${sizes[@]}"
pingpong eta verbs 10.0.2.2 "${sizes[@]}"
export FI_ETA_CRC=1
pingpong verbs eta 10.0.2.1 64 65536
pingpong eta verbs 10.0.2.2 64 65536
unset FI_ETA_CRC
one_death verbs eta 10.0.2.1
one_death eta verbs 10.0.2.2
one_memory verbs eta 10.0.2.1
one_memory eta verbs 10.0.2.2
