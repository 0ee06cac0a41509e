#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The programs of tests/mpi under Open MPI, whose messages all go through libfabric:
#
#   mpi.sh 2|4|8    so many ranks on this host, over loopback
#   mpi.sh netns    two ranks in each of two network namespaces, joined by a pair of veth
#
# ETA_MPI_PROVIDER names another provider to compare with (default: eta), as Open MPI names it:
# "sockets", "tcp;ofi_rxm" (these on one host); or "none": Open MPI's own TCP.
. "$(dirname "$0")/lib.sh"

provider=${ETA_MPI_PROVIDER:-eta}
programs=(mpi_p2p mpi_coll mpi_rma mpi_stencil mpi_comms)
sections=0

# What the programs do less of under a sanitizer, where each message costs many times more.
declare -A less=()
budget=220 # seconds for everything
if [[ -n $ETA_SANITIZE ]]; then
	less=([mpi_p2p]="--count 3000" [mpi_stencil]="--count 100" [mpi_comms]="--count 200")
	budget=240
	# Open MPI leaks, and unloads its plug-ins before the leaks are looked for, so that they have
	# no names that could be suppressed; other tests look for eta's. ThreadSanitizer cannot see
	# how Open MPI and libfabric synchronise: only accesses of what is built here count.
	export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0
	export TSAN_OPTIONS=${TSAN_OPTIONS-}:ignore_noninstrumented_modules=1
fi

# One-sided operations go by messages, too (pt2pt): the other ways would pass libfabric by.
if [[ $provider == none ]]; then
	transport=(--mca pml ob1 --mca btl "self,tcp" --mca osc pt2pt)
else
	transport=(--mca pml cm --mca mtl ofi --mca mtl_ofi_provider_include "${provider%%;*}"
		--mca btl self --mca osc pt2pt --mca opal_common_ofi_verbose 1)
	# Open MPI's hook on released memory calls locks from a thread that has all but ended,
	# which ThreadSanitizer's do not survive.
	[[ ${ETA_SANITIZE-} != thread ]] || transport+=(--mca memory ^patcher)
fi

# Ranks give the processor away when they have nothing to do: there are more of them than
# processors. Session folders go where the test's own files go.
common=(--allow-run-as-root --oversubscribe --bind-to none --mca mpi_yield_when_idle 1
	--mca orte_tmpdir_base "$test_dir" -x FI_PROVIDER_PATH -x FI_PROVIDER)
export FI_PROVIDER_PATH=$ETA_LIB_DIR FI_PROVIDER=${provider%%;*}

# has_rdm COMMAND...: whether the provider, as COMMAND sees it, has endpoints for MPI; not by
# ofi_rxm, which would put its own protocol above the provider's connections.
has_rdm() {
	[[ $provider != none ]] || return 0
	if ! "$@" "${eta_run[@]}" fi_info -p "${provider%%;*}" -t FI_EP_RDM >"$test_dir/info" 2>&1; then
		! grep -q 'fi_getinfo: -61' "$test_dir/info" ||
			skip "provider ${provider%%;*} has no FI_EP_RDM endpoints"
		fail "fi_info: $(cat "$test_dir/info")"
	fi
	[[ $provider != *";"* ]] || return 0
	! grep -qE '^provider: .*;|FI_PROTO_RXM' "$test_dir/info" ||
		fail "ofi_rxm offers itself above $provider: $(sort "$test_dir/info" | uniq -c)"
}

# used_provider LOG RANKS: each rank's messages went by exactly this provider.
used_provider() {
	local seen
	[[ $provider != none ]] || return 0
	seen=$(sed -n 's/.*mtl:ofi:prov: //p' "$1" | sort | uniq -c | awk '{ print $1, $2 }')
	[[ $seen == "$2 $provider" ]] ||
		fail "the provider in use: expected '$2 $provider', seen '$seen'"
}

# run PROGRAM RANKS MPIRUN...: the rest is what starts mpirun, without the program.
run() {
	local program=$ETA_BIN_DIR/tests/$1 ranks=$2 log=$test_dir/$1.log expected code=0 ok
	local limit=$((budget - SECONDS))
	((limit > 0)) || fail "$1: no time left of $budget s"
	shift 2
	# shellcheck disable=SC2206
	local arguments=(--seconds "$limit" ${less[${program##*/}]-})
	timeout -k 2 $((limit + 5)) "$@" -n "$ranks" "${transport[@]}" "${common[@]}" \
		"$program" "${arguments[@]}" >"$log" 2>&1 </dev/null || code=$?
	[[ $code == 0 ]] || fail "${program##*/} on $ranks ranks: exit code $code: $(tail -n 40 "$log")"
	used_provider "$log" "$ranks"
	expected=$("$program" --help | sed -n 's/^Sections: //p' | wc -w)
	ok=$(grep -c '^ok ' "$log" || true)
	[[ $ok == "$expected" ]] || fail "${program##*/}: $ok of $expected sections: $(cat "$log")"
	sections=$((sections + ok))
	printf '%s on %s ranks: %s sections (at %s s)\n' "${program##*/}" "$ranks" "$ok" "$SECONDS"
}

one_host() {
	local program
	export FI_ETA_IFACE=127.0.0.1
	has_rdm
	for program in "${programs[@]}"; do
		run "$program" "$1" mpirun --mca plm isolated --mca oob_tcp_if_include lo \
			--mca btl_tcp_if_include lo
	done
}

# ------------------------------------------------------------------------------ two namespaces

# The namespaces go with the test, whatever its end, and so does what still runs in them.
# shellcheck disable=SC2329
end_netns() {
	local pid
	for pid in $(ip netns pids "$left" 2>/dev/null) $(ip netns pids "$right" 2>/dev/null); do
		kill -KILL "$pid" 2>/dev/null || true
	done
	end_test
	ip netns del "$left" 2>/dev/null || true
	ip netns del "$right" 2>/dev/null || true
}

make_netns() {
	left=eta-$$-left
	right=eta-$$-right
	ip netns add "$left" 2>"$test_dir/why" || skip "no network namespaces: $(cat "$test_dir/why")"
	trap end_netns EXIT
	ip netns add "$right"
	# one name at both ends, since Open MPI's options name the interface once for all hosts
	ip link add eta-mpi netns "$left" type veth peer name eta-mpi netns "$right" \
		2>"$test_dir/why" || skip "no veth: $(cat "$test_dir/why")"
	ip -n "$left" address add 192.0.2.1/24 dev eta-mpi
	ip -n "$right" address add 192.0.2.2/24 dev eta-mpi
	local ns
	for ns in "$left" "$right"; do
		ip -n "$ns" link set lo up
		# no IPv6: Open MPI might take one family at one end and the other at the other
		ip -n "$ns" link set eta-mpi addrgenmode none
		ip -n "$ns" link set eta-mpi up
	done
}

# "agent ADDRESS COMMAND": what mpirun, in the left namespace, takes for ssh. The ranks inherit the
# environment of who starts them. A namespace is made to look like a host of its own, with a name
# of its own, or Open MPI would take the two for one.
make_agent() {
	cat >"$test_dir/agent" <<-SCRIPT
		#!/bin/sh
		case \$1 in
		192.0.2.2) ns=$right ;;
		*) echo "no such host: \$1" >&2; exit 1 ;;
		esac
		shift
		export ns command="\$*" FI_ETA_IFACE=192.0.2.2
		exec ip netns exec "\$ns" unshare --uts sh -c \
			'echo "\$ns" >/proc/sys/kernel/hostname; exec sh -c "\$command"'
	SCRIPT
	chmod +x "$test_dir/agent"
}

# received: bytes that have come in over the left end
received() {
	ip netns exec "$left" cat /sys/class/net/eta-mpi/statistics/rx_bytes
}

netns() {
	local program before
	need ip unshare
	make_netns
	make_agent
	# One address is all that Open MPI may see at an end: of several it takes another for each rank,
	# and loopback may be among them.
	export FI_ETA_IFACE=192.0.2.1
	has_rdm ip netns exec "$left"
	before=$(received)
	for program in "${programs[@]}"; do
		# shellcheck disable=SC2016
		run "$program" 4 ip netns exec "$left" unshare --uts sh -c \
			'echo "$0" >/proc/sys/kernel/hostname; exec mpirun "$@"' "$left" \
			--mca plm rsh --mca plm_rsh_agent "$test_dir/agent" \
			--host 192.0.2.1:2,192.0.2.2:2 --map-by node \
			--mca oob_tcp_if_include eta-mpi --mca btl_tcp_if_include eta-mpi
	done
	printf '%s bytes came over the veth\n' $(($(received) - before))
	(($(received) - before > 10000000)) || fail "that is too few: how did they talk?"
}

need mpirun fi_info
mpirun --version | grep -q 'Open MPI' || skip "mpirun is not Open MPI's"
for program in "${programs[@]}"; do
	[[ -x $ETA_BIN_DIR/tests/$program ]] || skip "$program was not built: no MPI compiler"
done
case ${1-2} in
2 | 4 | 8) one_host "${1-2}" ;;
netns) netns ;;
*) fail "2, 4, 8 or netns, not '$1'" ;;
esac
printf 'ok: %s sections by %s\n' "$sections" "$provider"
