#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The provider's tests over soft-RoCE.
. "$(dirname "$0")/lib.sh"

export ETA_FABRIC=roce ETA_TEST_HOST=10.0.1.1 ETA_TEST_DOMAIN=rxe0

# unit PROGRAM: a unit test's program.
unit() {
	local status=0
	timeout "$(seconds 150)" "test_$1" >"$test_dir/$1" 2>&1 || status=$?
	((status == 0)) || fail "test_$1 ended with $status: $(cat "$test_dir/$1")"
	printf '%s: %s\n' "$1" "$(grep -o 'PASSED.*' "$test_dir/$1")"
}

unit provider_msg
unit provider_rdm
unit provider_objects
