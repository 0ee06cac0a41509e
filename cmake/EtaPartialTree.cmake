# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Scaffolding for the time in which the tree is still being written: a source that is listed but
# not there yet is left out with a notice; a target that loses all its sources becomes an empty
# library, and a program that loses any becomes one that exits with 77 ("skipped" to ctest).
# Delete this file, and the option ETA_PARTIAL_TREE, when every listed source exists.

set(eta_partial_dir ${CMAKE_BINARY_DIR}/partial)
file(CONFIGURE OUTPUT ${eta_partial_dir}/empty.c CONTENT "typedef int eta_not_written_yet;\n")
file(CONFIGURE OUTPUT ${eta_partial_dir}/skip.c CONTENT "int main(void)\n{\n\treturn 77;\n}\n")

function(eta_partial_filter name kept_var dropped_var)
	set(kept "")
	set(dropped "")
	foreach(item IN LISTS ARGN)
		cmake_path(ABSOLUTE_PATH item BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}
			OUTPUT_VARIABLE path)
		if(item MATCHES "\\.c$" AND NOT EXISTS ${path})
			list(APPEND dropped ${item})
			set_property(DIRECTORY ${CMAKE_SOURCE_DIR} APPEND PROPERTY
				CMAKE_CONFIGURE_DEPENDS ${path})
		else()
			list(APPEND kept ${item})
		endif()
	endforeach()
	if(dropped)
		list(JOIN dropped " " text)
		message(STATUS "not written yet, for ${name}: ${text}")
	endif()
	set(${kept_var} ${kept} PARENT_SCOPE)
	set(${dropped_var} ${dropped} PARENT_SCOPE)
endfunction()

function(add_library name)
	eta_partial_filter(${name} kept dropped ${ARGN})
	if(dropped AND NOT kept MATCHES "\\.c")
		list(APPEND kept ${eta_partial_dir}/empty.c)
	endif()
	_add_library(${name} ${kept})
endfunction()

function(add_executable name)
	eta_partial_filter(${name} kept dropped ${ARGN})
	if(dropped)
		set(kept ${eta_partial_dir}/skip.c)
	endif()
	_add_executable(${name} ${kept})
endfunction()
