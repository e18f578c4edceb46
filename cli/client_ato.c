#include "cli/client_ato.h"

#include <stdio.h>
#include <string.h>

#include "common/hresult.h"
#include "kmscore/lab_events.h"
#include "resolver/discover_report.h"

/* ---- a try is an activation ---- */

/** In the words of a probe; what it means is in the HRESULT. */
static enum probe_state state_of(const struct lab_ato *a)
{
	switch (a->n_attempts > 0 ? a->attempt[0].err : a->err) {
	case 0:
		return a->answered ? PROBE_UP : PROBE_RPC_REFUSED;
	case ERR_RPC_NO_INTERFACE:
		return PROBE_NO_KMS_INTERFACE;
	case ERR_RPC_NAK:
	case ERR_RPC_SYNTAX:
	case ERR_RPC_FAULT:
		return PROBE_RPC_REFUSED;
	case ERR_RPC_NOT_RPC:
	case ERR_RPC_MALFORMED:
		return PROBE_NOT_RPC;
	default:
		return PROBE_TIMEOUT;
	}
}

static void on_tried(struct lab_ato *a)
{
	struct client_ato *c = a->owner;
	struct probe_op *op = c->op;
	struct probe_result r = { .state = state_of(a),
				  .activation = true,
				  .hresult = HR_RPC_UNAVAILABLE };

	c->op = NULL;
	op->impl = NULL;
	if (a->n_attempts > 0) {
		r.addr = a->attempt[0].at.addr;
		r.rtt_ms = a->attempt[0].rtt_ms;
		r.hresult = a->attempt[0].hresult;
		r.final = a->code != HR_BINDING_SERVICE_UNAVAILABLE; /* else: ask the next */
		if (c->n_attempts < CLIENT_ATTEMPTS_MAX)
			c->attempt[c->n_attempts++] = a->attempt[0];
	}
	(void)snprintf(r.detail, sizeof(r.detail), "%s", hresult_text(r.hresult));
	op->done(op, &r);
}

static void try_start(const struct prober *p, struct probe_op *op, struct net *net,
		      const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done)
{
	struct client_ato *c = p->ctx;
	struct lab_candidate at = { .addr = *addr };
	struct lab_ato_params lp = { .client = c->p.client,
				     .key = c->p.key,
				     .hosts = &at,
				     .n_hosts = 1,
				     .host_timeout_ms = timeout_ms,
				     .done = on_tried };

	(void)snprintf(at.host, sizeof(at.host), "%.*s", HOST_TEXT_MAX - 1, op->host);
	op->done = done;
	op->impl = c;
	c->op = op;
	memset(&c->ato, 0, sizeof(c->ato));
	c->ato.owner = c;
	lab_ato_start(&c->ato, net, &lp);
}

static void try_cancel(struct probe_op *op)
{
	struct client_ato *c = op->impl;

	if (c != NULL)
		lab_ato_cancel(&c->ato);
}

/* ---- the end ---- */

static enum lab_source source_of(enum rsv_source s)
{
	return s == RSV_FROM_MANUAL  ? LAB_SOURCE_MANUAL
	       : s == RSV_FROM_CACHE ? LAB_SOURCE_CACHE
				     : LAB_SOURCE_DNS;
}

static void on_discovered(struct rsv_discover *d, const struct rsv_discovery *r)
{
	struct client_ato *c = d->owner;
	size_t k = 0;

	/* The tries of the discovery are the attempts, but for hosts without an address. */
	for (size_t i = 0; i < r->n_attempts && k < c->n_attempts; i++)
		if (addr_is_set(&r->attempts[i].addr))
			c->attempt[k++].at.source = source_of(r->attempts[i].source);
	c->code = r->err == 0 ? r->code : (uint32_t)HR_BINDING_SERVICE_UNAVAILABLE;
	(void)snprintf(c->text, sizeof(c->text), "%s", r->err == 0 ? r->text : err_text(r->err));
	c->discovery = rsv_discover_report(r);
	if (c->code != HR_OK) /* plans the next attempt */
		lab_client_failed(c->p.client, c->code, clock_wall_ms(c->clock));
	c->p.done(c);
}

void client_ato_events(const struct client_ato *c, json_t *list)
{
	for (size_t i = 0; i < c->n_attempts; i++)
		lab_events_add(list, c->p.client->machine, &c->attempt[i]);
}

/* ---- what the client remembers ---- */

static void take_cache(struct client_ato *c, const struct lab_client *client)
{
	struct rsv_cached_host h = { .port = client->cache.port,
				     .addr = client->cache.addr,
				     .when_ms = client->cache.when_ms,
				     .source = RSV_FROM_DNS };

	rsv_cache_init(&c->cache);
	rsv_cache_set_enabled(&c->cache, client->caching);
	(void)snprintf(h.host, sizeof(h.host), "%s", client->cache.name);
	if (h.host[0] != '\0')
		rsv_cache_put(&c->cache, &h);
}

void client_ato_start(struct client_ato *c, struct net *net, const struct client_ato_params *p)
{
	struct rsv_discover_params dp = *p->discover;

	c->p = *p;
	c->clock = net->clock;
	c->prober = (struct prober){ .start = try_start, .cancel = try_cancel, .ctx = c };
	take_cache(c, p->client);
	dp.prober = &c->prober;
	dp.probe_ms = CLIENT_HOST_TIMEOUT_MS;
	dp.cache = &c->cache;
	dp.manual_host = NULL;
	dp.manual_scope = NULL;
	if (lab_client_manual_host(p->client, c->manual, &dp.manual_port))
		dp.manual_host = c->manual;
	dp.lookup_domain = NULL;
	if (p->client->lookup_domain[0] != '\0' &&
	    dns_name_parse(p->client->lookup_domain, &c->lookup_domain) == 0)
		dp.lookup_domain = &c->lookup_domain;
	c->search = (struct rsv_discover){ .owner = c };
	rsv_discover_start(&c->search, net, &dp, on_discovered);
}
