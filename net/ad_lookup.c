#include "net/ad_lookup.h"

#include "common/err.h"

static void one_closed(struct ad_lookup *l)
{
	if (--l->open > 0)
		return;
	l->state = ADL_DONE;
	l->done(l, l->err, l->found ? &l->ad : NULL);
}

static void on_closed(uv_handle_t *h)
{
	one_closed(h->data);
}

static void finish(struct ad_lookup *l, int err)
{
	if (l->state != ADL_ASKING)
		return;
	l->state = ADL_CLOSING;
	l->err = err;
	if (l->client.owner != NULL)
		dns_client_cancel(&l->client);
	uv_close((uv_handle_t *)&l->timer, on_closed);
}

static void on_deadline(uv_timer_t *t)
{
	finish(t->data, ERR_OK);
}

static void take_step(struct ad_lookup *l, enum net_ad_step step);

static void on_answer(struct dns_client *c, const struct dns_outcome *o)
{
	struct ad_lookup *l = c->owner;
	bool answers = o->err == ERR_OK || o->err == ERR_RCODE_NXDOMAIN;

	c->owner = NULL;
	if (l->state == ADL_ASKING)
		take_step(l, net_ad_answer(&l->ad, answers ? o->msg : NULL));
	one_closed(l);
}

static void ask(struct ad_lookup *l)
{
	struct dns_question q = { .name = l->ad.ask, .type = l->ad.type, .rd = !l->ad.at_primary };
	struct dns_client_params p = {
		.servers = l->ad.at_primary ? l->primary : l->resolvers,
		.n_servers = l->ad.at_primary ? l->n_primary : l->n_resolvers,
		.question = &q,
		.tries = 1,
		.total_ms = AD_LOOKUP_QUESTION_MS,
	};

	l->client.owner = l;
	l->open++;
	dns_client_start(&l->client, l->net, &p, on_answer);
}

static void take_step(struct ad_lookup *l, enum net_ad_step step)
{
	l->found = step == NET_AD_YES;
	if (step == NET_AD_ASK)
		ask(l);
	else
		finish(l, ERR_OK);
}

static size_t copy(struct dns_server ret[DNS_CLIENT_SERVERS_MAX], const struct dns_server *from,
		   size_t n)
{
	n = n < DNS_CLIENT_SERVERS_MAX ? n : DNS_CLIENT_SERVERS_MAX;
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct dns_server){ .addr = from[i].addr };
	return n;
}

void ad_lookup_start(struct ad_lookup *l, struct net *net, const struct ad_lookup_params *p,
		     ad_lookup_done_fn *done)
{
	l->net = net;
	l->done = done;
	l->n_primary = copy(l->primary, p->primary, p->n_primary);
	l->n_resolvers = copy(l->resolvers, p->resolvers, p->n_resolvers);
	for (size_t i = 0; p->n_resolvers == 0 && i < net->n_resolvers; i++)
		l->resolvers[l->n_resolvers++].addr = net->resolvers[i];
	l->state = ADL_ASKING;
	l->open = 1;
	(void)uv_timer_init(net->loop, &l->timer);
	l->timer.data = l;
	(void)uv_timer_start(&l->timer, on_deadline, AD_LOOKUP_TOTAL_MS, 0);
	take_step(l, net_ad_begin(&l->ad, &p->name, &p->zone, &p->mname, l->n_primary > 0,
				  l->n_resolvers > 0));
}

void ad_lookup_cancel(struct ad_lookup *l)
{
	finish(l, ERR_CANCELED);
}
