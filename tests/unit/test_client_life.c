/* A year of one client, event by event: the client of `client ato` and the host of mode lab, under
 * one clock that jumps from one thing due to the next (behaviour §3.2). Nothing waits: a year takes
 * some milliseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <time.h>

#include "common/hresult.h"
#include "kmscore/lab_client.h"
#include "kmscore/lab_host.h"
#include "tests/lib/test_net.h"

#define T0     INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */
#define HOUR   INT64_C(3600000)
#define DAY(n) (T0 + (n)*KMS_DAY_MS)

struct life {
	struct lab_client c;
	struct lab_host host;
	struct lab_key key;
	struct rng rng;
	struct fake_clock clock;
	struct addr at;
	unsigned others; /* machines that the host hears of before each attempt */
	bool host_is_away;
	/* what has happened */
	unsigned attempts, activations, too_few, unreached;
	int64_t last_gap_ms; /* between the last two attempts */
	int64_t last_attempt_ms;
	int64_t entered_ms[KMS_LICENCE_COUNT_]; /* when each status began last */
};

static uint64_t fake_mono(void *ctx)
{
	return ((struct fake_clock *)ctx)->mono_ms;
}

static int64_t fake_wall(void *ctx)
{
	return ((struct fake_clock *)ctx)->wall_ms;
}

static void setup(struct life *l, const char *product, uint32_t activation_min,
		  uint32_t renewal_min)
{
	static const uint8_t raw[LAB_KEY_LEN] = { 9 };
	struct lab_host_params p = { .key = &l->key,
				     .rules = { .activation_min = activation_min,
						.renewal_min = renewal_min },
				     .clock = &l->clock.clock,
				     .rng = &l->rng };

	memset(l, 0, sizeof(*l));
	l->clock.clock = (struct clock){ fake_mono, fake_wall, &l->clock };
	l->clock.wall_ms = T0;
	rng_init_seed(&l->rng, 11);
	assert_int_equal(lab_key_derive(raw, &l->key), 0);
	lab_host_init(&l->host, &p);
	l->at = test_addr("127.0.0.1:1688");
	lab_client_init(&l->c, lab_product_find(product), "pc1.corp.example", &l->rng, T0);
}

static void teardown(struct life *l)
{
	lab_host_done(&l->host);
}

static void crowd(struct life *l)
{
	for (unsigned i = 0; i < l->others; i++) {
		struct guid g = { { 0xee, (uint8_t)(i >> 8), (uint8_t)i } };

		(void)kms_count_add(&l->host.memory->count, &g, l->c.product->n_policy,
				    l->clock.wall_ms);
	}
}

/** One attempt, as client_ato makes it. */
static void attempt(struct life *l)
{
	int64_t now = l->clock.wall_ms;
	uint8_t body[LAB_REQUEST_LEN];
	struct lab_pending pending;
	struct lab_answer a;
	struct lab_verdict v;

	l->attempts++;
	l->last_gap_ms = now - l->last_attempt_ms;
	l->last_attempt_ms = now;
	if (l->host_is_away) {
		l->unreached++;
		lab_client_failed(&l->c, HR_BINDING_SERVICE_UNAVAILABLE, now);
		return;
	}
	crowd(l);
	assert_int_equal(lab_client_request(&l->c, &l->key, &l->rng, now, &pending, body), 0);
	lab_host_request(&l->host, &l->at, body, sizeof(body), &a);
	lab_client_answer(&l->c, &l->key, &pending, 0, a.hresult, a.body_len > 0 ? a.body : NULL,
			  a.body_len, "kms1.corp.example", &l->at, now, &v);
	if (v.hresult == HR_OK) {
		l->activations++;
		return;
	}
	assert_int_equal(v.hresult, HR_NOT_ENOUGH_COUNT);
	l->too_few++;
	lab_client_failed(&l->c, v.hresult, now);
}

/** Live until @p until_ms: the clock jumps to whatever is due next, and to nothing in between. */
static void live_until(struct life *l, int64_t until_ms)
{
	for (unsigned steps = 0; steps < 100000; steps++) {
		enum kms_licence before = l->c.licence;
		int64_t next = l->c.next_attempt_ms;

		if (l->c.expires_ms != 0 && l->c.expires_ms < next)
			next = l->c.expires_ms;
		if (next >= until_ms)
			break;
		if (next > l->clock.wall_ms)
			l->clock.wall_ms = next;
		(void)lab_client_advance(&l->c, l->clock.wall_ms);
		if (l->clock.wall_ms >= l->c.next_attempt_ms)
			attempt(l);
		if (l->c.licence != before)
			l->entered_ms[l->c.licence] = l->clock.wall_ms;
	}
	l->clock.wall_ms = until_ms;
	(void)lab_client_advance(&l->c, until_ms);
}

static double now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Waits for the count, is activated, renews, loses its host for months, is nagged, and comes back.
 */
static void t_a_year(void **state)
{
	double started = now_ms();
	int64_t last_renewal;
	struct life l;

	(void)state;
	setup(&l, "windows", KMS_ACTIVATION_MIN, KMS_RENEWAL_MIN);

	/* Three days with too few machines: 36 attempts, every two hours, in the first grace. */
	l.others = 23;
	live_until(&l, DAY(3));
	assert_int_equal(l.too_few, 36);
	assert_int_equal(l.last_gap_ms, 2 * HOUR);
	assert_int_equal(l.c.licence, KMS_OOB_GRACE);
	assert_int_equal(lab_client_minutes_left(&l.c, DAY(3)), 27 * 1440);
	assert_int_equal(l.c.last_code, HR_NOT_ENOUGH_COUNT);

	/* One more machine: licensed with the next attempt, then a renewal every seven days. */
	l.others = 24;
	live_until(&l, DAY(60));
	assert_int_equal(l.c.licence, KMS_LICENSED);
	assert_int_equal(l.entered_ms[KMS_LICENSED], DAY(3));
	assert_int_equal(l.activations, 9); /* days 3, 10 ... 59 */
	assert_int_equal(l.last_gap_ms, 7 * KMS_DAY_MS);
	last_renewal = l.last_attempt_ms;
	assert_int_equal(last_renewal, DAY(59));
	assert_int_equal(l.c.expires_ms, last_renewal + KMS_VALIDITY_MS);

	/* The host goes. Renewal is tried every two hours; nobody notices for 180 days. */
	l.host_is_away = true;
	live_until(&l, last_renewal + KMS_VALIDITY_MS - 1);
	assert_int_equal(l.c.licence, KMS_LICENSED);
	assert_int_equal(l.last_gap_ms, 2 * HOUR);
	assert_int_equal(l.unreached, (180 - 7) * 12);
	assert_int_equal(l.c.last_code, HR_BINDING_SERVICE_UNAVAILABLE);

	/* 30 days out of tolerance, then notification, for as long as it takes. */
	live_until(&l, last_renewal + KMS_VALIDITY_MS + 1);
	assert_int_equal(l.c.licence, KMS_OOT_GRACE);
	live_until(&l, last_renewal + KMS_VALIDITY_MS + KMS_GRACE_MS - 1);
	assert_int_equal(l.c.licence, KMS_OOT_GRACE);
	assert_int_equal(lab_client_minutes_left(&l.c, l.clock.wall_ms), 1);
	live_until(&l, DAY(300));
	assert_int_equal(l.c.licence, KMS_NOTIFICATION);
	assert_int_equal(l.entered_ms[KMS_NOTIFICATION], DAY(59 + 180 + 30));
	assert_int_equal(l.c.notification_reason, HR_GRACE_EXPIRED);
	assert_int_equal(lab_client_minutes_left(&l.c, l.clock.wall_ms), 0);

	/* The host is back: licensed within two hours, and from then on as before. */
	l.host_is_away = false;
	live_until(&l, DAY(300) + 2 * HOUR + 1);
	assert_int_equal(l.c.licence, KMS_LICENSED);
	assert_int_equal(l.c.notification_reason, 0);
	assert_int_equal(lab_client_minutes_left(&l.c, l.entered_ms[KMS_LICENSED]), 180 * 1440);
	live_until(&l, DAY(365));
	assert_int_equal(l.c.licence, KMS_LICENSED);
	assert_int_equal(l.activations, 9 + 10);
	assert_int_equal(l.last_gap_ms, 7 * KMS_DAY_MS);
	teardown(&l);
	print_message("a year, %u attempts: %.1f ms\n", l.attempts, now_ms() - started);
}

/* Never enough machines: 30 days of grace, then notification; it goes on asking. */
static void t_grace_runs_out(void **state)
{
	struct life l;

	(void)state;
	setup(&l, "office", KMS_ACTIVATION_MIN, KMS_RENEWAL_MIN);
	l.others = 3;
	live_until(&l, DAY(40));
	assert_int_equal(l.c.licence, KMS_NOTIFICATION);
	assert_int_equal(l.entered_ms[KMS_NOTIFICATION], DAY(30));
	assert_int_equal(l.c.notification_reason, HR_GRACE_EXPIRED);
	assert_int_equal(l.too_few, 40 * 12);
	l.others = 4;
	live_until(&l, DAY(41));
	assert_int_equal(l.c.licence, KMS_LICENSED);
	teardown(&l);
}

/* Its own intervals until a host has answered; then the host's, also where the count is too low;
 * and a host that changes them is followed. */
static void t_intervals_are_the_hosts(void **state)
{
	struct lab_rules rules = { .activation_min = 15, .renewal_min = 43200 };
	struct life l;

	(void)state;
	setup(&l, "server", 30, 1440);
	l.host_is_away = true;
	live_until(&l, DAY(1));
	assert_int_equal(l.last_gap_ms, 2 * HOUR); /* nobody said otherwise */
	l.host_is_away = false;
	live_until(&l, DAY(2));
	assert_int_equal(l.last_gap_ms, HOUR / 2);
	l.others = 4;
	live_until(&l, DAY(5));
	assert_int_equal(l.c.licence, KMS_LICENSED);
	assert_int_equal(l.last_gap_ms, KMS_DAY_MS);
	lab_host_set_rules(&l.host, &rules);
	live_until(&l, DAY(100));
	assert_int_equal(l.last_gap_ms, 30 * KMS_DAY_MS);
	l.host_is_away = true; /* a failed renewal is repeated at the activation interval */
	live_until(&l, DAY(140));
	assert_int_equal(l.last_gap_ms, HOUR / 4);
	teardown(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_a_year),
		cmocka_unit_test(t_grace_runs_out),
		cmocka_unit_test(t_intervals_are_the_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
