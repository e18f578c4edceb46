#include "resolver/zone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/dns_chain.h"

#define SOA_QUESTIONS_MAX                                                                          \
	24 /* a walk from the longest name that anybody uses, and some aliases                     \
	    */

/* ---- pure ------------------------------------------------------------------------------------ */

int rsv_zone_read(const struct dns_msg *m, struct dns_name *owner, struct dns_name *ret_zone,
		  struct dns_name *ret_mname)
{
	struct dns_chain chain = { .name = *owner };
	const struct dns_rr *rr;
	int err;

	if (m->rcode != DNS_RCODE_NOERROR && m->rcode != DNS_RCODE_NXDOMAIN)
		return dns_rcode_err(m->rcode);
	err = dns_chain_follow(&chain, m, RSV_CNAME_MAX);
	if (err != 0)
		return err;
	*owner = chain.name;
	rr = dns_chain_soa(m, DNS_ANSWER, owner); /* of the name, or of a parent asked */
	if (rr == NULL)
		rr = dns_chain_soa(m, DNS_AUTHORITY, owner);
	if (rr == NULL)
		return -EAGAIN;
	if (dns_name_is_root(&rr->owner))
		return ERR_DNS_NO_ZONE;
	*ret_zone = rr->owner;
	*ret_mname = rr->data.soa.mname;
	return 0;
}

/* ---- operation ------------------------------------------------------------------------------- */

/** The one exit; nothing runs any more. */
static void finish(struct rsv_zone_op *z, int err)
{
	if (z->state == RSV_ZONE_CANCELING)
		err = ERR_CANCELED;
	z->state = RSV_ZONE_DONE;
	z->result.err = err;
	z->done(z, &z->result);
	/* z may be freed memory now */
}

static void on_query(void *ctx, const struct dns_question *q, const struct dns_outcome *o)
{
	struct rsv_zone_op *z = ctx;

	if (z->queries != NULL)
		rsv_queries_add(z->queries, q, o);
}

static void on_answer(struct dns_client *c, const struct dns_outcome *o);

static void ask(struct rsv_zone_op *z, const struct dns_name *name, uint16_t type)
{
	struct dns_client_params p = {
		.servers = z->servers,
		.n_servers = z->n_servers,
		.question = &z->question,
	};

	z->question = (struct dns_question){ .name = *name, .type = type, .rd = true };
	z->asking = true;
	z->client.owner = z;
	dns_client_start(&z->client, z->net, &p, on_answer);
}

static uint16_t server_port(const struct rsv_zone_op *z)
{
	return z->net->dns_port != 0 ? z->net->dns_port : NET_DNS_PORT;
}

static void found(struct rsv_ns_lookup *l, int err, const struct addr *addrs, size_t n)
{
	struct rsv_zone_op *z = l->z;
	struct rsv_ns *ns = &z->result.ns[l - z->lookups];

	l->running = l->waiting = false;
	ns->err = err;
	if (err == 0) {
		ns->n_addrs = n;
		memcpy(ns->addrs, addrs, n * sizeof(*addrs));
	}
	if (--z->open == 0)
		finish(z, 0);
}

static void on_address(struct host_lookup *h, const struct host_lookup_result *r)
{
	found(h->owner, r->err, r->addrs, r->n_addrs);
}

static void look_up(struct rsv_ns_lookup *l)
{
	struct rsv_zone_op *z = l->z;
	char host[DNSNAME_TEXT_MAX];
	struct host_lookup_params p = {
		.host = dns_name_format(&z->result.ns[l - z->lookups].name, host),
		.port = server_port(z),
		.servers = z->servers,
		.n_servers = z->n_servers,
		.total_ms = RSV_NS_LOOKUP_MS,
		.on_query = on_query,
		.on_query_ctx = z,
	};

	l->lookup.owner = l;
	host_lookup_start(&l->lookup, z->net, &p, on_address);
}

static void on_shared_address(struct rsv_target_wait *w, const struct rsv_target_result *t)
{
	struct rsv_ns_lookup *l = w->owner;

	l->waiting = false;
	if (t != NULL)
		found(l, t->resolve_err, t->addrs, t->n_addrs);
	else if (l->z->state == RSV_ZONE_CANCELING)
		found(l, ERR_CANCELED, NULL, 0);
	else
		look_up(l); /* the table is full */
}

static void look_up_servers(struct rsv_zone_op *z)
{
	z->state = RSV_ZONE_ADDRS;
	for (size_t i = 0; i < z->result.n_ns; i++) {
		struct rsv_ns_lookup *l = &z->lookups[i];

		l->z = z;
		l->running = true;
		z->open++;
		if (z->shared == NULL) {
			look_up(l);
			continue;
		}
		l->waiting = true;
		l->wait.owner = l;
		rsv_targets_ask(rsv_shared_hosts(z->shared), &z->result.ns[i].name, server_port(z),
				&l->wait, on_shared_address);
	}
}

static void add_server(struct rsv_zone_result *r, const struct dns_name *name)
{
	for (size_t i = 0; i < r->n_ns; i++)
		if (dns_name_equal(&r->ns[i].name, name))
			return;
	if (r->n_ns == RSV_NS_MAX)
		return;
	r->ns[r->n_ns].name = *name;
	r->ns[r->n_ns++].is_primary = dns_name_equal(name, &r->mname);
}

/** Servers rotate the records they give; a report should not. */
static int compare_ns(const void *a, const void *b)
{
	const struct rsv_ns *x = a, *y = b;

	if (x->is_primary != y->is_primary)
		return x->is_primary ? -1 : 1;
	return dns_name_compare(&x->name, &y->name);
}

static void servers_known(struct rsv_zone_op *z)
{
	if (z->result.n_ns == 0)
		add_server(&z->result, &z->result.mname);
	qsort(z->result.ns, z->result.n_ns, sizeof(z->result.ns[0]), compare_ns);
	look_up_servers(z);
}

static void remember_servers(struct rsv_zone_op *z)
{
	struct dns_name names[RSV_NS_MAX];

	if (z->shared == NULL)
		return;
	for (size_t i = 0; i < z->result.n_ns; i++)
		names[i] = z->result.ns[i].name;
	rsv_shared_zone_add(z->shared, &z->result.zone, names, z->result.n_ns);
}

static void on_servers(struct rsv_zone_op *z, const struct dns_outcome *o)
{
	size_t n = 0;
	const struct dns_rr *rr = o->err == 0 ? dnsmsg_section(o->msg, DNS_ANSWER, &n) : NULL;

	for (; n > 0; n--, rr++)
		if (rr->type == DNS_TYPE_NS && rr->rclass == DNS_CLASS_IN &&
		    dns_name_equal(&rr->owner, &z->result.zone))
			add_server(&z->result, &rr->data.name);
	z->result.ns_err = o->err;
	if (o->err == 0)
		remember_servers(z);
	servers_known(z);
}

/** From the table of the run. @return whether they are there. */
static bool recall_servers(struct rsv_zone_op *z)
{
	const struct dns_name *ns = NULL;
	size_t n = 0;

	if (z->shared != NULL)
		ns = rsv_shared_zone(z->shared, &z->result.zone, &n);
	for (size_t i = 0; i < n; i++)
		add_server(&z->result, &ns[i]);
	return ns != NULL;
}

/** One label up from the name asked last. */
static void ask_parent(struct rsv_zone_op *z)
{
	struct dns_name up;

	if (!dns_name_parent(&z->question.name, &up) || dns_name_is_root(&up))
		finish(z, ERR_DNS_NO_ZONE);
	else
		ask(z, &up, DNS_TYPE_SOA);
}

static void on_soa(struct rsv_zone_op *z, const struct dns_outcome *o)
{
	struct rsv_zone_result *r = &z->result;
	struct dns_name owner = r->owner;
	int err = o->err;

	if (o->msg != NULL)
		err = rsv_zone_read(o->msg, &owner, &r->zone, &r->mname);
	if (err == 0 || err == -EAGAIN)
		r->aliased |= !dns_name_equal(&owner, &r->owner);
	if (err == 0) {
		r->owner = owner;
		z->state = RSV_ZONE_NS;
		if (recall_servers(z))
			servers_known(z);
		else
			ask(z, &r->zone, DNS_TYPE_NS);
	} else if (err != -EAGAIN) {
		finish(z, err);
	} else if (++z->questions >= SOA_QUESTIONS_MAX) {
		finish(z, ERR_DNS_NO_ZONE);
	} else if (!dns_name_equal(&owner, &r->owner)) {
		r->owner = owner;
		ask(z, &owner, DNS_TYPE_SOA);
	} else {
		ask_parent(z);
	}
}

static void on_answer(struct dns_client *c, const struct dns_outcome *o)
{
	struct rsv_zone_op *z = c->owner;

	z->asking = false;
	on_query(z, &z->question, o);
	switch (z->state) {
	case RSV_ZONE_SOA:
		on_soa(z, o);
		break;
	case RSV_ZONE_NS:
		on_servers(z, o);
		break;
	case RSV_ZONE_CANCELING:
		finish(z, ERR_CANCELED);
		break;
	case RSV_ZONE_IDLE:
	case RSV_ZONE_ADDRS:
	case RSV_ZONE_DONE:
		break; /* no question runs in these */
	}
}

void rsv_zone_op_start(struct rsv_zone_op *z, struct net *net, const struct rsv_zone_params *p,
		       rsv_zone_done_fn *done)
{
	void *owner = z->owner;

	memset(z, 0, sizeof(*z));
	z->owner = owner;
	z->net = net;
	z->done = done;
	z->queries = p->queries;
	z->shared = p->shared;
	z->result.owner = p->name;
	z->n_servers =
		p->n_servers < DNS_CLIENT_SERVERS_MAX ? p->n_servers : DNS_CLIENT_SERVERS_MAX;
	if (z->n_servers > 0)
		memcpy(z->servers, p->servers, z->n_servers * sizeof(*z->servers));
	z->state = RSV_ZONE_SOA;
	ask(z, &p->name, DNS_TYPE_SOA);
}

void rsv_zone_op_cancel(struct rsv_zone_op *z)
{
	if (z->state == RSV_ZONE_IDLE || z->state == RSV_ZONE_DONE ||
	    z->state == RSV_ZONE_CANCELING)
		return;
	z->state = RSV_ZONE_CANCELING;
	if (z->asking)
		dns_client_cancel(&z->client);
	for (size_t i = 0; i < z->result.n_ns; i++) {
		if (z->lookups[i].waiting)
			rsv_targets_cancel(&z->lookups[i].wait);
		else if (z->lookups[i].running)
			host_lookup_cancel(&z->lookups[i].lookup);
	}
}
