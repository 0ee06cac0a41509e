# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# Is the wire "roce" built? It needs the headers of libibverbs and librdmacm; the libraries are
# loaded when it is first asked for, so that what is built here works where they are not.
#
# Sets ETA_HAVE_ROCE.

set(ETA_ROCE AUTO CACHE STRING "RDMA devices (headers of libibverbs and librdmacm): AUTO, ON, OFF")
set_property(CACHE ETA_ROCE PROPERTY STRINGS AUTO ON OFF)

set(ETA_HAVE_ROCE FALSE)
if(NOT ETA_ROCE STREQUAL "AUTO" AND NOT ETA_ROCE MATCHES "^(ON|OFF|YES|NO|TRUE|FALSE|1|0)$")
	message(FATAL_ERROR "ETA_ROCE is '${ETA_ROCE}': use AUTO, ON or OFF")
endif()
if(ETA_ROCE STREQUAL "AUTO" OR ETA_ROCE)
	find_path(ETA_VERBS_INCLUDE infiniband/verbs.h)
	find_path(ETA_RDMACM_INCLUDE rdma/rdma_cma.h)
	mark_as_advanced(ETA_VERBS_INCLUDE ETA_RDMACM_INCLUDE)
	if(ETA_VERBS_INCLUDE AND ETA_RDMACM_INCLUDE)
		set(ETA_HAVE_ROCE TRUE)
	elseif(NOT ETA_ROCE STREQUAL "AUTO")
		message(FATAL_ERROR "ETA_ROCE=ON, but infiniband/verbs.h or rdma/rdma_cma.h is "
			"missing: install libibverbs-dev and librdmacm-dev")
	endif()
endif()
if(ETA_HAVE_ROCE)
	message(STATUS "RDMA devices: built, libraries are loaded when needed")
else()
	message(STATUS "RDMA devices: not built (ETA_ROCE is ${ETA_ROCE})")
endif()
