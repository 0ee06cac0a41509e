/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* stats.c - the counters by name. */
#include "ppe/engine.h"

#define C(member)                                                                                  \
	{                                                                                          \
#member, offsetof(struct ppe_counters, member)                                     \
	}
#define F(member)                                                                                  \
	{                                                                                          \
#member, offsetof(struct ppe_counters, fab.member)                                 \
	}
#define R(name, why)                                                                               \
	{                                                                                          \
		name, offsetof(struct ppe_counters, rejects[why])                                  \
	}

static const struct {
	const char *name;
	size_t offset;
} names[] = {
	C(turns),
	C(turns_poll),
	C(turns_wait),
	C(turns_thread),
	C(turns_post),
	C(sends),
	C(send_bytes),
	C(recvs),
	C(recv_bytes),
	C(events),
	C(silent),
	C(cancelled),
	C(flushed),
	C(doorbells),
	C(late_flushes),
	C(eager_posts),
	C(wakes_futex),
	C(wakes_fd),
	C(wakes_signal),
	C(handovers),
	C(thread_wakes),
	C(thread_takeovers),
	C(evq_stalls),
	C(rx_stalls),
	C(pool_stalls),
	C(anon_bytes),
	C(anon_copied),
	C(file_ops),
	C(file_waits),
	R("reject_malformed", PPE_REJECT_MALFORMED),
	R("reject_no_region", PPE_REJECT_NO_REGION),
	R("reject_revoked", PPE_REJECT_REVOKED),
	R("reject_tag", PPE_REJECT_TAG),
	R("reject_bounds", PPE_REJECT_BOUNDS),
	R("reject_access", PPE_REJECT_ACCESS),
	R("reject_fault", PPE_REJECT_FAULT),
	R("reject_state", PPE_REJECT_STATE),
	F(sys_write),
	F(sys_sendfile),
	F(sys_read),
	F(sys_epoll_wait),
	F(sys_epoll_ctl),
	F(sys_accept),
	F(sys_poll),
	F(sys_uring),
	F(sys_kick),
	F(sys_other),
	F(tx_bytes),
	F(rx_bytes),
	F(tx_short),
	F(rx_empty),
	F(copies),
	F(copy_bytes),
	F(connects),
	F(connect_errors),
	F(connect_timeouts),
	F(accepts),
	F(accept_stalls),
	F(resets),
	F(eofs),
	F(fpdus_tx),
	F(fpdus_rx),
	F(msgs_tx),
	F(msgs_rx),
	F(msgs_truncated),
	F(stash_bytes),
	F(rx_stops),
	F(mpa_refused),
	F(proto_errors),
	F(terminates_tx),
	F(terminates_rx),
	F(placed),
	F(placed_bytes),
	F(registrations),
	F(keys_asked),
	F(keys_given),
	C(dtis),
	C(evqs),
	C(regions),
	C(pool_used),
};

void ppe_ual_counters(struct ppe_ual *ual, struct ppe_counters *out)
{
	const uint64_t *from = (const uint64_t *)&ual->counters;
	uint64_t *to = (uint64_t *)out;

	static_assert(sizeof(*out) % sizeof(uint64_t) == 0, "counters only");
	for (size_t i = 0; i < sizeof(*out) / sizeof(uint64_t); i++)
		to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

bool ppe_counter_name(unsigned i, const struct ppe_counters *c, const char **name, uint64_t *value)
{
	if (i >= sizeof(names) / sizeof(names[0]))
		return false;
	*name = names[i].name;
	*value = *(const uint64_t *)(const void *)((const char *)c + names[i].offset);
	return true;
}
