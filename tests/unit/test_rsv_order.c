#include "resolver/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define DRAWS 100000
#define MAX   8

static struct rsv_record record(unsigned priority, unsigned weight, const char *target,
				unsigned port)
{
	struct rsv_record r;

	memset(&r, 0, sizeof(r));
	r.srv.priority = (uint16_t)priority;
	r.srv.weight = (uint16_t)weight;
	r.srv.port = (uint16_t)port;
	r.ttl = 300;
	assert_int_equal(dns_name_parse(target, &r.srv.target), 0);
	return r;
}

/** One priority, targets a.example, b.example ... in the order of @p weights. */
static size_t group(const unsigned *weights, size_t n, struct rsv_record *ret)
{
	for (size_t i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%c.example", (int)('a' + i));
		ret[i] = record(0, weights[i], name, 1688);
	}
	return n;
}

static size_t index_of(const struct rsv_record *r)
{
	return (size_t)(r->srv.target.wire[1] - 'a');
}

/** Values that chi-square stays under with probability 0.9999, by degrees of freedom. */
static double chi_limit(size_t dof)
{
	static const double limit[] = { 0, 15.14, 18.42, 21.11, 23.51, 25.74, 27.86, 29.88 };

	assert_true(dof < sizeof(limit) / sizeof(limit[0]));
	return limit[dof];
}

static void check_fit(const char *what, const double *seen, const double *p, size_t n, double total)
{
	double chi = 0;
	size_t dof = 0;

	for (size_t i = 0; i < n; i++) {
		double expected = p[i] * total;

		if (expected < 5) { /* too rare for the approximation: bound it instead */
			assert_true(seen[i] <= 20);
			continue;
		}
		chi += (seen[i] - expected) * (seen[i] - expected) / expected;
		dof++;
	}
	if (dof > 1 && chi > chi_limit(dof - 1))
		fail_msg("%s: chi-square %.2f over %.2f", what, chi, chi_limit(dof - 1));
}

static const struct {
	const char *name;
	size_t n;
	unsigned w[MAX];
} sets[] = {
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

/* S01, S02: the first pick is as the formulas of design §6 say. */
static void t_s01_first_pick_fits(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
		struct rsv_record base[MAX], r[MAX];
		double p[MAX], seen[MAX] = { 0 }, total = 0;
		size_t n = group(sets[s].w, sets[s].n, base);
		struct rng rng;

		rng_init_seed(&rng, 20 + s);
		rsv_probability(base, n, RSV_MODERN, p);
		for (size_t i = 0; i < n; i++)
			total += p[i];
		assert_true(total > 0.999999 && total < 1.000001);
		for (int d = 0; d < DRAWS; d++) {
			memcpy(r, base, sizeof(r));
			rsv_order(r, n, RSV_MODERN, &rng);
			seen[index_of(&r[0])]++;
		}
		check_fit(sets[s].name, seen, p, n, DRAWS);
	}
}

/* S01: and so is the second, given the first (the bug that FreeIPA had). */
static void t_s01_second_pick_fits(void **state)
{
	(void)state;
	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++) {
		struct rsv_record base[MAX], r[MAX], rest[MAX];
		double seen[MAX][MAX] = { { 0 } }, firsts[MAX] = { 0 };
		size_t n = group(sets[s].w, sets[s].n, base);
		struct rng rng;

		if (n < 3)
			continue;
		rng_init_seed(&rng, 40 + s);
		for (int d = 0; d < DRAWS; d++) {
			memcpy(r, base, sizeof(r));
			rsv_order(r, n, RSV_MODERN, &rng);
			firsts[index_of(&r[0])]++;
			seen[index_of(&r[0])][index_of(&r[1])]++;
		}
		for (size_t f = 0; f < n; f++) {
			double p[MAX], all[MAX] = { 0 };
			size_t m = 0;

			if (firsts[f] < 1000)
				continue;
			for (size_t i = 0; i < n; i++)
				if (i != f)
					rest[m++] = base[i];
			rsv_probability(rest, m, RSV_MODERN, p);
			for (size_t i = 0; i < m; i++)
				all[index_of(&rest[i])] = p[i];
			all[f] = 0;
			check_fit(sets[s].name, seen[f], all, n, firsts[f]);
		}
	}
}

static void t_probabilities_by_the_formulas(void **state)
{
	static const struct {
		size_t n;
		unsigned w[3];
		double p[3];
	} t[] = {
		{ 1, { 0 }, { 1.0 } },
		{ 1, { 7 }, { 1.0 } },
		{ 2, { 0, 0 }, { 0.5, 0.5 } },
		{ 2, { 0, 1 }, { 0.5, 0.5 } },
		{ 2, { 1, 1 }, { 0.5, 0.5 } },
		{ 2, { 1, 3 }, { 0.3, 0.7 } },
		{ 3, { 0, 0, 4 }, { 0.1, 0.1, 0.8 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct rsv_record r[MAX];
		double p[MAX];

		group(t[i].w, t[i].n, r);
		rsv_probability(r, t[i].n, RSV_MODERN, p);
		for (size_t k = 0; k < t[i].n; k++)
			assert_true(p[k] > t[i].p[k] - 1e-9 && p[k] < t[i].p[k] + 1e-9);
	}
}

/* S03: no host of a lower tier before all of the higher one, in every draw. */
static void t_s03_priorities_are_tiers(void **state)
{
	struct rsv_record r[6];
	double p[6];
	struct rng rng;

	(void)state;
	rng_init_seed(&rng, 3);
	for (int d = 0; d < 2000; d++) {
		r[0] = record(20, 65535, "f.example", 1688);
		r[1] = record(0, 0, "a.example", 1688);
		r[2] = record(10, 5, "d.example", 1688);
		r[3] = record(0, 1, "b.example", 1688);
		r[4] = record(10, 0, "e.example", 1688);
		r[5] = record(0, 9, "c.example", 1688);
		rsv_order(r, 6, RSV_MODERN, &rng);
		for (size_t i = 1; i < 6; i++)
			assert_true(r[i - 1].srv.priority <= r[i].srv.priority);
	}
	rsv_probability(r, 6, RSV_MODERN, p);
	assert_true(p[3] == 0.0 && p[4] == 0.0 && p[5] == 0.0);
}

/* S16: a seed gives one order, however the records came. */
static void t_s16_wire_order_does_not_matter(void **state)
{
	struct rsv_record base[5], r[5], first[5];
	struct rng rng, mix;

	(void)state;
	group((const unsigned[]){ 5, 0, 20, 5, 1 }, 5, base);
	rng_init_seed(&mix, 99);
	for (int d = 0; d < 100; d++) {
		memcpy(r, base, sizeof(r));
		for (size_t i = 5; i > 1; i--) {
			size_t j = rng_below(&mix, (uint32_t)i);
			struct rsv_record tmp = r[i - 1];

			r[i - 1] = r[j];
			r[j] = tmp;
		}
		rng_init_seed(&rng, 7);
		rsv_order(r, 5, RSV_MODERN, &rng);
		if (d == 0)
			memcpy(first, r, sizeof(r));
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(rsv_record_compare(&r[i], &first[i]), 0);
	}
}

static void t_vista_shuffles_over_priorities(void **state)
{
	struct rsv_record base[4], r[4];
	double p[MAX], seen[MAX] = { 0 };
	struct rng rng;

	(void)state;
	group((const unsigned[]){ 0, 100, 1, 65535 }, 4, base);
	for (size_t i = 0; i < 4; i++)
		base[i].srv.priority = (uint16_t)(i * 10);
	rsv_probability(base, 4, RSV_VISTA, p);
	rng_init_seed(&rng, 5);
	for (int d = 0; d < DRAWS; d++) {
		memcpy(r, base, sizeof(r));
		rsv_order(r, 4, RSV_VISTA, &rng);
		seen[index_of(&r[0])]++;
	}
	check_fit("vista", seen, p, 4, DRAWS);
}

/* S13: one host on two ports is two records, repeated RDATA is one. */
static void t_s13_canonical_set(void **state)
{
	struct rsv_record r[6] = {
		record(10, 0, "KMS1.example", 1688), record(0, 0, "kms2.example", 1689),
		record(10, 0, "kms1.Example", 1688), record(0, 0, "kms2.example", 1688),
		record(0, 5, "kms2.example", 1688),  record(10, 0, "kms1.example", 1688),
	};

	(void)state;
	r[2].ttl = 60;
	assert_int_equal(rsv_record_canonicalize(r, 6), 4);
	assert_int_equal(r[0].srv.weight, 0);
	assert_int_equal(r[1].srv.weight, 5);
	assert_int_equal(r[2].srv.port, 1689);
	assert_int_equal(r[3].srv.priority, 10);
	assert_int_equal(r[3].ttl, 60);
	assert_true(rsv_record_same_host(&r[0], &r[1]));
	assert_false(rsv_record_same_host(&r[1], &r[2]));
	assert_int_equal(rsv_record_canonicalize(r, 0), 0);
}

/* Every record comes out once, also with the largest weights that a message can hold. */
static void t_order_is_a_permutation(void **state)
{
	enum { N = 1700 };
	struct rsv_record *r = calloc(N, sizeof(*r));
	struct rng rng;
	uint64_t ports = 0;

	(void)state;
	assert_non_null(r);
	for (unsigned i = 0; i < N; i++)
		r[i] = record(i % 3, i % 7 == 0 ? 0 : 65535, "a.example", i + 1);
	rng_init_seed(&rng, 1);
	rsv_order(r, N, RSV_MODERN, &rng);
	for (unsigned i = 0; i < N; i++)
		ports += r[i].srv.port;
	assert_int_equal(ports, (uint64_t)N * (N + 1) / 2);
	rsv_order(r, 0, RSV_MODERN, &rng);
	free(r);
}

static void t_profile_names(void **state)
{
	enum rsv_profile p = RSV_MODERN;

	(void)state;
	assert_true(rsv_profile_parse("Vista", &p));
	assert_int_equal(p, RSV_VISTA);
	assert_string_equal(rsv_profile_name(RSV_MODERN), "modern");
	assert_false(rsv_profile_parse("win95", &p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_s01_first_pick_fits),
		cmocka_unit_test(t_s01_second_pick_fits),
		cmocka_unit_test(t_probabilities_by_the_formulas),
		cmocka_unit_test(t_s03_priorities_are_tiers),
		cmocka_unit_test(t_s16_wire_order_does_not_matter),
		cmocka_unit_test(t_vista_shuffles_over_priorities),
		cmocka_unit_test(t_s13_canonical_set),
		cmocka_unit_test(t_order_is_a_permutation),
		cmocka_unit_test(t_profile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
