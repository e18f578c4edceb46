#include "tests/lib/pub_site.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/config.h"

#define AD_LABELS "_ldap._tcp.dc._msdcs."

static const char *const server_ip[SITE_SERVERS] = { "127.0.0.1", "127.0.0.2", "127.0.0.3" };

/* "x.y.d7.test" -> 7 */
static int zone_of(const char *name)
{
	const char *end = strstr(name, ".test");
	const char *at = end;

	if (end == NULL || end[5] != '\0')
		return -1;
	while (at > name && at[-1] != '.')
		at--;
	return *at == 'd' ? (int)strtol(at + 1, NULL, 10) % PUB_SITE_ZONES : -1;
}

static void serve_question(struct pub_site_server *v, const struct fake_dns_request *rq, int zone)
{
	struct pub_site_set *set = &v->sets[zone];
	struct auth_row rows[PUB_SITE_RECORDS + 9];
	char apex[32], owner[64], ns1[40], ns2[40], kms1[40], kms2[40], alias[64];
	char dc[64];
	struct auth_zone z = { .apex = apex,
			       .mname = ns1,
			       .serial = set->serial,
			       .rows = rows,
			       .not_authoritative = v->resolver };
	size_t n = 0;

	snprintf(apex, sizeof(apex), "d%d.test", zone);
	snprintf(owner, sizeof(owner), "_vlmcs._tcp.%s", apex);
	snprintf(ns1, sizeof(ns1), "ns1.%s", apex);
	snprintf(dc, sizeof(dc), AD_LABELS "%s", apex);
	snprintf(ns2, sizeof(ns2), "ns2.%s", apex);
	snprintf(kms1, sizeof(kms1), "kms1.%s", apex);
	snprintf(kms2, sizeof(kms2), "kms2.%s", apex);
	snprintf(alias, sizeof(alias), "alias.%s", apex);
	rows[n++] = (struct auth_row){ apex, DNS_TYPE_NS, ns1, 0, 0, 0, 60 };
	rows[n++] = (struct auth_row){ apex, DNS_TYPE_NS, ns2, 0, 0, 0, 60 };
	rows[n++] = (struct auth_row){ ns1, DNS_TYPE_A, "127.0.0.2", 0, 0, 0, 60 };
	rows[n++] = (struct auth_row){ ns2, DNS_TYPE_A, "127.0.0.3", 0, 0, 0, 60 };
	rows[n++] = (struct auth_row){ kms1, DNS_TYPE_A, v->site->host_ip, 0, 0, 0, 60 };
	rows[n++] = (struct auth_row){ kms2, DNS_TYPE_A, v->site->host_ip, 0, 0, 0, 60 };
	rows[n++] = (struct auth_row){ alias, DNS_TYPE_CNAME, kms1, 0, 0, 0, 60 };
	if (set->cname != NULL)
		rows[n++] = (struct auth_row){ owner, DNS_TYPE_CNAME, set->cname, 0, 0, 0, 60 };
	if (v->is_controller)
		rows[n++] = (struct auth_row){ dc, DNS_TYPE_SRV, ns1, 389, 0, 100, 60 };
	for (size_t i = 0; i < set->n; i++)
		rows[n++] = (struct auth_row){ set->cname != NULL ? set->cname : owner,
					       DNS_TYPE_SRV,
					       set->srv[i].target,
					       set->srv[i].port,
					       set->srv[i].priority,
					       set->srv[i].weight,
					       set->ttl };
	z.n_rows = n;
	auth_zone_serve(v->dns, rq, &z);
}

static bool same(const struct pub_site_set *set, size_t i, const struct dns_srv *srv)
{
	char target[DNSNAME_TEXT_MAX];

	return set->srv[i].priority == srv->priority && set->srv[i].weight == srv->weight &&
	       set->srv[i].port == srv->port &&
	       strcmp(set->srv[i].target, dns_name_format(&srv->target, target)) == 0;
}

static size_t find(const struct pub_site_set *set, const struct dns_srv *srv)
{
	size_t i;

	for (i = 0; i < set->n && !same(set, i, srv); i++)
		;
	return i;
}

/* RFC 2136 §2.4.2: the set must be exactly this one. */
static bool prereq_holds(const struct pub_site_set *set, const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_ANSWER, &n);

	if (n == 0)
		return true;
	if (n != set->n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (find(set, &rrs[i].data.srv) == set->n)
			return false;
	return true;
}

static void apply(struct pub_site_server *v, struct pub_site_set *set, const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_AUTHORITY, &n);
	char target[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < n; i++) {
		size_t at = find(set, &rrs[i].data.srv);

		assert_int_equal(rrs[i].type, DNS_TYPE_SRV);
		if (rrs[i].rclass == DNS_CLASS_NONE) {
			assert_int_equal(rrs[i].ttl, 0);
			if (at < set->n && !v->brings_back)
				set->srv[at] = set->srv[--set->n];
			continue;
		}
		assert_int_equal(rrs[i].rclass, DNS_CLASS_IN);
		if (at == set->n) {
			assert_true(set->n < PUB_SITE_RECORDS);
			set->srv[at].priority = rrs[i].data.srv.priority;
			set->srv[at].weight = rrs[i].data.srv.weight;
			set->srv[at].port = rrs[i].data.srv.port;
			dns_name_format(&rrs[i].data.srv.target, target);
			snprintf(set->srv[at].target, sizeof(set->srv[at].target), "%.63s", target);
			set->n++;
		}
		set->ttl = v->max_ttl != 0 && rrs[i].ttl > v->max_ttl ? v->max_ttl : rrs[i].ttl;
	}
	set->serial++;
	v->changes = (unsigned)n;
}

static void follow(struct pub_site *s)
{
	struct pub_site_server *sec = &s->servers[SITE_SECONDARY];

	if (!sec->frozen)
		memcpy(sec->sets, s->servers[SITE_PRIMARY].sets, sizeof(sec->sets));
}

/* Intent before the update: each row is there, says what is about to happen, and is written. */
static void check_journal(struct pub_site *s, const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_AUTHORITY, &n);

	for (size_t i = 0; i < n; i++) {
		struct pub_set *set = pub_journal_find(s->journal, &m->qname, "", &rrs[i].owner);
		const struct pub_rec *rec = NULL;

		for (size_t k = 0; set != NULL && k < set->n_recs; k++)
			if (dns_srv_equal(&set->recs[k].srv, &rrs[i].data.srv))
				rec = &set->recs[k];
		if (rec == NULL || rec->dirty)
			fail_msg("an UPDATE left before its intent was journaled");
		assert_true(rec->state == PUB_REC_PUBLISHED || /* its TTL is changed */
			    rec->state == (rrs[i].rclass == DNS_CLASS_NONE ? PUB_REC_INTENT_DELETE
									   : PUB_REC_INTENT_ADD));
	}
}

static void serve_update(struct pub_site_server *v, const struct fake_dns_request *rq, int zone)
{
	struct pub_site_set *set = &v->sets[zone];
	unsigned rcode = v->update_rcode;
	struct fake_reply r;

	if (v->updates++ == 0)
		v->first_update_ms = uv_now(&v->site->t.loop);
	if (uv_now(&v->site->t.loop) < v->first_update_ms + v->delay_ms)
		v->early_updates++;
	if (v->site->check_journal && v->site->journal != NULL)
		check_journal(v->site, rq->msg);
	if (rcode == 0 && !prereq_holds(set, rq->msg))
		rcode = DNS_RCODE_NXRRSET;
	if (rcode == 0 && !v->ignores_updates) {
		apply(v, set, rq->msg);
		follow(v->site);
	}
	if (v->loses_answers) {
		v->loses_answers = false;
		return;
	}
	fake_reply_begin(&r, rq, rcode, 0);
	if (v->delay_ms > 0)
		fake_dns_send_after(&rq->from, &r, v->delay_ms);
	else
		fake_dns_send_reply(&rq->from, &r);
}

static void serve(struct fake_dns *f, const struct fake_dns_request *rq, void *ctx)
{
	struct pub_site_server *v = ctx;
	char name[DNSNAME_TEXT_MAX];
	struct fake_reply r;
	int zone;

	(void)f;
	if (rq->msg == NULL || v->silent || (v->instead != NULL && v->instead(v, rq)))
		return;
	dns_name_format(&rq->msg->qname, name);
	zone = zone_of(name);
	if (zone >= 0 && zone == v->silent_zone)
		return;
	if (rq->msg->opcode == DNS_OPCODE_UPDATE) {
		assert_true(zone >= 0);
		serve_update(v, rq, zone);
		return;
	}
	if (strncmp(name, AD_LABELS, strlen(AD_LABELS)) == 0) {
		v->ad++;
		if (v->silent_about_ad)
			return;
	}
	v->srv += rq->msg->qtype == DNS_TYPE_SRV;
	v->soa += rq->msg->qtype == DNS_TYPE_SOA;
	v->other += rq->msg->qtype != DNS_TYPE_SRV && rq->msg->qtype != DNS_TYPE_SOA;
	if (v->rcode != 0 || zone < 0) {
		fake_reply_begin(&r, rq, v->rcode != 0 ? v->rcode : DNS_RCODE_REFUSED, 0);
		fake_dns_send_reply(&rq->from, &r);
		return;
	}
	if (v->resolver) /* has no cache: knows what the primary knows */
		memcpy(&v->sets[zone], &v->site->servers[SITE_PRIMARY].sets[zone],
		       sizeof(v->sets[zone]));
	if (zone == v->late_zone && rq->msg->qtype == DNS_TYPE_SRV) {
		v->late_zone = -1;
		fake_reply_begin(&r, rq, DNS_RCODE_NXDOMAIN, FAKE_AA);
		fake_dns_send_after(&rq->from, &r, PUB_SITE_LATE_MS);
		return;
	}
	serve_question(v, rq, zone);
	if (rq->msg->qtype == DNS_TYPE_SRV && v->thaw_after > 0 && --v->thaw_after == 0) {
		v->frozen = false;
		follow(v->site);
	}
}

static void on_wake(uv_async_t *a)
{
	struct pub_site *s = a->data;

	store_dispatch(s->store);
}

static void wake(void *ctx)
{
	struct pub_site *s = ctx;

	(void)uv_async_send(&s->wake);
}

static void open_state(struct pub_site *s)
{
	static const struct store_schema *const schemas[] = { &pub_journal_schema };
	struct err_info info;
	bool damaged;

	assert_int_equal(store_new(s->path, schemas, 1, wake, s, &s->store, &damaged, &info), 0);
	assert_false(damaged);
	assert_int_equal(pub_journal_new(s->store, &s->journal, &info), 0);
}

static void close_state(struct pub_site *s)
{
	store_free(s->store);
	pub_journal_free(s->journal);
}

void pub_site_restart(struct pub_site *s)
{
	close_state(s);
	open_state(s);
}

void pub_site_serve(struct pub_site *s)
{
	memset(s, 0, sizeof(*s));
	s->host_ip = "127.0.0.9";
	test_net_init(&s->t);
	for (int i = 0; i < SITE_SERVERS; i++) {
		struct pub_site_server *v = &s->servers[i];
		struct fake_dns_params p = {
			.ip = server_ip[i], .port = s->port, .on_message = serve, .ctx = v
		};

		v->site = s;
		v->resolver = i == SITE_RESOLVER;
		v->silent_zone = -1;
		v->late_zone = -1;
		for (int z = 0; z < PUB_SITE_ZONES; z++)
			v->sets[z].serial = 1;
		v->dns = fake_dns_new(&s->t, &p);
		s->port = addr_port(fake_dns_addr(v->dns));
	}
	s->t.net.dns_port = s->port;
	s->t.net.resolvers[0] = *fake_dns_addr(s->servers[SITE_RESOLVER].dns);
	s->t.net.n_resolvers = 1;
}

void pub_site_unserve(struct pub_site *s)
{
	for (int i = 0; i < SITE_SERVERS; i++)
		fake_dns_free(s->servers[i].dns);
	test_net_done(&s->t);
}

void pub_site_init(struct pub_site *s)
{
	pub_site_serve(s);
	s->check_journal = true;
	assert_int_equal(uv_async_init(&s->t.loop, &s->wake, on_wake), 0);
	s->wake.data = s;
	uv_unref((uv_handle_t *)&s->wake);
	/* in memory, where there is such a folder: hundreds of these are made */
	snprintf(s->dir, sizeof(s->dir), "%s/pub_site.XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/state.db", s->dir);
	open_state(s);
}

void pub_site_done(struct pub_site *s)
{
	close_state(s);
	uv_close((uv_handle_t *)&s->wake, NULL);
	pub_targets_unref(s->targets);
	pub_site_unserve(s);
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(rmdir(s->dir), 0);
}

void pub_site_configure(struct pub_site *s, const char *yaml)
{
	struct config_errors errs = { 0 };
	struct err_info info;
	struct config *cfg;

	if (config_parse(yaml, strlen(yaml), "test", &cfg, &errs) != 0)
		fail_msg("%s", errs.errors[0].text);
	config_errors_done(&errs);
	pub_targets_unref(s->targets);
	if (pub_targets_from_config(cfg, NULL, 1688, &s->targets, &info) != 0)
		fail_msg("%s", info.text);
	config_free(cfg);
}

void pub_site_configure_many(struct pub_site *s, unsigned n)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(buf_printf(&b, "%s", HOSTS "publish:\n  domains:\n"), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			buf_printf(&b, "    - { domain: d%u.test, lab: true, hosts: [one] }\n", i),
			0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	pub_site_configure(s, (const char *)b.data);
	buf_done(&b);
}

void pub_site_add(struct pub_site *s, unsigned zone, uint16_t priority, uint16_t weight,
		  uint16_t port, const char *target, uint32_t ttl)
{
	struct pub_site_set *set = &s->servers[SITE_PRIMARY].sets[zone];

	set->srv[set->n].priority = priority;
	set->srv[set->n].weight = weight;
	set->srv[set->n].port = port;
	snprintf(set->srv[set->n].target, sizeof(set->srv[set->n].target), "%s", target);
	set->n++;
	set->ttl = ttl;
	set->serial++;
	follow(s);
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

const char *pub_site_show(struct pub_site *s, unsigned zone)
{
	static char out[1024];
	const struct pub_site_set *set = &s->servers[SITE_PRIMARY].sets[zone];
	char lines[PUB_SITE_RECORDS][128];
	size_t len = 0;

	for (size_t i = 0; i < set->n; i++)
		snprintf(lines[i], sizeof(lines[i]), "%u %u %u %s", set->srv[i].priority,
			 set->srv[i].weight, set->srv[i].port, set->srv[i].target);
	qsort(lines, set->n, sizeof(lines[0]), compare_text);
	out[0] = '\0';
	for (size_t i = 0; i < set->n; i++)
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%s", i > 0 ? " | " : "",
					lines[i]);
	return out;
}

void pub_site_reset_counts(struct pub_site *s)
{
	for (int i = 0; i < SITE_SERVERS; i++) {
		s->servers[i].updates = 0;
		s->servers[i].srv = 0;
		s->servers[i].soa = 0;
		s->servers[i].other = 0;
		s->servers[i].changes = 0;
		s->servers[i].ad = 0;
	}
}

/* ---- runs ---- */

static void copy_result(struct pub_site_result *to, const struct pub_result *r)
{
	char srv[DNS_SRV_TEXT_MAX], name[DNSNAME_TEXT_MAX];
	size_t len = 0;

	memset(to, 0, sizeof(*to));
	snprintf(to->domain, sizeof(to->domain), "%.60s", dns_name_format(&r->domain, name));
	snprintf(to->view, sizeof(to->view), "%s", r->view);
	to->state = r->state;
	to->rcode = r->rcode;
	to->has_rcode = r->has_rcode;
	to->hresult = r->hresult;
	memcpy(to->hint, r->hint, sizeof(to->hint));
	for (size_t i = 0; i < r->n_changes; i++) {
		const struct pub_change *c = &r->changes[i];

		dns_srv_format(&c->srv, srv);
		len += (size_t)snprintf(to->changes + len, sizeof(to->changes) - len, "%s%s%.80s",
					i > 0 ? " | " : "", c->op == PUB_ADD ? "+" : "-", srv);
		if (c->op == PUB_ADD)
			len += (size_t)snprintf(to->changes + len, sizeof(to->changes) - len,
						" @%u", c->ttl_s);
	}
	len = 0;
	for (size_t i = 0; i < r->n_findings; i++)
		len += (size_t)snprintf(to->findings + len, sizeof(to->findings) - len, "%s%s",
					i > 0 ? " " : "", finding_info(r->findings[i].id)->id);
	len = 0;
	for (size_t i = 0; i < r->n_proof; i++) {
		dns_name_format(&r->proof[i].name, name);
		name[strcspn(name, ".")] = '\0';
		len += (size_t)snprintf(to->proof + len, sizeof(to->proof) - len, "%s%s:%s",
					i > 0 ? " " : "", name,
					pub_proof_state_name(r->proof[i].state));
		to->n_serials += r->proof[i].has_serial;
	}
}

static void on_done(struct pub_reconcile *r, int err, const struct pub_result *results, size_t n)
{
	struct pub_site_run *run = r->owner;

	run->calls++;
	run->err = err;
	run->n = n;
	for (size_t i = 0; i < n; i++)
		copy_result(&run->results[i], &results[i]);
	run->done = true;
	memset(r, 0xa5, sizeof(*r));
	free(r);
	run->reconcile = NULL;
}

void pub_site_start(struct pub_site *s, struct pub_site_run *run,
		    const struct pub_reconcile_params *p)
{
	memset(run, 0, sizeof(*run));
	run->site = s;
	run->reconcile = calloc(1, sizeof(*run->reconcile));
	assert_non_null(run->reconcile);
	run->reconcile->owner = run;
	pub_reconcile_start(run->reconcile, &s->t.net, p, on_done);
	assert_int_equal(run->calls, 0);
}

void pub_site_run(struct pub_site *s, struct pub_site_run *run, const struct pub_request *rq,
		  struct pub_zone_cache *zones, const struct pub_health *health)
{
	struct pub_reconcile_params p = { .targets = s->targets,
					  .request = *rq,
					  .journal = s->journal,
					  .zones = zones,
					  .health = health };

	pub_site_start(s, run, &p);
	uv_ref((uv_handle_t *)&s->wake);
	test_net_run_until(&s->t, &run->done);
	uv_unref((uv_handle_t *)&s->wake);
	assert_int_equal(run->calls, 1);
}

const struct pub_request pub_site_publish = { .mode = PUB_PUBLISH };
const struct pub_request pub_site_refresh = { .mode = PUB_REFRESH };
const struct pub_request pub_site_withdraw = { .mode = PUB_WITHDRAW };

void pub_site_expect(const struct pub_site_run *run, enum pub_state state)
{
	assert_int_equal(run->err, 0);
	assert_int_equal(run->n, 1);
	if (run->results[0].state != state)
		fail_msg("%s, not %s: %s", pub_state_name(run->results[0].state),
			 pub_state_name(state), run->results[0].hint);
}

enum pub_rec_state pub_site_journaled(struct pub_site *s, unsigned zone, const char *target)
{
	char text[64];
	struct dns_name z, o, t;
	struct pub_set *set;

	snprintf(text, sizeof(text), "d%u.test", zone);
	assert_int_equal(dns_name_parse(text, &z), 0);
	assert_int_equal(dns_name_prefix("_vlmcs._tcp", &z, &o), 0);
	assert_int_equal(dns_name_parse(target, &t), 0);
	set = pub_journal_find(s->journal, &z, "", &o);
	for (size_t i = 0; set != NULL && i < set->n_recs; i++)
		if (dns_name_equal(&set->recs[i].srv.target, &t))
			return set->recs[i].state;
	return PUB_REC_NONE;
}
