#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta's iWARP over TCP against the kernel's: fi_pingpong with eta, in the namespace "far", on one side
# and libfabric's verbs provider over soft-iWARP on the other, each as server and as client.
. "$(dirname "$0")/lib.sh"
need_siw

# shellcheck disable=SC2034
eta_end=("${far[@]}" "${eta_run[@]}" FI_ETA_IFACE=10.0.2.2 fi_pingpong -p eta)
# shellcheck disable=SC2034
verbs_end=(env -u FI_PROVIDER_PATH fi_pingpong -p verbs -d siw0)

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

one_pingpong() {
	local name="$1 serves $2, $4" log="$test_dir/$1-$2-$4" server
	local arguments=(-e msg -c -S "$4" -I 3)
	local -n server_end=$1_end client_end=$2_end

	start_background "$log.server" timeout 100 "${server_end[@]}" "${arguments[@]}" -B 2000
	server=$!
	wait_until 30 listens "$1" || fail "$name: no server: $(cat "$log.server")"
	timeout 100 "${client_end[@]}" "${arguments[@]}" -P 2000 "$3" >"$log.client" 2>&1 ||
		fail "$name: the client: $(cat "$log.client" "$log.server")"
	wait "$server" || fail "$name: the server: $(cat "$log.server")"
	! grep -iE 'error|corrupt' "$log.client" "$log.server" || fail "$name: see above"
	printf '%s: %s sizes, up to %s\n' "$name" "$(grep -c '=3 ' "$log.client")" \
		"$(tail -n 1 "$log.client")"
}

# soft-iWARP's FPDUs are as long as a segment: fewer packets, for the emulated processor's sake
ip link set w0 mtu 9000
"${far[@]}" ip link set w1 mtu 9000
sizes=(all)
[[ -z $ETA_SANITIZE ]] || sizes=(0 1 4096 1048576)
pingpong verbs eta 10.0.2.1 "${sizes[@]}"
pingpong eta verbs 10.0.2.2 "${sizes[@]}"
export FI_ETA_CRC=1
pingpong verbs eta 10.0.2.1 64 65536
pingpong eta verbs 10.0.2.2 64 65536
