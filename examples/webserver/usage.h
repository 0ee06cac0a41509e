/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * usage.h - what --help prints.
 */
#ifndef EXAMPLES_WEBSERVER_USAGE_H
#define EXAMPLES_WEBSERVER_USAGE_H

extern const char usage_text[];

#endif
