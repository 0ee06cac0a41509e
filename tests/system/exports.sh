#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Only public names leave the libraries, and the provider asks of libfabric only what 1.17 has.
. "$(dirname "$0")/lib.sh"
need nm objdump readelf

# exported LIBRARY: the names it defines for others. Type A is the version node itself.
exported() {
	nm -D --defined-only "$ETA_LIB_DIR/$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }'
}

unexpected=$(exported libdusi.so | grep -Ev '^(Dusi|gaio)_' || true)
[[ -z $unexpected ]] || fail "libdusi.so exports $unexpected"
exported libdusi.so | grep -q '^Dusi_' || fail "libdusi.so exports nothing"

names=$(exported libeta-fi.so)
[[ $names == fi_prov_ini ]] || fail "libeta-fi.so exports '$names', not fi_prov_ini alone"

# 1.17 defines FABRIC_1.0 to 1.6. A symbol of a later version keeps the provider from loading
# there, which is what a build against libfabric 2.x's headers and library would give.
later=$(objdump -T "$ETA_LIB_DIR/libeta-fi.so" | grep -E 'FABRIC_(1\.([7-9]|[1-9][0-9])|[2-9])' || true)
[[ -z $later ]] || fail "libeta-fi.so needs a libfabric later than 1.17: $later"

# libfabric unloads providers from a destructor, while the engine may still run.
readelf -d "$ETA_LIB_DIR/libeta-fi.so" | grep -q NODELETE || fail "libeta-fi.so may be unloaded"
echo "exports are as they should be"
