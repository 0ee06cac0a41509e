/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * memory.c - registering memory, without which nothing can be sent from it or received into it.
 */
#include "dusi/handle.h"

static unsigned engine_access(unsigned access)
{
	return (access & DUSI_READ ? PPE_ACCESS_LOCAL_READ : 0) |
	       (access & DUSI_WRITE ? PPE_ACCESS_LOCAL_WRITE : 0);
}

int Dusi_Register_Memory(dusi_ual_t ual, void *addr, size_t len, unsigned access, dusi_mem_t *mem)
{
	struct dusi_ual *u;
	struct ppe_mr mr;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	/* NULL with SIZE_MAX would mean all memory to the engine: not for sockets */
	if (!mem || !addr || !len || !access || access & ~(unsigned)(DUSI_READ | DUSI_WRITE))
		return -EINVAL;
	err = ppe_mr_register(u->ppe, addr, len, engine_access(access), &mr);
	if (err)
		return err;
	*mem = (dusi_mem_t){ .region = mr.region, .ptag = mr.ptag };
	return 0;
}

int Dusi_Deregister_Memory(dusi_ual_t ual, dusi_mem_t mem)
{
	struct dusi_ual *u;
	int err = dusi_find_ual(ual, &u);

	if (err)
		return err;
	return ppe_mr_deregister(u->ppe, (struct ppe_mr){ mem.region, mem.ptag });
}
