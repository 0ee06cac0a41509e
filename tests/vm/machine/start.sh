# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What /eta/run, the guest's own script, begins with: the environment that tests get, the network, the
# RDMA devices.
#
#   v0 10.0.1.1 fd00:1::1, v1 10.0.1.2 fd00:1::2   a veth pair, both ends here, with the
#       devices rxe0 and rxe1. What is sent from one end's address to the other's leaves through
#       the one and comes in through the other; without a source address it stays in the kernel.
#   w0 10.0.2.1, w1 10.0.2.2   a veth pair; w1 is in the network namespace "far".
#   eth0 10.0.3.1 or .2   with the device rxe2, where there is a second machine.
# shellcheck disable=SC2034,SC2154

set -a
ETA_SOURCE_DIR=/eta/src
ETA_BUILD_DIR=/eta/build
ETA_LIB_DIR=/eta/build/lib
ETA_BIN_DIR=/eta/build/bin
FI_PROVIDER_PATH=$ETA_LIB_DIR
LD_LIBRARY_PATH=$ETA_LIB_DIR
PATH=$PATH:$ETA_BIN_DIR:$ETA_BIN_DIR/tests
# shellcheck source=/dev/null
. /eta/environment
set +a
# shellcheck source=tests/vm/machine/pair.sh
. "$ETA_SOURCE_DIR/tests/vm/machine/pair.sh"

# quietly COMMAND...: its output counts if it fails.
quietly() {
	local said
	said=$("$@" 2>&1) || {
		printf 'eta-vm: %s: %s\n' "$*" "$said" >&2
		return 1
	}
}

# set_all VALUE KEY...: settings below /proc/sys/net/ipv4/conf.
set_all() {
	local value=$1 key
	shift
	for key in "$@"; do
		echo "$value" >"/proc/sys/net/ipv4/conf/$key"
	done
}

# cross_rules -4|-6 ADDRESS-PREFIX: what goes from one end's address to the other's goes over the
# wire, though both are this machine's own.
cross_rules() {
	local family=$1 prefix=$2 end
	for end in 0 1; do
		ip "$family" rule add pref 1 iif "v$end" lookup local
		ip "$family" rule add pref 2 from "$prefix$((end + 1))" to "$prefix$((2 - end))" \
			lookup "$((101 + end))"
		ip "$family" rule add pref 2 oif "v$end" to "$prefix$((2 - end))" \
			lookup "$((101 + end))"
	done
	ip "$family" rule add pref 10 lookup local
	ip "$family" rule del pref 0
}

add_pair() {
	set_all 0 {all,default}/rp_filter
	set_all 1 {all,default}/accept_local
	ip link add v0 address 02:00:00:00:00:01 type veth peer name v1 address 02:00:00:00:00:02
	pair_up
	cross_rules -4 10.0.1.
	cross_rules -6 fd00:1::
}

add_far() {
	ip netns add far
	ip link add w0 type veth peer name w1 netns far
	ip address add 10.0.2.1/24 dev w0
	ip link set w0 up
	ip -n far address add 10.0.2.2/24 dev w1
	ip -n far link set w1 up
	ip -n far link set lo up
}

# add_wire SIDE: the interface that a second machine is at the other end of.
add_wire() {
	ip address add "10.0.3.$1/24" dev eth0
	ip link set eth0 up
	rdma link add rxe2 type rxe netdev eth0
}

# preload_runtime: libfabric's programs load a provider, which with sanitizers wants their run-time
# library there first.
preload_runtime() {
	local name
	mkdir -p /run/preloaded
	for name in fi_info fi_pingpong; do
		printf '#!/bin/sh\nLD_PRELOAD=%s exec %s "$@"\n' "$ETA_SANITIZER_PRELOAD" \
			"$(command -v "$name")" >"/run/preloaded/$name"
		chmod +x "/run/preloaded/$name"
	done
	export PATH=/run/preloaded:$PATH
}

# start_machine [SIDE]: the network, and the RDMA devices of rxe.
start_machine() {
	local module
	for module in crc32_generic crc32c_generic libcrc32c rdma_rxe rdma_ucm ib_uverbs veth; do
		quietly modprobe "$module"
	done
	quietly add_pair
	quietly add_far
	quietly devices_up
	[[ -z ${1-} ]] || quietly add_wire "$1"
	[[ -z $ETA_SANITIZER_PRELOAD ]] || preload_runtime
}

# run_tests SECONDS NAME...: runs the tests guest/NAME.sh, for at most so long each. The output and
# the exit code of each go to results/NAME.out and .rc, which are sent as soon as they are there.
run_tests() {
	local seconds=$1 name status started
	shift
	for name in "$@"; do
		started=$SECONDS
		echo "$name: starts"
		# what the one before has cut
		quietly pair_up && quietly devices_new
		mkdir -p "/tmp/$name"
		(cd "/tmp/$name" && timeout -k 5 "$seconds" bash "$ETA_SOURCE_DIR/tests/vm/guest/$name.sh") \
			>"/eta/results/$name.out" 2>&1 </dev/null && status=0 || status=$?
		echo "$status" >"/eta/results/$name.rc"
		echo "$name: exit code $status after $((SECONDS - started)) s"
		dmesg -c >"/eta/results/$name.dmesg"
		tar -c -f "$eta_results" -C /eta/results "$name.rc" "$name.out" "$name.dmesg"
	done
}
