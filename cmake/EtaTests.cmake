# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# How tests are added. Every test may exit with 77: skipped. Every test gets this environment:
#
#   ETA_SOURCE_DIR  ETA_BUILD_DIR  ETA_LIB_DIR  ETA_BIN_DIR   absolute folders
#   ETA_CC                  the C compiler of this build
#   ETA_SANITIZE            empty, address or thread
#   ETA_SANITIZER_PRELOAD   what LD_PRELOAD must hold for a foreign program that loads
#                           libeta-fi.so; empty in a plain build
#   ASAN_OPTIONS  UBSAN_OPTIONS  LSAN_OPTIONS  TSAN_OPTIONS
#
# and runs in ${ETA_BUILD_DIR}/tests/tmp/<test>, which is its own.

set(ETA_TEST_ENVIRONMENT
	ETA_SOURCE_DIR=${PROJECT_SOURCE_DIR}
	ETA_BUILD_DIR=${PROJECT_BINARY_DIR}
	ETA_LIB_DIR=${PROJECT_BINARY_DIR}/lib
	ETA_BIN_DIR=${PROJECT_BINARY_DIR}/bin
	ETA_CC=${CMAKE_C_COMPILER}
	ETA_SANITIZE=${ETA_SANITIZE}
	ETA_SANITIZER_PRELOAD=${ETA_SANITIZER_PRELOAD}
	ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:abort_on_error=1
	UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
	LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0
	TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/tsan.supp:halt_on_error=1:second_deadlock_stack=1
)

# eta_test(<name> COMMAND <command> [<argument>...]
#          [LABELS <label>...] [TIMEOUT <seconds>] [RUN_SERIAL])
# The general form; the functions below call it. RUN_SERIAL: for what measures time, or uses
# something that exists once in a machine.
function(eta_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "TIMEOUT" "COMMAND;LABELS")
	if(arg_UNPARSED_ARGUMENTS)
		message(FATAL_ERROR "eta_test(${name}): what is ${arg_UNPARSED_ARGUMENTS}?")
	endif()
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 120)
	endif()
	set(dir ${PROJECT_BINARY_DIR}/tests/tmp/${name})
	file(MAKE_DIRECTORY ${dir})
	add_test(NAME ${name} COMMAND ${ETA_TEST_LAUNCHER} ${arg_COMMAND} WORKING_DIRECTORY ${dir})
	set_tests_properties(${name} PROPERTIES
		ENVIRONMENT "${ETA_TEST_ENVIRONMENT}"
		LABELS "${arg_LABELS}"
		RUN_SERIAL "${arg_RUN_SERIAL}"
		SKIP_RETURN_CODE 77
		TIMEOUT ${arg_TIMEOUT})
endfunction()

# eta_unit_test(<module> [<source>...] [LIBS <library>...] [LABELS ...] [TIMEOUT <seconds>]
#               [ONE_THREAD])
# CMocka program bin/tests/test_<module> from test_<module>.c and the sources named, whose paths
# start at the top of the tree ("ppe/mr.c"). LIBS: eta-ppe, which brings the fabrics, unless
# named; "LIBS none" links nothing, for a test that stubs its module's neighbours. ONE_THREAD: a long
# one that has no other; where ThreadSanitizer looks for races it is built, and not run.
function(eta_unit_test module)
	cmake_parse_arguments(PARSE_ARGV 1 arg "ONE_THREAD" "TIMEOUT" "LIBS;LABELS")
	set(sources test_${module}.c)
	foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
		list(APPEND sources ${PROJECT_SOURCE_DIR}/${source})
	endforeach()
	if(NOT arg_LIBS)
		set(arg_LIBS eta-ppe)
	endif()
	list(REMOVE_ITEM arg_LIBS none)

	add_executable(test_${module} ${sources})
	target_include_directories(test_${module} PRIVATE ${PROJECT_SOURCE_DIR})
	target_link_libraries(test_${module} PRIVATE ${arg_LIBS} PkgConfig::CMOCKA Threads::Threads)
	set_target_properties(test_${module} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/tests)
	if(NOT (arg_ONE_THREAD AND ETA_SANITIZE STREQUAL thread))
		eta_test(unit.${module} COMMAND test_${module} LABELS unit ${arg_LABELS}
			TIMEOUT ${arg_TIMEOUT})
	endif()
endfunction()

# eta_fuzz_test(<decoder> [<source>...] [LIBS <library>...])
# Fuzz target bin/tests/fuzz_<decoder> from fuzz_<decoder>.c, which defines
# LLVMFuzzerTestOneInput, and the sources named (paths from the top of the tree). Seeds are in
# corpus/<decoder>/, one file each. With ETA_FUZZ it is a libFuzzer program; without, a driver
# replays the seeds and a fixed pseudo-random series of mutations of them: a short one where
# ThreadSanitizer looks for races, because no target has a second thread.
function(eta_fuzz_test decoder)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBS")
	set(sources fuzz_${decoder}.c)
	foreach(source IN LISTS arg_UNPARSED_ARGUMENTS)
		list(APPEND sources ${PROJECT_SOURCE_DIR}/${source})
	endforeach()
	set(seeds ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${decoder})
	if(ETA_FUZZ)
		add_executable(fuzz_${decoder} ${sources})
		target_link_options(fuzz_${decoder} PRIVATE -fsanitize=fuzzer)
		# What libFuzzer finds goes to the first folder: not the one in the source tree.
		set(found ${PROJECT_BINARY_DIR}/tests/corpus/${decoder})
		file(MAKE_DIRECTORY ${found})
		set(arguments -runs=200000 -seed=1 -max_len=4096 ${found} ${seeds})
	else()
		add_executable(fuzz_${decoder} ${sources} driver.c)
		set(runs 20000)
		if(ETA_SANITIZE STREQUAL thread)
			set(runs 200)
		endif()
		set(arguments --runs ${runs} --seed 1 --max-length 4096 ${seeds})
	endif()
	add_dependencies(fuzz fuzz_${decoder})
	# LLVMFuzzerTestOneInput is libFuzzer's to declare; no header does.
	target_compile_options(fuzz_${decoder} PRIVATE -Wno-missing-prototypes)
	target_include_directories(fuzz_${decoder} PRIVATE ${PROJECT_SOURCE_DIR})
	target_link_libraries(fuzz_${decoder} PRIVATE ${arg_LIBS} Threads::Threads)
	set_target_properties(fuzz_${decoder} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin/tests)
	eta_test(fuzz.${decoder} COMMAND fuzz_${decoder} ${arguments} LABELS fuzz TIMEOUT 300)
endfunction()

# eta_system_test(<name> [SCRIPT <file>] [ARGS <argument>...] [LABELS ...] [TIMEOUT <seconds>]
#                 [RUN_SERIAL])
# A whole-program test: tests/system/<name>.sh, or the SCRIPT named, run by the interpreter that
# its first line asks for.
function(eta_system_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "RUN_SERIAL" "SCRIPT;TIMEOUT" "ARGS;LABELS")
	if(NOT arg_SCRIPT)
		set(arg_SCRIPT ${name}.sh)
	endif()
	set(serial "")
	if(arg_RUN_SERIAL)
		set(serial RUN_SERIAL)
	endif()
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 300)
	endif()
	eta_test(system.${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/${arg_SCRIPT} ${arg_ARGS}
		LABELS system ${arg_LABELS} TIMEOUT ${arg_TIMEOUT} ${serial})
endfunction()

# eta_check(<name> <command> [<argument>...])
# A check of the sources rather than of programs. It reads the same in every build, so sanitizer
# builds leave it out.
function(eta_check name)
	if(NOT ETA_SANITIZE)
		eta_test(check.${name} COMMAND ${ARGN} LABELS check)
	endif()
endfunction()
