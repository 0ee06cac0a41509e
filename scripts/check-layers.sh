#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Checks that includes point only the way that the layers do:
#
#   examples -> dusi/dusi.h, dusi/gaio.h, rdma/*
#   tools -> provider/eta.h, ppe/ppe.h
#   dusi, provider -> ppe/ppe.h     ppe -> fabric/fabric.h     ppe, dusi/aio -> files/files.h
#
# (ppe also fabric/timer.h, the heap of deadlines, and fabric/be.h, big-endian integers, which it
# shares with the wires), and that the
# engine names no concrete wire.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

status=0

# allow LAYER PATTERN: of the project's own headers, files under LAYER may include those that
# match PATTERN. A header without a folder is the layer's own.
allow() {
	local layer=$1 pattern=$2 file line header
	while read -r file; do
		while IFS=: read -r line header; do
			[[ $header =~ ^(ppe|fabric|files|dusi|provider|examples|tools|tests|bench)/ ]] || continue
			[[ $header =~ $pattern ]] && continue
			echo "$file:$line: $layer may not include $header"
			status=1
		done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*["<]([^">]+)[">].*/\1/;T;=;p' \
			"$file" | paste -d: - -)
	done < <(source_files | grep -E "^$layer/.*\.[ch]$")
}

allow examples '^(dusi/(dusi|gaio)\.h|examples/)'
allow dusi '^(dusi/|ppe/ppe\.h$|files/files\.h$)'
allow provider '^(provider/|ppe/ppe\.h$)'
allow tools '^(provider/eta|ppe/ppe)\.h$'
allow ppe '^(ppe/|fabric/(fabric|timer|be)\.h$|files/files\.h$)'
allow fabric '^fabric/'
allow files '^files/'

# The engine is told its fabrics, it does not pick them.
if grep -nHE '\b(tcp|roce|uring)_[a-z_]+\(' ppe/*.[ch] 2>/dev/null; then
	echo "ppe/ names a concrete fabric"
	status=1
fi
exit "$status"
