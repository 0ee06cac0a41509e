# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# The second part of the guest's initramfs: this build's programs and the tests, packed for each
# boot. Sourced by vm.sh.
# shellcheck disable=SC2154

# setting NAME: the value that the build was configured with.
setting() {
	sed -n "s/^$1:[A-Z]*=//p" "$build_dir/CMakeCache.txt" 2>/dev/null | head -n 1
}

# copy_build ROOT: programs and shared libraries of the build, and what they load.
copy_build() {
	local to=$1/eta/build files=()
	mkdir -p "$to/lib" "$to/bin"
	[[ -d $build_dir/lib && -d $build_dir/bin ]] || die "no build in $build_dir"
	find "$build_dir/lib" -maxdepth 1 -name '*.so*' -exec cp -P -t "$to/lib" {} +
	cp -R "$build_dir/bin/." "$to/bin"
	mapfile -t files < <(find "$to/lib" "$to/bin" -type f -perm -u+x ! -name 'mpi_*')
	mapfile -t files < <(libraries "${files[@]}" | grep -v "^$build_dir/")
	copy_files "$1" "${files[@]}"
}

# copy_sources ROOT: scripts that run in the guest.
copy_sources() {
	local to=$1/eta/src
	mkdir -p "$to/scripts" "$to/tests"
	cp "$source_dir/scripts/common.sh" "$to/scripts"
	cp -R "$source_dir/tests/system" "$vm_dir" "$source_dir"/tests/*.supp "$to/tests"
	cp "$vm_dir/machine/init" "$1/init"
}

# environment ROOT: what depends on the kind of build.
environment() {
	local root=$1 sanitize preload='' slow=1
	sanitize=$(setting ETA_SANITIZE)
	if [[ -n $sanitize ]]; then
		slow=4
		preload=$(libraries "$build_dir/lib/libeta-fi.so" |
			grep -E '/lib(asan|tsan|clang_rt\.[at]san.*)\.so' | head -n 1)
	fi
	cat >"$root/eta/environment" <<TEXT
ETA_SANITIZE=$sanitize
ETA_SANITIZER_PRELOAD=$preload
ETA_TEST_SLOW=$slow
ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:abort_on_error=1
UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
LSAN_OPTIONS=suppressions=/eta/src/tests/lsan.supp:print_suppressions=0
TSAN_OPTIONS=suppressions=/eta/src/tests/tsan.supp:halt_on_error=1:second_deadlock_stack=1
TEXT
}

# payload COMMANDS: puts everything into $work/payload, with a script /eta/run that prepares the
# machine and then runs the shell commands.
payload() {
	local root=$work/payload
	make_root "$root"
	mkdir -p "$root/eta/files" "$root/eta/modules"
	copy_build "$root"
	copy_sources "$root"
	environment "$root"
	((${#files[@]} == 0)) || cp -R "${files[@]}" "$root/eta/files"
	[[ " ${modules[*]-} " != *" siw "* ]] || cp "$siw" "$root/eta/modules/siw.ko"
	cat >"$root/eta/run" <<TEXT
. /eta/src/tests/vm/machine/start.sh
start_machine $side || exit
$1
TEXT
}
