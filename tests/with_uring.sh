#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# with_uring.sh PLACEMENT COMMAND...: runs COMMAND over the io_uring fabric, or is skipped where that
# cannot be had.
set -euo pipefail

"$ETA_BUILD_DIR/bin/tests/uring_probe" || exit 77
export ETA_FABRIC=uring ETA_PPE=$1
shift
exec "$@"
