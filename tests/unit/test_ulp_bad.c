/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * test_ulp_bad.c - a peer that speaks MPA and DDP as it should, and eta's upper-layer protocol as it
 * should not: its connection ends, with what was outstanding on it, and nobody else notices.
 *
 * Each message goes as a whole, and once more in segments of a few octets.
 */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "fabric/iwarp/iwarp.h"
#include "ppe/ulp.h"
#include "tests/unit/rdm_nodes.h"

#define VICTIM 0
#define BYSTANDER 1
#define MIB (1u << 20)

static uint8_t mine[2 * MIB], buf[2 * MIB];
static uint32_t to[2], key;

/* ------------------------------------------------------------------- the hostile peer */

static struct {
	int fd, listener;
	uint32_t number; /* the victim's name for it */
	uint32_t msn, segment;
	bool deaf;
} foe;

static void put(const void *p, size_t n)
{
	const uint8_t *at = p;
	uint64_t end = now_ms() + 10000;

	while (n && now_ms() < end) {
		ssize_t done = send(foe.fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (done < 0 && errno != EAGAIN)
			return; /* it has been thrown out */
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		}
		pump();
	}
}

static void put_fpdu(uint8_t *fpdu, size_t n)
{
	n += mpa_trailer_put(fpdu + n, (uint32_t)n - MPA_LEN_SIZE, false, 0);
	put(fpdu, n);
}

static void put_send(const void *p, uint32_t len)
{
	static uint8_t fpdu[70000];
	uint32_t at = 0, step = foe.segment ? foe.segment : UINT32_MAX;

	foe.msn++;
	do {
		uint32_t part = len - at < step ? len - at : step;
		size_t n =
			ddp_put_untagged(fpdu, RDMAP_SEND, at + part == len, 0, foe.msn, at, part);

		if (part)
			memcpy(fpdu + n, (const uint8_t *)p + at, part);
		put_fpdu(fpdu, n + part);
		at += part;
	} while (at < len);
}

static void put_tagged(uint8_t opcode, bool last, uint32_t stag, uint64_t to_, uint32_t len)
{
	static uint8_t fpdu[70000];
	size_t n = ddp_put_tagged(fpdu, opcode, last, stag, to_, len);

	memset(fpdu + n, 0x77, len);
	put_fpdu(fpdu, n + len);
}

static void put_body(uint8_t opcode, uint32_t msn, const void *body)
{
	uint8_t fpdu[200];
	unsigned len = ddp_ops[opcode].body;
	size_t n = ddp_put_untagged(fpdu, opcode, true, 0, msn, 0, len);

	memcpy(fpdu + n, body, len);
	put_fpdu(fpdu, n + len);
}

static void say(uint8_t op, uint8_t flags, uint8_t code, uint32_t len, const void *rest, size_t n)
{
	static uint8_t m[70000];
	struct ulp_hdr h = { .op = op, .flags = flags, .code = code, .len = be32_make(len) };

	memcpy(m, &h, sizeof(h));
	if (n && rest)
		memcpy(m + sizeof(h), rest, n);
	else
		memset(m + sizeof(h), 0, n);
	put_send(m, (uint32_t)(sizeof(h) + n));
}

static void say_ack(uint32_t seen, uint32_t credit)
{
	struct ulp_ack a = { be32_make(seen), be32_make(credit) };

	say(ULP_ACK, 0, 0, 0, &a, sizeof(a));
}

/* How many octets have come; -1: the connection is over. */
static int heard(void)
{
	uint8_t sink[65536];
	ssize_t n = recv(foe.fd, sink, sizeof(sink), MSG_DONTWAIT);

	if (n > 0)
		return (int)n;
	return n < 0 && errno == EAGAIN ? 0 : -1;
}

static void hear(int octets)
{
	while (octets > 0) {
		int n;

		pump_until((n = heard()) != 0);
		assert_true(n > 0);
		octets -= n;
	}
}

static void listen_as_foe(union fab_addr *name)
{
	socklen_t len = sizeof(name->in);

	foe.listener = socket(AF_INET, SOCK_STREAM, 0);
	*name = (union fab_addr){ .in = { .sin_family = AF_INET,
					  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	assert_int_equal(bind(foe.listener, &name->sa, len), 0);
	assert_int_equal(getsockname(foe.listener, &name->sa, &len), 0);
	assert_int_equal(ppe_av_insert(nodes[VICTIM].av, &name->sa, len, &foe.number), 0);
}

static void start_up(const union fab_addr *name, bool nonce)
{
	struct mpa_config cfg = { .rev = MPA_REV_2,
				  .rtr = MPA_RTR_WRITE,
				  .ird = 8,
				  .ord = 8,
				  .eta = true,
				  .features = MPA_FEATURE_RFC7306 | MPA_FEATURE_RDM,
				  .mulpdu = 16384 };
	struct fab_hello hello = { .features = FAB_FEATURE_ULP,
				   .window = 1 << 29,
				   .announces = 1000,
				   .has_nonce = nonce,
				   .incarnation = 0x1234567890abcdef + foe.number,
				   .name_len = ULP_NAME_V4,
				   .name = { 4, 0 } };
	uint8_t frame[MPA_DECODE_MAX];
	struct mpa_start start;
	size_t have = 0, used;
	int n;

	memcpy(hello.name + 2, &name->in.sin_port, 2);
	memcpy(hello.name + 4, &name->in.sin_addr, 4);
	mpa_request_init(&cfg, &start);
	assert_int_equal(iw_hello_put(&start.eta, &hello), 0);
	n = mpa_encode(&start, MPA_REQUEST, frame, sizeof(frame));
	assert_true(n > 0);
	put(frame, (size_t)n);
	do {
		ssize_t got;

		pump_until((got = recv(foe.fd, frame + have, sizeof(frame) - have, MSG_DONTWAIT)) >=
			   0);
		assert_true(got > 0);
		have += (size_t)got;
	} while ((n = mpa_decode(frame, have, MPA_REPLY, &start, &used)) > 0);
	assert_int_equal(n, 0);
	assert_false(start.reject);
	put_tagged(RDMAP_WRITE, true, 0, 0, 0);
}

static void foe_open(bool nonce)
{
	union fab_addr name;
	int small = 4096;

	foe.msn = 0;
	listen_as_foe(&name);
	foe.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (foe.deaf)
		setsockopt(foe.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(connect(foe.fd, &nodes[VICTIM].addr.sa, sizeof(name.in)), 0);
	start_up(&name, nonce);
}

static void foe_close(void)
{
	close(foe.fd);
	close(foe.listener);
}

/* ------------------------------------------------------------------ what it may do wrong */

static void bad_empty(void)
{
	put_send(NULL, 0);
}

static void bad_short(void)
{
	put_send("\1\0\0", 3);
}

static void bad_eager_longer(void)
{
	say(ULP_EAGER, 0, 0, 5, NULL, 6);
}

static void bad_eager_shorter(void)
{
	say(ULP_EAGER, 0, 0, 7, NULL, 6);
}

static void bad_eager_huge(void)
{
	say(ULP_EAGER, 0, 0, UINT32_MAX, NULL, 600);
}

static void bad_tag_cut(void)
{
	say(ULP_EAGER, ULP_F_TAG | ULP_F_DATA, 0, 0, NULL, 12);
}

static void bad_announce_cut(void)
{
	say(ULP_ANNOUNCE, 0, 0, 100000, NULL, 4);
}

static void bad_announce_longer(void)
{
	say(ULP_ANNOUNCE, 0, 0, 100000, NULL, 12);
}

static void bad_op_0(void)
{
	say(0, 0, 0, 0, NULL, 0);
}

static void bad_op_13(void)
{
	say(ULP_OPS, 0xff, 0, 0, NULL, 40);
}

static void bad_op_255(void)
{
	say(255, 0xff, 0xff, UINT32_MAX, NULL, 20000);
}

static void bad_ack_short(void)
{
	say(ULP_ACK, 0, 0, 0, NULL, 4);
}

static void bad_ack_future(void)
{
	say_ack(1, 0);
}

static void bad_ack_past(void)
{
	say_ack(UINT32_MAX, 0);
}

static void bad_credit(void)
{
	say_ack(0, UINT32_MAX);
}

static void bad_credit_in_parts(void)
{
	say_ack(0, 1 << 29);
	say_ack(0, 1 << 29);
}

static void bad_held(void)
{
	say(ULP_HELD, 0, 0, 1, NULL, 0);
}

static void bad_ack_one(void)
{
	say(ULP_ACK_ONE, 0, ULP_E_KEY, 77, NULL, 0);
}

static void bad_done(void)
{
	say(ULP_DONE, 0, 0, 1, NULL, 0);
}

static void bad_result(void)
{
	say(ULP_RESULT, 0, 0, 1, NULL, 8);
}

static void bad_nak(void)
{
	say(ULP_READ_NAK, 0, ULP_E_KEY, 1, NULL, 0);
}

static void bad_proof(void)
{
	say(ULP_PROOF, 0, 0, 0, NULL, FAB_PROOF);
}

static void bad_gathered_too_long(void)
{
	say(ULP_ATOMIC, 0, 0, 0, NULL, 60000);
}

static void say_atomic(uint8_t targets, uint32_t len, size_t n, uint8_t flags)
{
	uint8_t p[5000] = { 0 };
	struct ulp_atomic a = {
		.op = PPE_ATOMIC_SUM, .type = PPE_UINT64, .targets = targets, .len = be32_make(len)
	};
	struct ulp_target t = { be64_make((uintptr_t)mine), be32_make(8), be32_make(key) };

	memcpy(p, &a, sizeof(a));
	memcpy(p + sizeof(a), &t, sizeof(t));
	say(ULP_ATOMIC, flags, 0, 1, p, n);
}

static void bad_atomic_header(void)
{
	say_atomic(1, 8, 7, ULP_F_ACK);
}

static void bad_atomic_no_targets(void)
{
	say_atomic(0, 8, 16, ULP_F_ACK);
}

static void bad_atomic_many_targets(void)
{
	say_atomic(5, 8, 8 + 5 * 16 + 8, ULP_F_ACK);
}

static void bad_atomic_cut(void)
{
	say_atomic(1, 8, 8 + 16 + 7, ULP_F_ACK);
}

static void bad_atomic_long(void)
{
	say_atomic(1, ULP_ATOMIC_MAX + 8, 8 + 16 + 4200, ULP_F_FETCH);
}

static void bad_compare_cut(void)
{
	say_atomic(1, 8, 8 + 16 + 8, ULP_F_FETCH | ULP_F_COMPARE);
}

/* Nobody has posted a receive. */
static void bad_beyond_credit(void)
{
	uint32_t step = foe.segment;

	foe.segment = foe.segment ? 5000 : 0;
	for (unsigned i = 0; i < 25; i++)
		say(ULP_EAGER, 0, 0, 16384, NULL, 16384);
	foe.segment = step;
}

static void bad_announcements(void)
{
	static uint8_t batch[64 * 100];
	struct ulp_hdr h = { .op = ULP_ANNOUNCE, .len = be32_make(100) };

	for (unsigned i = 0; i < 65536 / 64 + 1; i++) {
		uint8_t *p = batch;

		for (unsigned k = 0; k < 64; k++) {
			uint8_t *fpdu = p;

			p += ddp_put_untagged(p, RDMAP_SEND, true, 0, ++foe.msn, 0, 16);
			memcpy(p, &h, 8);
			memset(p + 8, 0, 8);
			p += 16;
			p += mpa_trailer_put(p, (uint32_t)(p - fpdu) - MPA_LEN_SIZE, false, 0);
		}
		put(batch, (size_t)(p - batch));
	}
}

static void bad_response_unasked(void)
{
	put_tagged(RDMAP_READ_RESPONSE, true, 1, 0, 100);
}

/* The victim reads 100 octets; its first sink is 1. */
static void victim_reads(void)
{
	post_rma(VICTIM, PPE_OP_READ, foe.number, 9, buf, 100, 0, 0, 0);
	hear(40);
}

static void bad_response_stag(void)
{
	victim_reads();
	put_tagged(RDMAP_READ_RESPONSE, true, 2, 0, 100);
}

static void bad_response_offset(void)
{
	victim_reads();
	put_tagged(RDMAP_READ_RESPONSE, true, 1, 1, 99);
}

static void bad_response_long(void)
{
	victim_reads();
	put_tagged(RDMAP_READ_RESPONSE, true, 1, 0, 101);
}

static void bad_response_short(void)
{
	victim_reads();
	put_tagged(RDMAP_READ_RESPONSE, true, 1, 0, 99);
}

static void bad_nak_in_answer(void)
{
	victim_reads();
	put_tagged(RDMAP_READ_RESPONSE, false, 1, 0, 50);
	say(ULP_READ_NAK, 0, ULP_E_KEY, 1, NULL, 0);
}

static void bad_atomic_response(void)
{
	uint8_t body[64] = { 0 };

	rdmap_atomic_resp_put(body, 77, 1);
	put_body(RDMAP_ATOMIC_RESPONSE, 1, body);
}

/*
 * Answers to what waits behind a full socket: how much goes into it is seen first, then reads are laid
 * about where it ends, so that some of them have been given to the fabric and are not sent.
 */
static void fill_the_socket(void)
{
	unsigned fits;

	for (unsigned i = 0; i < 400; i++)
		post_send(VICTIM, foe.number, 100, mine, 16384, 0, 0);
	pump_for(20);
	fits = nodes[VICTIM].got[TX].count - nodes[VICTIM].got[TX].first;
	foe_close();
	pump_until(nodes[VICTIM].got[TX].count - nodes[VICTIM].got[TX].first == 400);
	assert_in_range(fits, 5, 390);
	foe_open(false);
	for (unsigned i = 0; i < fits + 20; i++) {
		if (i + 4 >= fits && i < fits + 4)
			post_rma(VICTIM, PPE_OP_READ, foe.number, 9, buf, 100, 0, 0, 0);
		post_send(VICTIM, foe.number, 100, mine, 16384, 0, 0);
	}
	pump_for(20);
}

static void bad_response_early(void)
{
	fill_the_socket();
	for (uint32_t sink = 1; sink <= 8; sink++)
		put_tagged(RDMAP_READ_RESPONSE, true, sink, 0, 100);
}

static void bad_nak_early(void)
{
	fill_the_socket();
	for (uint32_t sink = 1; sink <= 8; sink++)
		say(ULP_READ_NAK, 0, ULP_E_KEY, sink, NULL, 0);
}

static const struct bad {
	const char *name;
	void (*run)(void);
	bool deaf;
} bads[] = {
	{ "empty", bad_empty, false },
	{ "short", bad_short, false },
	{ "eager, longer", bad_eager_longer, false },
	{ "eager, shorter", bad_eager_shorter, false },
	{ "eager, huge", bad_eager_huge, false },
	{ "tag cut off", bad_tag_cut, false },
	{ "announcement cut off", bad_announce_cut, false },
	{ "announcement too long", bad_announce_longer, false },
	{ "op 0", bad_op_0, false },
	{ "op 13", bad_op_13, false },
	{ "op 255", bad_op_255, false },
	{ "short ack", bad_ack_short, false },
	{ "ack of the future", bad_ack_future, false },
	{ "ack of the past", bad_ack_past, false },
	{ "too much credit", bad_credit, false },
	{ "too much credit in parts", bad_credit_in_parts, false },
	{ "held what is not", bad_held, false },
	{ "one ack too many", bad_ack_one, false },
	{ "done with what is not", bad_done, false },
	{ "result of nothing", bad_result, false },
	{ "refuses what is not", bad_nak, false },
	{ "proof that nobody wanted", bad_proof, false },
	{ "long for a small one", bad_gathered_too_long, false },
	{ "atomic's header", bad_atomic_header, false },
	{ "atomic without targets", bad_atomic_no_targets, false },
	{ "atomic with many targets", bad_atomic_many_targets, false },
	{ "atomic cut off", bad_atomic_cut, false },
	{ "atomic too long", bad_atomic_long, false },
	{ "compare cut off", bad_compare_cut, false },
	{ "beyond the credit", bad_beyond_credit, false },
	{ "too many announcements", bad_announcements, false },
	{ "unasked response", bad_response_unasked, false },
	{ "response elsewhere", bad_response_stag, false },
	{ "response beside", bad_response_offset, false },
	{ "response too long", bad_response_long, false },
	{ "response too short", bad_response_short, false },
	{ "refused half way", bad_nak_in_answer, false },
	{ "atomic response of nothing", bad_atomic_response, false },
	{ "response early", bad_response_early, true },
	{ "refused early", bad_nak_early, true },
};

/* ------------------------------------------------------------------------------ tests */

static void bystander_goes_on(void)
{
	post_recv(BYSTANDER, PPE_ANY, 7, buf + MIB, 10, PPE_POST_TAGGED, 3, 0);
	post_send(VICTIM, to[VICTIM], 8, mine, 10, PPE_POST_DELIVERY | PPE_POST_TAGGED, 3);
	expect_event(BYSTANDER, RX, PPE_EV_RECV, 7, 0);
	expect_event(VICTIM, TX, PPE_EV_SEND, 8, 0);
	post_rma(BYSTANDER, PPE_OP_READ, to[BYSTANDER], 9, buf, MIB + 5, (uintptr_t)mine, key, 0);
	expect_event(BYSTANDER, TX, PPE_EV_READ, 9, 0);
}

static int open_nodes(void **state)
{
	struct node_attr attr = { .placement = "inline" };
	const char *auth = *state;

	attr.auth = auth;
	attr.slots = 512;
	node_open(VICTIM, &attr);
	attr.placement = "adaptive";
	node_open(BYSTANDER, &attr);
	to[VICTIM] = node_meet(VICTIM, BYSTANDER);
	to[BYSTANDER] = node_meet(BYSTANDER, VICTIM);
	share(VICTIM, mine, sizeof(mine), ALL_REMOTE, auth, &key);
	bystander_goes_on();
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	nodes_close();
	return 0;
}

static bool thrown_out(void)
{
	uint64_t end = now_ms() + (foe.deaf ? 1000 : 5000);

	while (now_ms() < end) {
		int n = heard();

		if (n < 0)
			return true;
		pump();
	}
	return false;
}

static void forget_events(unsigned i)
{
	for (int q = 0; q < 2; q++)
		nodes[i].got[q].first = nodes[i].got[q].count = 0;
}

static void run_bad(const struct bad *b, uint32_t segment)
{
	foe.segment = segment;
	foe.deaf = b->deaf;
	foe_open(false);
	b->run();
	/* where a full socket ends is never quite the same: answers may have been right */
	for (unsigned i = 0; !thrown_out(); i++) {
		if (!b->deaf || i == 5)
			fail_msg("%s, segments of %u: it is still there", b->name, segment);
		foe_close();
		pump_for(10);
		forget_events(VICTIM);
		assert_int_equal(ppe_av_remove(nodes[VICTIM].av, foe.number), 0);
		foe_open(false);
		b->run();
	}
	foe_close();
	pump_for(1);
	forget_events(VICTIM);
	node_settled(VICTIM);
	bystander_goes_on();
	assert_int_equal(ppe_av_remove(nodes[VICTIM].av, foe.number), 0);
}

static void ulp_bad(void **state)
{
	static const uint32_t segments[] = { 0, 1, 5 };

	(void)state;
	for (unsigned i = 0; i < sizeof(bads) / sizeof(bads[0]); i++)
		for (unsigned k = 0; k < 3; k++)
			if (bads[i].run != bad_op_255 || k != 1)
				run_bad(&bads[i], segments[k]);
}

/* Before it has shown that it has the key nothing else of it is listened to. */
static void ulp_unproven(void **state)
{
	(void)state;
	nodes_close();
	*state = (void *)(uintptr_t) "the key";
	open_nodes(state);
	for (unsigned what = 0; what < 7; what++) {
		uint8_t body[64] = { 0 };

		foe.segment = what == 6 ? 3 : 0;
		foe.deaf = false;
		foe_open(true);
		if (what == 0)
			say(ULP_EAGER, 0, 0, 5, NULL, 5);
		else if (what == 1)
			put_tagged(RDMAP_WRITE, true, key, (uintptr_t)mine, 100);
		else if (what == 2)
			put_body(RDMAP_IMMEDIATE, ++foe.msn, body);
		else if (what == 3)
			put_body(RDMAP_READ_REQUEST, 1,
				 (rdmap_read_put(body,
						 &(struct rdmap_read){ .src_stag = key,
								       .src_to = (uintptr_t)mine,
								       .len = 8 }),
				  body));
		else if (what == 4)
			say(ULP_PROOF, 0, 0, 0, NULL, FAB_PROOF - 1);
		else
			say(ULP_PROOF, 0, 0, 0, NULL, FAB_PROOF);
		assert_true(thrown_out());
		foe_close();
		bystander_goes_on();
		assert_int_equal(mine[0], 0);
		node_settled(VICTIM);
		assert_int_equal(ppe_av_remove(nodes[VICTIM].av, foe.number), 0);
	}
}

/* Wrong, but nothing that ends a connection. */
static void ulp_tolerated(void **state)
{
	(void)state;
	foe.segment = 0;
	foe.deaf = false;
	foe_open(false);
	say(ULP_PING, 0, 0, 4, NULL, 0);
	say(ULP_PONG, 0, 0, 4, NULL, 0);
	key ^= 1;
	say_atomic(1, 8, 8 + 16 + 8, ULP_F_ACK);
	say_atomic(1, 8, 8 + 16 + 8, ULP_F_FETCH);
	key ^= 1;
	say_atomic(1, 16, 8 + 16 + 16, ULP_F_FETCH);
	put_tagged(RDMAP_WRITE, true, key ^ 1, 0, 100);
	victim_reads();
	say(ULP_READ_NAK, 0, 200, 1, NULL, 0);
	expect_event(VICTIM, TX, PPE_EV_READ, 9, -EREMOTEIO);
	/* a result that is too short is none */
	{
		uint64_t one = 1, old = 0;

		post_atomic(VICTIM, PPE_OP_FETCH, PPE_ATOMIC_BOR, foe.number, 5, &one, NULL, &old,
			    0, 0);
		hear(40);
		say(ULP_RESULT, 0, 0, 1, NULL, 4);
		expect_event(VICTIM, TX, PPE_EV_FETCH, 5, -EREMOTEIO);
		assert_int_equal(old, 0);
	}
	/* an announcement that it then refuses to be read */
	post_recv(VICTIM, PPE_ANY, 3, buf, 100000, 0, 0, 0);
	say(ULP_ANNOUNCE, 0, 0, 100000, NULL, 8);
	hear(40);
	say(ULP_READ_NAK, 0, ULP_E_CANCELED, 2, NULL, 0);
	expect_event(VICTIM, RX, PPE_EV_RECV, 3, -ECANCELED);
	pump_for(20);
	assert_true(heard() >= 0);
	foe_close();
	bystander_goes_on();
	node_settled(VICTIM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ulp_bad, open_nodes, close_all),
		cmocka_unit_test_setup_teardown(ulp_unproven, open_nodes, close_all),
		cmocka_unit_test_setup_teardown(ulp_tolerated, open_nodes, close_all),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
