#include "resolver/discover.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "resolver/discover_priv.h"

/* ---- the end --------------------------------------------------------------------------------- */

static void impl_free(struct rsv_discover_impl *d)
{
	if (d == NULL)
		return;
	for (size_t i = 0; i < d->r.n_steps; i++)
		rsv_d_free_step(&d->r.steps[i]);
	free(d->r.steps);
	free(d->r.cand);
	free(d->r.attempts);
	rsv_set_done(&d->merged);
	rsv_queries_done(&d->r.queries);
	free(d);
}

static void deliver(struct rsv_discover_impl *d)
{
	struct rsv_discover *op = d->op;

	op->impl = NULL;
	op->done(op, &d->r);
	/* op may be freed memory now */
	impl_free(d);
}

static void one_closed(struct rsv_discover_impl *d)
{
	if (--d->open == 0)
		deliver(d);
}

void rsv_d_keep(struct rsv_discover_impl *d, uint32_t seconds)
{
	if (seconds < d->r.keep_s)
		d->r.keep_s = seconds;
}

bool rsv_d_child_done(struct rsv_discover_impl *d)
{
	if (d->state != RSV_D_CLOSING) {
		d->open--; /* the timer is still counted, so this is not the last */
		return true;
	}
	one_closed(d);
	return false;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct rsv_discover *op = h->data;
	static const struct rsv_discovery nothing = { .err = ERR_NOMEM };

	if (op->impl != NULL)
		one_closed(op->impl);
	else
		op->done(op, &nothing);
}

void rsv_d_finish(struct rsv_discover_impl *d, int err)
{
	enum rsv_d_state was = d->state;

	if (was == RSV_D_CLOSING)
		return; /* first caller wins */
	d->state = RSV_D_CLOSING;
	d->r.err = err;
	if (was == RSV_D_LOOKUP)
		rsv_lookup_cancel(&d->lookup);
	else if (was == RSV_D_RESOLVE)
		host_lookup_cancel(&d->host);
	else if (was == RSV_D_PROBE)
		d->p.prober->cancel(&d->probe);
	for (size_t i = 0; i < RSV_SURVEY_PARALLEL; i++)
		if (d->survey[i].busy)
			host_lookup_cancel(&d->survey[i].lookup);
	uv_close((uv_handle_t *)&d->op->deadline, on_timer_closed);
}

/** The discovery ends without a host. */
static void ends_without(struct rsv_discover_impl *d, uint32_t code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void ends_without(struct rsv_discover_impl *d, uint32_t code, const char *fmt, ...)
{
	char hex[HRESULT_TEXT_MAX];
	va_list ap;

	d->r.code = code;
	va_start(ap, fmt);
	vsnprintf(d->r.text, sizeof(d->r.text), fmt, ap);
	va_end(ap);
	rsv_d_step(d, "end", "%s: %s (%s)", hresult_format(code, hex), d->r.text,
		   hresult_text(code));
	rsv_d_survey(d);
}

/** Who is being tried, as people write it. */
static const char *tried(const struct rsv_discover_impl *d, char buf[RSV_HOSTPORT_MAX])
{
	return hostport_format(d->try.host, d->try.port, buf, RSV_HOSTPORT_MAX);
}

static void remember(struct rsv_discover_impl *d, const struct addr *addr,
		     const struct probe_result *r)
{
	char host[RSV_HOSTPORT_MAX];
	const struct rsv_cached_host *old;
	struct rsv_cached_host h;

	if (d->p.cache == NULL || r == NULL || d->try.source == RSV_FROM_MANUAL)
		return;
	if (!d->p.cache->enabled) {
		rsv_d_step(d, "remember", "host caching is off: DNS is asked again next time");
		return;
	}
	if (d->p.cache_write == RSV_CACHE_ACTIVATED && (!r->activation || r->hresult != HR_OK)) {
		rsv_d_step(d, "remember",
			   "%s is not cached: it has not activated this client, and "
			   "discovery.cache_write asks for that",
			   tried(d, host));
		return;
	}
	old = rsv_cache_get(d->p.cache);
	memset(&h, 0, sizeof(h));
	snprintf(h.host, sizeof(h.host), "%s", d->try.host);
	h.port = d->try.port;
	h.addr = *addr;
	h.when_ms = clock_wall_ms(d->net->clock);
	h.source = d->try.source == RSV_FROM_CACHE && old != NULL ? old->source : d->try.source;
	rsv_cache_put(d->p.cache, &h);
	rsv_d_step(d, "remember", "%s is cached and tried first next time, without DNS",
		   tried(d, host));
}

void rsv_d_selected(struct rsv_discover_impl *d, const struct addr *addr,
		    const struct probe_result *p)
{
	struct rsv_discovery *r = &d->r;
	char text[ADDR_TEXT_MAX], host[RSV_HOSTPORT_MAX];

	r->has_selected = true;
	snprintf(r->selected.target, sizeof(r->selected.target), "%s", d->try.host);
	r->selected.port = d->try.port;
	r->selected.addr = *addr;
	r->selected.source = d->try.source;
	r->code = p != NULL && p->activation ? p->hresult : (uint32_t)HR_OK;
	addr_format(addr, text);
	snprintf(r->text, sizeof(r->text), "%.208s at %s (%s)%s%s", tried(d, host), text,
		 rsv_source_name(d->try.source), r->code != HR_OK ? ": " : "",
		 r->code != HR_OK ? hresult_text(r->code) : "");
	rsv_d_step(d, "select", "%s at %s, from %s%s", tried(d, host), text,
		   rsv_source_name(d->try.source),
		   p == NULL ? "; nobody was asked whether it is up" : "");
	remember(d, addr, p);
	rsv_d_survey(d);
}

void rsv_d_refused(struct rsv_discover_impl *d, const struct probe_result *p)
{
	char host[RSV_HOSTPORT_MAX];

	ends_without(d, p->hresult, "%.208s answers: %s; other hosts are not asked", tried(d, host),
		     hresult_text(p->hresult));
}

/** Nobody was of use. Vista shows the code of the last try, later systems one for all. */
static uint32_t code_of_failure(const struct rsv_discover_impl *d)
{
	const struct rsv_discovery *r = &d->r;

	if (d->p.profile == RSV_VISTA && r->n_attempts > 0)
		return r->attempts[r->n_attempts - 1].hresult;
	return HR_BINDING_SERVICE_UNAVAILABLE;
}

/* ---- the hosts of a set ---------------------------------------------------------------------- */

/** Whether the host at @p i can be passed over without asking; then the report's row is filled. */
static bool passed_over(struct rsv_discover_impl *d, size_t i)
{
	struct rsv_candidate *c = &d->r.cand[i];
	char host[DNSNAME_TEXT_MAX];

	dns_name_format(&c->rec.srv.target, host);
	if (c->rec.srv.port == 0) {
		rsv_d_step(d, "probe", "%s is passed over: port 0 cannot be used", host);
		return true;
	}
	for (size_t k = 0; k < i; k++) {
		if (!rsv_record_same_host(&d->r.cand[k].rec, &c->rec))
			continue;
		c->probed = d->r.cand[k].probed;
		c->probe = d->r.cand[k].probe;
		rsv_d_step(d, "probe", "%s:%u is passed over: it was tried already", host,
			   (unsigned)c->rec.srv.port);
		return true;
	}
	if (c->resolved && c->resolve_err != 0) {
		rsv_d_note_unresolved(d, c);
		rsv_d_step(d, "resolve", "%s has no address, as before", host);
		return true;
	}
	return false;
}

static void next_candidate(struct rsv_discover_impl *d)
{
	char host[DNSNAME_TEXT_MAX], domain[DNSNAME_TEXT_MAX];

	while (d->at_cand < d->r.n_cand && passed_over(d, d->at_cand))
		d->at_cand++;
	if (d->at_cand < d->r.n_cand) {
		const struct dns_srv *srv = &d->r.cand[d->at_cand].rec.srv;

		rsv_d_try(d, dns_name_format(&srv->target, host), srv->port, RSV_FROM_DNS, NULL);
		return;
	}
	ends_without(d, code_of_failure(d), "no record of the %zu of %.200s%s %s", d->r.n_cand,
		     dns_name_format(&d->r.domain, domain),
		     d->merged.n > 0 ? " and the suffixes after it" : "",
		     d->p.prober != NULL ? "leads to a host that answers"
					 : "leads to a host with an address");
}

/** Take over the set: order it and begin with the first. */
static void use_set(struct rsv_discover_impl *d, struct rsv_set *set)
{
	double *p = calloc(set->n, sizeof(*p));

	d->r.cand = calloc(set->n, sizeof(*d->r.cand));
	if (d->r.cand == NULL || p == NULL) {
		free(p);
		rsv_d_finish(d, ERR_NOMEM);
		return;
	}
	if (d->p.lone_port != 0)
		rsv_d_step(d, "order",
			   "port %u, set by hand without a host, stands in for that "
			   "of the records",
			   (unsigned)d->p.lone_port);
	rsv_order(set->rec, set->n, d->p.profile, d->p.rng);
	rsv_probability(set->rec, set->n, d->p.profile, p);
	for (size_t i = 0; i < set->n; i++) {
		d->r.cand[i].rec = set->rec[i];
		if (d->p.lone_port != 0)
			d->r.cand[i].rec.srv.port = d->p.lone_port;
		d->r.cand[i].probability = p[i];
	}
	d->r.n_cand = set->n;
	free(p);
	rsv_d_explain_order(d);
	next_candidate(d);
}

/* ---- suffixes -------------------------------------------------------------------------------- */

static void next_domain(struct rsv_discover_impl *d, int last_err);

/** For how long a resolver would say the same of the set again. */
static uint32_t keep_of_set(const struct rsv_lookup_result *r)
{
	if (r->aa)
		return 0;
	if (r->err == 0)
		return r->set.ttl;
	return r->err == ERR_RCODE_NXDOMAIN || r->err == ERR_DNS_NODATA ? r->set.negative_ttl : 0;
}

/** Add the records of one more suffix. 0 or ERR_NOMEM. */
static int merge(struct rsv_set *into, const struct rsv_set *set)
{
	struct rsv_record *rec = realloc(into->rec, (into->n + set->n) * sizeof(*rec));

	if (rec == NULL)
		return ERR_NOMEM;
	memcpy(rec + into->n, set->rec, set->n * sizeof(*rec));
	into->rec = rec;
	into->n = rsv_record_canonicalize(rec, into->n + set->n);
	if (into->n > RSV_RECORDS_MAX)
		into->n = RSV_RECORDS_MAX;
	return 0;
}

static void note_suffix(struct rsv_discover_impl *d, const struct rsv_lookup_result *r)
{
	struct rsv_suffix *s = &d->r.suffix[d->at_domain];

	s->asked = true;
	s->hresult = rsv_lookup_hresult(r->err != 0 || r->set.n > 0 ? r->err : ERR_DNS_NODATA);
	if (s->hresult == HR_OK && !dns_name_is_set(&d->r.domain))
		d->r.domain = d->r.domains[d->at_domain];
}

static void on_set(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct rsv_discover_impl *d = l->owner;
	char domain[DNSNAME_TEXT_MAX];
	int err = r->err;

	if (!rsv_d_child_done(d))
		return;
	dns_name_format(&d->r.domains[d->at_domain], domain);
	rsv_d_explain_answer(d, domain, r);
	rsv_d_keep(d, keep_of_set(r));
	note_suffix(d, r);
	if (err == 0 && d->p.merge_suffixes)
		err = r->set.n > 0 ? merge(&d->merged, &r->set) : ERR_DNS_NODATA;
	if (err == ERR_NOMEM) {
		rsv_d_finish(d, ERR_NOMEM);
	} else if (err != 0 || d->p.merge_suffixes) {
		d->at_domain++;
		next_domain(d, err);
	} else if (r->set.n == 0) { /* "." alone: RFC 2782, no fallback (S04) */
		d->r.domain = d->r.domains[d->at_domain];
		ends_without(d, HR_DNS_NO_RECORDS, "%.200s says that it has no KMS host", domain);
	} else {
		use_set(d, &r->set);
	}
}

static void next_domain(struct rsv_discover_impl *d, int last_err)
{
	struct rsv_lookup_params p = {
		.servers = d->servers,
		.n_servers = d->p.n_servers,
		.rd = true,
		.queries = &d->r.queries,
	};
	char text[DNSNAME_TEXT_MAX];
	int err = 0;

	for (; d->at_domain < d->r.n_domains; d->at_domain++, last_err = err) {
		err = rsv_srv_name(&d->r.domains[d->at_domain], &p.name);
		if (err == 0)
			break;
		rsv_d_step(d, "query", "%s is too long for a service name: not asked",
			   dns_name_format(&d->r.domains[d->at_domain], text));
	}
	if (d->at_domain >= d->r.n_domains && d->merged.n > 0) {
		use_set(d, &d->merged);
		return;
	}
	if (d->at_domain >= d->r.n_domains) {
		ends_without(d, rsv_lookup_hresult(last_err), "no SRV record under %s; last: %s",
			     d->has_lookup_domain  ? "the lookup domain"
			     : d->r.n_domains == 1 ? "the suffix"
						   : "any of the suffixes",
			     err_text(last_err));
		return;
	}
	rsv_d_step(d, "query", "SRV %s", dns_name_format(&p.name, text));
	d->state = RSV_D_LOOKUP;
	memset(&d->lookup, 0, sizeof(d->lookup));
	d->lookup.owner = d;
	d->open++;
	rsv_lookup_start(&d->lookup, d->net, &p, on_set);
}

static void try_dns(struct rsv_discover_impl *d)
{
	if (d->r.n_domains == 0) {
		rsv_d_step(d, "suffix",
			   "there is no suffix, so no question is asked: a client does "
			   "not ask for the bare name _vlmcs._tcp");
		ends_without(d, HR_INVALID_NAME, "no DNS suffix to look in");
		return;
	}
	rsv_d_explain_domains(d);
	next_domain(d, 0);
}

/* ---- a host set by hand ---------------------------------------------------------------------- */

/** A NetBIOS name: Windows' resolver puts the client's suffixes behind it, one after the other. */
static bool is_short(const char *host)
{
	return strpbrk(host, ".:") == NULL && strcasecmp(host, "localhost") != 0;
}

static void try_manual(struct rsv_discover_impl *d)
{
	char full[2 * DNSNAME_TEXT_MAX], suffix[DNSNAME_TEXT_MAX];

	if (d->n_manual_suffixes == 0) {
		rsv_d_try(d, d->manual_host, d->p.manual_port, RSV_FROM_MANUAL, NULL);
		return;
	}
	snprintf(full, sizeof(full), "%s.%s", d->manual_host,
		 dns_name_format(&d->manual_suffix[d->manual_at], suffix));
	rsv_d_try(d, full, d->p.manual_port, RSV_FROM_MANUAL, NULL);
}

bool rsv_d_next_manual_name(struct rsv_discover_impl *d, int err)
{
	if (d->manual_err == 0 || (err != ERR_RCODE_NXDOMAIN && err != ERR_DNS_NODATA))
		d->manual_err = err;
	if (d->manual_at + 1 >= d->n_manual_suffixes)
		return false;
	d->manual_at++;
	try_manual(d);
	return true;
}

/* ---- the way there --------------------------------------------------------------------------- */

void rsv_d_failed(struct rsv_discover_impl *d, int err)
{
	switch (d->try.source) {
	case RSV_FROM_MANUAL: /* replaces discovery: never a fallback to DNS */
		ends_without(d, err != 0 ? rsv_d_manual_hresult(err) : code_of_failure(d),
			     "the host set by hand, %.200s, %s", d->try.host,
			     err != 0 ? "has no address" : "does not answer");
		return;
	case RSV_FROM_CACHE:
		rsv_d_step(d, "cache", "the cached host %s cannot be used: back to DNS",
			   d->try.host);
		try_dns(d);
		return;
	case RSV_FROM_DNS:
		d->at_cand++;
		next_candidate(d);
		return;
	case RSV_SOURCE_COUNT_:
		break;
	}
	abort(); /* our bug: no packet can bring us here */
}

static void begin(struct rsv_discover_impl *d)
{
	const struct rsv_cached_host *c = d->p.cache != NULL ? rsv_cache_get(d->p.cache) : NULL;
	char when[CLOCK_TEXT_MAX], host[RSV_HOSTPORT_MAX];

	if (d->p.no_kms) {
		rsv_d_step(d, "type",
			   "the activation type of the client leaves KMS out: no host "
			   "is looked for");
		ends_without(d, HR_MACHINE_NOT_BOUND, "the activation type leaves KMS out");
	} else if (d->manual_host[0] != '\0') {
		rsv_d_step(d, "manual",
			   "the host %s is set by hand%s%s: it is used alone, without SRV "
			   "lookup and without the cache",
			   hostport_format(d->manual_host, d->p.manual_port, host, sizeof(host)),
			   d->p.manual_scope != NULL ? " for " : "",
			   d->p.manual_scope != NULL ? d->p.manual_scope : "");
		if (d->p.cache != NULL)
			rsv_cache_flush(d->p.cache); /* to set a host is to forget the other */
		if (d->n_manual_suffixes > 0)
			rsv_d_step(d, "manual",
				   "the name has no dot: it is looked for under the suffixes of "
				   "the client");
		try_manual(d);
	} else if (c != NULL) {
		clock_format_rfc3339(c->when_ms, when);
		rsv_d_step(d, "cache",
			   "%s answered at %s and is tried before DNS; priority and "
			   "weight do not count",
			   hostport_format(c->host, c->port, host, sizeof(host)), when);
		rsv_d_try(d, c->host, c->port, RSV_FROM_CACHE, &c->addr);
	} else {
		if (d->p.cache != NULL)
			rsv_d_step(d, "cache", "%s",
				   d->p.cache->enabled ? "no host is cached"
						       : "host caching is off");
		try_dns(d);
	}
}

static void on_deadline(uv_timer_t *t)
{
	struct rsv_discover_impl *d = ((struct rsv_discover *)t->data)->impl;
	enum rsv_d_state was = d->state;

	if (was == RSV_D_CLOSING)
		return;
	if (was != RSV_D_SURVEY) {
		rsv_d_step(d, "deadline", "%u ms are over", d->p.total_ms);
		rsv_d_keep(d, 0);
		d->r.code = was == RSV_D_LOOKUP ? HR_DNS_SERVFAIL : HR_BINDING_SERVICE_UNAVAILABLE;
		snprintf(d->r.text, sizeof(d->r.text), "not done within %u ms", d->p.total_ms);
	}
	rsv_d_finish(d, 0);
}

/** For A and AAAA a lookup domain does not count: it is for SRV records. */
static void take_manual_suffixes(struct rsv_discover_impl *d, const struct rsv_discover_params *p)
{
	if (!is_short(d->manual_host))
		return;
	d->n_manual_suffixes = p->n_suffixes < RSV_SUFFIXES_MAX ? p->n_suffixes : RSV_SUFFIXES_MAX;
	if (d->n_manual_suffixes > 0)
		memcpy(d->manual_suffix, p->suffixes,
		       d->n_manual_suffixes * sizeof(*d->manual_suffix));
}

static void take_domains(struct rsv_discover_impl *d, const struct rsv_discover_params *p)
{
	if (p->lookup_domain != NULL) {
		d->has_lookup_domain = true;
		d->r.suffix[0].from = RSV_SUFFIX_LOOKUP;
		d->r.domains[d->r.n_domains++] = *p->lookup_domain;
		return;
	}
	for (size_t i = 0; i < p->n_suffixes && d->r.n_domains < RSV_SUFFIXES_MAX; i++) {
		bool known = false;

		for (size_t k = 0; k < d->r.n_domains; k++)
			known |= dns_name_equal(&d->r.domains[k], &p->suffixes[i]);
		if (known)
			continue;
		if (p->suffix_from != NULL)
			d->r.suffix[d->r.n_domains].from = p->suffix_from[i];
		d->r.domains[d->r.n_domains++] = p->suffixes[i];
	}
}

static void take_params(struct rsv_discover_impl *d, const struct rsv_discover_params *p)
{
	d->p = *p;
	if (p->manual_host != NULL)
		snprintf(d->manual_host, sizeof(d->manual_host), "%s", p->manual_host);
	if (p->manual_port == 0)
		d->p.manual_port = RSV_KMS_PORT;
	if (p->n_servers > DNS_CLIENT_SERVERS_MAX)
		d->p.n_servers = DNS_CLIENT_SERVERS_MAX;
	if (d->p.n_servers > 0)
		memcpy(d->servers, p->servers, d->p.n_servers * sizeof(*d->servers));
	if (p->rng == NULL)
		d->p.rng = d->net->rng;
	if (p->probe_ms == 0)
		d->p.probe_ms = RSV_PROBE_MS;
	if (p->total_ms == 0)
		d->p.total_ms = RSV_DISCOVER_TOTAL_MS;
	take_domains(d, p);
	take_manual_suffixes(d, p);
	d->r.profile = p->profile;
	d->r.keep_s = UINT32_MAX;
	d->r.probing = p->prober != NULL;
}

void rsv_discover_start(struct rsv_discover *op, struct net *net,
			const struct rsv_discover_params *p, rsv_discover_done_fn *done)
{
	struct rsv_discover_impl *d = calloc(1, sizeof(*d));

	uv_timer_init(net->loop, &op->deadline);
	op->deadline.data = op;
	op->done = done;
	op->impl = d;
	if (d != NULL)
		d->r.steps = calloc(RSV_STEPS_MAX, sizeof(*d->r.steps));
	if (d == NULL || d->r.steps == NULL) {
		op->impl = NULL;
		impl_free(d);
		uv_close((uv_handle_t *)&op->deadline, on_timer_closed);
		return;
	}
	d->op = op;
	d->net = net;
	d->open = 1;
	take_params(d, p);
	uv_timer_start(&op->deadline, on_deadline, d->p.total_ms, 0);
	begin(d);
}

void rsv_discover_cancel(struct rsv_discover *op)
{
	if (op->impl != NULL)
		rsv_d_finish(op->impl, ERR_CANCELED);
}
