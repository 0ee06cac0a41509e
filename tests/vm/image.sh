# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Makes the guest's system out of Debian's packages: a kernel, and an initramfs with the modules,
# programs and libraries that do not come from this build. Sourced by vm.sh, which sets $cache,
# where both files are kept under a name that stands for the versions of everything in them, $work,
# for what goes in the end, and $vm_dir.
# shellcheck disable=SC2154

# Packages whose files go into the image as they are installed here.
image_packages=(bash busybox-static libc6 libgcc-s1 libibverbs1 ibverbs-providers
	ibverbs-utils librdmacm1 rdmacm-utils libfabric1 libfabric-bin)
image_programs=(bash ip tc ss rdma ibv_devices ibv_devinfo ibv_rc_pingpong rping ucmatose
	fi_info fi_pingpong)
# Packages of which all programs are taken: scripts mean these. What they do not have is busybox's, whose
# timeout and env would start its own ip.
image_whole=(coreutils findutils grep sed procps iproute2 util-linux)
# Taken along where they are installed.
image_extra=(strace tcpdump curl setarch ib_send_bw ib_write_bw ib_read_bw)
image_modules=(virtio_pci virtio_console virtio_net crc32_generic crc32c_generic libcrc32c rdma_rxe
	rdma_ucm ib_uverbs veth dummy sch_netem)

# need_package_tools: skips unless the image can be made here.
need_package_tools() {
	local tool
	[[ $(uname -m) == x86_64 ]] || skip "the guest is an x86_64 machine, this is not"
	for tool in qemu-system-x86_64 dpkg dpkg-query apt-get apt-cache cpio depmod modprobe \
		"${image_programs[@]}"; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
	[[ -x /bin/busybox ]] || skip "busybox is not installed"
	[[ -f /etc/libibverbs.d/rxe.driver ]] || skip "ibverbs-providers is not installed"
}

# kernel_package: prints the package that linux-image-amd64 stands for.
kernel_package() {
	apt-cache depends linux-image-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1
}

# package_version PACKAGE: prints the version that apt would download.
package_version() {
	apt-cache show --no-all-versions "$1" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1
}

# find_kernel: sets $kernel_package, $kernel_version (of the package) and $release (uname -r).
find_kernel() {
	kernel_package=$(kernel_package)
	[[ -n $kernel_package ]] || skip "apt knows no package linux-image-amd64 (apt-get update?)"
	kernel_version=$(package_version "$kernel_package")
	release=${kernel_package#linux-image-}
}

# download PACKAGE: sets $package, the path of its file, which apt fetches unless it is there.
download() {
	local folder
	folder=$cache/packages/$1-$(package_version "$1")
	if ! compgen -G "$folder/*.deb" >/dev/null; then
		mkdir -p "$folder.part"
		(cd "$folder.part" && apt-get -q -o Acquire::Retries=3 download "$1") \
			>"$cache/download.log" 2>&1 </dev/null ||
			skip "apt cannot download $1: $(grep -E '^[EW]:' "$cache/download.log" | head -n 1)"
		rm -rf "$folder"
		mv "$folder.part" "$folder"
	fi
	package=$(compgen -G "$folder/*.deb")
}

# unpack_kernel FOLDER: the kernel and its modules.
unpack_kernel() {
	download "$kernel_package"
	mkdir -p "$1"
	# All of them: depmod drops a dependency that is not there without a word.
	dpkg --fsys-tarfile "$package" | tar -x -C "$1" --wildcards --exclude='*/sound' \
		--exclude='*/gpu' --exclude='*/media' './boot/*' './lib/modules/*'
	depmod -b "$1" "$release" 2>/dev/null
}

# copy_modules FROM TO: image_modules with what they depend on.
copy_modules() {
	local from=$1 to=$2 module path
	for module in "${image_modules[@]}"; do
		modprobe -d "$from" -S "$release" --show-depends "$module" || die "no module $module"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r path; do
		install -D -m 644 "$path" "$to/usr/${path#"$from"/}"
	done
	cp "$from/lib/modules/$release"/modules.{order,builtin,builtin.modinfo} \
		"$to/usr/lib/modules/$release/"
	depmod -b "$to" "$release"
}

# make_root FOLDER: the folders of a merged-usr system.
make_root() {
	local name
	mkdir -p "$1"/{dev,proc,sys,tmp,run,root,etc,eta,var/lib}
	for name in bin sbin lib lib64; do
		mkdir -p "$1/usr/$name"
		ln -s "usr/$name" "$1/$name"
	done
	ln -s /run "$1/var/run"
}

# copy_files ROOT FILE...: puts each at its own path, and what its links point to in its place.
copy_files() {
	local root=$1 file
	shift
	for file in "$@"; do
		mkdir -p "$root${file%/*}"
		cp -L --preserve=mode "$file" "$root$file"
	done
}

# libraries FILE...: prints the paths of the shared libraries that they load.
libraries() {
	{ ldd "$@" 2>/dev/null || true; } |
		sed -nE 's/^[[:space:]]+(.* => )?(\/[^ ]+) \(0x.*/\2/p' | sort -u
}

# copy_programs ROOT: programs, verbs drivers and libraries.
copy_programs() {
	local root=$1 name path files=()
	for name in "${image_programs[@]}" "${image_extra[@]}"; do
		path=$(command -v "$name") && files+=("$path")
	done
	while read -r path; do
		[[ ! -f $path ]] || files+=("$path")
	done < <(dpkg-query -L "${image_whole[@]}" | grep -E '^(/usr)?/s?bin/')
	mapfile -t -O "${#files[@]}" files < <(dpkg-query -L libibverbs1 ibverbs-providers libgcc-s1 |
		grep -E '/lib(rxe|siw)-rdmav.*\.so$|/libgcc_s\.so\.1$|/(rxe|siw)\.driver$')
	copy_files "$root" "${files[@]}"
	mapfile -t files < <(libraries "${files[@]}")
	copy_files "$root" "${files[@]}"
	cp /bin/busybox "$root/bin/busybox"
	printf 'root:x:0:0:root:/root:/bin/bash\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
	printf '127.0.0.1 localhost eta-vm\n::1 localhost\n' >"$root/etc/hosts"
}

# pack FOLDER FILE: an initramfs of what is in the folder.
pack() {
	(cd "$1" && find . -print0 | sort -z |
		cpio --quiet --null --create --format=newc --owner=0:0) >"$2"
}

# image_key: what the image is made of, in a few digits.
image_key() {
	{
		printf '%s %s\n' "$kernel_package" "$kernel_version"
		dpkg-query -W "${image_packages[@]}" "${image_whole[@]}" 2>/dev/null || true
		command -v "${image_programs[@]}" "${image_extra[@]}" || true
		cat "$vm_dir/image.sh"
	} | sha256sum | cut -c 1-16
}

# base_image: sets $kernel and $base, the files of the kernel and of the initramfs; makes them first
# if these versions are not there yet.
base_image() {
	local key
	need_package_tools
	find_kernel
	key=$(image_key)
	kernel=$cache/vmlinuz-$release-$key
	base=$cache/base-$release-$key.cpio
	[[ ! -f $kernel || ! -f $base ]] || return 0
	say "making the guest's system from $kernel_package $kernel_version" >&2
	unpack_kernel "$work/kernel"
	make_root "$work/base"
	copy_modules "$work/kernel" "$work/base"
	copy_programs "$work/base"
	pack "$work/base" "$work/base.cpio"
	mv "$work/base.cpio" "$base"
	mv "$work/kernel/boot/vmlinuz-$release" "$kernel"
}
