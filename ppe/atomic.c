/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * atomic.c - arithmetic on a peer's behalf. Whoever holds the turn is alone, so plain loads and stores
 * will do; what is left is every operation on every type, which the macros below write out: one
 * function for each type, of which the types of a class differ in nothing but their names.
 */
#include <complex.h>
#include <string.h>

#include "ppe/remote.h"

typedef __int128 int128;
typedef unsigned __int128 uint128;

/*
 * The cases of a class: `old` is the item, `arg` and `cmp` are what came with the operation; `new` is
 * stored, or `continue` leaves the item as it is.
 */
#define CASES_LOGICAL                                                                              \
	case PPE_ATOMIC_LOR:                                                                       \
		new = old != 0 || arg != 0;                                                        \
		break;                                                                             \
	case PPE_ATOMIC_LAND:                                                                      \
		new = old != 0 && arg != 0;                                                        \
		break;                                                                             \
	case PPE_ATOMIC_LXOR:                                                                      \
		new = (old != 0) != (arg != 0);                                                    \
		break;

#define CASE_WRITE_IF(op, condition)                                                               \
	case op:                                                                                   \
		if (!(condition))                                                                  \
			continue;                                                                  \
		new = arg;                                                                         \
		break;

#define CASES_WRITE                                                                                \
	CASE_WRITE_IF(PPE_ATOMIC_WRITE, true)                                                      \
	CASE_WRITE_IF(PPE_ATOMIC_CSWAP, cmp == old)                                                \
	CASE_WRITE_IF(PPE_ATOMIC_CSWAP_NE, cmp != old)

#define CASES_ORDERED                                                                              \
	CASE_WRITE_IF(PPE_ATOMIC_MIN, arg < old)                                                   \
	CASE_WRITE_IF(PPE_ATOMIC_MAX, arg > old)                                                   \
	CASE_WRITE_IF(PPE_ATOMIC_CSWAP_LE, cmp <= old)                                             \
	CASE_WRITE_IF(PPE_ATOMIC_CSWAP_LT, cmp < old)                                              \
	CASE_WRITE_IF(PPE_ATOMIC_CSWAP_GE, cmp >= old)                                             \
	CASE_WRITE_IF(PPE_ATOMIC_CSWAP_GT, cmp > old)

/* @wide: an unsigned type that no operand is promoted beyond, where overflow is defined. */
#define CASES_ARITHMETIC(type, wide)                                                               \
	case PPE_ATOMIC_SUM:                                                                       \
		new = (type)((wide)old + (wide)arg);                                               \
		break;                                                                             \
	case PPE_ATOMIC_PROD:                                                                      \
		new = (type)((wide)old * (wide)arg);                                               \
		break;

#define CASES_BITWISE                                                                              \
	case PPE_ATOMIC_BOR:                                                                       \
		new = old | arg;                                                                   \
		break;                                                                             \
	case PPE_ATOMIC_BAND:                                                                      \
		new = old &arg;                                                                    \
		break;                                                                             \
	case PPE_ATOMIC_BXOR:                                                                      \
		new = old ^ arg;                                                                   \
		break;                                                                             \
	case PPE_ATOMIC_MSWAP:                                                                     \
		new = (arg & cmp) | (old & ~cmp);                                                  \
		break;

#define CASES_INTEGER(type, wide)                                                                  \
	CASES_ORDERED CASES_ARITHMETIC(type, wide)                                                 \
	CASES_LOGICAL CASES_BITWISE CASES_WRITE
#define CASES_REAL(type, wide)                                                                     \
	CASES_ORDERED CASES_ARITHMETIC(type, wide)                                                 \
	CASES_LOGICAL CASES_WRITE
#define CASES_COMPLEX(type, wide) CASES_ARITHMETIC(type, wide) CASES_LOGICAL CASES_WRITE

/* number, name, type, class, type to calculate in */
#define TYPES(X)                                                                                   \
	X(PPE_INT8, int8, int8_t, INTEGER, uint64_t)                                               \
	X(PPE_UINT8, uint8, uint8_t, INTEGER, uint64_t)                                            \
	X(PPE_INT16, int16, int16_t, INTEGER, uint64_t)                                            \
	X(PPE_UINT16, uint16, uint16_t, INTEGER, uint64_t)                                         \
	X(PPE_INT32, int32, int32_t, INTEGER, uint64_t)                                            \
	X(PPE_UINT32, uint32, uint32_t, INTEGER, uint64_t)                                         \
	X(PPE_INT64, int64, int64_t, INTEGER, uint64_t)                                            \
	X(PPE_UINT64, uint64, uint64_t, INTEGER, uint64_t)                                         \
	X(PPE_FLOAT, float, float, REAL, float)                                                    \
	X(PPE_DOUBLE, double, double, REAL, double)                                                \
	X(PPE_FLOAT_COMPLEX, float_complex, float complex, COMPLEX, float complex)                 \
	X(PPE_DOUBLE_COMPLEX, double_complex, double complex, COMPLEX, double complex)             \
	X(PPE_LONG_DOUBLE, long_double, long double, REAL, long double)                            \
	X(PPE_LONG_DOUBLE_COMPLEX, long_double_complex, long double complex, COMPLEX,              \
	  long double complex)                                                                     \
	X(PPE_INT128, int128, int128, INTEGER, uint128)                                            \
	X(PPE_UINT128, uint128, uint128, INTEGER, uint128)

#define APPLY(number, name, type, class, wide)                                                     \
	static void apply_##name(uint8_t op, uint8_t *target, const uint8_t *operand,              \
				 const uint8_t *compare, size_t count)                             \
	{                                                                                          \
		for (size_t i = 0; i < count; i++) {                                               \
			type old, arg, cmp = 0, new;                                               \
                                                                                                   \
			memcpy(&old, target + i * sizeof(type), sizeof(type));                     \
			memcpy(&arg, operand + i * sizeof(type), sizeof(type));                    \
			if (compare)                                                               \
				memcpy(&cmp, compare + i * sizeof(type), sizeof(type));            \
			switch (op) {                                                              \
			default:                                                                   \
				continue;                                                          \
				CASES_##class(type, wide)                                          \
			}                                                                          \
			memcpy(target + i * sizeof(type), &new, sizeof(type));                     \
		}                                                                                  \
	}
TYPES(APPLY)

enum type_class { INTEGER = 1, REAL, COMPLEX };

struct type_info {
	uint8_t size;
	uint8_t class; /* enum type_class */
	void (*apply)(uint8_t op, uint8_t *target, const uint8_t *operand, const uint8_t *compare,
		      size_t count);
};

#define TYPE_INFO(number, name, type, class, wide) [number] = { sizeof(type), class, apply_##name },
static const struct type_info types[PPE_ATOMIC_TYPES] = { TYPES(TYPE_INFO) };

/* ------------------------------------------------------------------------------ what is valid */

#define BIT(op) (1u << (op))

#define OPS_WRITE (BIT(PPE_ATOMIC_WRITE) | BIT(PPE_ATOMIC_CSWAP) | BIT(PPE_ATOMIC_CSWAP_NE))
#define OPS_LOGICAL (BIT(PPE_ATOMIC_LOR) | BIT(PPE_ATOMIC_LAND) | BIT(PPE_ATOMIC_LXOR))
#define OPS_ARITHMETIC (BIT(PPE_ATOMIC_SUM) | BIT(PPE_ATOMIC_PROD))
#define OPS_COMPLEX (BIT(PPE_ATOMIC_READ) | OPS_WRITE | OPS_LOGICAL | OPS_ARITHMETIC)
#define OPS_ORDERED                                                                                \
	(BIT(PPE_ATOMIC_MIN) | BIT(PPE_ATOMIC_MAX) | BIT(PPE_ATOMIC_CSWAP_LE) |                    \
	 BIT(PPE_ATOMIC_CSWAP_LT) | BIT(PPE_ATOMIC_CSWAP_GE) | BIT(PPE_ATOMIC_CSWAP_GT))
#define OPS_REAL (OPS_COMPLEX | OPS_ORDERED)
#define OPS_ALL (BIT(PPE_ATOMIC_OPS) - 1)

/* The operations with a compare operand are the last ones. */
#define OPS_COMPARE (OPS_ALL & ~(BIT(PPE_ATOMIC_CSWAP) - 1))

static const uint32_t ops_of_class[] = {
	[INTEGER] = OPS_ALL,
	[REAL] = OPS_REAL,
	[COMPLEX] = OPS_COMPLEX,
};

static const uint32_t ops_of_kind[] = {
	[ATOMIC_PLAIN] = OPS_ALL & ~OPS_COMPARE & ~BIT(PPE_ATOMIC_READ),
	[ATOMIC_FETCH] = OPS_ALL & ~OPS_COMPARE,
	[ATOMIC_COMPARE] = OPS_COMPARE,
};

size_t atomic_size(uint8_t type)
{
	return type < PPE_ATOMIC_TYPES ? types[type].size : 0;
}

bool atomic_valid(enum atomic_kind kind, uint8_t op, uint8_t type)
{
	if ((unsigned)kind > ATOMIC_COMPARE || op >= PPE_ATOMIC_OPS || type >= PPE_ATOMIC_TYPES)
		return false;
	return ops_of_kind[kind] & ops_of_class[types[type].class] & BIT(op);
}

void atomic_apply(uint8_t op, uint8_t type, void *target, const void *operand, const void *compare,
		  void *result, size_t count)
{
	assert(type < PPE_ATOMIC_TYPES);
	if (result && count)
		memcpy(result, target, count * types[type].size);
	if (op != PPE_ATOMIC_READ)
		types[type].apply(op, target, operand, compare, count);
}
