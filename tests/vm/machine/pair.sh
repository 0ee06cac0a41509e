# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The pair v0, v1 and its RDMA devices: what a test may cut, and what mends it.

# pair_up: both ends without what keeps packets from them, with their addresses, neighbours and routes, as far as they are not there: a link
# that goes down loses most of them.
pair_up() {
	local end other
	for end in 0 1; do
		tc qdisc del dev "v$end" root 2>/dev/null || true
		ip address replace "10.0.1.$((end + 1))/24" dev "v$end"
		ip address replace "fd00:1::$((end + 1))/64" dev "v$end" nodad
		ip link set "v$end" up
	done
	for end in 0 1; do
		other=$((2 - end))
		ip neigh replace "10.0.1.$other" lladdr "02:00:00:00:00:0$other" \
			dev "v$end" nud permanent
		ip neigh replace "fd00:1::$other" lladdr "02:00:00:00:00:0$other" \
			dev "v$end" nud permanent
		ip route replace "10.0.1.$other" dev "v$end" src "10.0.1.$((end + 1))" \
			table "$((101 + end))"
		ip -6 route replace "fd00:1::$other" dev "v$end" src "fd00:1::$((end + 1))" \
			table "$((101 + end))"
	done
}

# devices_up: rxe0 and rxe1, as far as they are not there.
devices_up() {
	local end
	for end in 0 1; do
		[[ -d /sys/class/infiniband/rxe$end ]] ||
			rdma link add "rxe$end" type rxe netdev "v$end"
	done
}

# devices_new: new ones. One whose link was down is of no more use once it has had to say something to a
# peer meanwhile: its connection manager's queue pair has failed for good (Linux 6.1). One is always there:
# librdmacm never lets go of the last (its sync_devices_list()), and it would wait for that.
devices_new() {
	local end
	devices_up
	for end in 0 1; do
		rdma link delete "rxe$end"
		devices_up
	done
}
