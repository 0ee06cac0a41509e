#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# A machine with RDMA devices, for tests: boots Debian's kernel with soft-RoCE (and soft-iWARP) under
# qemu and runs this build's programs in it. See docs/vm.md.
set -euo pipefail

vm_dir=$(cd "$(dirname "$0")" && pwd)
source_dir=$(cd "$vm_dir/../.." && pwd)
# shellcheck source=scripts/common.sh
. "$source_dir/scripts/common.sh"
# shellcheck source=tests/vm/image.sh
. "$vm_dir/image.sh"
# shellcheck source=tests/vm/payload.sh
. "$vm_dir/payload.sh"
# shellcheck source=tests/vm/siw.sh
. "$vm_dir/siw.sh"

usage() {
	cat <<'TEXT'
usage: tests/vm/vm.sh run [OPTION...] -- COMMAND [ARGUMENT...]
       tests/vm/vm.sh tests [OPTION...] [NAME...]
       tests/vm/vm.sh report [OPTION...] NAME
       tests/vm/vm.sh shell [OPTION...]
       tests/vm/vm.sh image [OPTION...]

  run      boots the machine, runs COMMAND in it, prints its output, ends with its exit code
  tests    runs guest/NAME.sh for each NAME, all of them by default, in one boot; keeps what they
           print and their exit codes under BUILD/tests/vm/results
  report   prints what the test NAME printed when "tests" ran, ends with its exit code
  shell    an interactive shell in the machine; "exit" switches it off
  image    makes what the other commands need, and boots nothing

  --build-dir DIR    the build whose programs run; build
  --module siw       loads soft-iWARP too ("tests" always tries to); may be made the first time
  --timeout SECONDS  the machine is switched off after so long; 120, "tests" 850, or of
                     a sanitizer build 3400
  --memory MIB       2048
  --file PATH        takes a further file or folder along, into /eta/files; may be repeated
  --wire PATH --side 1|2   a further interface, joined to that of the machine that was started
                     with the same PATH, a name for two Unix sockets, and the other side
  --console          prints the kernel's messages too

Exit codes: the command's; 77 where something that is needed is absent; 124 after the time-out.
TEXT
}

# skip REASON: nothing can be run here. "report" repeats it if $results is set.
skip() {
	printf 'skipped: %s\n' "$*"
	[[ -z $results ]] || printf 'skipped: %s\n' "$*" >"$results/skipped"
	exit 77
}

work='' results='' wire='' side=''
end_vm() {
	stop_background
	[[ -z $work ]] || rm -rf "$work"
	[[ -z $wire ]] || rm -f "$wire.$side"
}
trap end_vm EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# parse_options ARGUMENT...: sets the variables below; $rest is what follows the options.
parse_options() {
	build_dir=$source_dir/build modules=() timeout='' memory=2048 files=() console='' rest=()
	wire='' side=''
	while (($#)); do
		case $1 in
		--build-dir | --module | --timeout | --memory | --file | --wire | --side)
			(($# > 1)) || die "$1 takes a value"
			set_option "$1" "$2"
			shift
			;;
		--console) console=yes ;;
		--)
			shift
			rest+=("$@")
			return
			;;
		-*) die "what is $1? See --help" ;;
		*) rest+=("$1") ;;
		esac
		shift
	done
}

# set_option OPTION VALUE
set_option() {
	case $1 in
	--build-dir) build_dir=$(cd "$2" && pwd) || die "no folder $2" ;;
	--module)
		[[ $2 == siw ]] || die "no module $2 but siw"
		modules=("$2")
		;;
	--timeout)
		[[ $2 =~ ^[0-9]+$ ]] || die "--timeout takes seconds"
		timeout=$2
		;;
	--memory)
		[[ $2 =~ ^[0-9]+$ ]] || die "--memory takes MiB"
		memory=$2
		;;
	--wire) wire=$2 ;;
	--side)
		[[ $2 == [12] ]] || die "--side takes 1 or 2"
		side=$2
		;;
	--file)
		[[ -e $2 ]] || die "no file $2"
		files+=("$2")
		;;
	esac
}

# qemu_command: packs the payload, and sets $qemu, which lacks the console's place alone.
qemu_command() {
	local append="console=ttyS0 panic=-1 mitigations=off random.trust_cpu=on quiet"
	append+=" nokaslr no_timer_check audit=0"
	pack "$work/payload" "$work/payload.cpio"
	cat "$base" "$work/payload.cpio" >"$work/initrd"
	# shellcheck disable=SC2054
	qemu=(qemu-system-x86_64 -accel "${ETA_VM_ACCEL:-tcg,thread=multi}" -cpu max -smp 2 -m "$memory"
		-nodefaults -no-user-config -display none -no-reboot
		-kernel "$kernel" -initrd "$work/initrd" -append "$append"
		-device virtio-serial-pci
		-chardev "file,id=output,path=$work/output"
		-device virtserialport,chardev=output,name=eta.output,nr=1
		-chardev "file,id=results,path=$work/results.tar"
		-device virtserialport,chardev=results,name=eta.results,nr=2)
	[[ -z $wire ]] || wire_options
}

# wire_options: adds the interface to the other machine to $qemu.
wire_options() {
	local peer=$((3 - side)) netdev=dgram,id=wire
	netdev+=,local.type=unix,local.path=$wire.$side,remote.type=unix,remote.path=$wire.$peer
	qemu+=(-netdev "$netdev" -device "virtio-net-pci,netdev=wire,mac=02:00:00:00:01:0$side")
}

# show_output QEMU-PID FILE...: prints what the files get, as it comes, until qemu has ended.
show_output() {
	local pid=$1
	shift
	tail -q -n +1 -s 0.1 -f --pid="$pid" "$@" 2>/dev/null
}

# boot: runs the machine with the payload to its end; 124 if it took too long.
boot() {
	local shown=("$work/output") status=0
	qemu_command
	qemu+=(-serial "file:$work/console")
	: >"$work/output"
	: >"$work/console"
	[[ -z $console ]] || shown+=("$work/console")
	# Dies with this script, however that ends.
	start_background "$work/qemu" setpriv --pdeathsig TERM \
		timeout -k 5 "$timeout" "${qemu[@]}"
	local pid=$!
	show_output "$pid" "${shown[@]}" &
	local tail=$!
	wait "$pid" || status=$?
	wait "$tail" || true
	mkdir -p "$work/results"
	tar -x -i -f "$work/results.tar" -C "$work/results" 2>/dev/null || true
	return "$status"
}

# fail_machine STATUS: says what there is to say about a machine that did not end well.
fail_machine() {
	cat "$work/qemu" >&2
	tail -n 40 "$work/console" >&2
	if (($1 == 124)); then
		printf 'FAILED: the machine was switched off after %s s\n' "$timeout" >&2
		exit 124
	fi
	printf 'FAILED: the machine ended with %s and without a result\n' "$1" >&2
	exit 1
}

# start: the steps before each boot. $cache is where images are kept, $work this run's own folder.
start() {
	[[ ${wire:+x} == "${side:+x}" ]] || die "--wire and --side go together"
	PATH=$PATH:/usr/sbin:/sbin
	cache=$build_dir/tests/vm
	# one for all of a tree's builds, the plain one's if there is one
	[[ ! -d $source_dir/build/tests/vm ]] || cache=$source_dir/build/tests/vm
	cache=${ETA_VM_CACHE:-$cache}
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/run.XXXXXX")
	base_image
}

command_run() {
	local status=0
	((${#rest[@]})) || die "run what?"
	: "${timeout:=120}"
	start
	((${#modules[@]} == 0)) || siw_module
	payload "$(printf '%q ' "${rest[@]}")"
	boot || status=$?
	[[ -f $work/results/exit ]] || fail_machine "$status"
	exit "$(cat "$work/results/exit")"
}

command_shell() {
	timeout=${timeout:-86400}
	start
	((${#modules[@]} == 0)) || siw_module
	payload 'cd /eta; echo "exit switches off; ctrl-a x ends qemu"; bash -i'
	touch "$work/payload/eta/shell"
	qemu_command
	setpriv --pdeathsig TERM "${qemu[@]}" -serial mon:stdio
}

# test_names: the tests there are.
test_names() {
	local file
	for file in "$vm_dir"/guest/*.sh; do
		file=${file##*/}
		[[ $file == lib.sh ]] || printf '%s\n' "${file%.sh}"
	done
}

# siw_or_reason: takes the module along, or the reason why there is none: /eta/no-siw where that is
# nobody's fault, else /eta/bad-siw.
siw_or_reason() {
	local status=0
	(results='' siw_module) >"$work/siw.said" 2>&1 || status=$?
	case $status in
	0) siw_module && modules=(siw) ;;
	77) reason+=("$work/no-siw") && cp "$work/siw.said" "$work/no-siw" ;;
	*) reason+=("$work/bad-siw") && cp "$work/siw.said" "$work/bad-siw" ;;
	esac
}

command_tests() {
	local names=("${rest[@]}") reason=() name status=0 slow=1
	# sanitizers make an emulated processor some four times slower
	[[ -z $(setting ETA_SANITIZE) ]] || slow=4
	: "${timeout:=$((850 * slow))}"
	((${#names[@]})) || mapfile -t names < <(test_names)
	for name in "${names[@]}"; do
		[[ -f $vm_dir/guest/$name.sh ]] || die "no test $name"
	done
	results=$build_dir/tests/vm/results
	rm -rf "$results"
	mkdir -p "$results"
	start
	siw_or_reason
	payload "run_tests $((240 * slow)) ${names[*]}"
	((${#reason[@]} == 0)) || cp "${reason[@]}" "$work/payload/eta"
	boot || status=$?
	cp -R "$work/results/." "$work/console" "$results"
	[[ -f $results/exit ]] || fail_machine "$status"
}

command_report() {
	local results=$build_dir/tests/vm/results name=${rest[0]-}
	[[ -n $name ]] || die "report on which test?"
	[[ -d $results ]] || die "run the tests first: vm.sh tests"
	if [[ -f $results/skipped ]]; then
		cat "$results/skipped"
		exit 77
	fi
	[[ ! -f $results/$name.out ]] || cat "$results/$name.out"
	if [[ ! -f $results/$name.rc ]]; then
		tail -n 40 "$results/console" >&2
		printf 'FAILED: the machine ended before %s did\n' "$name" >&2
		exit 1
	fi
	exit "$(cat "$results/$name.rc")"
}

command_image() {
	start
	printf '%s\n%s\n' "$kernel" "$base"
	siw_module
	printf '%s\n' "$siw"
}

main() {
	local command=${1-}
	case $command in
	run | tests | report | shell | image)
		shift
		parse_options "$@"
		"command_$command"
		;;
	-h | --help) usage ;;
	*)
		usage >&2
		exit 2
		;;
	esac
}
main "$@"
