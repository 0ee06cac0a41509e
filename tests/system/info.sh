#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# eta-info says what there is, why something cannot be had, and whether what is asked for can; and the
# programs say why, too.
. "$(dirname "$0")/lib.sh"
unset ETA_FABRIC ETA_PPE FI_ETA_IFACE

info() {
	"$ETA_BIN_DIR/eta-info" "$@"
}

# expect CODE TEXT ARGUMENT...: eta-info ends with it and prints the text.
expect() {
	local code=$1 text=$2 status=0
	shift 2
	info "$@" >"$test_dir/out" 2>&1 || status=$?
	((status == code)) || fail "eta-info $*: exit code $status: $(cat "$test_dir/out")"
	grep -qF -- "$text" "$test_dir/out" || fail "eta-info $*: $(cat "$test_dir/out")"
}

expect 0 'usage: eta-info' --help
expect 0 'eta-info ' --version
expect 2 'Try eta-info --help' --sideways
expect 2 'what is x?' x
expect 0 'by tcp (the default'
expect 0 '  lo           127.0.0.1  '
expect 0 'placement inline' --placement inline
expect 0 'by tcp (asked for)' --fabric tcp
expect 1 'there is no fabric called pigeon' --fabric pigeon
expect 1 'choose "inline" or "dedicated"' --fabric uring

if [[ -n $(ls /sys/class/infiniband 2>/dev/null || true) ]]; then
	echo "there are RDMA devices here: what is said without them is not tested"
	exit
fi
expect 0 '  none: '
for fabric in roce roce:rxe7; do
	expect 1 "none, ETA_FABRIC=$fabric: roce: " --fabric "$fabric"
	! ETA_FABRIC=$fabric timeout 20 "$ETA_BIN_DIR/eta-ttcp" --receive --listen 127.0.0.1:0 \
		2>"$test_dir/err" || fail "eta-ttcp came up with $fabric"
	grep -q 'eta-ttcp: roce: ' "$test_dir/err" || fail "eta-ttcp: $(cat "$test_dir/err")"
done
echo "what is there, and why not, is said"
