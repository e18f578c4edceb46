#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <malloc.h>
#include <stdio.h>

#include "kmscore/clients.h"
#include "kmscore/count.h"
#include "kmscore/wire.h"

#define T0 INT64_C(1795262400000)

static struct guid id(uint32_t n)
{
	struct guid g = { { 0 } };

	wire_put_u32(g.b, n, true);
	return g;
}

static uint32_t add(struct kms_count *c, uint32_t n, uint32_t n_policy, int64_t now_ms)
{
	struct guid g = id(n);

	return kms_count_add(c, &g, n_policy, now_ms);
}

static void t_new_ids_count_and_known_ones_do_not(void **state)
{
	struct kms_count c;

	(void)state;
	kms_count_init(&c);
	assert_int_equal(kms_count_now(&c, T0), 0);
	for (uint32_t i = 1; i <= 25; i++)
		assert_int_equal(add(&c, i, 25, T0 + i), i);
	assert_int_equal(add(&c, 7, 25, T0 + 100), 25);
	assert_int_equal(add(&c, 7, 25, T0 + 101), 25); /* a cloned image: stuck */
}

static void t_table_is_twice_the_threshold(void **state)
{
	struct kms_count c;

	(void)state;
	kms_count_init(&c);
	for (uint32_t i = 1; i <= 30; i++) /* servers and Office alone: 10 */
		assert_int_equal(add(&c, i, 5, T0), i < 10 ? i : 10);
	for (uint32_t i = 31; i <= 100; i++) /* one Windows client makes it 50, for good */
		assert_int_equal(add(&c, i, i == 31 ? 25 : 5, T0), i - 20 < 50 ? i - 20 : 50);
	assert_int_equal(add(&c, 101, UINT32_MAX, T0), 50); /* whatever a client claims */
	assert_int_equal(c.cap, KMS_COUNT_LARGE);
	/* The newest are in it: the oldest of them renews without changing the count, and an id
	 * that fell out comes back in the place of the then oldest. */
	assert_int_equal(add(&c, 52, 5, T0), 50);
	assert_int_equal(add(&c, 1, 5, T0), 50);
}

static void t_ids_leave_after_30_days(void **state)
{
	struct kms_count c;

	(void)state;
	kms_count_init(&c);
	(void)add(&c, 1, 25, T0);
	(void)add(&c, 2, 25, T0 + 1000);
	assert_int_equal(kms_count_now(&c, T0 + KMS_CMID_LIFE_MS - 1), 2);
	assert_int_equal(kms_count_now(&c, T0 + KMS_CMID_LIFE_MS), 1);
	(void)add(&c, 2, 25, T0 + KMS_CMID_LIFE_MS); /* a renewal starts the 30 days anew */
	assert_int_equal(kms_count_now(&c, T0 + 2 * KMS_CMID_LIFE_MS - 1), 1);
	assert_int_equal(kms_count_now(&c, T0 + 2 * KMS_CMID_LIFE_MS), 0);
}

static void t_clock_set_back(void **state)
{
	struct kms_count c;

	(void)state;
	kms_count_init(&c);
	(void)add(&c, 1, 25, T0 + KMS_CMID_LIFE_MS);
	assert_int_equal(add(&c, 2, 25, T0), 2); /* nothing leaves by that */
	assert_int_equal(kms_count_now(&c, T0 + KMS_CMID_LIFE_MS), 1);
}

struct clients_fixture {
	struct kms_clients t;
	struct rng rng;
};

static void clients_setup(struct clients_fixture *f, size_t max)
{
	rng_init_seed(&f->rng, 4);
	kms_clients_init(&f->t, max, &f->rng);
}

static struct kms_clients_seen seen(struct clients_fixture *f, uint32_t n, const char *name,
				    int64_t now_ms)
{
	struct guid g = id(n);
	struct kms_clients_seen s;

	assert_int_equal(kms_clients_add(&f->t, &g, name, now_ms, &s), 0);
	return s;
}

static void t_cloned_images_are_noticed(void **state)
{
	struct clients_fixture f;
	struct kms_clients_seen s;

	(void)state;
	clients_setup(&f, 100);
	assert_false(seen(&f, 1, "pc1", T0).known);
	assert_true(seen(&f, 1, "pc1", T0).known);
	assert_int_equal(kms_clients_duplicates(&f.t), 0);
	s = seen(&f, 1, "pc2", T0);
	assert_true(s.known && s.other_name);
	assert_string_equal(s.last_name, "pc1");
	s = seen(&f, 1, "pc1", T0);
	assert_true(s.other_name);
	assert_string_equal(s.last_name, "pc2");
	assert_int_equal(kms_clients_duplicates(&f.t), 1);
	assert_int_equal(kms_clients_count(&f.t, T0 + KMS_CMID_LIFE_MS), 0);
	assert_int_equal(kms_clients_duplicates(&f.t), 0);
	kms_clients_done(&f.t);
}

static void t_clients_of_the_last_days(void **state)
{
	struct clients_fixture f;

	(void)state;
	clients_setup(&f, 100);
	assert_int_equal(kms_clients_since(&f.t, 0), 0);
	(void)seen(&f, 1, "pc1", T0);
	(void)seen(&f, 2, "pc2", T0 + 10);
	(void)seen(&f, 3, "pc3", T0 + 20);
	(void)seen(&f, 1, "pc1", T0 + 30);
	assert_int_equal(kms_clients_since(&f.t, T0), 3);
	assert_int_equal(kms_clients_since(&f.t, T0 + 20), 2);
	assert_int_equal(kms_clients_since(&f.t, T0 + 21), 1);
	assert_int_equal(kms_clients_since(&f.t, T0 + 31), 0);
	kms_clients_done(&f.t);
}

/* Names that are equal in what is kept of them are still told apart; they are cut between
 * characters. */
static void t_long_names(void **state)
{
	char a[200], b[200];
	struct clients_fixture f;
	struct kms_clients_seen s;

	(void)state;
	clients_setup(&f, 100);
	memset(a, 'x', sizeof(a));
	a[199] = '\0';
	memcpy(a + 61, "\xe2\x82\xac", 3);
	memcpy(b, a, sizeof(b));
	b[198] = 'y';
	(void)seen(&f, 1, a, T0);
	s = seen(&f, 1, b, T0);
	assert_true(s.other_name);
	assert_int_equal(strlen(s.last_name), 61);
	kms_clients_done(&f.t);
}

/* What has changed since it was last taken, also after an attempt to keep it that failed. */
static void t_changed_clients_are_given_once(void **state)
{
	struct kms_client_entry e[8];
	struct clients_fixture f;

	(void)state;
	clients_setup(&f, 4);
	for (uint32_t i = 1; i <= 3; i++)
		(void)seen(&f, i, "pc", T0 + i);
	assert_int_equal(kms_clients_changed(&f.t), 3);
	assert_int_equal(kms_clients_take_changed(&f.t, e, 8), 3);
	assert_int_equal(kms_clients_take_changed(&f.t, e + 3, 8), 0);
	(void)seen(&f, 2, "pc", T0 + 10);
	kms_clients_put_back(&f.t, e, 3); /* 1 and 3 stand behind 2 */
	(void)seen(&f, 4, "pc", T0 + 11);
	assert_int_equal(kms_clients_changed(&f.t), 4);
	assert_int_equal(kms_clients_take_changed(&f.t, e, 3), 3);
	assert_int_equal(kms_clients_changed(&f.t), 1);
	(void)seen(&f, 5, "pc", T0 + 12); /* the oldest one had not been taken: it is forgotten */
	assert_int_equal(kms_clients_take_changed(&f.t, e, 8), 1);
	assert_int_equal(e[0].seen_ms, T0 + 12);
	assert_int_equal(kms_clients_changed(&f.t), 0);
	kms_clients_done(&f.t);
}

static void t_clients_of_an_earlier_process(void **state)
{
	static const char *const names[] = { "pc", "server", "" };
	struct kms_client_entry e = { .duplicate = true, .before = "other" };
	struct clients_fixture f;
	char whole[100];

	(void)state;
	clients_setup(&f, 100);
	for (uint32_t i = 0; i < 3; i++) {
		e.cmid = id(i);
		e.seen_ms = T0 + i;
		(void)snprintf(e.name, sizeof(e.name), "%s", names[i]);
		e.duplicate = i == 1;
		assert_int_equal(kms_clients_restore(&f.t, &e), 0);
	}
	e.cmid = id(3);
	e.duplicate = false;
	memset(whole, 'x', sizeof(whole));
	whole[99] = '\0';
	memcpy(e.name, whole, sizeof(e.name) - 1);
	e.name[sizeof(e.name) - 1] = '\0';
	assert_int_equal(kms_clients_restore(&f.t, &e), 0);
	assert_int_equal(kms_clients_restore(&f.t, &e), 0); /* given twice: once */
	assert_int_equal(kms_clients_changed(&f.t), 0);
	assert_int_equal(kms_clients_duplicates(&f.t), 1);
	assert_int_equal(kms_clients_since(&f.t, T0 + 1), 3);
	assert_true(seen(&f, 0, "pc", T0 + 10).known);
	assert_false(seen(&f, 0, "pc", T0 + 10).other_name);
	assert_true(seen(&f, 1, "pc", T0 + 11).other_name);
	assert_false(seen(&f, 3, whole, T0 + 12).other_name); /* of which only a part was kept */
	whole[98] = 'y';
	assert_true(seen(&f, 3, whole, T0 + 13).other_name);
	kms_clients_done(&f.t);
}

static void t_count_of_an_earlier_process(void **state)
{
	struct kms_count_entry e[12];
	struct kms_count c;

	(void)state;
	for (uint32_t i = 0; i < 12; i++)
		e[i] = (struct kms_count_entry){ .cmid = id(i + 1), .seen_ms = T0 + i };
	kms_count_restore(&c, KMS_COUNT_SMALL, e, 12); /* the newest are kept */
	assert_int_equal(kms_count_now(&c, T0 + 20), KMS_COUNT_SMALL);
	assert_int_equal(add(&c, 3, 5, T0 + 20), KMS_COUNT_SMALL);
	assert_int_equal(add(&c, 99, 25, T0 + 20), KMS_COUNT_SMALL + 1);
	kms_count_restore(&c, 7, e, 12); /* no size that a table has */
	assert_int_equal(kms_count_now(&c, T0), 0);
	kms_count_restore(&c, KMS_COUNT_LARGE, e, 2);
	assert_int_equal(kms_count_now(&c, T0 + KMS_CMID_LIFE_MS), 1);
}

/* 100,000 clients, in at most 200 bytes each by what the allocator handed out. */
static void t_capacity(void **state)
{
	struct clients_fixture f;
	size_t bytes;

	(void)state;
	clients_setup(&f, KMS_CLIENTS_MAX);
	for (uint32_t n = 0; n < KMS_CLIENTS_MAX; n++)
		assert_false(seen(&f, n, "a-machine-with-a-long-name.corp.example", T0).known);
	assert_int_equal(kms_clients_count(&f.t, T0), KMS_CLIENTS_MAX);
	bytes = malloc_usable_size(f.t.e) + malloc_usable_size(f.t.bucket);
	assert_true(bytes <= (size_t)KMS_CLIENTS_MAX * KMS_CLIENT_BYTES_MAX);
	assert_true(seen(&f, 0, "a-machine-with-a-long-name.corp.example", T0).known);
	assert_false(seen(&f, KMS_CLIENTS_MAX, "one-more", T0).known);
	assert_int_equal(kms_clients_count(&f.t, T0), KMS_CLIENTS_MAX);
	kms_clients_done(&f.t);
}

static void t_clients_are_bounded(void **state)
{
	struct clients_fixture f;

	(void)state;
	clients_setup(&f, 100);
	for (uint32_t i = 0; i < 1000; i++)
		(void)seen(&f, i, "pc", T0 + i);
	assert_int_equal(kms_clients_count(&f.t, T0 + 1000), 100);
	assert_true(seen(&f, 999, "pc", T0 + 1000).known);
	assert_true(seen(&f, 900, "pc", T0 + 1000).known);
	assert_false(seen(&f, 899, "pc", T0 + 1000).known);
	kms_clients_done(&f.t);
	clients_setup(&f, 0);
	assert_false(seen(&f, 1, "pc", T0).known);
	assert_int_equal(kms_clients_count(&f.t, T0), 0);
	kms_clients_done(&f.t);
}

/* Against a plain model: what was seen within 30 days is known, nothing else. */
static void t_clients_like_a_simple_model(void **state)
{
	int64_t last[200], now = T0;
	struct clients_fixture f;

	(void)state;
	clients_setup(&f, 10000);
	memset(last, 0, sizeof(last));
	for (unsigned step = 0; step < 20000; step++) {
		uint32_t n = rng_below(&f.rng, 200);
		size_t alive = 0;

		now += (int64_t)rng_below(&f.rng, 24 * 3600 * 1000);
		assert_int_equal(seen(&f, n, "pc", now).known, now - last[n] < KMS_CMID_LIFE_MS);
		last[n] = now;
		for (unsigned i = 0; i < 200; i++)
			alive += now - last[i] < KMS_CMID_LIFE_MS;
		assert_int_equal(kms_clients_count(&f.t, now), alive);
	}
	kms_clients_done(&f.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_new_ids_count_and_known_ones_do_not),
		cmocka_unit_test(t_table_is_twice_the_threshold),
		cmocka_unit_test(t_ids_leave_after_30_days),
		cmocka_unit_test(t_clock_set_back),
		cmocka_unit_test(t_cloned_images_are_noticed),
		cmocka_unit_test(t_clients_of_the_last_days),
		cmocka_unit_test(t_long_names),
		cmocka_unit_test(t_changed_clients_are_given_once),
		cmocka_unit_test(t_clients_of_an_earlier_process),
		cmocka_unit_test(t_count_of_an_earlier_process),
		cmocka_unit_test(t_capacity),
		cmocka_unit_test(t_clients_are_bounded),
		cmocka_unit_test(t_clients_like_a_simple_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
