#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Datagram endpoints whose peers are killed, stopped, and started again, with everything outstanding
# on them: see rdm_faults.c. The children end when their parent does.
. "$(dirname "$0")/lib.sh"

start_background "$test_dir/log" "${eta_run[@]}" FI_ETA_PEER_TIMEOUT=2000 FI_LOG_LEVEL=error \
	timeout 120 "$ETA_BIN_DIR/tests/rdm_faults"
wait $! || fail "$(cat "$test_dir/log")"
grep -v "^libfabric:" "$test_dir/log"
