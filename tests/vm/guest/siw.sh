#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta's iWARP over TCP against the kernel's: fi_pingpong with eta, in the namespace "far", on one side
# and libfabric's verbs provider over soft-iWARP on the other, each as server and as client.
. "$(dirname "$0")/lib.sh"
need_siw

# shellcheck disable=SC2034
eta_end=("${far[@]}" "${eta_run[@]}" FI_ETA_IFACE=198.51.100.2 fi_pingpong -p eta)
# shellcheck disable=SC2034
verbs_end=(fi_pingpong -p verbs -d siw0)

# pingpong SERVER CLIENT ADDRESS SIZE
pingpong() {
	local name=$1-$2-$4 server log=$test_dir/$1-$2-$4 arguments=(-e msg -c -S "$4" -I 100)
	local -n server_end=$1_end client_end=$2_end
	start_background "$log.server" timeout 60 "${server_end[@]}" "${arguments[@]}" -B 2000
	server=$!
	sleep 1
	timeout 60 "${client_end[@]}" "${arguments[@]}" -P 2000 "$3" >"$log.client" 2>&1 ||
		fail "$name: the client: $(cat "$log.client" "$log.server")"
	wait "$server" || fail "$name: the server: $(cat "$log.server")"
	printf '%s: %s\n' "$name" "$(tail -n 1 "$log.client")"
}

pingpong verbs eta 198.51.100.1 64
pingpong eta verbs 198.51.100.2 64
