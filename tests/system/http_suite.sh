#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# http_suite.sh BACKEND: eta-webserver with this back end before requests of every kind.
. "$(dirname "$0")/lib.sh"
need python3

python3 "$(dirname "$0")/http_suite.py" "$@"
