# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What every system test begins with: strict mode, the environment that cmake/EtaTests.cmake lists,
# and the functions of scripts/common.sh. Sourced:
#
#   . "$(dirname "$0")/lib.sh"
#
# By hand, tests/system/exports.sh alone works too: it then tests build/.
set -euo pipefail

: "${ETA_SOURCE_DIR:=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
: "${ETA_BUILD_DIR:=$ETA_SOURCE_DIR/build}"
: "${ETA_LIB_DIR:=$ETA_BUILD_DIR/lib}"
: "${ETA_BIN_DIR:=$ETA_BUILD_DIR/bin}"
: "${ETA_CC:=cc}"
: "${ETA_SANITIZE:=}"
: "${ETA_SANITIZER_PRELOAD:=}"
export ETA_SOURCE_DIR ETA_BUILD_DIR ETA_LIB_DIR ETA_BIN_DIR ETA_CC ETA_SANITIZE
export ETA_SANITIZER_PRELOAD

# shellcheck source=scripts/common.sh
. "$ETA_SOURCE_DIR/scripts/common.sh"

# A folder of this run's own, removed at its end.
test_dir=$(mktemp -d "${TMPDIR:-/tmp}/eta-test.XXXXXX")
end_test() {
	stop_background
	rm -rf "$test_dir"
}
trap end_test EXIT

# A command that fails where nothing looks at it ends the test (set -e): say which.
set -E
trap 'printf "FAILED: %s:%s: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# skip REASON: ends the test as "not run".
skip() {
	printf 'skipped: %s\n' "$*"
	exit 77
}

# fail REASON: ends the test as failed.
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

# need PROGRAM...: skips the test unless all of them are installed.
need() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# "${eta_run[@]}" COMMAND [ARGUMENT...]: runs a libfabric program that was not built here, with eta
# as a provider. It is a command line of env(1), so start_background can take it as well:
#   start_background "$log" "${eta_run[@]}" fi_pingpong -p eta ...
# shellcheck disable=SC2034
eta_run=(env "FI_PROVIDER_PATH=$ETA_LIB_DIR" "LD_PRELOAD=$ETA_SANITIZER_PRELOAD")
