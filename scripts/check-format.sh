#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Checks that clang-format would change no C source. --fix lets it change them.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

# Versions disagree in details: 14, Debian 12's, is the one that counts.
formatter=$(command -v clang-format-14 || command -v clang-format || true)
if [[ -z $formatter ]] || ! "$formatter" --version | grep -q 'version 14\.'; then
	echo "skipped: clang-format 14 is not installed"
	exit 77
fi

mapfile -t files < <(source_files | grep -E '\.[ch]$')
if ((${#files[@]} == 0)); then
	echo "no C sources"
	exit 0
fi
if [[ ${1-} == --fix ]]; then
	"$formatter" -i "${files[@]}"
else
	"$formatter" --dry-run -Werror "${files[@]}"
fi
