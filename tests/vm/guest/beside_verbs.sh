#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# fi_pingpong -e msg over the same pair of devices: eta, and libfabric's own verbs provider; and eta when
# the device places nothing, and all is copied. A table of what one way takes, and the ratio. The processor
# is emulated: there is nothing to be reached.
. "$(dirname "$0")/lib.sh"

rounds=1
sizes=(64 4096 65536 1048576)
declare -A count=([64]=200 [4096]=200 [65536]=40 [1048576]=5)
if [[ -n $ETA_SANITIZE ]]; then
	rounds=1
	count=([64]=20 [4096]=20 [65536]=5 [1048576]=2)
fi

# shellcheck disable=SC2034
eta_server=("${eta_run[@]}" ETA_FABRIC=roce fi_pingpong -p eta -d rxe1)
# shellcheck disable=SC2034
eta_client=("${eta_run[@]}" ETA_FABRIC=roce fi_pingpong -p eta -d rxe0)
# shellcheck disable=SC2034
copied_server=("${eta_run[@]}" ETA_FABRIC=roce ETA_ROCE_PLACE=0 fi_pingpong -p eta -d rxe1)
# shellcheck disable=SC2034
copied_client=("${eta_run[@]}" ETA_FABRIC=roce ETA_ROCE_PLACE=0 fi_pingpong -p eta -d rxe0)
# shellcheck disable=SC2034
verbs_server=(env -u FI_PROVIDER_PATH FI_VERBS_IFACE=v1 fi_pingpong -p verbs -d rxe1)
# shellcheck disable=SC2034
verbs_client=(env -u FI_PROVIDER_PATH FI_VERBS_IFACE=v0 fi_pingpong -p verbs -d rxe0)

# Without a source address, too, 10.0.1.2 is at the other end of the wire: verbs' client names none.
ip rule add pref 5 to 10.0.1.2 lookup 101
trap 'ip rule del pref 5; end_test' EXIT

# one PROVIDER SIZE: adds microseconds of one way to times-PROVIDER-SIZE.
one() {
	local log=$test_dir/$1-$2 server before
	local arguments=(-e msg -S "$2" -I "${count[$2]}")
	local -n server_command=$1_server client_command=$1_client

	before=$(sent v0)
	start_background "$log.server" timeout "$(seconds 60)" \
		"${server_command[@]}" "${arguments[@]}" -B 47700
	server=$!
	wait_until 30 is_listening 47700 || fail "$1 $2: no server: $(cat "$log.server")"
	timeout "$(seconds 60)" "${client_command[@]}" "${arguments[@]}" -P 47700 10.0.1.2 \
		>"$log.client" 2>&1 ||
		fail "$1 $2: the client: $(cat "$log.client" "$log.server")"
	wait "$server" || fail "$1 $2: the server: $(cat "$log.server")"
	# both by the wire, with as many packets as there were messages at least
	(($(sent v0) - before >= ${count[$2]})) || fail "$1 $2: not over the wire"
	awk '$1 ~ /^[0-9]/ { us = $7 } END { if (!us) exit 1; print us }' "$log.client" \
		>>"$test_dir/times-$1-$2" || fail "$1 $2: no result: $(cat "$log.client")"
}

# best PROVIDER SIZE: the shortest of the times.
best() {
	sort -n "$test_dir/times-$1-$2" | head -n 1
}

for ((i = 0; i < rounds; i++)); do
	for size in "${sizes[@]}"; do
		one eta "$size"
		one verbs "$size"
		((size < 1048576)) || one copied "$size"
	done
done
printf '%8s %12s %12s %8s %12s   (us one way, the best of %s rounds)\n' bytes eta verbs ratio 'eta, copied' "$rounds"
for size in "${sizes[@]}"; do
	copied=-
	((size < 1048576)) || copied=$(best copied "$size")
	awk -v size="$size" -v eta="$(best eta "$size")" -v verbs="$(best verbs "$size")" \
		-v copied="$copied" 'BEGIN { printf "%8d %12.1f %12.1f %8.2f %12s\n",
			size, eta, verbs, eta / verbs, copied }'
done
