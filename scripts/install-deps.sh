#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Installs the Debian packages that eta needs, those that are missing, and says which.
set -euo pipefail

usage() {
	cat <<'TEXT'
usage: scripts/install-deps.sh [--build] [--demo] [--test] [--bench] [--list]

Installs what is missing, with apt-get, as root or through sudo.

  --build   what compiles eta; always included
  --demo    what scripts/demo.sh runs
  --test    what scripts/test.sh runs
  --bench   what the programs in bench/ compare with and draw with
  --list    print the missing packages and install nothing
TEXT
}

# package=program: present if the program is, wherever it came from. A bare package: by dpkg.
build=(gcc=gcc libc6-dev make=make cmake=cmake pkg-config=pkg-config libfabric-dev libisal-dev nettle-dev
	liburing-dev libibverbs-dev librdmacm-dev
	libcmocka-dev)
demo=(libfabric-bin=fi_pingpong curl=curl)
# the machine of tests/vm, and what compiles a module for its kernel; it downloads that by itself
vm=(qemu-system-x86=qemu-system-x86_64 busybox-static cpio=cpio kmod=depmod iproute2=rdma
	ibverbs-providers ibverbs-utils=ibv_rc_pingpong rdmacm-utils=rping util-linux=setpriv
	xz-utils=xz gcc-12=gcc-12 libelf1)
test=("${demo[@]}" "g++=g++" git=git python3=python3 binutils=nm iproute2=ip
	procps=ps openmpi-bin=mpirun libopenmpi-dev=mpicc spin=spin tshark=tshark wrk=wrk clang-format-14=clang-format-14
	shellcheck=shellcheck "${vm[@]}")
bench=("${demo[@]}" python3=python3 iproute2=ip wrk=wrk gnuplot-nox=gnuplot
	nginx-light=nginx h2o=h2o strace=strace)

say() {
	printf '==> %s\n' "$*"
}

is_present() {
	local package=${1%%=*} program=${1#*=}
	if [[ $package != "$1" ]] && command -v "$program" >/dev/null; then
		return 0
	fi
	[[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]]
}

wanted=("${build[@]}")
list=
for argument in "$@"; do
	case $argument in
	--build) ;;
	--demo) wanted+=("${demo[@]}") ;;
	--test) wanted+=("${test[@]}") ;;
	--bench) wanted+=("${bench[@]}") ;;
	--list) list=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		exit 2
		;;
	esac
done

# Programs in sbin, such as ip, are not on every user's path.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

missing=()
for entry in "${wanted[@]}"; do
	package=${entry%%=*}
	if ! is_present "$entry" && [[ " ${missing[*]-} " != *" $package "* ]]; then
		missing+=("$package")
	fi
done

if ((${#missing[@]} == 0)); then
	[[ -n $list ]] || say "every package that is needed is installed"
	exit 0
fi
if [[ -n $list ]]; then
	printf '%s\n' "${missing[@]}"
	exit 0
fi

# cannot REASON: names what to install by other means.
cannot() {
	printf 'install-deps.sh: %s\nPlease install these Debian packages, or what equals them:\n  %s\n' \
		"$1" "${missing[*]}" >&2
	exit 1
}

command -v apt-get >/dev/null || cannot "there is no apt-get here"
as_root=()
if ((EUID != 0)); then
	command -v sudo >/dev/null || cannot "neither root nor sudo"
	as_root=(sudo)
fi

say "installing: ${missing[*]}"
apt_get() {
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@" </dev/null
}
apt_get update || cannot "apt-get update failed"
apt_get install --no-install-recommends "${missing[@]}" || cannot "apt-get install failed"
