#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Installs what is missing, then builds and runs every test: plain, under AddressSanitizer with
# UndefinedBehaviorSanitizer, and under ThreadSanitizer. Stops at the first that fails. What it
# prints last is ctest's own summary.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

usage() {
	cat <<'TEXT'
usage: scripts/test.sh [--only release|asan|tsan] [--no-install]

  --only PRESET   this preset alone
  --no-install    trust that what is needed is installed
TEXT
}

presets=(release asan tsan)
install=yes
while (($#)); do
	case $1 in
	--only)
		case ${2-} in
		release | asan | tsan) presets=("$2") ;;
		*) die "--only takes release, asan or tsan" ;;
		esac
		shift
		;;
	--no-install) install= ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
	shift
done

if [[ -n $install ]]; then
	scripts/install-deps.sh --build --test
fi

for preset in "${presets[@]}"; do
	say "$preset: building (at $SECONDS s)"
	cmake --preset "$preset" -DETA_WERROR=ON -DETA_TESTS=ON
	cmake --build --preset "$preset" -j 2
	say "$preset: testing (at $SECONDS s)"
	ctest --preset "$preset" -j 2
done
