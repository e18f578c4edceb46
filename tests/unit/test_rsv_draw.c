/*
 * The weighted draw against its exact distribution (failure-modes S01, S02).
 *
 * The distribution is enumerated from the words of design §6, by other means than the code: every
 * shuffle, every r, every further pick, counted. Then 100,000 orders are drawn and compared with it
 * at every position and as whole orders. That the comparison can tell is shown by draws with the
 * mistakes that other tools make.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/srv_rows.h"

#define DRAWS  100000
#define MAX    5
#define ORDERS 120 /* 5! */
#define N(a)   (sizeof(a) / sizeof((a)[0]))

struct weights {
	const char *name;
	size_t n;
	unsigned w[MAX];
};

static const struct weights sets[] = {
	{ "1:1", 2, { 1, 1 } },
	{ "0:0", 2, { 0, 0 } },
	{ "0:1", 2, { 0, 1 } },
	{ "1:3", 2, { 1, 3 } },
	{ "10:60:30", 3, { 10, 60, 30 } },
	{ "65535:1", 2, { 65535, 1 } },
	{ "0:0:5", 3, { 0, 0, 5 } },
	{ "0:0:0:0", 4, { 0, 0, 0, 0 } },
	{ "98:1:1", 3, { 98, 1, 1 } },
	{ "0:3:0:4:1", 5, { 0, 3, 0, 4, 1 } },
};

/* ---- the distribution ------------------------------------------------------------------------ */

/** What to get wrong; NONE is design §6. */
enum mistake {
	NONE,
	R_FROM_ONE,       /* r in 1..S: a weight of zero is never chosen before another */
	NO_SHUFFLE,       /* zeros first, but always the same one of them */
	ZEROS_NOT_FIRST,  /* a zero is reached only where it happens to come first */
	SECOND_PICK_FLAT, /* weights count for the first pick only (FreeIPA) */
	S_NOT_REDUCED,    /* r from the sum of all for every pick, the last one takes the rest */
	WEIGHT_PLUS_ONE,  /* every weight counts one more */
	MISTAKE_COUNT_,
};

/** The permutations of n as numbers: position by position, in the base of what is left. */
static size_t order_number(const size_t *order, size_t n)
{
	size_t number = 0;

	for (size_t i = 0; i < n; i++) {
		size_t smaller = 0;

		for (size_t k = i + 1; k < n; k++)
			smaller += order[k] < order[i];
		number = number * (n - i) + smaller;
	}
	return number;
}

static void order_of_number(size_t number, size_t n, size_t *ret)
{
	size_t digit[MAX], left[MAX];

	for (size_t i = n; i-- > 0; number /= n - i)
		digit[i] = number % (n - i);
	for (size_t i = 0; i < n; i++)
		left[i] = i;
	for (size_t i = 0; i < n; i++) {
		ret[i] = left[digit[i]];
		memmove(&left[digit[i]], &left[digit[i] + 1],
			(n - i - digit[i] - 1) * sizeof(*left));
	}
}

struct exact {
	const struct weights *set;
	enum mistake mistake;
	unsigned all; /* the sum of the weights */
	double order[ORDERS];
};

static unsigned weight(const struct exact *e, size_t i, size_t picked)
{
	if (e->mistake == SECOND_PICK_FLAT && picked > 0)
		return 1;
	return e->set->w[i] + (e->mistake == WEIGHT_PLUS_ONE);
}

/** All further picks out of @p list, with probability @p p that it came to this. */
static void pick(struct exact *e, const size_t *list, size_t n, size_t *taken, size_t picked,
		 double p)
{
	unsigned sum = 0, points, below = 0;

	if (n == 0) {
		e->order[order_number(taken, e->set->n)] += p;
		return;
	}
	for (size_t i = 0; i < n; i++)
		sum += weight(e, list[i], picked);
	if (e->mistake == S_NOT_REDUCED)
		sum = e->all;
	points = sum + 1; /* r is one of 0..S */
	if (e->mistake == R_FROM_ONE && sum > 0)
		points = sum;
	for (size_t i = 0; i < n; i++) {
		size_t rest[MAX];
		unsigned of = weight(e, list[i], picked);

		if (i == 0 && points == sum + 1)
			of++; /* r = 0 is reached by the first, whatever its weight */
		if (i + 1 == n)
			of = points - below;
		below += of;
		if (of == 0)
			continue;
		memcpy(rest, list, i * sizeof(*rest));
		memcpy(rest + i, list + i + 1, (n - i - 1) * sizeof(*rest));
		taken[picked] = list[i];
		pick(e, rest, n - 1, taken, picked + 1, p * of / points);
	}
}

static void zeros_first(const struct weights *set, const size_t *in, size_t *ret)
{
	size_t n = 0;

	for (unsigned zero = 1; zero <= 1; zero--)
		for (size_t i = 0; i < set->n; i++)
			if ((set->w[in[i]] == 0) == (zero == 1))
				ret[n++] = in[i];
}

static size_t factorial(size_t n)
{
	return n < 2 ? 1 : n * factorial(n - 1);
}

static void enumerate(const struct weights *set, enum mistake mistake, struct exact *ret)
{
	size_t shuffles = mistake == NO_SHUFFLE ? 1 : factorial(set->n);

	memset(ret, 0, sizeof(*ret));
	ret->set = set;
	ret->mistake = mistake;
	for (size_t i = 0; i < set->n; i++)
		ret->all += set->w[i];
	for (size_t s = 0; s < shuffles; s++) {
		size_t shuffled[MAX], list[MAX], taken[MAX];

		order_of_number(s, set->n, shuffled);
		if (mistake == ZEROS_NOT_FIRST)
			memcpy(list, shuffled, sizeof(list));
		else
			zeros_first(set, shuffled, list);
		pick(ret, list, set->n, taken, 0, 1.0 / (double)shuffles);
	}
}

/** How often each record is at @p position, out of how often each order is there. */
static void marginal(const double *order, size_t n, size_t position, double *ret)
{
	memset(ret, 0, MAX * sizeof(*ret));
	for (size_t k = 0; k < factorial(n); k++) {
		size_t o[MAX];

		order_of_number(k, n, o);
		ret[o[position]] += order[k];
	}
}

/* ---- the comparison -------------------------------------------------------------------------- */

/**
 * Whether chi-square is small enough, rare outcomes pooled. A right draw fails with a probability
 * below 1/8000: P(X >= dof + 2 sqrt(dof x) + 2x) <= exp(-x) for x = 9 (Laurent and Massart).
 */
static bool fits(const double *seen, const double *p, size_t n, double total)
{
	const double x = 9;
	double chi = 0, rare_seen = 0, rare = 0, dof = -1, over;

	for (size_t i = 0; i < n; i++) {
		double expected = p[i] * total;

		if (expected < 8) {
			rare_seen += seen[i];
			rare += expected;
			continue;
		}
		chi += (seen[i] - expected) * (seen[i] - expected) / expected;
		dof++;
	}
	if (rare < 8 && rare_seen > 2 * rare + 12)
		return false; /* what hardly ever happens happened often */
	if (rare >= 8) {
		chi += (rare_seen - rare) * (rare_seen - rare) / rare;
		dof++;
	}
	over = chi - dof - 2 * x;
	return dof < 1 || over < 0 || over * over < 4 * dof * x;
}

/** At every position, and as whole orders. */
static bool draw_fits(const double *seen, const struct exact *e)
{
	size_t n = e->set->n;

	for (size_t position = 0; position < n; position++) {
		double s[MAX], p[MAX];

		marginal(seen, n, position, s);
		marginal(e->order, n, position, p);
		if (!fits(s, p, n, DRAWS))
			return false;
	}
	return fits(seen, e->order, factorial(n), DRAWS);
}

static void draw(const struct weights *set, uint64_t seed, double *seen)
{
	struct rsv_record base[MAX], r[MAX];
	size_t n = srv_group(set->w, set->n, base);
	struct rng rng;

	memset(seen, 0, ORDERS * sizeof(*seen));
	rng_init_seed(&rng, seed);
	for (int d = 0; d < DRAWS; d++) {
		size_t order[MAX];

		memcpy(r, base, n * sizeof(*r));
		rsv_order(r, n, RSV_MODERN, &rng);
		for (size_t i = 0; i < n; i++)
			order[i] = srv_index(&r[i]);
		seen[order_number(order, n)]++;
	}
}

/** Draw from a known distribution. */
static void draw_from(const struct exact *e, uint64_t seed, double *seen)
{
	struct rng rng;

	memset(seen, 0, ORDERS * sizeof(*seen));
	rng_init_seed(&rng, seed);
	for (int d = 0; d < DRAWS; d++) {
		double point = rng_u32(&rng) / 4294967296.0, sum = 0;
		size_t k = 0;

		while (k + 1 < factorial(e->set->n) && (sum += e->order[k]) <= point)
			k++;
		seen[k]++;
	}
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void t_orders_have_numbers(void **state)
{
	(void)state;
	for (size_t n = 1; n <= MAX; n++) {
		for (size_t k = 0; k < factorial(n); k++) {
			size_t order[MAX];

			order_of_number(k, n, order);
			assert_int_equal(order_number(order, n), k);
		}
	}
}

/* First, second and every later pick, and whole orders. */
static void t_S01_every_pick_fits_the_exact_distribution(void **state)
{
	(void)state;
	for (size_t s = 0; s < N(sets); s++) {
		double seen[ORDERS];
		struct exact e;

		enumerate(&sets[s], NONE, &e);
		draw(&sets[s], 20 + s, seen);
		if (!draw_fits(seen, &e))
			fail_msg("%s is drawn wrongly", sets[s].name);
	}
}

/* What `discover` prints as probability is the enumerated one. */
static void t_S01_probabilities_are_exact(void **state)
{
	(void)state;
	for (size_t s = 0; s < N(sets); s++) {
		double p[MAX], first[MAX];
		struct rsv_record r[MAX];
		struct exact e;

		enumerate(&sets[s], NONE, &e);
		marginal(e.order, sets[s].n, 0, first);
		rsv_probability(r, srv_group(sets[s].w, sets[s].n, r), RSV_MODERN, p);
		for (size_t i = 0; i < sets[s].n; i++)
			if (p[i] < first[i] - 1e-12 || p[i] > first[i] + 1e-12)
				fail_msg("%s: %.9f of %.9f", sets[s].name, p[i], first[i]);
	}
}

/* The comparison is sharp enough: each mistake is told where it makes a difference. */
static void t_S01_a_biased_draw_is_told(void **state)
{
	static const char *const told_by[MISTAKE_COUNT_][5] = {
		[R_FROM_ONE] = { "0:1", "1:3", "10:60:30", "0:0:5", "0:3:0:4:1" },
		[NO_SHUFFLE] = { "1:1", "0:0", "0:0:0:0", "0:0:5", "1:3" },
		[ZEROS_NOT_FIRST] = { "0:1", "0:0:5", "0:3:0:4:1" },
		[SECOND_PICK_FLAT] = { "10:60:30", "0:0:5", "0:3:0:4:1" },
		[S_NOT_REDUCED] = { "10:60:30", "0:3:0:4:1" },
		[WEIGHT_PLUS_ONE] = { "1:3", "0:0:5", "98:1:1", "0:3:0:4:1" },
	};

	(void)state;
	for (unsigned m = R_FROM_ONE; m < MISTAKE_COUNT_; m++) {
		for (size_t s = 0; s < N(sets); s++) {
			bool must = false;
			double seen[ORDERS];
			struct exact right, wrong;

			for (size_t i = 0; i < 5 && told_by[m][i] != NULL; i++)
				must |= strcmp(told_by[m][i], sets[s].name) == 0;
			if (!must)
				continue;
			enumerate(&sets[s], NONE, &right);
			enumerate(&sets[s], (enum mistake)m, &wrong);
			draw_from(&right, 60 + s, seen);
			assert_true(draw_fits(seen, &right));
			draw_from(&wrong, 60 + s, seen);
			if (draw_fits(seen, &right))
				fail_msg("mistake %u goes unseen with %s", m, sets[s].name);
		}
	}
}

/* The default, two hosts at 0 0, is shared evenly. */
static void t_S02_two_hosts_without_weight_share_evenly(void **state)
{
	static const struct weights set = { "0:0", 2, { 0, 0 } };
	double seen[ORDERS];

	(void)state;
	draw(&set, 2, seen);
	assert_true(seen[0] > 0.49 * DRAWS && seen[0] < 0.51 * DRAWS);
	assert_true(seen[0] + seen[1] == DRAWS);
}

/* The same seed is the same sequence of draws, another seed another one. */
static void t_S01_a_seed_repeats_the_draw(void **state)
{
	double one[ORDERS], again[ORDERS], other[ORDERS];
	const struct weights *set = &sets[N(sets) - 1];

	(void)state;
	draw(set, 7, one);
	draw(set, 7, again);
	draw(set, 8, other);
	assert_memory_equal(one, again, sizeof(one));
	assert_memory_not_equal(one, other, sizeof(one));
}

/* Vista: priority and weight do not count. */
static void t_vista_shuffles_over_priorities(void **state)
{
	static const unsigned w[4] = { 0, 100, 1, 65535 };
	double p[4], seen[ORDERS] = { 0 }, even[ORDERS];
	struct rsv_record base[4], r[4];
	struct rng rng;

	(void)state;
	srv_group(w, 4, base);
	for (size_t i = 0; i < 4; i++)
		base[i].srv.priority = (uint16_t)(i * 10);
	rsv_probability(base, 4, RSV_VISTA, p);
	for (size_t i = 0; i < 4; i++)
		assert_true(p[i] == 0.25);
	for (size_t i = 0; i < 24; i++)
		even[i] = 1 / 24.0;
	rng_init_seed(&rng, 5);
	for (int d = 0; d < DRAWS; d++) {
		size_t order[4];

		memcpy(r, base, sizeof(r));
		rsv_order(r, 4, RSV_VISTA, &rng);
		for (size_t i = 0; i < 4; i++)
			order[i] = srv_index(&r[i]);
		seen[order_number(order, 4)]++;
	}
	assert_true(fits(seen, even, 24, DRAWS));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_orders_have_numbers),
		cmocka_unit_test(t_S01_every_pick_fits_the_exact_distribution),
		cmocka_unit_test(t_S01_probabilities_are_exact),
		cmocka_unit_test(t_S01_a_biased_draw_is_told),
		cmocka_unit_test(t_S02_two_hosts_without_weight_share_evenly),
		cmocka_unit_test(t_S01_a_seed_repeats_the_draw),
		cmocka_unit_test(t_vista_shuffles_over_priorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
