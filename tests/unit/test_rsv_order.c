#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/srv_rows.h"

#define MAX 5

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

		srv_group(t[i].w, t[i].n, r);
		rsv_probability(r, t[i].n, RSV_MODERN, p);
		for (size_t k = 0; k < t[i].n; k++)
			assert_true(p[k] > t[i].p[k] - 1e-9 && p[k] < t[i].p[k] + 1e-9);
	}
}

/* S03: no host of a lower tier before all of the higher one, in every draw. */
static void t_S03_priorities_are_tiers(void **state)
{
	struct rsv_record r[6];
	double p[6];
	struct rng rng;

	(void)state;
	rng_init_seed(&rng, 3);
	for (int d = 0; d < 2000; d++) {
		r[0] = srv_row(20, 65535, "f.example", 1688);
		r[1] = srv_row(0, 0, "a.example", 1688);
		r[2] = srv_row(10, 5, "d.example", 1688);
		r[3] = srv_row(0, 1, "b.example", 1688);
		r[4] = srv_row(10, 0, "e.example", 1688);
		r[5] = srv_row(0, 9, "c.example", 1688);
		rsv_order(r, 6, RSV_MODERN, &rng);
		for (size_t i = 1; i < 6; i++)
			assert_true(r[i - 1].srv.priority <= r[i].srv.priority);
	}
	rsv_probability(r, 6, RSV_MODERN, p);
	assert_true(p[3] == 0.0 && p[4] == 0.0 && p[5] == 0.0);
}

/* S16: a seed gives one order, however the records came. */
static void t_S16_wire_order_does_not_matter(void **state)
{
	struct rsv_record base[5], r[5], first[5];
	struct rng rng, mix;

	(void)state;
	srv_group((const unsigned[]){ 5, 0, 20, 5, 1 }, 5, base);
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

/* S13: one host on two ports is two records, repeated RDATA is one. */
static void t_S13_canonical_set(void **state)
{
	struct rsv_record r[6] = {
		srv_row(10, 0, "KMS1.example", 1688), srv_row(0, 0, "kms2.example", 1689),
		srv_row(10, 0, "kms1.Example", 1688), srv_row(0, 0, "kms2.example", 1688),
		srv_row(0, 5, "kms2.example", 1688),  srv_row(10, 0, "kms1.example", 1688),
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
		r[i] = srv_row(i % 3, i % 7 == 0 ? 0 : 65535, "a.example", i + 1);
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
		cmocka_unit_test(t_probabilities_by_the_formulas),
		cmocka_unit_test(t_S03_priorities_are_tiers),
		cmocka_unit_test(t_S16_wire_order_does_not_matter),
		cmocka_unit_test(t_S13_canonical_set),
		cmocka_unit_test(t_order_is_a_permutation),
		cmocka_unit_test(t_profile_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
