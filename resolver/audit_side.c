/* Part of audit_priv.h: what is asked once the set is known. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/audit_priv.h"

static void heard(struct rsv_audit_impl *a)
{
	if (--a->asking == 0)
		rsv_audit_finish(a, 0);
}

/* ---- targets --------------------------------------------------------------------------------- */

static void on_target(struct rsv_target_wait *w, const struct rsv_target_result *t)
{
	struct rsv_target_ask *k = w->owner;
	struct rsv_audit_impl *a = k->a;

	k->running = false;
	if (!rsv_audit_goes_on(a))
		return;
	if (t == NULL) { /* a host that was not looked at is no host without findings */
		rsv_audit_finish(a, ERR_NOMEM);
		return;
	}
	a->r.records[k - a->target_asks].known = true;
	a->r.records[k - a->target_asks].target = *t;
	heard(a);
}

/** 0 or ERR_NOMEM. */
static int ask_targets(struct rsv_audit_impl *a)
{
	if (a->r.n_records == 0)
		return 0;
	a->target_asks = calloc(a->r.n_records, sizeof(*a->target_asks));
	if (a->target_asks == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < a->r.n_records; i++) {
		const struct dns_srv *srv = &a->r.records[i].rec.srv;
		struct rsv_target_ask *k = &a->target_asks[i];

		if (dns_name_is_root(&srv->target) || srv->port == 0)
			continue;
		k->a = a;
		k->wait.owner = k;
		k->running = true;
		a->asking++;
		a->open++;
		rsv_targets_ask(a->p.targets, &srv->target, srv->port, &k->wait, on_target);
	}
	return 0;
}

/* ---- a wildcard ------------------------------------------------------------------------------ */

static void on_sibling(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct rsv_audit_impl *a = l->owner;
	const struct rsv_set *set = &a->r.servers[a->reference].set;

	a->sibling_running = false;
	if (!rsv_audit_goes_on(a))
		return;
	if (a->found.aliased)
		a->r.wildcard = r->set.aliased && dns_name_equal(&r->set.owner, &a->found.owner);
	else
		a->r.wildcard = r->err == 0 && rsv_same_set(&r->set, set);
	heard(a);
}

/** A name beside ours that nobody has: only a wildcard answers for it as for ours. */
static void ask_sibling(struct rsv_audit_impl *a)
{
	const struct rsv_server_view *ref = &a->r.servers[a->reference];
	struct dns_server list[DNS_CLIENT_SERVERS_MAX] = { { .addr = ref->addr } };
	struct rsv_lookup_params p = {
		.servers = list,
		.n_servers = 1,
		.rd = ref->role != RSV_ROLE_NS,
		.total_ms = RSV_AUDIT_SERVER_MS,
		.queries = &a->r.queries,
	};
	struct dns_name parent;
	char label[32];

	if (a->r.n_records == 0 && !a->found.aliased)
		return;
	if (a->found.aliased) { /* the servers of the alias's target need not know the alias */
		p.n_servers = rsv_audit_ways(a, list);
		p.rd = true;
	}
	snprintf(label, sizeof(label), "kmsbeacon-%08x", rng_u32(a->net->rng));
	if (!dns_name_parent(&a->srv_name, &parent) ||
	    dns_name_prefix(label, &parent, &p.name) != 0)
		return;
	a->sibling_running = true;
	a->sibling.owner = a;
	a->asking++;
	a->open++;
	rsv_lookup_start(&a->sibling, a->net, &p, on_sibling);
}

/* ---- the key of the zone --------------------------------------------------------------------- */

static void on_key(struct dns_client *c, const struct dns_outcome *o)
{
	struct rsv_audit_impl *a = c->owner;

	a->key_running = false;
	rsv_queries_add(&a->r.queries, &a->key_question, o);
	if (!rsv_audit_goes_on(a))
		return;
	a->r.key = (struct rsv_key_check){
		.asked = true,
		.err = o->err,
		.has_skew = o->tsig.has_skew,
		.skew_s = o->tsig.skew_s,
		.server = o->server,
	};
	heard(a);
}

static void ask_with_key(struct rsv_audit_impl *a)
{
	struct dns_server list[HOST_LOOKUP_ADDRS_MAX] = { 0 };
	struct dns_client_params p = {
		.servers = list,
		.question = &a->key_question,
		.total_ms = RSV_AUDIT_SERVER_MS,
		.tries = 1,
	};

	if (a->p.key == NULL || !a->r.has_zone)
		return;
	if (addr_is_set(&a->p.key_server))
		list[p.n_servers++].addr = a->p.key_server;
	for (size_t i = 0; p.n_servers == 0 && i < a->r.n_servers; i++)
		if (a->r.servers[i].is_primary)
			for (size_t k = 0; k < a->r.servers[i].n_addrs; k++)
				list[p.n_servers++].addr = a->r.servers[i].addrs[k];
	if (p.n_servers == 0)
		return;
	for (size_t i = 0; i < p.n_servers; i++)
		list[i].key = a->p.key;
	a->key_question = (struct dns_question){ .name = a->r.zone, .type = DNS_TYPE_SOA };
	a->key_running = true;
	a->key.owner = a;
	a->asking++;
	a->open++;
	dns_client_start(&a->key, a->net, &p, on_key);
}

/* ---- AD ------------------------------------------------------------------------------------ */

static void on_ad(struct ad_lookup *l, int err, const struct net_ad *ad)
{
	struct rsv_audit_impl *a = l->owner;

	(void)err;
	a->ad_running = false;
	if (!rsv_audit_goes_on(a))
		return;
	if (ad != NULL)
		a->r.ad_domain = ad->domain;
	heard(a);
}

/** Only of a zone that we are to publish in: there it stands in the way. */
static void ask_about_ad(struct rsv_audit_impl *a)
{
	struct dns_server ways[DNS_CLIENT_SERVERS_MAX], primary[HOST_LOOKUP_ADDRS_MAX] = { 0 };
	struct ad_lookup_params p = { .name = a->srv_name,
				      .zone = a->r.zone,
				      .mname = a->r.primary,
				      .primary = primary,
				      .resolvers = ways,
				      .n_resolvers = rsv_audit_ways(a, ways) };

	if (a->p.n_own == 0 || !a->r.has_zone)
		return;
	for (size_t i = 0; p.n_primary == 0 && i < a->r.n_servers; i++)
		if (a->r.servers[i].is_primary)
			for (size_t k = 0; k < a->r.servers[i].n_addrs; k++)
				primary[p.n_primary++].addr = a->r.servers[i].addrs[k];
	a->ad_running = true;
	a->ad.owner = a;
	a->asking++;
	a->open++;
	ad_lookup_start(&a->ad, a->net, &p, on_ad);
}

/* ---- the search list ------------------------------------------------------------------------- */

static void on_suffix(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct rsv_suffix_ask *k = l->owner;
	struct rsv_audit_impl *a = k->a;
	struct rsv_suffix_view *x = &a->r.suffixes[k - a->suffix_asks];

	k->running = false;
	if (!rsv_audit_goes_on(a))
		return;
	x->err = r->err;
	x->set = r->set;
	memset(&r->set, 0, sizeof(r->set));
	heard(a);
}

/** 0 or ERR_NOMEM. */
static int ask_suffixes(struct rsv_audit_impl *a)
{
	struct dns_server list[DNS_CLIENT_SERVERS_MAX];
	struct rsv_lookup_params p = {
		.servers = list,
		.n_servers = rsv_audit_ways(a, list),
		.rd = true,
		.total_ms = RSV_AUDIT_SERVER_MS,
		.queries = &a->r.queries,
	};

	if (a->r.n_suffixes == 0 || a->r.n_records == 0)
		return 0;
	a->suffix_asks = calloc(a->r.n_suffixes, sizeof(*a->suffix_asks));
	if (a->suffix_asks == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < a->r.n_suffixes; i++) {
		struct rsv_suffix_ask *k = &a->suffix_asks[i];

		a->r.suffixes[i].err = ERR_TIMEOUT;
		if (rsv_srv_name(&a->r.suffixes[i].domain, &p.name) != 0)
			continue;
		k->a = a;
		k->lookup.owner = k;
		k->running = true;
		a->asking++;
		a->open++;
		rsv_lookup_start(&k->lookup, a->net, &p, on_suffix);
	}
	return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

void rsv_audit_side(struct rsv_audit_impl *a)
{
	int err;

	a->state = RSV_AUDIT_SIDE;
	err = ask_targets(a);
	if (err == 0)
		err = ask_suffixes(a);
	if (err == 0 && a->reference != RSV_NO_SERVER)
		ask_sibling(a);
	if (err == 0) {
		ask_with_key(a);
		ask_about_ad(a);
	}
	if (err != 0 || a->asking == 0)
		rsv_audit_finish(a, err);
}

void rsv_audit_side_cancel(struct rsv_audit_impl *a)
{
	for (size_t i = 0; a->target_asks != NULL && i < a->r.n_records; i++)
		if (a->target_asks[i].running)
			rsv_targets_cancel(&a->target_asks[i].wait);
	for (size_t i = 0; a->suffix_asks != NULL && i < a->r.n_suffixes; i++)
		if (a->suffix_asks[i].running)
			rsv_lookup_cancel(&a->suffix_asks[i].lookup);
	if (a->sibling_running)
		rsv_lookup_cancel(&a->sibling);
	if (a->key_running)
		dns_client_cancel(&a->key);
	if (a->ad_running)
		ad_lookup_cancel(&a->ad);
}
