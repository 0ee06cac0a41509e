# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Functions that the scripts and the system tests share; sourced, never run. Processes started
# in the background are ended, by their pids, when the script ends, however it ends.

say() {
	printf '\n==> %s\n' "$*"
}

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# stop_background: ends this shell's own background processes, and waits until they have ended.
stop_background() {
	local pid
	# Of the running ones only: the pid of one that has ended may be another's by now.
	for pid in $(jobs -rp); do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
}
trap stop_background EXIT

# start_background LOG COMMAND [ARGUMENT...]: runs it with its output in LOG; its pid is $!.
start_background() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 </dev/null &
}

# Times as many seconds as usual are waited for things, where all is slow.
: "${ETA_TEST_SLOW:=1}"

# wait_until SECONDS COMMAND [ARGUMENT...]: true as soon as the command is, false after SECONDS.
wait_until() {
	local deadline=$((SECONDS + $1 * ETA_TEST_SLOW))
	shift
	until "$@"; do
		((SECONDS < deadline)) || return 1
		sleep 0.05
	done
}

# is_listening PORT: whether a TCP socket listens on it; looks without connecting.
is_listening() {
	local hex
	printf -v hex '%04X' "$1"
	awk -v port="$hex" '
		{ split($2, address, ":"); if (address[2] == port && $4 == "0A") found = 1 }
		END { exit !found }' /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port: prints a TCP port that nothing listens on, from below the kernel's ephemeral range.
free_port() {
	local port
	while :; do
		port=$((10240 + RANDOM % 20000))
		is_listening "$port" || break
	done
	printf '%s\n' "$port"
}

# listening_address LOG PID: waits for the line "listening on ADDRESS:PORT" and prints what it
# names; fails, showing LOG, if the program ends first or says nothing for 30 seconds.
listening_address() {
	local log=$1 pid=$2 deadline=$((SECONDS + 30 * ETA_TEST_SLOW)) line
	while :; do
		line=$(sed -n 's/^listening on //p' "$log" | head -n 1)
		[[ -z $line ]] || break
		if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
			cat "$log" >&2
			return 1
		fi
		sleep 0.05
	done
	printf '%s\n' "$line"
}

# source_files: the tree's own files, relative to the top: what git tracks or would add.
source_files() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files --cached --others --exclude-standard | while read -r file; do
			[[ ! -f $file ]] || printf '%s\n' "$file"
		done
	else
		find . -path './build*' -prune -o -path './.git' -prune -o -type f -print | sed 's|^\./||'
	fi
}
