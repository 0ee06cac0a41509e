#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Two machines, joined: pair/server.sh runs in one, pair/client.sh in the other. Options as vm.sh's run
# has them: --build-dir, --timeout, --memory.
# shellcheck disable=SC2317
set -euo pipefail
vm_dir=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/common.sh
. "$vm_dir/../../scripts/common.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/eta-pair.XXXXXX")
end_pair() {
	stop_background
	rm -rf "$work"
}
trap end_pair EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# start SIDE NAME OPTION...: sets $pid.
start() {
	local side=$1 name=$2
	shift 2
	start_background "$work/$name" "$vm_dir/vm.sh" run --memory 1024 "$@" --wire "$work/wire" \
		--side "$side" -- bash "/eta/src/tests/vm/pair/$name.sh"
	pid=$!
}

# finish NAME PID: waits for it; what it printed, and its exit code if that is not 0.
finish() {
	local status=0
	wait "$2" || status=$?
	sed "s/^/$1: /" "$work/$1"
	return "$status"
}

# by then it has the system that both start from
is_started() {
	[[ -S $work/wire.1 ]] || ! kill -0 "$server" 2>/dev/null
}

start 1 server "$@"
server=$pid
# the first time it may have to make that, from packages
wait_until 300 is_started || die "the first machine does not start"
[[ -S $work/wire.1 ]] || finish server "$server" || exit
start 2 client "$@"
client=$pid
status=0
finish client "$client" || status=$?
((status == 0)) || kill "$server" 2>/dev/null || true
finish server "$server" || status=$((status ? status : $?))
exit "$status"
