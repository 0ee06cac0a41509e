/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* ppe_test.c - see ppe_test.h. */
#include "tests/unit/ppe_test.h"

#include <arpa/inet.h>

void bench_open(struct bench *b, const struct ppe_ual_attr *attr, uint32_t evq_size)
{
	struct ppe_ual_attr a = attr ? *attr : (struct ppe_ual_attr){ 0 };

	if (!a.placement)
		a.placement = "inline";
	assert_int_equal(ppe_ual_open(&a, &b->ual), 0);
	b->fab = stub_of(b->ual);
	b->q = evq_new(b->ual, evq_size, 0);
	assert_int_equal(ppe_mr_register(b->ual, NULL, SIZE_MAX,
					 PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &b->all),
			 0);
}

void bench_close(struct bench *b)
{
	ppe_ual_close(b->ual);
}

struct ppe_evq *evq_new(struct ppe_ual *ual, uint32_t size, unsigned flags)
{
	struct ppe_evq_attr attr = { .size = size, .flags = flags };
	struct ppe_evq *q;

	assert_int_equal(ppe_evq_create(ual, &attr, &q), 0);
	return q;
}

struct ppe_dti *dti_new(struct bench *b, struct ppe_evq *q, enum ppe_service service,
			uint32_t slots)
{
	struct ppe_dti_attr attr = {
		.service = service,
		.sq_slots = slots,
		.rq_slots = slots,
		.tx_evq = q,
		.cookie = 0xc0,
	};
	struct ppe_dti *d;

	assert_int_equal(ppe_dti_create(b->ual, &attr, &d), 0);
	return d;
}

struct ppe_dti *dti_connected(struct bench *b, enum ppe_service service, uint32_t slots)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct ppe_dti *d = dti_new(b, b->q, service, slots);

	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 99, NULL, 0), 0);
	expect(b->q, PPE_EV_CONNECT, 99, 0, 0);
	return d;
}

struct ppe_event expect(struct ppe_evq *q, enum ppe_event_type type, uint64_t tag, int status,
			uint64_t len)
{
	struct ppe_event ev = { 0 };

	if (ppe_evq_read(q, &ev, 1) != 1 && ppe_evq_read(q, &ev, 1) != 1)
		fail_msg("no event; expected type %d tag %lu", type, (unsigned long)tag);
	assert_int_equal(ev.type, type);
	assert_int_equal(ev.user_tag, tag);
	assert_int_equal(ev.status, status);
	assert_int_equal(ev.len, len);
	return ev;
}

void expect_none(struct ppe_evq *q)
{
	struct ppe_event ev;

	for (int i = 0; i < 3; i++)
		if (ppe_evq_read(q, &ev, 1))
			fail_msg("event of type %d tag %lu status %d", ev.type,
				 (unsigned long)ev.user_tag, ev.status);
}

void turns(struct ppe_ual *ual, int n)
{
	while (n--) {
		turn_lock(ual);
		turn_run(ual, TURN_POLL);
		turn_unlock(ual);
	}
}

struct ppe_sge sge_of(struct bench *b, const void *addr, uint32_t len)
{
	return (struct ppe_sge){
		.addr = (uintptr_t)addr, .len = len, .region = b->all.region, .ptag = b->all.ptag
	};
}

int send_mem(struct bench *b, struct ppe_dti *d, uint64_t tag, const void *addr, uint32_t len,
	     unsigned flags)
{
	struct ppe_sge sge = sge_of(b, addr, len);
	struct ppe_post p = { .user_tag = tag, .sge = &sge, .nsge = 1, .flags = flags };

	return ppe_post_send(d, &p);
}

int send_inline(struct ppe_dti *d, uint64_t tag, const void *data, uint32_t len, unsigned flags)
{
	struct ppe_post p = {
		.user_tag = tag, .inline_data = data, .inline_len = len, .flags = flags
	};

	return ppe_post_send(d, &p);
}

int recv_mem(struct bench *b, struct ppe_dti *d, uint64_t tag, void *addr, uint32_t len)
{
	struct ppe_sge sge = sge_of(b, addr, len);
	struct ppe_post p = { .user_tag = tag, .sge = &sge, .nsge = 1 };

	return ppe_post_recv(d, &p);
}

void pattern_fill(uint8_t *p, uint64_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern(from + i);
}

size_t pattern_check(const uint8_t *p, uint64_t from, size_t len)
{
	size_t i = 0;

	while (i < len && p[i] == pattern(from + i))
		i++;
	return i;
}

uint64_t test_seed(uint64_t fallback)
{
	const char *text = getenv("ETA_TEST_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : fallback;

	print_message("seed %lu\n", (unsigned long)seed);
	return seed ? seed : 1;
}
