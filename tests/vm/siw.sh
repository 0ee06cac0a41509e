# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Makes soft-iWARP's module, which Debian's kernel package leaves out, from Debian's kernel source.
# Sourced by vm.sh, after base_image.
# shellcheck disable=SC2154

# unpack_headers FOLDER: what modules are built against, made to be used where it lies.
unpack_headers() {
	local name
	for name in "linux-headers-$release" "linux-headers-${release%-amd64}-common" \
		"linux-kbuild-${release%.0-*}"; do
		download "$name"
		dpkg --fsys-tarfile "$package" | tar -x -C "$1" --exclude='./usr/share'
	done
	sed -i "s|/usr/src/|$1/usr/src/|" "$1/usr/src/linux-headers-$release/Makefile"
}

# unpack_siw FOLDER: of the kernel's source, the module's alone.
unpack_siw() {
	local source
	source=linux-source-${release%.0-*}
	download "$source"
	dpkg --fsys-tarfile "$package" | tar -xO "./usr/src/$source.tar.xz" |
		tar -xJ -C "$1" --strip-components=4 "$source/drivers/infiniband/sw/siw"
}

# compile_siw FOLDER: makes FOLDER/siw/siw.ko.
compile_siw() {
	local tool
	for tool in make gcc-12 xz; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	mkdir -p "$1"
	unpack_headers "$1"
	unpack_siw "$1"
	make -j 2 -C "$1/usr/src/linux-headers-$release" "M=$1/siw" CONFIG_RDMA_SIW=m modules \
		>"$1/log" 2>&1 </dev/null || die "soft-iWARP does not compile: $(cat "$1/log")"
}

# siw_module: sets $siw, the file of the module; makes it first if it is not there yet.
siw_module() {
	local key
	key=$(cat <(printf '%s\n' "$kernel_version") "$vm_dir/siw.sh" | sha256sum | cut -c 1-16)
	siw=$cache/siw-$release-$key.ko
	[[ ! -f $siw ]] || return 0
	say "making soft-iWARP's module for $release" >&2
	compile_siw "$work/siw"
	strip --strip-debug "$work/siw/siw/siw.ko"
	mv "$work/siw/siw/siw.ko" "$siw"
}
