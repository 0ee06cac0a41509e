# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# How every target is compiled: language, warnings, optimisation, sanitizers.
# Sets ETA_SANITIZER_PRELOAD and ETA_TEST_LAUNCHER for the tests.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

# Asserts guard this project's own invariants and are cheap: they stay on in every build type.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
	string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

# Defined empty, so that a source which says "#define _GNU_SOURCE" itself agrees with it.
add_compile_definitions(_GNU_SOURCE=)
add_compile_options(-Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla)
if(ETA_WERROR)
	add_compile_options(-Werror)
endif()

set(ETA_SANITIZER_PRELOAD "")
set(ETA_TEST_LAUNCHER "")

if(ETA_SANITIZE STREQUAL "address")
	set(eta_sanitize_flags -fsanitize=address,undefined)
	set(eta_sanitize_runtime asan)
elseif(ETA_SANITIZE STREQUAL "thread")
	set(eta_sanitize_flags -fsanitize=thread)
	set(eta_sanitize_runtime tsan)
elseif(ETA_SANITIZE)
	message(FATAL_ERROR "ETA_SANITIZE is '${ETA_SANITIZE}': use address or thread")
endif()

if(ETA_SANITIZE)
	list(APPEND eta_sanitize_flags -fno-sanitize-recover=all -fno-omit-frame-pointer)
	add_compile_options(${eta_sanitize_flags})
	add_link_options(${eta_sanitize_flags})

	# A program that is not built here, such as fi_pingpong, loads a sanitized provider only
	# if the sanitizer's run-time library is there first.
	if(CMAKE_C_COMPILER_ID MATCHES "Clang")
		if(NOT ETA_FUZZ)
			add_link_options(-shared-libsan)
		endif()
		set(runtime libclang_rt.${eta_sanitize_runtime}-${CMAKE_SYSTEM_PROCESSOR}.so)
	else()
		set(runtime lib${eta_sanitize_runtime}.so)
	endif()
	execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${runtime}
		OUTPUT_VARIABLE ETA_SANITIZER_PRELOAD OUTPUT_STRIP_TRAILING_WHITESPACE
		COMMAND_ERROR_IS_FATAL ANY)
	if(CMAKE_C_COMPILER_ID MATCHES "Clang")
		get_filename_component(runtime_dir ${ETA_SANITIZER_PRELOAD} DIRECTORY)
		add_link_options(-Wl,-rpath,${runtime_dir})
	endif()

	# The sanitizers of this generation need their shadow memory at fixed addresses, which
	# a kernel that randomises more than 28 bits may already have given away.
	set(random_bits 0)
	file(GLOB random_bits_file /proc/sys/vm/mmap_rnd_bits)
	if(random_bits_file)
		execute_process(COMMAND cat ${random_bits_file} OUTPUT_VARIABLE random_bits
			OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
	endif()
	if(random_bits GREATER 28)
		set(ETA_TEST_LAUNCHER setarch -R)
	endif()
else()
	# Sanitizer run-times are resolved by the program, so only here.
	add_link_options($<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,SHARED_LIBRARY>:-Wl,-z,defs>
		$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,MODULE_LIBRARY>:-Wl,-z,defs>)
endif()

if(ETA_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "ETA_FUZZ needs clang: cmake --preset fuzz")
	endif()
	add_compile_options(-fsanitize=fuzzer-no-link)
endif()
