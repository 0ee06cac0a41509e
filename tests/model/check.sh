#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Copyright (c) 2026 The eta authors
#
# The model of the ownership protocol; see check.py --help. Exit 77: a tool is missing.
if ! command -v python3 >/dev/null; then
	echo "skipped: python3 is not installed"
	exit 77
fi
exec python3 "$(dirname "$0")/check.py" "$@"
