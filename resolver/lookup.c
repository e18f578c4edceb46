#include "resolver/lookup.h"

#include <errno.h>
#include <string.h>

/** The one exit. Only ever called from the client's callback, so nothing is left open. */
static void finish(struct rsv_lookup *l, int err)
{
	struct rsv_lookup_result r = l->result;

	if (l->state == RSV_LOOKUP_CANCELING)
		err = ERR_CANCELED;
	l->state = RSV_LOOKUP_DONE;
	memset(&l->result, 0, sizeof(l->result));
	r.err = err;
	if (l->hops > 0 && r.set.hops == 0) { /* the end of the chain gave no answer */
		r.set.hops = l->hops;
		r.set.aliased = true;
		r.set.owner = l->question.name;
	}
	if (err == 0 && r.set.ttl > l->chain_ttl)
		r.set.ttl = l->chain_ttl;
	l->done(l, &r);
	/* l may be freed memory now */
	rsv_set_done(&r.set);
}

static void ask(struct rsv_lookup *l);

static void on_answer(struct dns_client *c, const struct dns_outcome *o)
{
	struct rsv_lookup *l = c->owner;
	struct rsv_set *set = &l->result.set;
	int err = o->err;

	if (l->queries != NULL)
		rsv_queries_add(l->queries, &l->question, o);
	l->result.server = o->server;
	if (l->state == RSV_LOOKUP_ASKING && o->msg != NULL) {
		l->result.aa = o->msg->aa;
		err = rsv_set_read(o->msg, &l->question.name, set);
		l->hops += set->hops;
		set->hops = l->hops;
		set->aliased = l->hops > 0;
		if (l->hops > RSV_CNAME_MAX && (err == 0 || err == -EAGAIN))
			err = ERR_DNS_CNAME_LOOP;
		if (err == -EAGAIN) {
			if (set->ttl < l->chain_ttl)
				l->chain_ttl = set->ttl;
			l->question.name = set->owner;
			rsv_set_done(set);
			ask(l);
			return;
		}
	}
	finish(l, err);
}

static void ask(struct rsv_lookup *l)
{
	uint64_t now = uv_now(l->net->loop);
	struct dns_client_params p = {
		.servers = l->servers,
		.n_servers = l->n_servers,
		.question = &l->question,
		/* 0 would mean the default; 1 ends it at once, through the client's callback */
		.total_ms = now < l->end_ms ? (uint32_t)(l->end_ms - now) : 1,
	};

	dns_client_start(&l->client, l->net, &p, on_answer);
}

static void take_servers(struct rsv_lookup *l, const struct rsv_lookup_params *p)
{
	if (p->n_servers > 0) {
		l->n_servers = p->n_servers < DNS_CLIENT_SERVERS_MAX ? p->n_servers
								     : DNS_CLIENT_SERVERS_MAX;
		memcpy(l->servers, p->servers, l->n_servers * sizeof(*l->servers));
		return;
	}
	for (size_t i = 0; i < l->net->n_resolvers; i++)
		l->servers[l->n_servers++].addr = l->net->resolvers[i];
}

void rsv_lookup_start(struct rsv_lookup *l, struct net *net, const struct rsv_lookup_params *p,
		      rsv_lookup_done_fn *done)
{
	void *owner = l->owner;

	memset(l, 0, sizeof(*l));
	l->owner = owner;
	l->net = net;
	l->done = done;
	l->queries = p->queries;
	l->chain_ttl = UINT32_MAX;
	uv_update_time(net->loop);
	l->end_ms = uv_now(net->loop) + (p->total_ms != 0 ? p->total_ms : DNS_CLIENT_TOTAL_MS);
	l->question.name = p->name;
	l->question.type = DNS_TYPE_SRV;
	l->question.rd = p->rd;
	take_servers(l, p);
	l->client.owner = l;
	l->state = RSV_LOOKUP_ASKING;
	ask(l);
}

void rsv_lookup_cancel(struct rsv_lookup *l)
{
	if (l->state != RSV_LOOKUP_ASKING)
		return;
	l->state = RSV_LOOKUP_CANCELING;
	dns_client_cancel(&l->client);
}
