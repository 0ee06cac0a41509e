#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Checks that each public header compiles alone, in C11 and in C++17.
set -euo pipefail
cd "$(dirname "$0")/.."

headers=(dusi/dusi.h dusi/aio/gaio.h ppe/ppe.h fabric/fabric.h fabric/iwarp/wire.h)
warnings=(-Wall -Wextra -Werror -pedantic)
status=0

# compile NAME COMMAND [ARGUMENT...]: compiles two inclusions of each header, nothing before them.
compile() {
	local name=$1 header
	shift
	for header in "${headers[@]}"; do
		if ! printf '#include "%s"\n#include "%s"\n' "$header" "$header" |
			"$@" "${warnings[@]}" -I. -fsyntax-only -; then
			echo "$header does not compile alone with $name"
			status=1
		fi
	done
}

compile "C11" "${ETA_CC:-cc}" -std=c11 -x c
found=
for compiler in g++ clang++; do
	if command -v "$compiler" >/dev/null; then
		compile "$compiler" "$compiler" -std=c++17 -x c++
		found=yes
	fi
done
if [[ $status == 0 && -z $found ]]; then
	echo "skipped: no C++ compiler"
	exit 77
fi
exit "$status"
