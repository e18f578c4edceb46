#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/discover_priv.h"

static void on_query(void *ctx, const struct dns_question *q, const struct dns_outcome *o)
{
	struct rsv_discover_impl *d = ctx;

	rsv_queries_add(&d->r.queries, q, o);
}

static void start_lookup(struct rsv_discover_impl *d, struct host_lookup *h, const char *host,
			 uint16_t port, uint32_t total_ms, host_lookup_done_fn *done)
{
	struct host_lookup_params p = {
		.host = host,
		.port = port,
		.servers = d->servers,
		.n_servers = d->p.n_servers,
		.total_ms = total_ms,
		.on_query = on_query,
		.on_query_ctx = d,
	};

	d->open++;
	host_lookup_start(h, d->net, &p, done);
}

/** Fill a candidate, and all others with the same target, so that each name is asked once. */
static void note_addresses(struct rsv_discover_impl *d, size_t cand,
			   const struct host_lookup_result *r)
{
	const struct dns_name *target = &d->r.cand[cand].rec.srv.target;

	rsv_d_keep(d, r->err == 0 ? r->ttl : 0);
	for (size_t i = 0; i < d->r.n_cand; i++) {
		struct rsv_candidate *c = &d->r.cand[i];

		if (c->resolved || !dns_name_equal(&c->rec.srv.target, target))
			continue;
		c->resolved = true;
		c->resolve_err = r->err;
		if (r->err != 0)
			continue;
		c->n_addrs = r->n_addrs;
		memcpy(c->addrs, r->addrs, r->n_addrs * sizeof(*c->addrs));
		for (size_t k = 0; k < c->n_addrs; k++)
			addr_set_port(&c->addrs[k], c->rec.srv.port);
	}
}

/** Keep what a probe said: the report tells it, and it may be the result. @p addr NULL: the host
 * has no address. @return false: no memory, and the discovery has ended with that. */
static bool note_attempt(struct rsv_discover_impl *d, const struct addr *addr,
			 const struct probe_result *r, uint32_t hresult)
{
	struct rsv_attempt *a;

	if (addr != NULL && d->try.source == RSV_FROM_DNS) {
		d->r.cand[d->try.cand].probed = true;
		d->r.cand[d->try.cand].probe = *r;
	}
	if (d->r.n_attempts >= RSV_ATTEMPTS_MAX)
		return true;
	if ((d->r.n_attempts & (d->r.n_attempts - 1)) == 0) { /* full: 0, 1, 2, 4, 8 ... */
		size_t cap = d->r.n_attempts == 0 ? 1 : 2 * d->r.n_attempts;

		a = realloc(d->r.attempts, cap * sizeof(*a));
		if (a == NULL) {
			rsv_d_finish(d, ERR_NOMEM);
			return false;
		}
		d->r.attempts = a;
	}
	a = &d->r.attempts[d->r.n_attempts++];
	memset(a, 0, sizeof(*a));
	snprintf(a->host, sizeof(a->host), "%s", d->try.host);
	a->port = d->try.port;
	if (addr != NULL)
		a->addr = *addr;
	a->source = d->try.source;
	a->hresult = hresult;
	a->state = r->state;
	a->rtt_ms = r->rtt_ms;
	snprintf(a->detail, sizeof(a->detail), "%s", r->detail);
	return true;
}

static bool note_no_address(struct rsv_discover_impl *d, int err)
{
	struct probe_result r = { .state = PROBE_UNRESOLVED };

	if (d->p.prober == NULL)
		return true;
	snprintf(r.detail, sizeof(r.detail), "%s", err_text(err));
	return note_attempt(d, NULL, &r, rsv_d_manual_hresult(err));
}

void rsv_d_note_unresolved(struct rsv_discover_impl *d, struct rsv_candidate *c)
{
	if (d->p.prober == NULL)
		return;
	c->probed = true;
	memset(&c->probe, 0, sizeof(c->probe));
	c->probe.state = PROBE_UNRESOLVED;
	snprintf(c->probe.detail, sizeof(c->probe.detail), "%s", err_text(c->resolve_err));
}

static void probe_next(struct rsv_discover_impl *d);

static void on_probe(struct probe_op *op, const struct probe_result *r)
{
	struct rsv_discover_impl *d = op->owner;
	char text[ADDR_TEXT_MAX], hex[HRESULT_TEXT_MAX];
	uint32_t hresult;

	if (!rsv_d_child_done(d))
		return;
	addr_format(&d->try.addrs[d->try.at], text);
	hresult = r->activation ? r->hresult : rsv_probe_hresult(r->state);
	rsv_d_step(d, "probe", "%s at %s: %s %s%s%s", d->try.host, text,
		   hresult_format(hresult, hex), probe_state_name(r->state),
		   r->detail[0] != '\0' ? ", " : "", r->detail);
	if (!note_attempt(d, &d->try.addrs[d->try.at], r, hresult))
		return;
	if (r->state == PROBE_UP) {
		rsv_d_selected(d, &d->try.addrs[d->try.at], r);
		return;
	}
	if (r->final) {
		rsv_d_refused(d, r);
		return;
	}
	d->try.at++;
	probe_next(d);
}

/* All addresses of a host, of both families, before the next host (S14). */
static void probe_next(struct rsv_discover_impl *d)
{
	if (d->try.at >= d->try.n_addrs) {
		rsv_d_failed(d, 0);
		return;
	}
	d->state = RSV_D_PROBE;
	memset(&d->probe, 0, sizeof(d->probe));
	d->probe.owner = d;
	d->probe.host = d->try.host;
	d->open++;
	d->p.prober->start(d->p.prober, &d->probe, d->net, &d->try.addrs[d->try.at], d->p.probe_ms,
			   on_probe);
}

/** The addresses are known. */
static void have_addresses(struct rsv_discover_impl *d)
{
	if (d->p.prober == NULL)
		rsv_d_selected(d, &d->try.addrs[0], NULL);
	else
		probe_next(d);
}

static void take_addresses(struct rsv_try *t, const struct addr *addrs, size_t n)
{
	t->n_addrs = n < HOST_LOOKUP_ADDRS_MAX ? n : HOST_LOOKUP_ADDRS_MAX;
	memcpy(t->addrs, addrs, t->n_addrs * sizeof(*addrs));
	for (size_t i = 0; i < t->n_addrs; i++)
		addr_set_port(&t->addrs[i], t->port);
}

static void list_addresses(struct rsv_discover_impl *d)
{
	char list[256] = "", text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < d->try.n_addrs; i++) {
		size_t used = strlen(list);

		addr_format_host(&d->try.addrs[i], text);
		snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", text);
	}
	rsv_d_step(d, "resolve", "%s has the address%s %s", d->try.host,
		   d->try.n_addrs > 1 ? "es" : "", list);
}

static void on_host(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct rsv_discover_impl *d = h->owner;

	if (!rsv_d_child_done(d))
		return;
	if (d->try.source == RSV_FROM_DNS)
		note_addresses(d, d->try.cand, r);
	if (r->err != 0) {
		rsv_d_step(d, "resolve", "%s has no address: %s", d->try.host, err_text(r->err));
		if (d->try.source == RSV_FROM_MANUAL && rsv_d_next_manual_name(d, r->err))
			return;
		if (d->try.source == RSV_FROM_DNS)
			rsv_d_note_unresolved(d, &d->r.cand[d->try.cand]);
		if (note_no_address(d, r->err))
			rsv_d_failed(d, r->err);
		return;
	}
	take_addresses(&d->try, r->addrs, r->n_addrs);
	list_addresses(d);
	have_addresses(d);
}

void rsv_d_try(struct rsv_discover_impl *d, const char *host, uint16_t port, enum rsv_source source,
	       const struct addr *addr)
{
	struct rsv_try *t = &d->try;
	const struct rsv_candidate *c = source == RSV_FROM_DNS ? &d->r.cand[d->at_cand] : NULL;

	memset(t, 0, sizeof(*t));
	snprintf(t->host, sizeof(t->host), "%s", host);
	t->port = port;
	t->source = source;
	t->cand = d->at_cand;
	if (addr != NULL && addr_is_set(addr)) {
		take_addresses(t, addr, 1);
		have_addresses(d);
	} else if (c != NULL && c->resolved) {
		take_addresses(t, c->addrs, c->n_addrs);
		have_addresses(d);
	} else {
		d->state = RSV_D_RESOLVE;
		memset(&d->host, 0, sizeof(d->host));
		d->host.owner = d;
		start_lookup(d, &d->host, t->host, port, 0, on_host);
	}
}

static void survey_more(struct rsv_discover_impl *d);

static void on_surveyed(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct rsv_survey_slot *s = h->owner;
	struct rsv_discover_impl *d = s->d;

	s->busy = false;
	if (!rsv_d_child_done(d))
		return;
	note_addresses(d, s->cand, r);
	survey_more(d);
}

/** The next host without addresses whose name is not being asked right now. */
static bool survey_pick(struct rsv_discover_impl *d, size_t *ret)
{
	for (; d->survey_at < d->r.n_cand; d->survey_at++) {
		const struct rsv_candidate *c = &d->r.cand[d->survey_at];
		bool asked = c->resolved;

		for (size_t i = 0; i < d->survey_at && !asked; i++)
			asked = dns_name_equal(&d->r.cand[i].rec.srv.target, &c->rec.srv.target);
		if (!asked) {
			*ret = d->survey_at++;
			return true;
		}
	}
	return false;
}

static void survey_more(struct rsv_discover_impl *d)
{
	bool busy = false;
	char host[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < RSV_SURVEY_PARALLEL; i++) {
		struct rsv_survey_slot *s = &d->survey[i];

		if (!s->busy && survey_pick(d, &s->cand)) {
			const struct rsv_record *rec = &d->r.cand[s->cand].rec;

			s->d = d;
			s->busy = true;
			memset(&s->lookup, 0, sizeof(s->lookup));
			s->lookup.owner = s;
			start_lookup(d, &s->lookup, dns_name_format(&rec->srv.target, host),
				     rec->srv.port, RSV_SURVEY_MS, on_surveyed);
		}
		busy |= s->busy;
	}
	if (!busy)
		rsv_d_finish(d, 0);
}

void rsv_d_survey(struct rsv_discover_impl *d)
{
	if (!d->p.resolve_all) {
		rsv_d_finish(d, 0);
		return;
	}
	d->state = RSV_D_SURVEY;
	survey_more(d);
}
