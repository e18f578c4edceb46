/* The questions of net/ad.h, over a socket. */
#include "net/ad_lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/fake_zone.h"

#define Z     "corp.example"
#define DC_OF "_ldap._tcp.dc._msdcs."

static const struct fake_record of_ad[] = {
	{ Z, DNS_TYPE_SOA, 300, "dc1." Z " 7" },
	{ DC_OF Z, DNS_TYPE_SRV, 600, "0 100 389 dc1." Z },
};
static const struct fake_record of_bind[] = {
	{ Z, DNS_TYPE_SOA, 300, "ns1." Z " 7" },
	{ DC_OF Z, DNS_TYPE_SRV, 600, "0 100 389 dc1." Z },
};

struct fixture {
	struct test_net t;
	struct fake_dns *server;
	struct fake_zone zone;
	struct ad_lookup *l;
	bool silent;
	bool done, is_ad;
	int calls, err;
	unsigned questions;
	struct dns_name mname;
};

static struct dns_name name(const char *text)
{
	struct dns_name n = { 0 };

	if (text != NULL)
		assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static void serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fixture *f = ctx;
	struct fake_reply r;

	(void)s;
	f->questions++;
	if (f->silent)
		return;
	fake_zone_reply(&r, rq, &f->zone);
	fake_dns_send_reply(&rq->from, &r);
}

static void on_done(struct ad_lookup *l, int err, const struct net_ad *ad)
{
	struct fixture *f = l->owner;

	f->calls++;
	f->done = true;
	f->err = err;
	f->is_ad = ad != NULL;
	if (ad != NULL)
		f->mname = ad->mname;
	memset(l, 0xa5, sizeof(*l));
	free(l);
	fake_dns_free(f->server);
}

static void start(struct fixture *f, const struct fake_record *records, bool has_resolver,
		  const char *zone, const char *mname)
{
	struct ad_lookup_params p = { .name = name(Z), .zone = name(zone), .mname = name(mname) };

	test_net_init(&f->t);
	f->zone = (struct fake_zone){ NULL, records, 2, FAKE_RA, true };
	f->server = fake_dns_new(&f->t, &(struct fake_dns_params){ .on_message = serve, .ctx = f });
	f->t.net.resolvers[0] = *fake_dns_addr(f->server);
	f->t.net.n_resolvers = has_resolver;
	f->l = calloc(1, sizeof(*f->l));
	assert_non_null(f->l);
	f->l->owner = f;
	ad_lookup_start(f->l, &f->t.net, &p, on_done);
	assert_int_equal(f->calls, 0);
}

static void finish(struct fixture *f)
{
	test_net_run_until(&f->t, &f->done);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

static void t_answers(void **state)
{
	static const struct {
		const struct fake_record *records;
		const char *zone, *mname;
		bool has_resolver, is_ad;
		unsigned questions;
	} rows[] = {
		{ of_ad, NULL, NULL, true, true, 2 },    { of_ad, Z, "dc1." Z, true, true, 1 },
		{ of_bind, NULL, NULL, true, false, 2 }, { of_bind, Z, "ns1." Z, true, false, 1 },
		{ of_ad, NULL, NULL, false, false, 0 }, /* nobody to ask */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f = { 0 };
		struct dns_name dc = name("dc1." Z);

		start(&f, rows[i].records, rows[i].has_resolver, rows[i].zone, rows[i].mname);
		finish(&f);
		assert_int_equal(f.err, 0);
		assert_int_equal(f.is_ad, rows[i].is_ad);
		assert_int_equal(f.questions, rows[i].questions);
		if (f.is_ad)
			assert_true(dns_name_equal(&f.mname, &dc));
	}
}

/* Nobody answers: it ends by itself, with what it knows. */
static void t_total_time(void **state)
{
	struct fixture f = { 0 };

	(void)state;
	f.silent = true;
	start(&f, of_ad, true, NULL, NULL);
	test_net_step(&f.t);
	/* the time has come */
	assert_int_equal(uv_timer_start(&f.l->timer, f.l->timer.timer_cb, 0, 0), 0);
	finish(&f);
	assert_int_equal(f.err, 0);
	assert_false(f.is_ad);
	assert_true(f.questions <= 1);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 12; steps++) {
		struct fixture f = { .silent = steps % 2 != 0 };

		start(&f, of_ad, true, NULL, NULL);
		for (int i = 0; i < steps && !f.done; i++)
			test_net_step(&f.t);
		if (!f.done) {
			ad_lookup_cancel(f.l);
			ad_lookup_cancel(f.l);
			assert_int_equal(f.calls, 0);
			finish(&f);
			assert_true(f.err == ERR_CANCELED || f.is_ad); /* it had just ended */
		} else {
			finish(&f);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_answers),
		cmocka_unit_test(t_total_time),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
