/* What is wrong with the section `relay` as a whole. */
#include <string.h>

#include "common/config_priv.h"

/* ---- an upstream that is this service itself ---- */

static bool reaches(const struct addr *listen, const struct addr *to)
{
	if (addr_port(listen) != addr_port(to) || listen->u.sa.sa_family != to->u.sa.sa_family)
		return false;
	if (!addr_is_any(listen))
		return addr_same_host(listen, to);
	return addr_is_any(to) || addr_is_loopback(to) || config_machine_has(to);
}

static bool is_own_address(const struct config_service *s, const char *text, uint16_t port)
{
	struct addr to;

	if (addr_parse(text, port, &to) != 0)
		return false; /* a name: where it leads is seen when it is looked up */
	for (size_t i = 0; i < s->n_listen; i++)
		if (reaches(&s->listen[i], &to))
			return true;
	return false;
}

static void check_own(const struct config *c, const struct config_upstream *u, struct cfg *cfg)
{
	const struct config_service *s = &c->service;
	bool own = is_own_address(s, u->address, u->port);

	if (strcmp(u->address, "localhost") == 0) /* RFC 6761 §6.3 */
		own = is_own_address(s, "127.0.0.1", u->port) || is_own_address(s, "::1", u->port);
	if (own)
		cfg_complain(cfg, false, &u->address,
			     "%s port %u is service.listen of this very daemon: requests would go "
			     "in a circle; name the licensed host itself",
			     u->address, u->port);
	else if (c->node.target != NULL && strcmp(u->address, c->node.target) == 0 &&
		 u->port == addr_port(&s->listen[0]))
		cfg_complain(cfg, true, &u->address,
			     "%s is node.target, the name of this very service; name the licensed "
			     "host itself",
			     u->address);
}

/* 0.0.0.0 would lead to whatever listens here; the others lead nowhere. */
static bool check_address(const struct config_upstream *u, struct cfg *cfg)
{
	struct addr to;

	if (addr_parse(u->address, u->port, &to) != 0)
		return true; /* a name */
	if (addr_is_any(&to) || addr_is_group(&to))
		cfg_complain(cfg, false, &u->address, "%s is no address of a host", u->address);
	else if (to.u.sa.sa_family == AF_INET6 && addr_is_link_local(&to) &&
		 to.u.in6.sin6_scope_id == 0) /* RFC 4007 §6 */
		cfg_complain(cfg, false, &u->address,
			     "%s is an address of one link: name the interface that leads there "
			     "too, as %s%%eth0",
			     u->address, u->address);
	else
		return true;
	return false;
}

static void check_twin(const struct config_relay *r, size_t i, struct cfg *cfg)
{
	const struct config_upstream *u = &r->upstreams[i];

	for (size_t k = 0; k < i; k++) {
		const struct config_upstream *v = &r->upstreams[k];

		if (v->address == NULL || v->port != u->port || strcmp(v->address, u->address) != 0)
			continue;
		cfg_complain(cfg, true, &u->address,
			     "%s port %u is the upstream '%s' of line %u already: one host is "
			     "asked, and counted, as two",
			     u->address, u->port, v->name != NULL ? v->name : "?", v->line);
		return;
	}
}

/* ---- lab hosts and Windows clients ---- */

/* A domain where Windows clients find `local`; NULL: none. */
static const struct config_domain *public_domain(const struct config *c)
{
	for (size_t i = 0; i < c->publish.n_domains; i++) {
		const struct config_domain *d = &c->publish.domains[i];

		for (size_t k = 0; k < d->n_hosts && !d->lab; k++)
			if (c->hosts[d->hosts[k]].is_local)
				return d;
	}
	return NULL;
}

static void check_lab(const struct config *c, struct cfg *cfg)
{
	const struct config_relay *r = &c->relay;
	const struct config_domain *d = public_domain(c);
	const struct config_upstream *first = NULL;
	size_t n_lab = 0;

	for (size_t i = 0; i < r->n_upstreams; i++) {
		if (!r->upstreams[i].lab)
			continue;
		first = first != NULL ? first : &r->upstreams[i];
		n_lab++;
	}
	if (first == NULL || d == NULL || d->domain == NULL)
		return;
	if (n_lab == r->n_upstreams && r->srv == NULL)
		cfg_complain(
			cfg, false, d,
			"`local` is published here, and all its upstreams are lab hosts, which "
			"no Windows client may be sent to; for a lab domain add `lab: true`, "
			"else give a licensed upstream");
	else
		cfg_complain(cfg, true, &first->lab,
			     "'%s' is a lab host, and `local` is published in %s, which is no lab "
			     "domain: while lab hosts alone are up, Windows clients that still "
			     "come are taken, and get a fault for an answer",
			     first->name != NULL ? first->name : "?", d->domain);
}

/* ---- */

/* The records that lead clients here cannot lead from here to the hosts. */
static void check_srv(const struct config *c, struct cfg *cfg)
{
	static const char labels[] = "_vlmcs._tcp.";
	const size_t n = sizeof(labels) - 1;

	if (c->relay.srv == NULL || strncmp(c->relay.srv, labels, n) != 0)
		return;
	for (size_t i = 0; i < c->publish.n_domains; i++) {
		const struct config_domain *d = &c->publish.domains[i];

		for (size_t k = 0; k < d->n_hosts; k++) {
			if (d->domain == NULL || !c->hosts[d->hosts[k]].is_local ||
			    strcmp(c->relay.srv + n, d->domain) != 0)
				continue;
			cfg_complain(cfg, false, &c->relay.srv,
				     "`local` is published under this name (line %u): requests "
				     "would go in a circle; give the hosts a name of their own, "
				     "such as _kms._tcp.hosts.%s",
				     d->line, d->domain);
			return;
		}
	}
}

static void check_pool(const struct config_pool *p, struct cfg *cfg)
{
	if (p->min > p->max && !cfg_is_bad(cfg, "relay.pool"))
		cfg_complain(cfg, false, &p->min, "%u is more than relay.pool.max, which is %u",
			     p->min, p->max);
}

void config_check_relay(const struct config *c, struct cfg *cfg)
{
	const struct config_relay *r = &c->relay;

	check_pool(&r->pool, cfg);
	if (c->service.mode != CONFIG_SERVICE_RELAY || cfg_is_bad(cfg, "relay"))
		return;
	if (r->n_upstreams == 0 && r->srv == NULL)
		cfg_complain(cfg, false, &r->upstreams,
			     "service.mode is relay, which needs at least one upstream, a licensed "
			     "KMS host; or relay.srv, a name whose SRV records lead to them");
	for (size_t i = 0; i < r->n_upstreams; i++) {
		if (check_address(&r->upstreams[i], cfg))
			check_own(c, &r->upstreams[i], cfg);
		check_twin(r, i, cfg);
	}
	if (!cfg_is_bad(cfg, "hosts") && !cfg_is_bad(cfg, "publish")) {
		check_srv(c, cfg);
		check_lab(c, cfg);
	}
}
