# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What the guest's tests begin with: that of the system tests, and what only this machine has. The
# network and the soft-RoCE devices are there already: see machine/start.sh.
. "$ETA_SOURCE_DIR/tests/system/lib.sh"
# shellcheck source=tests/vm/machine/pair.sh
. "$ETA_SOURCE_DIR/tests/vm/machine/pair.sh"

# seconds SECONDS: for timeout(1): more of them, where all is slow.
seconds() {
	printf '%s' $(($1 * ETA_TEST_SLOW))
}

# "${far[@]}" COMMAND...: runs it in the namespace at the other end of w0.
# shellcheck disable=SC2034
far=(ip netns exec far)

# sent INTERFACE: how many packets it has sent.
sent() {
	cat "/sys/class/net/$1/statistics/tx_packets"
}

# gid DEVICE ADDRESS: the index of the GID for an IPv4 address, as the verbs programs' -g takes it.
gid() {
	local index hex bytes
	IFS=. read -r -a bytes <<<"$2"
	printf -v hex '%02x%02x:%02x%02x' "${bytes[@]}"
	for index in /sys/class/infiniband/"$1"/ports/1/gids/?; do
		if grep -q "ffff:$hex" "$index"; then
			printf '%s\n' "${index##*/}"
			return
		fi
	done
	fail "$1 has no GID for $2"
}

# need_siw: skips the test unless there is soft-iWARP; makes its device siw0 on w0.
need_siw() {
	[[ ! -f /eta/bad-siw ]] || fail "soft-iWARP: $(cat /eta/bad-siw)"
	[[ -f /eta/modules/siw.ko ]] || skip "no soft-iWARP: $(cat /eta/no-siw 2>/dev/null || true)"
	[[ -d /sys/module/siw ]] || insmod /eta/modules/siw.ko
	[[ -d /sys/class/infiniband/siw0 ]] || rdma link add siw0 type siw netdev w0
}
