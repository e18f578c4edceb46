/* The host's side of the activation model, one test for each statement of behaviour §3.1, §3.2 and
 * §3.3 that a host can show: the answers of a lab host under an injected clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdio.h>

#include "common/hresult.h"
#include "common/log.h"
#include "kmscore/lab_host.h"
#include "kmscore/lab_product.h"
#include "tests/lib/test_net.h"

#define T0   INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */
#define HOUR INT64_C(3600000)

struct fixture {
	struct lab_host h;
	struct lab_key key;
	struct fake_clock clock;
	struct rng rng;
	struct addr peer;
	struct lab_answer a;
	struct lab_response rs; /* where a.body_len > 0 */
	char line[1024];
	char event[KMS_EVENT_TEXT_MAX]; /* the last one */
};

static uint64_t fake_mono(void *ctx)
{
	return ((struct fake_clock *)ctx)->mono_ms;
}

static int64_t fake_wall(void *ctx)
{
	return ((struct fake_clock *)ctx)->wall_ms;
}

static void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	(void)snprintf(f->line, sizeof(f->line), "%s", line);
}

static void on_event(void *ctx, const struct kms_event *e)
{
	struct fixture *f = ctx;

	(void)snprintf(f->event, sizeof(f->event), "%s", e->text);
}

static void new_host(struct fixture *f, const struct lab_rules *rules)
{
	struct lab_host_params p = { .key = &f->key,
				     .clock = &f->clock.clock,
				     .rng = &f->rng,
				     .rules = *rules,
				     .on_event = on_event,
				     .ctx = f };

	lab_host_init(&f->h, &p);
}

static void setup(struct fixture *f, const struct lab_rules *rules)
{
	static const uint8_t raw[LAB_KEY_LEN] = { 1 };
	static const struct lab_rules usual = { .activation_min = 120, .renewal_min = 10080 };

	memset(f, 0, sizeof(*f));
	f->clock.clock = (struct clock){ fake_mono, fake_wall, &f->clock };
	f->clock.wall_ms = T0;
	rng_init_seed(&f->rng, 7);
	assert_int_equal(lab_key_derive(raw, &f->key), 0);
	f->peer = test_addr("127.0.0.1:1688");
	new_host(f, rules != NULL ? rules : &usual);
	log_set_tap(on_line, f);
}

static void teardown(struct fixture *f)
{
	log_set_tap(NULL, NULL);
	lab_host_done(&f->h);
}

static struct lab_request request_of(const struct fixture *f, unsigned machine, uint32_t n_policy)
{
	struct lab_request rq = { .client_time = lab_filetime(f->clock.wall_ms),
				  .licence = KMS_OOB_GRACE,
				  .minutes_left = 43200,
				  .n_policy = n_policy };

	rq.cmid.b[14] = (uint8_t)(machine >> 8);
	rq.cmid.b[15] = (uint8_t)machine;
	(void)snprintf(rq.machine, sizeof(rq.machine), "pc%u", machine);
	return rq;
}

/** @return the HRESULT; f->rs has what a success says. */
static uint32_t send_request(struct fixture *f, const struct lab_request *rq)
{
	uint8_t body[LAB_REQUEST_LEN], nonce[LAB_NONCE_LEN] = { 5 };

	assert_int_equal(lab_request_seal(&f->key, nonce, rq, body), 0);
	lab_host_request(&f->h, &f->peer, body, sizeof(body), &f->a);
	memset(&f->rs, 0, sizeof(f->rs));
	assert_int_equal(f->a.body_len > 0, f->a.hresult == 0);
	if (f->a.body_len > 0)
		assert_int_equal(lab_response_open(&f->key, f->a.body, f->a.body_len, &f->rs), 0);
	return f->a.hresult;
}

/** The count that one machine is told. */
static uint32_t ask(struct fixture *f, unsigned machine, uint32_t n_policy)
{
	struct lab_request rq = request_of(f, machine, n_policy);

	assert_int_equal(send_request(f, &rq), 0);
	return f->rs.count;
}

/* 3.1 table: the host caches 10 where servers and Office ask, 50 once any Windows client has. */
static void t_table_of_thresholds(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	for (unsigned i = 1; i <= 30; i++)
		assert_int_equal(ask(&f, i, KMS_THRESHOLD_SERVER), i < 10 ? i : 10);
	assert_int_equal(ask(&f, 100, KMS_THRESHOLD_CLIENT), 11); /* the first Windows client */
	for (unsigned i = 101; i <= 200; i++)
		assert_int_equal(ask(&f, i, KMS_THRESHOLD_SERVER), i < 140 ? i - 89 : 50);
	teardown(&f);
}

/* 3.1 (1): virtual machines count as others do, clients and servers have one count. */
static void t_1_one_count_for_all(void **state)
{
	struct lab_request rq;
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 1);
	assert_int_equal(ask(&f, 2, KMS_THRESHOLD_SERVER), 2);
	rq = request_of(&f, 3, KMS_THRESHOLD_CLIENT);
	rq.vm = true;
	assert_int_equal(send_request(&f, &rq), 0);
	assert_int_equal(f.rs.count, 3);
	teardown(&f);
}

/* 3.1 (2), (7): every valid request is answered with the count, also far below the threshold. */
static void t_2_count_in_every_answer(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 1);
	assert_int_equal(f.rs.activation_min, 120);
	assert_int_equal(f.rs.renewal_min, 10080);
	assert_int_equal(f.rs.client_time, lab_filetime(T0));
	assert_int_equal(f.rs.cmid.b[15], 1);
	teardown(&f);
}

/* 3.1 (3): 30 days from the last contact; a renewal begins them anew; expiry lowers the count. */
static void t_3_thirty_days(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	for (unsigned i = 1; i <= 20; i++)
		(void)ask(&f, i, KMS_THRESHOLD_CLIENT);
	f.clock.wall_ms = T0 + 29 * KMS_DAY_MS;
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 20); /* renews */
	f.clock.wall_ms = T0 + 30 * KMS_DAY_MS - 1;
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 20);
	f.clock.wall_ms = T0 + 30 * KMS_DAY_MS;
	assert_int_equal(kms_count_now(&f.h.memory->count, f.clock.wall_ms), 1);
	assert_int_equal(ask(&f, 21, KMS_THRESHOLD_CLIENT), 2);
	teardown(&f);
}

/* 3.1 (4): the newest win, so one can leave before its 30 days; the table never shrinks. */
static void t_4_newest_win(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	for (unsigned i = 1; i <= 50; i++)
		assert_int_equal(ask(&f, i, KMS_THRESHOLD_CLIENT), i);
	assert_int_equal(ask(&f, 51, KMS_THRESHOLD_CLIENT), 50); /* 1 has left */
	assert_int_equal(ask(&f, 2, KMS_THRESHOLD_CLIENT), 50); /* 2 is there, and the newest now */
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 50); /* 1 is back, 3 has left */
	/* Then only servers ask; the table still holds 50. */
	f.clock.wall_ms = T0 + 31 * KMS_DAY_MS;
	for (unsigned i = 1; i <= 60; i++)
		assert_int_equal(ask(&f, 1000 + i, KMS_THRESHOLD_SERVER), i < 50 ? i : 50);
	teardown(&f);
}

/* 3.1 (5): only a new machine id raises the count; a cloned image freezes it at 1, and is said. */
static void t_5_cloned_image_freezes_the_count(void **state)
{
	struct kms_duplicate dup[2];
	struct lab_request rq;
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 1);
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 1);
	assert_int_equal(kms_clients_list_duplicates(&f.h.memory->clients, dup, 2), 0);
	for (unsigned i = 2; i <= 40; i++) {
		rq = request_of(&f, 1, KMS_THRESHOLD_CLIENT);
		(void)snprintf(rq.machine, sizeof(rq.machine), "clone%u", i);
		assert_int_equal(send_request(&f, &rq), 0);
		assert_int_equal(f.rs.count, 1);
	}
	assert_non_null(strstr(f.line, "kms.duplicate_cmid"));
	assert_non_null(strstr(f.line, "sysprep /generalize"));
	assert_int_equal(kms_clients_duplicates(&f.h.memory->clients), 1);
	assert_int_equal(kms_clients_list_duplicates(&f.h.memory->clients, dup, 2), 1);
	assert_true(guid_equal(&dup[0].cmid, &rq.cmid));
	assert_string_equal(dup[0].machine[0], "clone40");
	assert_string_equal(dup[0].machine[1], "clone39");
	assert_int_equal(dup[0].seen_ms, T0);
	teardown(&f);
}

/* 3.1 (6): two hosts do not share their counts. */
static void t_6_hosts_count_for_themselves(void **state)
{
	struct fixture one, two;

	(void)state;
	setup(&one, NULL);
	setup(&two, NULL);
	for (unsigned i = 1; i <= 24; i++)
		(void)ask(i % 2 == 0 ? &one : &two, i, KMS_THRESHOLD_CLIENT);
	assert_int_equal(ask(&one, 2, KMS_THRESHOLD_CLIENT), 12);
	assert_int_equal(ask(&two, 1, KMS_THRESHOLD_CLIENT), 12);
	teardown(&one);
	teardown(&two);
}

/* 3.1 (9): counters only grow; "failed" are those that the host cannot serve; by licence status. */
static void t_9_counters(void **state)
{
	static const struct lab_rules servers_only = { .activation_min = 120,
						       .renewal_min = 10080,
						       .products = 1u << 1 };
	struct lab_request rq;
	struct fixture f;

	(void)state;
	setup(&f, &servers_only);
	for (unsigned licence = 0; licence < KMS_LICENCE_COUNT_; licence++) {
		rq = request_of(&f, licence, KMS_THRESHOLD_SERVER);
		rq.licence = licence;
		assert_int_equal(guid_parse(lab_product_find("server")->kms_id, &rq.kms_id), 0);
		for (unsigned i = 0; i <= licence; i++)
			assert_int_equal(send_request(&f, &rq), 0);
	}
	assert_int_equal(guid_parse(lab_product_find("windows")->kms_id, &rq.kms_id), 0);
	assert_int_equal(send_request(&f, &rq), HR_HOST_MISMATCH);
	f.clock.wall_ms += 100 * KMS_DAY_MS; /* ids expire, counters do not */
	assert_int_equal(kms_count_now(&f.h.memory->count, f.clock.wall_ms), 0);
	for (unsigned licence = 0; licence < KMS_LICENCE_COUNT_; licence++)
		assert_int_equal(f.h.memory->totals.by_licence[licence], licence + 1);
	assert_int_equal(f.h.memory->totals.requests, 28 + 1);
	assert_int_equal(f.h.memory->totals.failed, 1);
	teardown(&f);
}

/* 3.1 (10): a host that starts again counts from nothing, where it keeps no state file as this one.
 */
static void t_10_count_begins_anew(void **state)
{
	static const struct lab_rules usual = { .activation_min = 120, .renewal_min = 10080 };
	struct fixture f;

	(void)state;
	setup(&f, NULL);
	for (unsigned i = 1; i <= 30; i++)
		(void)ask(&f, i, KMS_THRESHOLD_CLIENT);
	lab_host_done(&f.h);
	new_host(&f, &usual);
	assert_int_equal(kms_count_now(&f.h.memory->count, T0), 0);
	assert_int_equal(ask(&f, 1, KMS_THRESHOLD_CLIENT), 1);
	teardown(&f);
}

/* A product that the host's key does not cover: 0xC004F042, and no trace in the count. */
static void t_products_of_the_host(void **state)
{
	static const struct {
		uint32_t products;
		const char *asked; /* NULL: an id of nobody's */
		uint32_t hresult;
	} rows[] = {
		{ 0, "windows", HR_OK },
		{ 0, NULL, HR_OK }, /* no list: whatever is asked for */
		{ 1, "windows", HR_OK },
		{ 1, "server", HR_HOST_MISMATCH },
		{ 1, "office", HR_HOST_MISMATCH },
		{ 1, NULL, HR_HOST_MISMATCH },
		{ 6, "windows", HR_HOST_MISMATCH },
		{ 6, "server", HR_OK },
		{ 6, "office", HR_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct lab_rules rules = { .activation_min = 120,
						 .renewal_min = 10080,
						 .products = rows[i].products };
		struct lab_request rq;
		struct fixture f;

		setup(&f, &rules);
		rq = request_of(&f, 1, 25);
		if (rows[i].asked != NULL)
			assert_int_equal(
				guid_parse(lab_product_find(rows[i].asked)->kms_id, &rq.kms_id), 0);
		assert_int_equal(send_request(&f, &rq), rows[i].hresult);
		assert_int_equal(kms_count_now(&f.h.memory->count, T0), rows[i].hresult == 0);
		assert_int_equal(kms_clients_count(&f.h.memory->clients, T0), rows[i].hresult == 0);
		assert_int_equal(f.h.memory->totals.failed, rows[i].hresult != 0);
		teardown(&f);
	}
}

/* A host whose own key is not activated: 0xC004F041 for all, until a reload says otherwise. */
static void t_host_that_is_not_activated(void **state)
{
	struct lab_rules rules = { .activation_min = 15,
				   .renewal_min = 43200,
				   .not_activated = true };
	struct lab_request rq;
	struct fixture f;

	(void)state;
	setup(&f, &rules);
	rq = request_of(&f, 1, 5);
	assert_int_equal(send_request(&f, &rq), HR_HOST_NOT_ACTIVATED);
	assert_int_equal(kms_count_now(&f.h.memory->count, T0), 0);
	assert_int_equal(f.h.memory->totals.failed, 1);
	assert_non_null(strstr(f.event, "0xC004F041"));
	rules.not_activated = false;
	lab_host_set_rules(&f.h, &rules);
	assert_int_equal(ask(&f, 1, 5), 1);
	assert_int_equal(f.rs.activation_min, 15);
	assert_int_equal(f.rs.renewal_min, 43200);
	teardown(&f);
}

/* 3.3: more than four hours between the clocks, either way. Exactly four are taken. */
static void t_clocks(void **state)
{
	static const struct {
		int64_t skew_ms;
		uint32_t hresult;
	} rows[] = {
		{ 0, HR_OK },
		{ 4 * HOUR, HR_OK },
		{ -4 * HOUR, HR_OK },
		{ 4 * HOUR + 1, HR_INVALID_TIMESTAMP },
		{ -4 * HOUR - 1, HR_INVALID_TIMESTAMP },
		{ 10000 * 24 * HOUR, HR_INVALID_TIMESTAMP },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lab_request rq;
		struct fixture f;

		setup(&f, NULL);
		rq = request_of(&f, 1, 25);
		rq.client_time = lab_filetime(T0 + rows[i].skew_ms);
		assert_int_equal(send_request(&f, &rq), rows[i].hresult);
		assert_int_equal(kms_count_now(&f.h.memory->count, T0), rows[i].hresult == 0);
		teardown(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_table_of_thresholds),
		cmocka_unit_test(t_1_one_count_for_all),
		cmocka_unit_test(t_2_count_in_every_answer),
		cmocka_unit_test(t_3_thirty_days),
		cmocka_unit_test(t_4_newest_win),
		cmocka_unit_test(t_5_cloned_image_freezes_the_count),
		cmocka_unit_test(t_6_hosts_count_for_themselves),
		cmocka_unit_test(t_9_counters),
		cmocka_unit_test(t_10_count_begins_anew),
		cmocka_unit_test(t_products_of_the_host),
		cmocka_unit_test(t_host_that_is_not_activated),
		cmocka_unit_test(t_clocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
