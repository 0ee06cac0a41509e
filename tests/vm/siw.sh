# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Makes soft-iWARP's module, which Debian's kernel does not have, from Debian's kernel source.
# Sourced by vm.sh.
siw_module() {
	skip "no siw yet"
}
