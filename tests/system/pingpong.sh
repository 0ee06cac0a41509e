#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# fi_pingpong over eta, with every size and the content checked:
#
#   pingpong.sh loopback   over 127.0.0.1 and ::1
#   pingpong.sh veth       between two network namespaces, IPv4 and IPv6
#   pingpong.sh other      over loopback with the libfabric under $ETA_LIBFABRIC2_PREFIX, and with
#                          one end of each
#
# Behind that msg, connected endpoints, which is the default; or rdm, datagram endpoints.
. "$(dirname "$0")/lib.sh"

# Whole command lines, so that each end may have its own namespace and its own libfabric; used by
# their names.
# shellcheck disable=SC2034
here=(env)
# shellcheck disable=SC2034
host=(fi_pingpong)
# shellcheck disable=SC2034
second=(env "LD_LIBRARY_PATH=${ETA_LIBFABRIC2_PREFIX-}/lib" "${ETA_LIBFABRIC2_PREFIX-}/bin/fi_pingpong")

# end_listens END PORT: is_listening, in that end's namespace.
end_listens() {
	local -n end=$1
	# shellcheck disable=SC2016
	"${end[@]}" bash -c '. "$ETA_SOURCE_DIR/scripts/common.sh"; trap - EXIT; is_listening "$1"' - "$2"
}

# pingpong NAME SERVER_END SERVER_PROGRAM CLIENT_END CLIENT_PROGRAM SERVER_ADDRESS CLIENT_ADDRESS
# The ends and programs are names of arrays. FI_ETA_IFACE picks the address family of the data, for
# the server chooses where to listen, and tells the client.
pingpong() {
	local name=$1 address=$6 log=$test_dir/$1 port server sizes
	local -n server_end=$2 server_program=$3 client_end=$4 client_program=$5
	local arguments=(-p eta -e "$kind" -S all -c)

	[[ $address != *:* ]] || arguments+=(-6)
	port=$(free_port)
	start_background "$log.server" "${server_end[@]}" "${eta_run[@]}" "FI_ETA_IFACE=$address" \
		timeout 250 "${server_program[@]}" "${arguments[@]}" -B "$port"
	server=$!
	wait_until 30 end_listens "$2" "$port" || fail "$name: no server: $(cat "$log.server")"
	"${client_end[@]}" "${eta_run[@]}" "FI_ETA_IFACE=$7" timeout 250 "${client_program[@]}" \
		"${arguments[@]}" -P "$port" "$address" >"$log.client" 2>&1 ||
		fail "$name: the client: $(tail -n 5 "$log.client" "$log.server")"
	wait "$server" || fail "$name: the server: $(tail -n 5 "$log.server")"
	# 0 to 6 MiB in powers of two and the halves between: 46 lines
	sizes=$(grep -c '=10' "$log.client")
	((sizes >= 46)) || fail "$name: only $sizes sizes: $(cat "$log.client")"
	! grep -iE 'error|corrupt' "$log.client" "$log.server" || fail "$name: see above"
	printf '%s: %s sizes, up to %s\n' "$name" "$sizes" "$(tail -n 1 "$log.client")"
}

loopback() {
	need fi_pingpong
	pingpong loopback-4 here host here host 127.0.0.1 127.0.0.1
	pingpong loopback-6 here host here host ::1 ::1
}

other() {
	need fi_pingpong
	[[ -n ${ETA_LIBFABRIC2_PREFIX-} ]] || skip "ETA_LIBFABRIC2_PREFIX is not set"
	[[ -x $ETA_LIBFABRIC2_PREFIX/bin/fi_pingpong ]] || skip "$ETA_LIBFABRIC2_PREFIX has no fi_pingpong"
	pingpong other-4 here second here second 127.0.0.1 127.0.0.1
	pingpong other-6 here second here second ::1 ::1
	pingpong other-server here second here host 127.0.0.1 127.0.0.1
	pingpong other-client here host here second 127.0.0.1 127.0.0.1
}

# The namespaces go with the test, whatever its end.
# shellcheck disable=SC2329
end_veth() {
	end_test
	ip netns del "$left" 2>/dev/null || true
	ip netns del "$right" 2>/dev/null || true
}

veth() {
	need fi_pingpong ip
	left=eta-$$-left
	right=eta-$$-right
	left_end=(ip netns exec "$left")
	right_end=(ip netns exec "$right")
	ip netns add "$left" 2>"$test_dir/why" || skip "no network namespaces: $(cat "$test_dir/why")"
	trap end_veth EXIT
	ip netns add "$right"
	ip link add eth-left netns "$left" type veth peer name eth-right netns "$right" \
		2>"$test_dir/why" || skip "no veth: $(cat "$test_dir/why")"
	"${left_end[@]}" ip address add 192.0.2.1/24 dev eth-left
	"${right_end[@]}" ip address add 192.0.2.2/24 dev eth-right
	# without duplicate address detection, which takes a second or two
	"${left_end[@]}" ip address add 2001:db8::1/64 dev eth-left nodad
	"${right_end[@]}" ip address add 2001:db8::2/64 dev eth-right nodad
	"${left_end[@]}" ip link set eth-left up
	"${right_end[@]}" ip link set eth-right up

	pingpong veth-4 left_end host right_end host 192.0.2.1 192.0.2.2
	pingpong veth-6 left_end host right_end host 2001:db8::1 2001:db8::2
}

kind=${2-msg}
[[ $kind == msg || $kind == rdm ]] || fail "msg or rdm, not '$kind'"
case ${1-loopback} in
loopback | veth | other) "${1-loopback}" ;;
*) fail "loopback, veth or other, not '$1'" ;;
esac
