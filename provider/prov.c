/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* prov.c - the door: what libfabric finds when it has loaded this file, and the parameters. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "eta.h"

FI_EXT_INI;

struct fi_provider eta_prov = {
	.version = ETA_VERSION,
	.name = ETA_NAME,
	.getinfo = eta_getinfo,
	.fabric = eta_fabric_open,
	.cleanup = eta_fabric_cleanup,
};

static const struct {
	const char *name;
	enum fi_param_type type;
	const char *help;
} params[] = {
	{ "iface", FI_PARAM_STRING,
	  "Interface to offer, by name (eth0) or address (192.0.2.1, ::1). Default: all of them, the "
	  "default route's first, loopback last" },
	{ "placement", FI_PARAM_STRING,
	  "Who runs the engine: adaptive, inline (only threads that call libfabric: manual "
	  "progress), dedicated[:cpu]. Default: $ETA_PPE, else adaptive" },
	{ "tx_size", FI_PARAM_SIZE_T, "Default size of a transmit queue (default: 256)" },
	{ "rx_size", FI_PARAM_SIZE_T, "Default size of a receive queue (default: 256)" },
	{ "connect_timeout", FI_PARAM_SIZE_T,
	  "Seconds until an attempt to connect is given up; 0: the kernel's own limit (default: 0)" },
	{ "peer_timeout", FI_PARAM_SIZE_T,
	  "Milliseconds of silence after which a peer counts as dead; 0: never (default: 60000)" },
	{ "port_range", FI_PARAM_STRING,
	  "Ports, low-high, for listening where the application leaves the choice (default: the "
	  "kernel's choice)" },
	{ "mr_prov_key", FI_PARAM_BOOL,
	  "Random memory keys, instead of those that applications ask for (default: no)" },
	{ "prov_name", FI_PARAM_STRING,
	  "Another name to appear under, for applications that know providers by name (default: "
	  "eta). Parameters keep their names" },
	{ "handshake_timeout", FI_PARAM_SIZE_T,
	  "Milliseconds that a peer may take to say that it speaks iWARP (default: 10000)" },
	{ "fpdu_size", FI_PARAM_SIZE_T,
	  "Largest payload of one FPDU between two etas, in bytes (default: the engine's)" },
	{ "crc", FI_PARAM_BOOL, "Ask peers for CRC32C on every FPDU (default: no)" },
};

/* ------------------------------------------------------------------------------ parameters */

const char *eta_param_string(const char *name)
{
	char *value = NULL;

	return fi_param_get_str(&eta_prov, name, &value) || !value || !*value ? NULL : value;
}

size_t eta_param_size(const char *name, size_t def, size_t min, size_t max)
{
	size_t value;

	if (fi_param_get_size_t(&eta_prov, name, &value))
		return def;
	if (value >= min && value <= max)
		return value;
	eta_warn(CORE, "parameter %s: %zu is not within %zu to %zu, %zu used\n", name, value, min,
		 max, def);
	return def;
}

bool eta_param_bool(const char *name, bool def)
{
	int value;

	return fi_param_get_bool(&eta_prov, name, &value) ? def : value;
}

const char *eta_param_placement(void)
{
	return eta_param_string("placement");
}

bool eta_param_port_range(uint16_t *low, uint16_t *high)
{
	const char *text = eta_param_string("port_range");
	unsigned from, to;
	char rest;

	if (!text)
		return false;
	if (sscanf(text, "%u-%u%c", &from, &to, &rest) != 2 || !from || from > to ||
	    to > UINT16_MAX) {
		eta_warn(CORE, "parameter port_range: \"%s\" is not low-high\n", text);
		return false;
	}
	*low = from;
	*high = to;
	return true;
}

/* ------------------------------------------------------------------ small things for queues */

const char *eta_strerror(int prov_errno, char *buf, size_t len)
{
	const char *text = fi_strerror(prov_errno);

	if (buf && len)
		snprintf(buf, len, "%s", text);
	return text;
}

int eta_wait_obj_check(enum fi_wait_obj obj)
{
	switch (obj) {
	case FI_WAIT_NONE:
	case FI_WAIT_UNSPEC:
	case FI_WAIT_FD:
	case FI_WAIT_YIELD:
		return 0;
	case FI_WAIT_SET:
	case FI_WAIT_MUTEX_COND:
	case FI_WAIT_POLLFD:
		return -FI_ENOSYS;
	default:
		return -FI_EINVAL;
	}
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

int64_t eta_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ns() + timeout_ms * INT64_C(1000000);
}

int64_t eta_time_left(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - now_ns();
	return left > 0 ? left : 0;
}

/* --------------------------------------------------------------------------------- loading */

/*
 * Parameters stay those of "eta": libfabric made up their variables' names when they were defined. Of
 * two providers of one name it keeps the newer one, which is to be this.
 */
static void choose_name(void)
{
	const char *name = eta_param_string("prov_name");

	if (name)
		name = strdup(name);
	if (!name)
		return;
	eta_prov.name = name;
	eta_prov.version = FI_VERSION(INT16_MAX, 0);
}

/*
 * libfabric passes over providers that are older than the interface an application asks for, so a
 * fixed version would hide this one from applications of the other generation.
 */
FI_EXT_INI
{
	uint32_t version = fi_version();

	eta_prov.fi_version = version < ETA_API_MAX ? version : ETA_API_MAX;
	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		fi_param_define(&eta_prov, params[i].name, params[i].type, "%s", params[i].help);
	choose_name();
	return &eta_prov;
}
