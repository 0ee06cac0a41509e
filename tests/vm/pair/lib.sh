# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What both machines of the pair know of each other.
. "$ETA_SOURCE_DIR/tests/system/lib.sh"

# shellcheck disable=SC2034
server=10.0.3.1 web_port=8000 ttcp_port=9000 pingpong_port=47592

# Seconds for each step: of emulated machines that share processors.
# shellcheck disable=SC2034
patience=$((60 * ETA_TEST_SLOW))

# octets COUNT: always the same ones, so that both sides know what is in a file.
octets() {
	seq 1000000 1999999 2>/dev/null | head -c "$1" || true
}

# sent: packets that the RDMA device has sent.
sent() {
	cat /sys/class/infiniband/rxe2/ports/1/hw_counters/sent_pkts
}
