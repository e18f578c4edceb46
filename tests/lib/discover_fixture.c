#include "tests/lib/discover_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static void on_done(struct rsv_discover *d, const struct rsv_discovery *r)
{
	struct discover_fixture *f = d->owner;
	char name[DNSNAME_TEXT_MAX];

	f->calls++;
	f->done = true;
	f->err = r->err;
	f->code = r->code;
	f->selected = r->has_selected;
	f->source = r->selected.source;
	f->n_cand = r->n_cand;
	f->n_queries = r->queries.n;
	f->n_steps = r->n_steps;
	f->keep_s = r->keep_s;
	f->n_attempts = r->n_attempts;
	for (size_t i = 0; i < r->n_attempts && i < 8; i++)
		f->attempt[i] = r->attempts[i];
	f->n_domains = r->n_domains;
	for (size_t i = 0; i < r->n_domains && i < 3; i++)
		f->suffix[i] = r->suffix[i];
	if (r->has_selected) {
		snprintf(f->target, sizeof(f->target), "%.40s:%u", r->selected.target,
			 (unsigned)r->selected.port);
		addr_format(&r->selected.addr, f->addr);
	}
	for (size_t i = 0; i < r->n_cand && i < 8; i++) {
		size_t used = strlen(f->order);

		snprintf(f->order + used, sizeof(f->order) - used, "%.40s ",
			 dns_name_format(&r->cand[i].rec.srv.target, name));
	}
	f->json = rsv_discover_report(r);
	memset(d, 0xa5, sizeof(*d));
	free(d);
	fake_dns_free(f->server);
}

void discover_init(struct discover_fixture *f, const struct auth_row *rows, size_t n_rows)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->zone.apex = ".";
	f->zone.not_authoritative = true;
	f->zone.rows = rows;
	f->zone.n_rows = n_rows;
	f->server = auth_zone_start(&f->t, NULL, 0, &f->zone);
	f->t.net.resolvers[0] = *fake_dns_addr(f->server);
	f->t.net.n_resolvers = 1;
	fake_prober_init(&f->prober);
	rsv_cache_init(&f->cache);
	rng_init_seed(&f->rng, 1);
	assert_int_equal(dns_name_parse("corp.example", &f->suffixes[0]), 0);
	assert_int_equal(dns_name_parse("dept.example", &f->suffixes[1]), 0);
	assert_int_equal(dns_name_parse("corp.example", &f->suffixes[2]), 0);
	f->p.suffixes = f->suffixes;
	f->p.n_suffixes = 1;
	f->p.prober = &f->prober.prober;
	f->p.rng = &f->rng;
}

void discover_start(struct discover_fixture *f)
{
	f->d = calloc(1, sizeof(*f->d));
	assert_non_null(f->d);
	f->d->owner = f;
	rsv_discover_start(f->d, &f->t.net, &f->p, on_done);
	assert_int_equal(f->calls, 0);
}

void discover_done(struct discover_fixture *f)
{
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
	json_decref(f->json);
}

void discover_run(struct discover_fixture *f)
{
	discover_start(f);
	test_net_run_until(&f->t, &f->done);
	assert_int_equal(f->err, 0);
}

const struct auth_row discover_corp[5] = {
	{ CORP, DNS_TYPE_SRV, "kms2.corp.example", .port = 1689, .priority = 10 },
	{ CORP, DNS_TYPE_SRV, "kms1.corp.example", .port = 1688 },
	{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.11", .ttl = 60 },
	{ "kms1.corp.example", DNS_TYPE_A, "127.0.0.12", .ttl = 60 },
	{ "kms2.corp.example", DNS_TYPE_A, "127.0.0.21", .ttl = 60 },
};
