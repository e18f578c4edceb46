#include "tests/lib/judge_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

struct rsv_server_view views[JUDGE_VIEWS];
size_t n_views;
struct rsv_audit_result r;

struct dns_name judge_name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

void judge_reset(void)
{
	for (size_t i = 0; i < n_views; i++)
		rsv_set_done(&views[i].set);
	memset(views, 0, sizeof(views));
	n_views = 0;
	free(r.records);
	free(r.findings);
	memset(&r, 0, sizeof(r));
	r.domain = judge_name("corp.example");
	r.servers = views;
}

/** A name server with authority that has no record yet. */
struct rsv_server_view *judge_server(const char *ns, uint32_t serial)
{
	struct rsv_server_view *v = &views[n_views++];

	assert_true(n_views <= JUDGE_VIEWS);
	v->role = RSV_ROLE_NS;
	v->name = judge_name(ns);
	v->is_primary = n_views == 1;
	assert_int_equal(addr_parse("192.0.2.53", (uint16_t)(50 + n_views), &v->addr), 0);
	v->n_addrs = 1;
	v->aa = true;
	v->has_serial = true;
	v->serial = serial;
	v->srv_err = ERR_DNS_NODATA;
	r.n_servers = n_views;
	return v;
}

void judge_add(struct rsv_server_view *v, const char *target, unsigned port, unsigned priority,
	       unsigned weight)
{
	struct rsv_set *s = &v->set;

	v->srv_err = 0;
	s->ttl = 3600;
	s->rec = realloc(s->rec, (s->n + 1) * sizeof(*s->rec));
	assert_non_null(s->rec);
	memset(&s->rec[s->n], 0, sizeof(*s->rec));
	s->rec[s->n].srv.target = judge_name(target);
	s->rec[s->n].srv.port = (uint16_t)port;
	s->rec[s->n].srv.priority = (uint16_t)priority;
	s->rec[s->n].srv.weight = (uint16_t)weight;
	s->rec[s->n].ttl = 3600;
	s->n = rsv_record_canonicalize(s->rec, s->n + 1);
}

struct rsv_expect judge_expect(const char *target, unsigned priority, unsigned weight)
{
	struct rsv_expect e = {
		.target = judge_name(target),
		.port = 1688,
		.has_priority = true,
		.has_weight = true,
		.priority = (uint16_t)priority,
		.weight = (uint16_t)weight,
	};

	return e;
}

/** 198.51.100.N */
static struct addr target_addr(unsigned n)
{
	const uint8_t ip[4] = { 198, 51, 100, (uint8_t)n };
	struct addr a;

	addr_from_v4(&a, ip, 1688);
	return a;
}

/** Servers and records; then every target is up until a test says otherwise. */
struct rsv_judge_input judge_begin(void)
{
	struct rsv_judge_input in;
	enum rsv_agreement agreement;

	memset(&in, 0, sizeof(in));
	in.reference = rsv_judge_servers(views, n_views, NULL, &agreement);
	if (in.reference != RSV_NO_SERVER)
		assert_int_equal(rsv_judge_records(&r, in.reference), 0);
	for (size_t i = 0; i < r.n_records; i++) {
		r.records[i].known = !dns_name_is_root(&r.records[i].rec.srv.target);
		r.records[i].target.n_addrs = 1;
		r.records[i].target.addrs[0] = target_addr((unsigned)i + 1);
		r.records[i].target.probed = true;
		r.records[i].target.probe.state = PROBE_UP;
	}
	return in;
}

static bool found(enum finding_id id)
{
	for (size_t i = 0; i < r.n_findings; i++)
		if (r.findings[i].id == id)
			return true;
	return false;
}

const char *judge_text(enum finding_id id)
{
	for (size_t i = 0; i < r.n_findings; i++)
		if (r.findings[i].id == id)
			return r.findings[i].text;
	return "";
}

/** Exactly these findings, in any order; -1 ends the list. */
void judge_assert_findings(int first, ...)
{
	size_t n = 0;
	va_list ap;

	va_start(ap, first);
	for (int id = first; id != -1; id = va_arg(ap, int), n++)
		if (!found((enum finding_id)id))
			fail_msg("not found: %s", finding_info((enum finding_id)id)->id);
	va_end(ap);
	if (n != r.n_findings)
		for (size_t i = 0; i < r.n_findings; i++)
			print_message("%s: %s\n", finding_info(r.findings[i].id)->id,
				      r.findings[i].text);
	assert_int_equal(n, r.n_findings);
}

/** A healthy zone: two servers, two hosts. */
void judge_healthy(void)
{
	judge_reset();
	for (int i = 0; i < 2; i++) {
		struct rsv_server_view *v = judge_server(i == 0 ? "ns1.example" : "ns2.example", 7);

		judge_add(v, "kms1.corp.example", 1688, 0, 10);
		judge_add(v, "kms2.corp.example", 1688, 10, 0);
	}
}
