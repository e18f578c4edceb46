/* Names and the discovery of a host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "net/host_lookup.h"
#include "tests/faults/fault.h"
#include "tests/lib/discover_fixture.h"
#include "tests/lib/fake_zone.h"

/* Faults that look like silence of a server take an attempt's time of a DNS client. */
static int discover(void)
{
	struct discover_fixture f;
	int err;

	discover_init(&f, discover_corp, N(discover_corp));
	fault_begin();
	discover_start(&f);
	test_net_run_until(&f.t, &f.done);
	fault_end();
	err = f.err;
	if (err == 0 && f.code == 0) {
		assert_true(f.selected);
		/* the other one where nothing could be learned of the first */
		if (strcmp(f.target, "kms1.corp.example:1688") != 0)
			assert_string_equal(f.target, "kms2.corp.example:1689");
	}
	if (err == 0 && f.code != 0)
		err = ERR_NOT_FOUND;
	if (err == 0 && f.json == NULL)
		err = ERR_NOMEM;
	discover_done(&f);
	return err;
}

struct lookup {
	struct test_net t;
	struct fake_dns *server;
	struct fake_zone zone;
	int calls;
	bool done;
	int err;
	size_t n;
};

static void serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct lookup *f = ctx;
	struct fake_reply r;

	(void)s;
	fake_zone_reply(&r, rq, &f->zone);
	fake_dns_send_reply(&rq->from, &r);
}

static void on_found(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct lookup *f = h->owner;

	f->calls++;
	f->done = true;
	f->err = r->err;
	f->n = r->n_addrs;
	memset(h, 0xa5, sizeof(*h));
	free(h);
	fake_dns_free(f->server);
}

static int lookup(void)
{
	static const struct fake_record records[] = {
		{ "alias.z.example", DNS_TYPE_CNAME, 50, "both.z.example" },
		{ "both.z.example", DNS_TYPE_A, 300, "127.0.0.2" },
		{ "both.z.example", DNS_TYPE_AAAA, 200, "::1" },
	};
	struct host_lookup_params p = { .host = "alias.z.example", .port = 1688, .total_ms = 500 };
	struct lookup f = { .zone = { "z.example", records, 3, FAKE_RA, true } };
	struct host_lookup *h = calloc(1, sizeof(*h));

	assert_non_null(h);
	test_net_init(&f.t);
	f.server = fake_dns_new(&f.t, &(struct fake_dns_params){ .on_message = serve, .ctx = &f });
	f.t.net.resolvers[0] = *fake_dns_addr(f.server);
	f.t.net.n_resolvers = 1;
	h->owner = &f;
	fault_begin();
	host_lookup_start(h, &f.t.net, &p, on_found);
	assert_int_equal(f.calls, 0);
	test_net_run_until(&f.t, &f.done);
	fault_end();
	test_net_done(&f.t);
	assert_int_equal(f.calls, 1);
	if (f.err == 0)
		assert_true(f.n >= 1); /* one family is enough to go on with */
	return f.err;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "host_lookup", .run = lookup },
	{ .name = "discover", .run = discover },
};

int main(void)
{
	return fault_run("fault_resolve", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
