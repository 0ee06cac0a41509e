#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Shows eta at work on this machine: installs what is missing, builds, runs libfabric's fi_pingpong
# over the provider, compares message rates with tcp's, serves and fetches a page with the web server,
# moves data with eta-ttcp.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

usage() {
	cat <<'TEXT'
usage: scripts/demo.sh [--no-install]

Takes about a minute; everything runs over 127.0.0.1, on free ports, and is ended at the end.

  --no-install   trust that what is needed is installed
TEXT
}

install=yes
for argument in "$@"; do
	case $argument in
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
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/eta-demo.XXXXXX")
end_demo() {
	stop_background
	rm -rf "$folder"
}
trap end_demo EXIT

build() {
	say "Building"
	cmake --preset release >"$folder/log" ||
		{ cat "$folder/log"; die "configuring failed"; }
	cmake --build --preset release -j "$(nproc)" --target eta-fi eta-webserver eta-ttcp \
		eta-bench \
		>"$folder/log" 2>&1 ||
		{ cat "$folder/log"; die "building failed"; }
	ls build/lib/libeta-fi.so build/lib/libdusi.so build/bin/eta-*
}

pingpong() {
	local port
	local command=(env "FI_PROVIDER_PATH=$PWD/build/lib" fi_pingpong -p eta -e "$1" -S all -c)
	say "libfabric's fi_pingpong over the provider eta, $2 endpoints, content checked"
	port=$(free_port)
	start_background "$folder/pingpong" "${command[@]}" -B "$port"
	wait_until 10 is_listening "$port" || { cat "$folder/pingpong"; die "fi_pingpong: no server"; }
	timeout 60 "${command[@]}" -P "$port" 127.0.0.1 || { cat "$folder/pingpong"; die "fi_pingpong"; }
	wait "$!" || { cat "$folder/pingpong"; die "fi_pingpong: the server failed"; }
}

# Few rounds: a look, not a measurement. Its verdict is no reason to stop.
rate() {
	say "64-byte tagged messages, eta beside libfabric's tcp"
	build/bin/eta-bench rdm-rate --pairs 5 --outstanding 64 || [[ $? -eq 1 ]] ||
		die "eta-bench could not run"
}

webserver() {
	local address
	say "A web server on asynchronous sockets"
	mkdir "$folder/www"
	cp README.md "$folder/www/index.html"
	head -c 5000000 /dev/urandom >"$folder/www/large.bin"
	start_background "$folder/webserver" build/bin/eta-webserver --listen 127.0.0.1:0 "$folder/www"
	address=$(listening_address "$folder/webserver" "$!") || die "eta-webserver did not start"
	for file in index.html large.bin; do
		curl --silent --show-error --fail --max-time 30 -o "$folder/fetched" "http://$address/$file"
		cmp "$folder/www/$file" "$folder/fetched"
		printf 'http://%s/%s: %s bytes, the same as on disk\n' "$address" "$file" \
			"$(stat -c %s "$folder/fetched")"
	done
	stop_background
}

ttcp() {
	local address
	say "eta-ttcp: 2000 transfers of 64 KiB, verified"
	start_background "$folder/ttcp" build/bin/eta-ttcp --receive --listen 127.0.0.1:0 --verify
	address=$(listening_address "$folder/ttcp" "$!") || die "eta-ttcp did not start"
	timeout 60 build/bin/eta-ttcp --transmit "$address" --size 65536 --count 2000 --verify
	wait "$!" || { cat "$folder/ttcp"; die "eta-ttcp: the receiver failed"; }
	cat "$folder/ttcp"
}

by_hand() {
	say "It works. By hand:"
	cat <<'TEXT'

  export FI_PROVIDER_PATH=$PWD/build/lib
  fi_info -p eta                          what the provider offers
  fi_info -g eta                          its parameters
  fi_pingpong -p eta -e rdm               a server; and elsewhere
  fi_pingpong -p eta -e rdm 127.0.0.1     its client
  build/bin/eta-bench --help              measurements beside tcp

  build/bin/eta-webserver --listen 127.0.0.1:8080 docs
  curl http://127.0.0.1:8080/architecture.md

  build/bin/eta-ttcp --receive --listen 127.0.0.1:5001
  build/bin/eta-ttcp --transmit 127.0.0.1:5001 --size 65536 --count 10000
  build/bin/eta-ttcp --help

The asynchronous sockets are in dusi/dusi.h and docs/man, the design in docs/architecture.md.
TEXT
}

[[ -z $install ]] || scripts/install-deps.sh --build --demo
build
pingpong msg connected
pingpong rdm datagram
rate
webserver
ttcp
by_hand
