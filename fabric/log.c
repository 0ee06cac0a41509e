/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* log.c - what fabrics have to say. */
#include <stdarg.h>
#include <stdio.h>

#include "fabric/fabric.h"

void fab_logf(const struct fab_env *env, int level, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (!env->log)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	env->log(env->arg, level, text);
}
