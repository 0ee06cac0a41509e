/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* test_pd.c - memory that peers name: keys, bounds, pieces, authorisation, and what deregistering undoes. */
#include "tests/unit/bare_engine.h"

#include <sys/mman.h>
#include <unistd.h>

#define LOCAL (PPE_ACCESS_LOCAL_READ | PPE_ACCESS_LOCAL_WRITE)
#define REMOTE (PPE_ACCESS_REMOTE_READ | PPE_ACCESS_REMOTE_WRITE)

static struct ppe_ual *ual;
static struct ppe_pd *pd;

static int open_pd(void **state)
{
	(void)state;
	ual = bare_open("inline");
	assert_int_equal(ppe_pd_create(ual, &pd), 0);
	return 0;
}

static int close_ual(void **state)
{
	(void)state;
	ppe_ual_close(ual);
	return 0;
}

static int enter(struct iovec *iov, unsigned niov, unsigned access, uint64_t offset, uint32_t key,
		 struct ppe_mr *mr)
{
	struct ppe_mr_attr attr = {
		.pd = pd, .iov = iov, .niov = niov, .access = access, .offset = offset, .key = key
	};
	uint32_t got = ~key;
	int err = ppe_mr_register_remote(ual, &attr, mr, &got);

	assert_int_equal(got, err ? ~key : key);
	return err;
}

static struct ppe_mr enter_one(void *addr, size_t len, unsigned access, uint64_t offset,
			       uint32_t key)
{
	struct iovec iov = { addr, len };
	struct ppe_mr mr;

	assert_int_equal(enter(&iov, 1, access, offset, key, &mr), 0);
	return mr;
}

static int check_auth(uint32_t auth, uint32_t key, uint64_t addr, uint64_t len, unsigned access,
		      struct iovec *iov, uint32_t *region)
{
	int n;

	turn_lock(ual);
	n = pd_check(pd, auth, key, addr, len, access, iov, region);
	turn_unlock(ual);
	return n;
}

static int check(uint32_t key, uint64_t addr, uint64_t len, unsigned access, struct iovec *iov)
{
	return check_auth(0, key, addr, len, access, iov, NULL);
}

/* Every range that begins and ends within two bytes of a bound of [offset, offset + len). */
static void assert_bounds(uint32_t key, uint64_t offset, uint64_t len, uint8_t *mem)
{
	static const int near[] = { -2, -1, 0, 1, 2 };
	const uint64_t bounds[] = { 0, offset, offset + len, UINT64_MAX };
	struct iovec iov[PPE_MR_IOV_MAX];

	for (size_t i = 0; i < COUNT(bounds) * COUNT(near); i++) {
		for (size_t k = 0; k < COUNT(bounds) * COUNT(near); k++) {
			uint64_t from = bounds[i / COUNT(near)] + near[i % COUNT(near)];
			uint64_t to = bounds[k / COUNT(near)] + near[k % COUNT(near)];
			unsigned __int128 end = (unsigned __int128)from + (uint64_t)(to - from);
			bool in = from >= offset && end <= (unsigned __int128)offset + len;
			int n = check(key, from, to - from, PPE_ACCESS_REMOTE_READ, iov);

			assert_int_equal(n, !in ? -ERANGE : to != from);
			if (n == 1) {
				assert_int_equal((uintptr_t)iov[0].iov_base,
						 (uintptr_t)mem + (from - offset));
				assert_int_equal(iov[0].iov_len, to - from);
			}
		}
	}
}

static void pd_check_bounds(void **state)
{
	static uint8_t mem[64];
	const uint64_t offsets[] = { 0, (uintptr_t)mem, UINT64_MAX - 64 };

	(void)state;
	for (size_t i = 0; i < COUNT(offsets); i++) {
		for (size_t len = 1; len <= sizeof(mem); len++) {
			struct ppe_mr mr = enter_one(mem, len, REMOTE, offsets[i], 7);

			assert_bounds(7, offsets[i], len, mem);
			assert_int_equal(ppe_mr_deregister(ual, mr), 0);
		}
	}
}

static void pd_check_all_memory(void **state)
{
	struct iovec iov[PPE_MR_IOV_MAX];

	(void)state;
	enter_one(NULL, SIZE_MAX, REMOTE, 0, 0);
	assert_bounds(0, 0, SIZE_MAX, NULL);
	assert_int_equal(check(0, (uintptr_t)iov, 16, REMOTE, iov), 1);
	assert_ptr_equal(iov[0].iov_base, iov);
	assert_int_equal(check(1, (uintptr_t)iov, 16, REMOTE, iov), -ENOKEY);
}

static void pd_check_access(void **state)
{
	static uint8_t mem[8];
	struct iovec iov[PPE_MR_IOV_MAX];

	(void)state;
	for (unsigned has = 1; has < 16; has++) {
		enter_one(mem, 8, has, 0, has);
		for (unsigned wants = 0; wants < 16; wants++)
			assert_int_equal(check(has, 0, 8, wants, iov), wants & ~has ? -EACCES : 1);
	}
}

/* Pieces, against one byte after the other. */
static void pd_check_pieces(void **state)
{
	static uint8_t mem[256];
	static const uint8_t from[] = { 200, 0, 50, 51, 120, 7, 90, 10 };
	static const uint8_t len[] = { 3, 1, 1, 20, 5, 2, 9, 30 };
	struct iovec pieces[PPE_MR_IOV_MAX], iov[PPE_MR_IOV_MAX];
	uint8_t *flat[256];
	unsigned total = 0;
	struct ppe_mr mr;

	(void)state;
	for (unsigned i = 0; i < PPE_MR_IOV_MAX; i++) {
		pieces[i] = (struct iovec){ mem + from[i], len[i] };
		for (unsigned k = 0; k < len[i]; k++)
			flat[total++] = mem + from[i] + k;
	}
	assert_int_equal(enter(pieces, PPE_MR_IOV_MAX, REMOTE, 1000, 5, &mr), 0);
	for (unsigned a = 0; a <= total + 1; a++) {
		for (unsigned n = 0; n <= total + 1; n++) {
			int used = check(5, 1000 + a, n, REMOTE, iov);
			unsigned at = a;

			if (a + n > total) {
				assert_int_equal(used, -ERANGE);
				continue;
			}
			for (int i = 0; i < used; i++) {
				assert_int_not_equal(iov[i].iov_len, 0);
				for (unsigned k = 0; k < iov[i].iov_len; k++)
					assert_ptr_equal((uint8_t *)iov[i].iov_base + k,
							 flat[at++]);
			}
			assert_int_equal(at, a + n);
		}
	}
	assert_int_equal(check(5, 999, 2, REMOTE, iov), -ERANGE);
}

/* For its own application a region of pieces is those pieces, and not what lies between. */
static void pd_local_use_of_pieces(void **state)
{
	static uint8_t mem[64];
	struct iovec pieces[] = { { mem + 40, 8 }, { mem + 10, 4 } };
	struct ppe_mr mr;
	void *ptr;

	(void)state;
	assert_int_equal(enter(pieces, 2, REMOTE | LOCAL, 0, 1, &mr), 0);
	for (unsigned a = 0; a < 60; a++) {
		for (unsigned n = 1; n < 20; n++) {
			bool in = (a >= 40 && a + n <= 48) || (a >= 10 && a + n <= 14);

			assert_int_equal(mr_check(&ual->mrs, mr.region, mr.ptag, (uintptr_t)mem + a,
						  n, LOCAL, &ptr),
					 in ? 0 : -ERANGE);
		}
	}
	assert_int_equal(mr_check(&ual->mrs, mr.region, mr.ptag, 0, 4, LOCAL, &ptr), -ERANGE);
}

static void pd_register_checks_its_arguments(void **state)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *p =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec good = { p, 16 }, two[] = { good, { p, 0 } }, many[9], all[] = { good, { 0 } };
	uint8_t auth[PPE_AUTH_MAX + 1] = { 0 };
	struct ppe_mr_attr attr = { .pd = pd, .iov = &good, .niov = 1, .access = REMOTE };
	struct ppe_mr mr;
	uint32_t key;

	(void)state;
	munmap(p + page, page);
	assert_int_equal(enter(&good, 0, REMOTE, 0, 1, &mr), -EINVAL);
	assert_int_equal(enter(many, 9, REMOTE, 0, 1, &mr), -EINVAL);
	assert_int_equal(enter(&good, 1, 0, 0, 1, &mr), -EINVAL);
	assert_int_equal(enter(&good, 1, 0x10, 0, 1, &mr), -EINVAL);
	assert_int_equal(enter(two, 2, REMOTE, 0, 1, &mr), -EINVAL);
	two[1] = (struct iovec){ p + page - 1, 2 };
	assert_int_equal(enter(two, 2, REMOTE, 0, 1, &mr), -EFAULT);
	all[1] = (struct iovec){ NULL, SIZE_MAX };
	assert_int_equal(enter(all, 2, REMOTE, 0, 1, &mr), -EINVAL);
	assert_int_equal(enter(&good, 1, REMOTE, UINT64_MAX - 15, 1, &mr), -EINVAL);
	attr.auth = auth;
	attr.auth_len = PPE_AUTH_MAX + 1;
	assert_int_equal(ppe_mr_register_remote(ual, &attr, &mr, &key), -EINVAL);
	attr.pd = NULL;
	assert_int_equal(ppe_mr_register_remote(ual, &attr, &mr, &key), -EINVAL);
	/* nothing is left of the attempts */
	assert_int_equal(ual->counters.regions, 0);
	assert_int_equal(ppe_pd_destroy(pd), 0);
	munmap(p, page);
}

static void pd_keys_are_unique(void **state)
{
	static uint8_t mem[8];
	struct iovec iov = { mem, 8 };
	struct ppe_pd *first = pd;
	struct ppe_mr mr = enter_one(mem, 8, REMOTE, 0, 0xffffffff), other;

	(void)state;
	assert_int_equal(enter(&iov, 1, REMOTE, 0, 0xffffffff, &other), -ENOKEY);
	/* another domain is another namespace */
	assert_int_equal(ppe_pd_create(ual, &pd), 0);
	enter_one(mem, 8, REMOTE, 0, 0xffffffff);
	pd = first;
	assert_int_equal(ppe_mr_deregister(ual, mr), 0);
	assert_int_equal(check(0xffffffff, 0, 1, REMOTE, &iov), -ENOKEY);
	enter_one(mem, 8, REMOTE, 0, 0xffffffff);
	assert_int_equal(check(0xffffffff, 0, 1, REMOTE, &iov), 1);
}

/* Many keys, added and removed at random, against a plain table. */
static void pd_many_keys(void **state)
{
	enum { KEYS = 512 };
	static uint8_t mem[KEYS];
	static struct ppe_mr mr[KEYS];
	static bool there[KEYS];
	uint64_t seed = 42;
	struct iovec iov[PPE_MR_IOV_MAX];

	(void)state;
	memset(there, 0, sizeof(there));
	for (unsigned round = 0; round < (TEST_SLOW ? 4000 : 40000); round++) {
		/* keys that are close together, and that share their low bits */
		uint32_t i = bare_rnd(&seed) % KEYS, key = i % 2 ? i : i << 20;
		int n;

		if (there[i])
			assert_int_equal(ppe_mr_deregister(ual, mr[i]), 0);
		else
			mr[i] = enter_one(mem + i, 1, REMOTE, 0, key);
		there[i] = !there[i];
		i = bare_rnd(&seed) % KEYS;
		key = i % 2 ? i : i << 20;
		n = check(key, 0, 1, REMOTE, iov);
		assert_int_equal(n, there[i] ? 1 : -ENOKEY);
		assert_int_equal(pd_has_key(pd, key), there[i]);
		if (n == 1)
			assert_ptr_equal(iov[0].iov_base, mem + i);
	}
}

static void pd_random_keys(void **state)
{
	enum { N = 300 };
	static uint8_t mem[8];
	struct iovec iov = { mem, 8 };
	struct ppe_mr_attr attr = {
		.pd = pd, .iov = &iov, .niov = 1, .access = REMOTE, .choose_key = true
	};
	uint32_t key[N];
	struct ppe_mr mr;

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		assert_int_equal(ppe_mr_register_remote(ual, &attr, &mr, &key[i]), 0);
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(key[i], key[k]);
	}
}

static void pd_authorisation(void **state)
{
	static uint8_t mem[8];
	struct iovec iov = { mem, 8 }, out[PPE_MR_IOV_MAX];
	struct ppe_mr_attr attr = { .pd = pd,
				    .iov = &iov,
				    .niov = 1,
				    .access = REMOTE,
				    .key = 3,
				    .auth = "secret",
				    .auth_len = 6 };
	uint32_t right, wrong, key, region = 1;
	struct ppe_mr mr;

	(void)state;
	assert_int_equal(ppe_mr_register_remote(ual, &attr, &mr, &key), 0);
	turn_lock(ual);
	assert_int_equal(auth_intern(ual, "secret", 6, &right), 0);
	assert_int_equal(auth_intern(ual, "secre", 5, &wrong), 0);
	turn_unlock(ual);
	assert_int_equal(check_auth(right, 3, 0, 8, REMOTE, out, &region), 1);
	assert_int_equal(region, mr.region);
	assert_int_equal(check_auth(0, 3, 0, 8, REMOTE, out, NULL), -EPERM);
	/* whatever else is wrong with it */
	assert_int_equal(check_auth(wrong, 3, 99, 8, 0x10, out, NULL), -EPERM);
	/* none is a key like any other */
	enter_one(mem, 8, REMOTE, 0, 4);
	assert_int_equal(check_auth(right, 4, 0, 8, REMOTE, out, NULL), -EPERM);
	assert_int_equal(check_auth(0, 4, 0, 8, REMOTE, out, NULL), 1);
}

static void auth_numbers(void **state)
{
	enum { N = 40 };
	uint32_t id[N], again, none = 1;
	size_t len;

	(void)state;
	turn_lock(ual);
	assert_int_equal(auth_intern(ual, NULL, 0, &none), 0);
	assert_int_equal(none, 0);
	assert_null(auth_bytes(ual, 0, &len));
	assert_int_equal(len, 0);
	for (uint8_t i = 0; i < N; i++)
		assert_int_equal(auth_intern(ual, &i, 1, &id[i]), 0);
	for (uint8_t i = 0; i < N; i++) {
		assert_int_equal(auth_intern(ual, &i, 1, &again), 0);
		assert_int_equal(again, id[i]);
		assert_int_equal(*auth_bytes(ual, id[i], &len), i);
		assert_int_equal(len, 1);
		auth_release(ual, again);
	}
	/* a number is free only after the last of its uses */
	auth_release(ual, id[7]);
	assert_int_equal(auth_intern(ual, "xy", 2, &again), 0);
	assert_int_equal(*auth_bytes(ual, again, &len), 'x');
	auth_release(ual, 0);
	turn_unlock(ual);
}

static void pd_life(void **state)
{
	static uint8_t mem[8];
	struct ppe_mr mr = enter_one(mem, 8, REMOTE, 0, 1);

	(void)state;
	assert_int_equal(ppe_pd_destroy(pd), -EBUSY);
	assert_int_equal(ppe_mr_deregister(ual, mr), 0);
	assert_int_equal(ppe_mr_deregister(ual, mr), -EKEYREVOKED);
	pd_hold(pd);
	assert_int_equal(ppe_pd_destroy(pd), -EBUSY);
	pd_drop(pd);
	assert_int_equal(ppe_pd_destroy(pd), 0);
}

static void counted(uint32_t region, unsigned access)
{
	turn_lock(ual);
	mr_counted(ual, region, access);
	turn_unlock(ual);
}

static void mr_counters(void **state)
{
	static uint8_t mem[8];
	struct ppe_cntr *reads, *writes;
	struct ppe_mr mr = enter_one(mem, 8, REMOTE, 0, 1), local;

	(void)state;
	assert_int_equal(ppe_mr_register(ual, mem, 8, LOCAL, &local), 0);
	assert_int_equal(ppe_cntr_create(ual, &reads), 0);
	assert_int_equal(ppe_cntr_create(ual, &writes), 0);
	assert_int_equal(ppe_mr_count(ual, local, PPE_ACCESS_REMOTE_READ, reads), -EINVAL);
	assert_int_equal(ppe_mr_count(ual, mr, 0, reads), -EINVAL);
	assert_int_equal(ppe_mr_count(ual, mr, LOCAL, reads), -EINVAL);
	assert_int_equal(ppe_mr_count(ual, mr, PPE_ACCESS_REMOTE_READ, reads), 0);
	assert_int_equal(ppe_mr_count(ual, mr, PPE_ACCESS_REMOTE_WRITE, writes), 0);
	counted(mr.region, PPE_ACCESS_REMOTE_READ);
	counted(mr.region, REMOTE);
	counted(local.region, REMOTE);
	assert_int_equal(ppe_cntr_value(reads), 2);
	assert_int_equal(ppe_cntr_value(writes), 1);
	assert_int_equal(ppe_cntr_destroy(reads), -EBUSY);
	assert_int_equal(ppe_mr_count(ual, mr, PPE_ACCESS_REMOTE_READ, NULL), 0);
	assert_int_equal(ppe_cntr_destroy(reads), 0);
	assert_int_equal(ppe_cntr_destroy(writes), -EBUSY);
	assert_int_equal(ppe_mr_deregister(ual, mr), 0);
	counted(mr.region, REMOTE);
	assert_int_equal(ppe_cntr_value(writes), 1);
	assert_int_equal(ppe_cntr_destroy(writes), 0);
}

/* Closing the UAL takes all of it along; the leak checker looks on. */
static void pd_close_with_all_in_use(void **state)
{
	static uint8_t mem[8];
	struct ppe_mr mr = enter_one(mem, 8, REMOTE, 0, 1);
	struct ppe_cntr *c;

	(void)state;
	assert_int_equal(ppe_cntr_create(ual, &c), 0);
	assert_int_equal(ppe_mr_count(ual, mr, REMOTE, c), 0);
	assert_int_equal(ppe_cntr_chain(c, 1, c, false, 1, c), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pd, close_ual)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pd_check_bounds),
		TEST(pd_check_all_memory),
		TEST(pd_check_access),
		TEST(pd_check_pieces),
		TEST(pd_local_use_of_pieces),
		TEST(pd_register_checks_its_arguments),
		TEST(pd_keys_are_unique),
		TEST(pd_many_keys),
		TEST(pd_random_keys),
		TEST(pd_authorisation),
		TEST(auth_numbers),
		TEST(pd_life),
		TEST(mr_counters),
		TEST(pd_close_with_all_in_use),
	};

	cmocka_set_test_filter(getenv("CMOCKA_TEST_FILTER"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
