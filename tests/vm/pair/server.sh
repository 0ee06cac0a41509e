#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The machine that is asked, 10.0.3.1: until the pingpong, which its client does last, is over.
. "$(dirname "$0")/lib.sh"

root=$test_dir/root
mkdir "$root"
octets 100000 >"$root/small"
octets 1500000 >"$root/large"
ETA_FABRIC=roce start_background "$test_dir/pingpong" \
	timeout $((3 * patience)) fi_pingpong -p eta -d rxe2 -e rdm -c -I 10 -S 70000
pingpong=$!
ETA_FABRIC=roce start_background "$test_dir/ttcp" eta-ttcp --receive \
	--listen "$server:$ttcp_port" --verify --forever
ttcp=$!
for port in "$pingpong_port" "$ttcp_port"; do
	wait_until 60 is_listening "$port" ||
		fail "nobody listens on $port: $(tail -n 5 "$test_dir"/*)"
done
# the last: once it answers all of them are there
ETA_FABRIC=roce start_background "$test_dir/web" eta-webserver --listen "$server:$web_port" "$root"
web=$!
wait "$pingpong" || fail "fi_pingpong: $(tail -n 5 "$test_dir"/{pingpong,web,ttcp})"
kill "$ttcp"
wait "$ttcp" || true
kill "$web"
wait "$web" || fail "the web server ended with $?: $(cat "$test_dir/web")"
