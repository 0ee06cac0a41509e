#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# cmake --install puts everything where a packager and a user expect it, and a program outside the
# tree compiles and links with what dusi.pc says.
. "$(dirname "$0")/lib.sh"
need cmake pkg-config

[[ -z $ETA_SANITIZE ]] || skip "installing is the same under a sanitizer"
prefix=$test_dir/prefix
cmake --install "$ETA_BUILD_DIR" --prefix "$prefix" >"$test_dir/log" || {
	cat "$test_dir/log"
	fail "cmake --install"
}

# present PATTERN: the file below the prefix that matches it, wherever lib/ is.
present() {
	local found
	found=$(find "$prefix" -path "$prefix/$1" | head -n 1)
	[[ -n $found ]] || fail "not installed: $1"
	printf '%s\n' "$found"
}

present 'bin/eta-info' >/dev/null
present 'bin/eta-ttcp' >/dev/null
present 'bin/eta-webserver' >/dev/null
present 'include/dusi/dusi.h' >/dev/null
present 'lib*/libdusi.so.0' >/dev/null
present 'lib*/eta/libeta-fi.so' >/dev/null
present 'share/man/man3/Dusi_*.3' >/dev/null
present 'share/doc/eta/README.md' >/dev/null
pc=$(present 'lib*/pkgconfig/dusi.pc')
libdir=$(dirname "$(dirname "$pc")")
[[ -z $(find "$prefix" -path '*/libfabric/*') ]] || fail "installed into libfabric's folder unasked"

cat >"$test_dir/user.c" <<'PROGRAM'
#include <dusi/dusi.h>

#include <stdio.h>

int main(void)
{
	printf("%d\n", Dusi_Open_Ual(NULL, NULL) != 0);
	return 0;
}
PROGRAM
read -ra flags < <(PKG_CONFIG_PATH=$(dirname "$pc") pkg-config --cflags --libs dusi)
"$ETA_CC" -std=c11 -Wall -Wextra -Werror "$test_dir/user.c" -o "$test_dir/user" "${flags[@]}"
[[ $(LD_LIBRARY_PATH=$libdir "$test_dir/user") == 1 ]] || fail "a program outside the tree"

LD_LIBRARY_PATH='' "$prefix/bin/eta-ttcp" --help >/dev/null || fail "the installed eta-ttcp"
echo "installed, compiled and ran"
