#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Checks that every file that can hold a comment names its licence in its first lines, and that no
# file holds the path of somebody's machine.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

licence='SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only'
machine_path='(^|[^[:alnum:]_.}$-])/(work|root|home)(/|$)'
status=0

# No comments: JSON, fuzz seeds, data. The licence texts are what the line refers to.
has_no_comments() {
	case $1 in
	*.json | */corpus/* | *.pcap | *.png | *.csv | *.txt | LICENSE) true ;;
	*) false ;;
	esac
}

while read -r file; do
	case $file in
	LICENSES/* | */corpus/* | *.pcap | *.png) continue ;;
	esac
	if ! has_no_comments "$file" && ! head -n 5 "$file" | grep -qF "$licence"; then
		echo "$file: no line '$licence' in its first five"
		status=1
	fi
	if grep -nHE "$machine_path" "$file"; then
		echo "$file: a path of one machine"
		status=1
	fi
done < <(source_files)
exit "$status"
