#include "cli/client_ato.h"

#include <stdio.h>
#include <string.h>

#include "common/hresult.h"

static void discover(struct client_ato *c);

/* A host has answered: the client's state holds what follows from it. */
static void finish_answered(struct client_ato *c, uint32_t code)
{
	c->code = code;
	c->state = CA_DONE;
	c->p.done(c);
}

/* Nobody has: the client plans its next attempt. */
static void finish_failed(struct client_ato *c, uint32_t code)
{
	lab_client_failed(c->p.client, code, clock_wall_ms(c->net->clock));
	c->code = code;
	c->state = CA_DONE;
	c->p.done(c);
}

static void add_host(struct client_ato *c, const char *host, const struct addr *addr,
		     enum lab_source source)
{
	struct lab_candidate *h;

	if (c->n_hosts == LAB_ATO_HOSTS_MAX)
		return;
	h = &c->hosts[c->n_hosts++];
	h->addr = *addr;
	h->source = source;
	(void)snprintf(h->host, sizeof(h->host), "%.*s", HOST_TEXT_MAX - 1, host);
}

static void on_tried(struct lab_ato *a)
{
	struct client_ato *c = a->owner;

	for (size_t i = 0; i < a->n_attempts && c->n_attempts < CLIENT_ATTEMPTS_MAX; i++)
		c->attempt[c->n_attempts++] = a->attempt[i];
	if (a->err == 0 && !a->answered && c->state == CA_CACHED)
		discover(c); /* the remembered host is gone: back to DNS, within this attempt */
	else if (a->err == 0 && a->answered)
		finish_answered(c, a->code);
	else
		finish_failed(c, a->err == 0 ? a->code : (uint32_t)HR_BINDING_SERVICE_UNAVAILABLE);
}

static void try_hosts(struct client_ato *c, enum client_ato_state state)
{
	struct lab_ato_params p = { .client = c->p.client,
				    .key = c->p.key,
				    .hosts = c->hosts,
				    .n_hosts = c->n_hosts,
				    .host_timeout_ms = CLIENT_HOST_TIMEOUT_MS,
				    .done = on_tried };

	c->state = state;
	memset(&c->ato, 0, sizeof(c->ato));
	c->ato.owner = c;
	lab_ato_start(&c->ato, c->net, &p);
}

static void on_resolved(struct host_lookup *h, const struct host_lookup_result *r)
{
	struct client_ato *c = h->owner;

	if (r->err != 0) {
		finish_failed(
			c,
			HR_DNS_NXDOMAIN); /* a manual name that does not resolve: behaviour §2.4 */
		return;
	}
	for (size_t i = 0; i < r->n_addrs; i++)
		add_host(c, c->manual, &r->addrs[i], LAB_SOURCE_MANUAL);
	try_hosts(c, CA_TRYING);
}

static void on_discovered(struct rsv_discover *d, const struct rsv_discovery *r)
{
	struct client_ato *c = d->owner;

	c->n_hosts = 0;
	for (size_t i = 0; r->err == 0 && i < r->n_cand; i++) {
		char host[DNSNAME_TEXT_MAX];

		(void)dns_name_format(&r->cand[i].rec.srv.target, host);
		for (size_t k = 0; k < r->cand[i].n_addrs; k++)
			add_host(c, host, &r->cand[i].addrs[k], LAB_SOURCE_DNS);
	}
	if (c->n_hosts == 0)
		finish_failed(c, r->err == 0 && r->code != HR_OK
					 ? r->code
					 : (uint32_t)HR_BINDING_SERVICE_UNAVAILABLE);
	else
		try_hosts(c, CA_TRYING);
}

static void discover(struct client_ato *c)
{
	struct rsv_discover_params p = *c->p.discover;
	struct dns_name lookup_domain;

	/* The order and the addresses come from here; whether a host is any good, the activation
	 * tells. */
	p.prober = NULL;
	p.cache = NULL;
	p.resolve_all = true;
	if (c->p.client->lookup_domain[0] != '\0' &&
	    dns_name_parse(c->p.client->lookup_domain, &lookup_domain) == 0)
		p.lookup_domain = &lookup_domain;
	c->state = CA_DISCOVERING;
	c->asked_dns = true;
	c->discovery = (struct rsv_discover){ .owner = c };
	rsv_discover_start(&c->discovery, c->net, &p, on_discovered);
}

void client_ato_start(struct client_ato *c, struct net *net, const struct client_ato_params *p)
{
	const struct lab_client *client = p->client;
	uint16_t port;

	c->p = *p;
	c->net = net;
	if (lab_client_manual_host(client, c->manual, &port)) {
		struct host_lookup_params lp = { .host = c->manual,
						 .port = port,
						 .servers = p->discover->servers,
						 .n_servers = p->discover->n_servers };

		c->state = CA_RESOLVING;
		c->lookup.owner = c;
		host_lookup_start(&c->lookup, net, &lp, on_resolved);
	} else if (client->caching && client->cache.name[0] != '\0') {
		add_host(c, client->cache.name, &client->cache.addr, LAB_SOURCE_CACHE);
		try_hosts(c, CA_CACHED);
	} else {
		discover(c);
	}
}
