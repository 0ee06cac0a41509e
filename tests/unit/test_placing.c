/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_placing.c - the message service over a fabric whose device reaches memory by itself: messages
 * that stay on the wire, regions that are named and go, keys, sinks, and answers in any order.
 */
#include "tests/unit/ppe_test.h"

#include <arpa/inet.h>

#define BIG (64u * 1024)
#define CHUNK ULP_CHUNK
#define KEY 77
#define ALL                                                                                        \
	(PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE | PPE_ACCESS_REMOTE_READ |                 \
	 PPE_ACCESS_REMOTE_WRITE)

static struct bench b;
static struct ppe_pd *pd;
static struct ppe_dti *d;
static struct fab_msg_conn *c;
static struct ppe_cntr *served; /* the peer's reads */
static uint8_t mem[4 << 20], data[4 << 20];

static const struct fab_msg_peer eta = {
	.eta = true,
	.features = FAB_FEATURE_ULP,
	.ord = 4,
	.ird = 2,
	.hello = { .features = FAB_FEATURE_ULP, .window = 1 << 20, .announces = 16 },
};

static void open_with(const struct fab_msg_peer *who, bool places)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(7) };
	struct ppe_dti_attr attr = { .service = PPE_MESSAGE, .sq_slots = 64, .rq_slots = 64 };

	stub_places = places;
	bench_open(&b, NULL, 256);
	b.fab->who = who;
	assert_int_equal(ppe_pd_create(b.ual, &pd), 0);
	assert_int_equal(ppe_cntr_create(b.ual, &served), 0);
	attr.tx_evq = b.q;
	attr.pd = pd;
	assert_int_equal(ppe_dti_create(b.ual, &attr, &d), 0);
	assert_int_equal(ppe_dti_count(d, PPE_COUNT_REMOTE_READ, served), 0);
	assert_int_equal(ppe_dti_connect(d, (void *)&to, sizeof(to), 0, 99, NULL, 0), 0);
	expect(b.q, PPE_EV_CONNECT, 99, 0, 0);
	c = stub_keep_msg(d);
	pattern_fill(mem, 0, sizeof(mem));
	pattern_fill(data, 5, sizeof(data));
}

static int open_stranger(void **state)
{
	(void)state;
	open_with(NULL, true);
	return 0;
}

static int open_eta(void **state)
{
	(void)state;
	open_with(&eta, true);
	return 0;
}

static int open_plain(void **state)
{
	(void)state;
	open_with(NULL, false);
	return 0;
}

static int close_bench(void **state)
{
	(void)state;
	assert_int_equal(b.q->reserved, 0);
	bench_close(&b);
	stub_places = false;
	return 0;
}

/* ------------------------------------------------------------------------ short forms */

static struct ppe_mr local(void *addr, size_t len)
{
	struct ppe_mr mr;

	assert_int_equal(ppe_mr_register(b.ual, addr, len,
					 PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE, &mr),
			 0);
	return mr;
}

static struct ppe_mr shared(const struct iovec *iov, unsigned niov, unsigned access, uint32_t key,
			    const char *auth)
{
	struct ppe_mr_attr attr = { .pd = pd,
				    .iov = iov,
				    .niov = niov,
				    .access = access,
				    .key = key,
				    .auth = auth,
				    .auth_len = auth ? strlen(auth) : 0 };
	struct ppe_mr mr;

	assert_int_equal(ppe_mr_register_remote(b.ual, &attr, &mr, &key), 0);
	return mr;
}

static struct ppe_mr share(size_t offset, size_t len, unsigned access, uint32_t key)
{
	struct iovec v = { mem + offset, len };

	return shared(&v, 1, access, key, NULL);
}

static struct ppe_sge in(struct ppe_mr mr, void *addr, uint32_t len)
{
	return (struct ppe_sge){
		.addr = (uintptr_t)addr, .len = len, .region = mr.region, .ptag = mr.ptag
	};
}

static void post(uint8_t op, uint64_t tag, const struct ppe_sge *sge, unsigned nsge, unsigned flags)
{
	struct ppe_rma rma = { .addr = 0x1000, .key = 5 };
	struct ppe_msg m = { .op = op, .nsge = nsge, .sge = sge, .user_tag = tag, .flags = flags };

	for (unsigned i = 0; i < nsge; i++)
		rma.len += sge[i].len;
	if (op != PPE_OP_SEND) {
		m.nrma = 1;
		m.rma = &rma;
	}
	assert_int_equal(ppe_post_message(d, &m), 0);
	turns(b.ual, 1);
}

static void post_in(uint8_t op, uint64_t tag, struct ppe_mr mr, void *addr, uint32_t len)
{
	struct ppe_sge sge = in(mr, addr, len);

	post(op, tag, &sge, 1, 0);
}

static void complete_all(void)
{
	for (unsigned i = 0; i < c->nbegun; i++)
		if (!c->begun[i].complete)
			stub_msg_complete(c, i);
	turns(b.ual, 2);
}

/* All that is on the wire, and what follows it. */
static void complete_until_idle(void)
{
	while (c->nbegun)
		complete_all();
}

static const struct stub_begun *wire(unsigned i, uint8_t op)
{
	assert_in_range(i + 1, 1, c->nbegun);
	assert_int_equal(c->begun[i].send.op, op);
	return &c->begun[i];
}

/* One of the peer's messages: header, and what follows it. */
static void say(uint8_t op, uint8_t code, uint32_t id, const void *rest, uint32_t len)
{
	uint8_t m[256];
	struct ulp_hdr h = { .op = op, .code = code, .len = be32_make(id) };

	memcpy(m, &h, sizeof(h));
	if (len)
		memcpy(m + sizeof(h), rest, len);
	stub_msg_inject(c, m, sizeof(h) + len);
	turns(b.ual, 1);
}

static void say_ack(uint32_t seen)
{
	struct ulp_ack ack = { be32_make(seen), be32_make(0) };

	say(ULP_ACK, 0, 0, &ack, sizeof(ack));
}

/* ------------------------------------------------------------------------------ regions */

static void placing_names_regions_once(void **state)
{
	struct ppe_mr a = local(mem, BIG), z = share(BIG, BIG, ALL, KEY);
	struct ppe_sge sge[3] = { in(a, mem + 100, 20000), in(z, mem + BIG, 10),
				  sge_of(&b, mem + 3 * BIG, 20) };
	struct fab_region *r;

	(void)state;
	post(PPE_OP_WRITE, 1, sge, 3, 0);
	r = wire(0, FAB_WRITE)->region[0];
	assert_ptr_equal(r->base, mem);
	assert_int_equal(r->len, BIG);
	assert_int_equal(r->access, FAB_MAY_WRITE);
	r = c->begun[0].region[1];
	assert_ptr_equal(r->base, mem + BIG);
	assert_int_equal(r->access, FAB_MAY_WRITE | FAB_MAY_REMOTE_READ | FAB_MAY_REMOTE_WRITE);
	assert_null(c->begun[0].region[2]); /* all of memory is no region for a device */
	post_in(PPE_OP_WRITE, 2, a, mem, FAB_PLACE_MIN);
	assert_ptr_equal(wire(1, FAB_WRITE)->region[0], c->begun[0].region[0]);
	/* what is short needs none */
	post_in(PPE_OP_WRITE, 3, a, mem, FAB_PLACE_MIN - 1);
	assert_null(wire(2, FAB_WRITE)->send.regions);
	assert_int_equal(b.fab->nregions, 2);
	complete_all();
	expect(b.q, PPE_EV_WRITE, 1, 0, 20030);
	expect(b.q, PPE_EV_WRITE, 2, 0, FAB_PLACE_MIN);
	expect(b.q, PPE_EV_WRITE, 3, 0, FAB_PLACE_MIN - 1);
	expect_none(b.q);
}

static void placing_tells_the_end_of_a_region_once(void **state)
{
	struct ppe_mr a = local(mem, BIG), never = local(mem, BIG), z = share(0, BIG, ALL, KEY);
	struct fab_key_req r = { .stag = KEY, .to = 0, .len = 100 };
	struct fab_key key;

	(void)state;
	post_in(PPE_OP_WRITE, 1, a, mem, BIG);
	complete_all();
	expect(b.q, PPE_EV_WRITE, 1, 0, BIG);
	assert_int_equal(stub_msg_key(c, &r, &key), 0);
	assert_int_equal(ppe_mr_deregister(b.ual, never), 0);
	assert_int_equal(b.fab->ngone, 0);
	assert_int_equal(ppe_mr_deregister(b.ual, a), 0);
	assert_int_equal(b.fab->ngone, 1);
	assert_int_equal(ppe_mr_deregister(b.ual, a), -EKEYREVOKED);
	assert_int_equal(ppe_mr_deregister(b.ual, z), 0);
	assert_int_equal(b.fab->ngone, 2);
	assert_int_equal(stub_msg_key(c, &r, &key), -ENOKEY);
	/* the next one in its place is another */
	share(BIG, BIG, ALL, KEY);
	assert_int_equal(stub_msg_key(c, &r, &key), 0);
	assert_ptr_equal(key.region->base, mem + BIG);
	assert_int_equal(b.fab->nregions, 3);
	expect_none(b.q);
}

/* The table of regions moves; what a fabric knows does not. */
static void placing_survives_many_regions(void **state)
{
	struct ppe_mr first = local(mem, BIG), last = first;
	struct fab_region *r;

	(void)state;
	post_in(PPE_OP_WRITE, 1, first, mem, BIG);
	r = wire(0, FAB_WRITE)->region[0];
	for (int i = 0; i < 1000; i++)
		last = local(mem, BIG);
	post_in(PPE_OP_WRITE, 2, last, mem, BIG);
	post_in(PPE_OP_WRITE, 3, first, mem, BIG);
	assert_ptr_not_equal(wire(1, FAB_WRITE)->region[0], r);
	assert_ptr_equal(wire(2, FAB_WRITE)->region[0], r);
	complete_all();
	for (unsigned i = 1; i <= 3; i++)
		expect(b.q, PPE_EV_WRITE, i, 0, BIG);
	assert_int_equal(ppe_mr_deregister(b.ual, first), 0);
	assert_int_equal(b.fab->ngone, 1);
}

static void placing_is_for_devices(void **state)
{
	struct ppe_mr a = local(mem, BIG);

	(void)state;
	post_in(PPE_OP_WRITE, 1, a, mem, BIG);
	expect(b.q, PPE_EV_WRITE, 1, 0, BIG);
	assert_null(b.ual->mrs.named);
	assert_int_equal(ppe_mr_deregister(b.ual, a), 0);
	expect_none(b.q);
}

/* --------------------------------------------------------------------------------- keys */

static void placing_gives_keys(void **state)
{
	struct fab_key_req r = { .stag = KEY, .to = 1000, .len = 100, .write = true };
	struct fab_key key, other;

	(void)state;
	share(BIG, BIG, ALL, KEY);
	assert_int_equal(stub_msg_key(c, &r, &key), 0);
	assert_ptr_equal(key.addr, mem + BIG + 1000);
	assert_ptr_equal(key.region->base, mem + BIG);
	r.write = false;
	assert_int_equal(stub_msg_key(c, &r, &other), 0);
	assert_ptr_equal(other.region, key.region);
	assert_true(d->m->peer->l->rx_seen);
}

static int ask(uint32_t key, uint64_t to, uint32_t len, bool write)
{
	struct fab_key_req r = { .stag = key, .to = to, .len = len, .write = write };
	struct fab_key k;

	return stub_msg_key(c, &r, &k);
}

static void placing_refuses_keys(void **state)
{
	struct iovec pieces[2] = { { mem, 20000 }, { mem + BIG, 20000 } }, all = { NULL, SIZE_MAX };

	(void)state;
	assert_int_equal(ask(KEY, 0, 1, false), -ENOKEY);
	share(0, BIG, ALL, KEY);
	assert_int_equal(ask(KEY + 1, 0, 1, false), -ENOKEY);
	assert_int_equal(ask(KEY, BIG - 10, 11, false), -ERANGE);
	assert_int_equal(ask(KEY, UINT64_MAX, 1, true), -ERANGE);
	share(0, BIG, PPE_ACCESS_REMOTE_READ, 1);
	assert_int_equal(ask(1, 0, 1, true), -EACCES);
	assert_int_equal(ask(1, 0, 1, false), 0);
	share(0, BIG, PPE_ACCESS_REMOTE_WRITE, 2);
	assert_int_equal(ask(2, 0, 1, false), -EACCES);
	shared(&pieces[0], 1, ALL, 3, "another");
	assert_int_equal(ask(3, 0, 1, false), -EPERM);
	/* by messages only, whether it lies in one piece or not */
	shared(pieces, 2, ALL, 4, NULL);
	assert_int_equal(ask(4, 0, 1, false), -EOPNOTSUPP);
	assert_int_equal(ask(4, 19999, 2, true), -EOPNOTSUPP);
	shared(&all, 1, ALL, 5, NULL);
	assert_int_equal(ask(5, (uintptr_t)mem, 1, false), -EOPNOTSUPP);
	assert_false(c->close_told);
	expect_none(b.q);
}

/* ----------------------------------------------------------------- messages on the wire */

static void placing_ends_when_done_in_order(void **state)
{
	struct ppe_mr a = local(mem, BIG);

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		post_in(PPE_OP_WRITE, i, a, mem + 100 * i, 20000);
	assert_int_equal(c->nbegun, 4);
	expect_none(b.q);
	stub_msg_complete(c, 2);
	stub_msg_complete(c, 1);
	expect_none(b.q);
	stub_msg_complete(c, 0);
	for (unsigned i = 0; i < 3; i++)
		expect(b.q, PPE_EV_WRITE, i, 0, 20000);
	expect_none(b.q);
	post_in(PPE_OP_WRITE, 4, a, mem, 20000);
	assert_int_equal(c->nbegun, 2);
	complete_all();
	expect(b.q, PPE_EV_WRITE, 3, 0, 20000);
	expect(b.q, PPE_EV_WRITE, 4, 0, 20000);
	expect_none(b.q);
}

/* More than are peeked at in one go; and the fabric may begin anywhere among those begun. */
static void placing_peeks_from_anywhere(void **state)
{
	struct ppe_mr a = local(mem, BIG);

	(void)state;
	c->max_begun = 20;
	for (unsigned i = 0; i < 40; i++) {
		c->ask_again = i % 7;
		post_in(PPE_OP_WRITE, i, a, mem + i, FAB_PLACE_MIN);
	}
	assert_int_equal(c->nbegun, 20);
	for (unsigned i = 0; i < 40; i++) {
		c->ask_again = i % 3;
		assert_ptr_equal(c->begun[0].iov[0].iov_base, mem + i);
		stub_msg_complete(c, 0);
		expect(b.q, PPE_EV_WRITE, i, 0, FAB_PLACE_MIN);
	}
	assert_int_equal(c->nbegun, 0);
	expect_none(b.q);
}

/* A large write goes in pieces, each as soon as the one before is done. */
static void placing_cuts_large_writes(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	uint32_t len = 2 * CHUNK + 5, at = 0;

	(void)state;
	post_in(PPE_OP_WRITE, 1, a, mem, len);
	while (at < len) {
		const struct stub_begun *w = wire(0, FAB_WRITE);

		assert_int_equal(c->nbegun, 1);
		assert_ptr_equal(w->iov[0].iov_base, mem + at);
		at += w->send.len;
		complete_all();
	}
	assert_int_equal(at, len);
	expect(b.q, PPE_EV_WRITE, 1, 0, len);
	expect_none(b.q);
}

static void expect_broken(unsigned first, unsigned n, int err)
{
	for (unsigned i = first; i < first + n; i++)
		expect(b.q, PPE_EV_WRITE, i, err, 0);
	expect(b.q, PPE_EV_CLOSED, 99, err, 0);
	expect_none(b.q);
	assert_true(c->dead);
	assert_int_equal(d->m->nops, 0);
}

/* Memory of what is under way is taken away: the connection fails, whichever of those begun it is. */
static void placing_region_of_begun_goes(void **state)
{
	struct ppe_mr a = local(mem, BIG), z = local(mem, BIG);

	(void)state;
	post_in(PPE_OP_WRITE, 0, a, mem, 20000);
	post_in(PPE_OP_WRITE, 1, z, mem, 20000);
	post_in(PPE_OP_WRITE, 2, a, mem, 20000);
	assert_int_equal(ppe_mr_deregister(b.ual, z), 0);
	assert_int_equal(b.fab->ngone, 1);
	expect_broken(0, 3, -EFAULT);
}

/* So it does when the fabric finds out by asking again. */
static void placing_memory_of_begun_goes(void **state)
{
	struct ppe_mr a = local(mem, BIG), z = local(mem, BIG);

	(void)state;
	post_in(PPE_OP_WRITE, 0, a, mem, 100);
	post_in(PPE_OP_WRITE, 1, z, mem, 100);
	post_in(PPE_OP_WRITE, 2, a, mem, 100);
	assert_int_equal(ppe_mr_deregister(b.ual, z), 0);
	assert_int_equal(b.fab->ngone, 0);
	c->ask_again = 1;
	post_in(PPE_OP_WRITE, 3, a, mem, 100);
	expect_broken(0, 4, -EKEYREVOKED);
}

/* One that has not begun fails alone, and those that have stay. */
static void placing_unbegun_fails_alone(void **state)
{
	struct ppe_mr a = local(mem, BIG), z = local(mem, BIG);

	(void)state;
	c->max_begun = 2;
	for (unsigned i = 0; i < 4; i++)
		post_in(PPE_OP_WRITE, i, i == 2 ? z : a, mem, 20000);
	assert_int_equal(ppe_mr_deregister(b.ual, z), 0);
	c->max_begun = 3;
	turns(b.ual, 2);
	stub_msg_complete(c, 0);
	expect(b.q, PPE_EV_WRITE, 0, 0, 20000);
	turns(b.ual, 2);
	expect(b.q, PPE_EV_WRITE, 2, -EKEYREVOKED, 0);
	assert_int_equal(c->nbegun, 2);
	complete_all();
	expect(b.q, PPE_EV_WRITE, 1, 0, 20000);
	expect(b.q, PPE_EV_WRITE, 3, 0, 20000);
	expect_none(b.q);
	assert_false(c->dead);
}

static void placing_destroyed_on_the_wire(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));

	(void)state;
	post_in(PPE_OP_WRITE, 1, a, mem, BIG);
	post_in(PPE_OP_READ, 2, a, mem, 2 * CHUNK);
	assert_int_equal(c->nsinks, 2);
	ppe_dti_destroy(d, false);
	expect(b.q, PPE_EV_WRITE, 1, -ECANCELED, 0);
	expect(b.q, PPE_EV_READ, 2, -ECANCELED, 0);
	expect_none(b.q);
	assert_int_equal(c->novers, 0); /* the connection is closed: that is enough */
	assert_int_equal(ppe_mr_deregister(b.ual, a), 0);
	assert_int_equal(b.fab->ngone, 1);
}

/* ---------------------------------------------------------------------- against a model */

static void answer_one(uint64_t *seed)
{
	const struct stub_sink *s;
	size_t len = 0;

	if (!c->nsinks)
		return;
	s = &c->sink[rnd_below(seed, c->nsinks)];
	for (unsigned k = 0; k < s->n; k++)
		len += s->iov[k].iov_len;
	stub_msg_place(c, s->stag, 0, data, len);
}

/* Writes and reads of ours, reads of the peer's; done and answered in any order, each ends once. */
static void placing_model(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	uint64_t seed = test_seed(1234);
	unsigned posted = 0, ended = 0, asked = 0, next_write = 0, steps = TEST_SLOW ? 4000 : 40000;
	static uint8_t over[40000], kind[40000];
	struct ppe_event ev;

	(void)state;
	memset(over, 0, sizeof(over));
	share(0, BIG, ALL, KEY);
	for (unsigned step = 0; step < steps || ended < posted; step++) {
		unsigned what = step < steps ? rnd_below(&seed, 6) : 3 + rnd_below(&seed, 3);
		struct fab_read_req r = { .stag = KEY, .len = 1 + rnd_below(&seed, BIG) };

		if (what < 2 && posted - ended < 40) {
			kind[posted] = what ? PPE_OP_READ : PPE_OP_WRITE;
			post_in(kind[posted], posted, a, mem + rnd_below(&seed, BIG),
				FAB_PLACE_MIN * (1 + rnd_below(&seed, 3 * CHUNK / FAB_PLACE_MIN)));
			posted++;
		} else if (what == 2 && d->m->peer->l->nresps < d->m->peer->l->ird) {
			assert_int_equal(stub_msg_read(c, &r), 0);
			asked++;
		} else if (what == 3) {
			for (unsigned n = c->nbegun, i; n--;) {
				i = rnd_below(&seed, c->nbegun);
				if (!c->begun[i].complete)
					stub_msg_complete(c, i);
			}
		} else if (what == 4) {
			c->ask_again = rnd_below(&seed, 8);
			answer_one(&seed);
		}
		if (ppe_evq_read(b.q, &ev, 1) != 1)
			continue;
		assert_int_equal(ev.status, 0);
		assert_false(over[ev.user_tag]++);
		ended++;
		if (kind[ev.user_tag] == PPE_OP_READ)
			continue;
		while (next_write < ev.user_tag) /* in order among themselves */
			assert_true(kind[next_write] == PPE_OP_READ || over[next_write]),
				next_write++;
	}
	complete_until_idle();
	expect_none(b.q);
	assert_int_equal(ppe_cntr_value(served), asked);
	assert_int_equal(c->nsinks + c->novers + d->m->nops, 0);
	assert_true(posted > steps / 50 && asked > steps / 50);
}

/* -------------------------------------------------------------------------------- sinks */

static void placing_offers_sinks(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	uint32_t last = 20000, len = 2 * CHUNK + last;

	(void)state;
	post_in(PPE_OP_READ, 1, a, mem, len);
	assert_int_equal(c->nbegun, 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct stub_begun *r = wire(i, FAB_READ);

		assert_int_equal(r->send.niov, 1);
		assert_ptr_equal(r->iov[0].iov_base, mem + i * CHUNK);
		assert_ptr_equal(r->region[0]->base, mem);
	}
	assert_int_equal(c->nsinks, 3);
	/* answered in any order, and before their requests are done with */
	stub_msg_place(c, c->begun[2].send.sink_stag, 0, data + 2 * CHUNK, last);
	stub_msg_place(c, c->begun[0].send.sink_stag, 0, data, CHUNK);
	expect_none(b.q);
	stub_msg_place(c, c->begun[1].send.sink_stag, 0, data + CHUNK, CHUNK);
	expect(b.q, PPE_EV_READ, 1, 0, len);
	assert_int_equal(pattern_check(mem, 5, len), len);
	assert_int_equal(c->nbegun, 3);
	complete_all();
	assert_int_equal(c->nbegun, 0);
	assert_int_equal(c->novers, 0);
	expect_none(b.q);
}

/* Short ones, and memory that is no region of a device's, come by messages; a device may overtake. */
static void placing_mixed_with_messages(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	struct ppe_sge sge = sge_of(&b, mem + BIG, BIG);
	struct fab_tagged t = { .response = true, .first = true, .len = 50 };

	(void)state;
	post_in(PPE_OP_READ, 1, a, mem, 100);
	assert_int_equal(wire(0, FAB_READ)->send.niov, 0);
	post(PPE_OP_READ, 2, &sge, 1, 0);
	assert_null(wire(1, FAB_READ)->region[0]);
	post_in(PPE_OP_READ, 3, a, mem + 2 * BIG, BIG);
	t.stag = c->begun[0].send.sink_stag;
	assert_int_equal(stub_msg_tagged(c, &t, data), 1);
	stub_msg_place(c, c->begun[2].send.sink_stag, 0, data, BIG);
	expect(b.q, PPE_EV_READ, 3, 0, BIG);
	t.first = false;
	t.last = true;
	t.to = 50;
	assert_int_equal(stub_msg_tagged(c, &t, data + 50), 1);
	expect(b.q, PPE_EV_READ, 1, 0, 100);
	assert_int_equal(pattern_check(mem, 5, 100), 100);
	assert_int_equal(pattern_check(mem + 2 * BIG, 5, BIG), BIG);
	t = (struct fab_tagged){ .response = true,
				 .first = true,
				 .last = true,
				 .len = BIG,
				 .stag = c->begun[1].send.sink_stag };
	assert_int_equal(stub_msg_tagged(c, &t, data), 1);
	expect(b.q, PPE_EV_READ, 2, 0, BIG);
	complete_all();
	expect_none(b.q);
}

/* What has not been asked for is no answer; nor is one out of order within itself. */
static void placing_keeps_the_rules_of_answers(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	struct fab_tagged t = { .response = true, .first = true, .last = true, .len = 50 };

	(void)state;
	post_in(PPE_OP_READ, 1, a, mem, 100);
	t.stag = c->begun[0].send.sink_stag;
	t.to = 50;
	assert_int_equal(stub_msg_tagged(c, &t, data), 1);
	expect(b.q, PPE_EV_READ, 1, -EPROTO, 0);
	expect(b.q, PPE_EV_CLOSED, 99, -EPROTO, 0);
	assert_true(c->dead);
}

static void not_yet_told(struct fab_msg_conn *conn, uint32_t sink)
{
	assert_int_equal(d->m->nops, 1);
	assert_int_equal(sink, conn->begun[0].send.sink_stag);
}

static void placing_refused_read_is_over_first(void **state)
{
	struct ppe_mr a = local(mem, BIG);

	(void)state;
	b.fab->over = not_yet_told;
	post_in(PPE_OP_READ, 1, a, mem, BIG);
	say(ULP_READ_NAK, ULP_E_KEY, c->begun[0].send.sink_stag, NULL, 0);
	assert_int_equal(c->novers, 1);
	expect(b.q, PPE_EV_READ, 1, -ENOKEY, 0);
	complete_all();
	/* one that had no sink is nobody's */
	b.fab->over = NULL;
	post_in(PPE_OP_READ, 2, a, mem, 100);
	say(ULP_READ_NAK, ULP_E_KEY, c->begun[0].send.sink_stag, NULL, 0);
	assert_int_equal(c->novers, 1);
	expect(b.q, PPE_EV_READ, 2, -ENOKEY, 0);
	complete_all();
	expect_none(b.q);
}

/* Of several, the others are still answered, and dropped or placed as they come. */
static void placing_one_of_several_is_refused(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));

	(void)state;
	post_in(PPE_OP_READ, 1, a, mem, 2 * CHUNK);
	say(ULP_READ_NAK, ULP_E_BOUNDS, c->begun[1].send.sink_stag, NULL, 0);
	assert_int_equal(c->last_over, c->begun[1].send.sink_stag);
	expect_none(b.q);
	stub_msg_place(c, c->begun[0].send.sink_stag, c->begun[0].send.sink_to, data, CHUNK);
	expect(b.q, PPE_EV_READ, 1, -ERANGE, 0);
	complete_all();
	expect_none(b.q);
}

static void late(struct fab_msg_conn *conn, uint32_t sink)
{
	(void)sink;
	stub_msg_end(conn, -EFAULT);
}

/* A device that is just about to write there: the connection ends within the call. */
static void placing_ends_while_a_read_is_over(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));

	(void)state;
	b.fab->over = late;
	post_in(PPE_OP_READ, 1, a, mem, 2 * CHUNK);
	say(ULP_READ_NAK, ULP_E_BOUNDS, c->begun[1].send.sink_stag, NULL, 0);
	expect(b.q, PPE_EV_READ, 1, -EFAULT, 0);
	expect(b.q, PPE_EV_CLOSED, 99, -EFAULT, 0);
	expect_none(b.q);
	assert_int_equal(d->m->nops, 0);
}

/* The same when it is a pull that is forgotten, with more than one read. */
static void placing_forgets_every_sink(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	struct fab_tagged t = { .response = true, .first = true, .last = true, .len = CHUNK };
	struct msg_link *l = d->m->peer->l;
	struct msg_op *op;

	(void)state;
	post_in(PPE_OP_READ, 1, a, mem, 2 * CHUNK);
	op = list_entry(list_entry(l->reads.next, struct msg_read, link)->pull, struct msg_op,
			pull);
	turn_lock(b.ual);
	op_end(op, -ECANCELED);
	turn_unlock(b.ual);
	assert_int_equal(c->novers, 2);
	expect(b.q, PPE_EV_READ, 1, -ECANCELED, 0);
	/* what comes for it now is dropped */
	memset(mem, 0, CHUNK);
	t.stag = c->begun[1].send.sink_stag;
	t.to = c->begun[1].send.sink_to;
	assert_int_equal(stub_msg_tagged(c, &t, data), 0);
	t.stag = c->begun[0].send.sink_stag;
	t.to = c->begun[0].send.sink_to;
	assert_int_equal(stub_msg_tagged(c, &t, data), 0);
	for (unsigned i = 0; i < CHUNK; i++)
		assert_int_equal(mem[i], 0);
	complete_all();
	expect_none(b.q);
	assert_false(c->dead);
}

static void placing_ends_while_a_pull_is_forgotten(void **state)
{
	struct ppe_mr a = local(mem, sizeof(mem));
	struct msg_link *l = d->m->peer->l;
	struct msg_op *op;

	(void)state;
	b.fab->over = late;
	post_in(PPE_OP_READ, 1, a, mem, 2 * CHUNK);
	op = list_entry(list_entry(l->reads.next, struct msg_read, link)->pull, struct msg_op,
			pull);
	turn_lock(b.ual);
	op_end(op, -ECANCELED);
	turn_unlock(b.ual);
	expect(b.q, PPE_EV_READ, 1, -ECANCELED, 0);
	expect(b.q, PPE_EV_CLOSED, 99, -EFAULT, 0);
	expect_none(b.q);
}

static void placing_sink_is_taken_away(void **state)
{
	struct ppe_mr a = local(mem, BIG);

	(void)state;
	post_in(PPE_OP_READ, 1, a, mem, BIG);
	complete_all(); /* the request is gone; its sink is not */
	assert_int_equal(ppe_mr_deregister(b.ual, a), 0);
	expect(b.q, PPE_EV_READ, 1, -EFAULT, 0);
	expect(b.q, PPE_EV_CLOSED, 99, -EFAULT, 0);
	expect_none(b.q);
}

/* An announced message: the receive's memory is the sink. */
static void placing_offers_receives(void **state)
{
	struct ppe_mr a = local(mem, BIG), z = local(mem + BIG, BIG);
	struct ppe_sge sge[2] = { in(a, mem + 10, 20000), in(z, mem + BIG, 30000) };
	struct ppe_post p = { .user_tag = 1, .sge = sge, .nsge = 2 };
	struct ulp_source src = { .stag = be32_make(3) };
	const struct stub_begun *r;

	(void)state;
	assert_int_equal(ppe_post_recv(d, &p), 0);
	turns(b.ual, 1);
	say(ULP_ANNOUNCE, 0, 40000, &src, sizeof(src));
	turns(b.ual, 1);
	r = wire(0, FAB_READ);
	assert_int_equal(r->send.niov, 2);
	assert_ptr_equal(r->region[0]->base, mem);
	assert_ptr_equal(r->region[1]->base, mem + BIG);
	assert_int_equal(r->iov[1].iov_len, 20000);
	stub_msg_place(c, r->send.sink_stag, 0, data, 40000);
	expect(b.q, PPE_EV_RECV, 1, 0, 40000);
	assert_int_equal(pattern_check(mem + 10, 5, 20000), 20000);
	assert_int_equal(pattern_check(mem + BIG, 20005, 20000), 20000);
	complete_until_idle();
	expect_none(b.q);
}

/* ------------------------------------------------------- answers before their message is done */

static void placing_announced_before_done(void **state)
{
	struct ppe_mr a = local(mem, 2 * BIG);
	struct ppe_sge sge = in(a, mem, 2 * BIG);
	struct fab_read_req r = { .sink_stag = 9, .stag = 1, .to = ULP_SOURCE_TO, .len = 2 * BIG };
	struct fab_key_req k = { .stag = 1, .to = ULP_SOURCE_TO, .len = 2 * BIG };
	struct fab_key key;

	(void)state;
	post(PPE_OP_SEND, 1, &sge, 1, 0);
	wire(0, FAB_SEND);
	assert_int_equal(stub_msg_key(c, &k, &key), -EOPNOTSUPP);
	assert_int_equal(stub_msg_read(c, &r), 0);
	turns(b.ual, 1);
	assert_ptr_equal(wire(1, FAB_READ_RESP)->iov[0].iov_base, mem);
	assert_ptr_equal(c->begun[1].region[0]->base, mem);
	say(ULP_DONE, 0, 1, NULL, 0);
	expect_none(b.q);
	stub_msg_complete(c, 0);
	expect_none(b.q); /* its memory is still on the wire */
	stub_msg_complete(c, 0);
	expect(b.q, PPE_EV_SEND, 1, 0, 2 * BIG);
	expect_none(b.q);
	assert_false(c->dead);
}

static void placing_announced_and_lost(void **state)
{
	struct ppe_mr a = local(mem, 2 * BIG);
	struct ppe_sge sge = in(a, mem, 2 * BIG);
	struct fab_read_req r = { .sink_stag = 9, .stag = 1, .to = ULP_SOURCE_TO, .len = 2 * BIG };

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		post(PPE_OP_SEND, 1 + i, &sge, 1, 0);
	assert_int_equal(stub_msg_read(c, &r), 0);
	r.stag = 2;
	assert_int_equal(stub_msg_read(c, &r), 0);
	turns(b.ual, 1);
	say(ULP_DONE, 0, 1, NULL, 0);
	assert_int_equal(c->nbegun, 4);
	stub_msg_complete(c, 0);
	turns(b.ual, 1);
	stub_msg_closed(c, -ECONNRESET);
	/* the peer has said that it has all of the first */
	expect(b.q, PPE_EV_SEND, 2, -ECONNRESET, 0);
	expect(b.q, PPE_EV_SEND, 1, 0, 2 * BIG);
	expect(b.q, PPE_EV_CLOSED, 99, -ECONNRESET, 0);
	expect_none(b.q);
}

static void placing_acked_before_done(void **state)
{
	struct ppe_mr a = local(mem, BIG);
	struct ppe_sge sge = in(a, mem, 100);

	(void)state;
	for (unsigned i = 1; i <= 3; i++)
		post(PPE_OP_SEND, i, &sge, 1, PPE_POST_DELIVERY);
	post(PPE_OP_WRITE, 4, &sge, 1, 0);
	say(ULP_HELD, 0, 2, NULL, 0);
	say(ULP_HELD, 0, 3, NULL, 0);
	say(ULP_ACK_ONE, ULP_E_ACCESS, 4, NULL, 0);
	say_ack(4);
	say(ULP_ACK_ONE, 0, 3, NULL, 0);
	expect_none(b.q);
	complete_all();
	expect(b.q, PPE_EV_SEND, 1, 0, 100);
	expect(b.q, PPE_EV_SEND, 3, 0, 100);
	expect(b.q, PPE_EV_WRITE, 4, -EACCES, 0);
	expect_none(b.q);
	say(ULP_ACK_ONE, 0, 2, NULL, 0);
	expect(b.q, PPE_EV_SEND, 2, 0, 100);
	expect_none(b.q);
	assert_false(c->dead);
}

static void placing_fetched_before_done(void **state)
{
	struct ppe_mr a = local(mem, BIG);
	struct ppe_sge sge[2] = { in(a, mem, 16), in(a, mem + 100, 16) };
	struct ppe_rma rma = { .addr = 0x1000, .len = 16, .key = 5 };
	struct ppe_msg m = { .op = PPE_OP_FETCH,
			     .nsge = 1,
			     .nres = 1,
			     .sge = sge,
			     .nrma = 1,
			     .rma = &rma,
			     .user_tag = 1,
			     .atomic_op = PPE_ATOMIC_SUM,
			     .atomic_type = PPE_INT64 };

	(void)state;
	assert_int_equal(ppe_post_message(d, &m), 0);
	turns(b.ual, 1);
	assert_int_equal(c->nbegun, 1);
	say(ULP_RESULT, 0, 1, data, 16);
	assert_memory_equal(mem + 100, data, 16);
	expect_none(b.q);
	complete_all();
	expect(b.q, PPE_EV_FETCH, 1, 0, 16);
	expect_none(b.q);
	assert_int_equal(d->m->peer->l->nfetches, 0);
	/* twice is once too often */
	say(ULP_RESULT, 0, 1, data, 16);
	expect(b.q, PPE_EV_CLOSED, 99, -EPROTO, 0);
}

/* The peer has its answer, and asks for more, before we hear that it was sent. */
static void placing_serves_on_while_on_the_wire(void **state)
{
	struct fab_read_req r = { .stag = KEY, .len = 20000 };

	(void)state;
	share(0, BIG, ALL, KEY);
	for (unsigned i = 0; i < 5; i++) {
		r.sink_stag = i;
		assert_int_equal(stub_msg_read(c, &r), 0);
		turns(b.ual, 1);
		assert_ptr_equal(wire(i, FAB_READ_RESP)->region[0]->base, mem);
	}
	c->max_begun = 5;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(stub_msg_read(c, &r), 0);
	assert_int_equal(ppe_cntr_value(served), 0);
	complete_until_idle();
	assert_int_equal(ppe_cntr_value(served), 7);
	assert_int_equal(d->m->peer->l->nresps, 0);
	/* not answered at all, they are more than was agreed on */
	c->max_begun = 0;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(stub_msg_read(c, &r), 0);
	assert_int_equal(stub_msg_read(c, &r), -EBUSY);
	expect(b.q, PPE_EV_CLOSED, 99, -EBUSY, 0);
}

/* ------------------------------------------------------------------------------ fetched */

static void placing_counts_what_was_fetched(void **state)
{
	struct fab_read_req r = { .stag = KEY, .to = 10, .len = 20000 };
	struct ppe_mr mr = share(0, BIG, ALL, KEY);
	struct ppe_cntr *of_region;

	(void)state;
	assert_int_equal(ppe_cntr_create(b.ual, &of_region), 0);
	assert_int_equal(ppe_mr_count(b.ual, mr, PPE_ACCESS_REMOTE_READ, of_region), 0);
	r.sink_to = ULP_SINK_MORE;
	stub_msg_fetched(c, &r);
	assert_int_equal(ppe_cntr_value(served), 0);
	r.sink_to = 0;
	stub_msg_fetched(c, &r);
	assert_int_equal(ppe_cntr_value(served), 1);
	assert_int_equal(ppe_cntr_value(of_region), 1);
	/* what it cannot have read is not counted, and is no offence */
	r.len = BIG;
	stub_msg_fetched(c, &r);
	r.len = 1;
	r.stag++;
	stub_msg_fetched(c, &r);
	share(0, BIG, PPE_ACCESS_REMOTE_WRITE, KEY + 1);
	stub_msg_fetched(c, &r);
	assert_int_equal(ppe_cntr_value(served), 1);
	assert_int_equal(ppe_cntr_value(of_region), 1);
	assert_false(c->close_told);
	expect_none(b.q);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_stranger, close_bench)
#define ETA(name) cmocka_unit_test_setup_teardown(name, open_eta, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(placing_names_regions_once),
		TEST(placing_tells_the_end_of_a_region_once),
		TEST(placing_survives_many_regions),
		cmocka_unit_test_setup_teardown(placing_is_for_devices, open_plain, close_bench),
		TEST(placing_gives_keys),
		TEST(placing_refuses_keys),
		TEST(placing_ends_when_done_in_order),
		TEST(placing_peeks_from_anywhere),
		TEST(placing_cuts_large_writes),
		TEST(placing_region_of_begun_goes),
		TEST(placing_memory_of_begun_goes),
		TEST(placing_unbegun_fails_alone),
		TEST(placing_destroyed_on_the_wire),
		TEST(placing_model),
		TEST(placing_offers_sinks),
		TEST(placing_mixed_with_messages),
		TEST(placing_keeps_the_rules_of_answers),
		ETA(placing_refused_read_is_over_first),
		ETA(placing_one_of_several_is_refused),
		ETA(placing_ends_while_a_read_is_over),
		ETA(placing_forgets_every_sink),
		ETA(placing_ends_while_a_pull_is_forgotten),
		TEST(placing_sink_is_taken_away),
		ETA(placing_offers_receives),
		ETA(placing_announced_before_done),
		ETA(placing_announced_and_lost),
		ETA(placing_acked_before_done),
		ETA(placing_fetched_before_done),
		ETA(placing_serves_on_while_on_the_wire),
		TEST(placing_counts_what_was_fetched),
	};

	return test_run(tests, NULL);
}
