#include "net/host_lookup.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"
#include "net/addr_select.h"
#include "net/dns_chain.h"

/** One of A and AAAA: a question, and further ones along a CNAME chain. */
struct leg {
	struct dns_client client;
	bool running;
	uint16_t type;
	int err;
	struct dns_chain chain; /* where it stands; the TTL is that of the addresses too */
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
};

enum { LEG_AAAA, LEG_A, LEG_COUNT_ };

struct host_lookup_impl {
	struct host_lookup *h;
	struct net *net;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	size_t n_servers;
	uint16_t port;
	uint64_t deadline; /* loop time */
	bool canceled;
	bool any_order;
	void (*on_query)(void *ctx, const struct dns_question *q, const struct dns_outcome *o);
	void *on_query_ctx;
	struct leg legs[LEG_COUNT_];
	struct host_lookup_result result;
};

/* The end */

static void on_timer_closed(uv_handle_t *handle)
{
	struct host_lookup *h = handle->data;
	struct host_lookup_impl *l = h->impl;
	const struct host_lookup_result no_memory = { .err = ERR_NOMEM };

	h->impl = NULL;
	h->done(h, l != NULL ? &l->result : &no_memory);
	/* h may be freed memory now */
	for (size_t i = 0; l != NULL && i < l->n_servers; i++)
		tsig_key_unref(l->servers[i].key);
	free(l);
}

static void end(struct host_lookup_impl *l)
{
	uv_close((uv_handle_t *)&l->h->timer, on_timer_closed);
}

/** Where packets to @p a would come from: connecting a UDP socket looks for a route and sends
 * nothing. Unset where there is none. */
static void find_source(const struct addr *a, struct addr *ret)
{
	struct addr to = *a;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	int fd = socket(a->u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	memset(ret, 0, sizeof(*ret));
	if (fd < 0)
		return;
	if (addr_port(&to) == 0)
		addr_set_port(&to, NET_DNS_PORT);
	if (connect(fd, &to.u.sa, addr_len(&to)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&from, &len) == 0)
		(void)addr_from_sockaddr(ret, (struct sockaddr *)&from);
	close(fd);
}

static bool has_addr(const struct addr *list, size_t n, const struct addr *a)
{
	for (size_t i = 0; i < n; i++)
		if (addr_same_host(&list[i], a))
			return true;
	return false;
}

/** Both legs' addresses in the order of RFC 6724. Where there are too many, neither family pushes
 * the other out. */
static void collect(struct host_lookup_impl *l)
{
	struct host_lookup_result *r = &l->result;
	size_t n4 = l->legs[LEG_A].n_addrs, n6 = l->legs[LEG_AAAA].n_addrs;
	const size_t half = HOST_LOOKUP_ADDRS_MAX / 2;
	struct addr_route routes[HOST_LOOKUP_ADDRS_MAX];
	size_t n = 0;

	if (n4 + n6 > HOST_LOOKUP_ADDRS_MAX && n6 > half)
		n6 = n4 < half ? HOST_LOOKUP_ADDRS_MAX - n4 : half;
	if (n4 + n6 > HOST_LOOKUP_ADDRS_MAX)
		n4 = HOST_LOOKUP_ADDRS_MAX - n6;
	for (size_t i = 0; i < n6; i++)
		routes[n++].dst = l->legs[LEG_AAAA].addrs[i];
	for (size_t i = 0; i < n4; i++)
		routes[n++].dst = l->legs[LEG_A].addrs[i];
	for (size_t i = 0; !l->any_order && i < n; i++)
		find_source(&routes[i].dst, &routes[i].src);
	if (!l->any_order)
		addr_select_order(routes, n);
	for (size_t i = 0; i < n; i++)
		r->addrs[i] = routes[i].dst;
	r->n_addrs = n;
}

/** What to say where there is no address: "no such name" only when nothing else went wrong. */
static int worst(int a, int b)
{
	if (a != ERR_DNS_NODATA && a != ERR_RCODE_NXDOMAIN)
		return a;
	if (b != ERR_DNS_NODATA && b != ERR_RCODE_NXDOMAIN)
		return b;
	return a == ERR_RCODE_NXDOMAIN ? a : b;
}

static void conclude(struct host_lookup_impl *l)
{
	struct host_lookup_result *r = &l->result;
	const struct leg *a = &l->legs[LEG_A], *aaaa = &l->legs[LEG_AAAA];
	const struct leg *main_leg = a->n_addrs > 0 || aaaa->n_addrs == 0 ? a : aaaa;

	if (l->canceled) {
		r->err = ERR_CANCELED;
		end(l);
		return;
	}
	r->is_alias = a->chain.hops > 0 || aaaa->chain.hops > 0;
	r->canonical = main_leg->chain.name;
	r->ttl = main_leg->chain.ttl;
	if (aaaa->n_addrs > 0 && aaaa->chain.ttl < r->ttl)
		r->ttl = aaaa->chain.ttl;
	collect(l);
	if (r->n_addrs == 0) {
		r->ttl = 0;
		r->err = worst(a->err, aaaa->err);
	}
	end(l);
}

/* One leg */

static void leg_ask(struct host_lookup_impl *l, struct leg *leg);

static void on_other_late(uv_timer_t *t)
{
	struct host_lookup_impl *l = ((struct host_lookup *)t->data)->impl;

	for (size_t i = 0; i < LEG_COUNT_; i++)
		if (l->legs[i].running)
			dns_client_cancel(&l->legs[i].client);
}

static void leg_over(struct host_lookup_impl *l, struct leg *leg, int err)
{
	leg->running = false;
	leg->err = err;
	if (!l->legs[LEG_A].running && !l->legs[LEG_AAAA].running)
		conclude(l);
	else if (leg->n_addrs > 0)
		uv_timer_start(&l->h->timer, on_other_late, HOST_LOOKUP_OTHER_MS, 0);
}

static void take_addresses(struct leg *leg, const struct dns_msg *m, uint16_t port)
{
	size_t n;
	const struct dns_rr *rr = dnsmsg_section(m, DNS_ANSWER, &n);

	for (; n > 0 && leg->n_addrs < HOST_LOOKUP_ADDRS_MAX; n--, rr++) {
		struct addr a;

		if (rr->type != leg->type || rr->rclass != DNS_CLASS_IN ||
		    !dns_name_equal(&rr->owner, &leg->chain.name))
			continue;
		if (leg->type == DNS_TYPE_A)
			addr_from_v4(&a, (const uint8_t *)&rr->data.a, port);
		else
			addr_from_v6(&a, (const uint8_t *)&rr->data.aaaa, port);
		if (has_addr(leg->addrs, leg->n_addrs, &a))
			continue;
		leg->addrs[leg->n_addrs++] = a;
		if (rr->ttl < leg->chain.ttl)
			leg->chain.ttl = rr->ttl;
	}
}

static void on_answer(struct dns_client *c, const struct dns_outcome *o)
{
	struct host_lookup_impl *l = c->owner;
	struct leg *leg = (struct leg *)((char *)c - offsetof(struct leg, client));
	unsigned hops = leg->chain.hops;
	const struct dns_question q = { .name = leg->chain.name, .type = leg->type, .rd = true };
	int err = o->err;

	if (l->on_query != NULL)
		l->on_query(l->on_query_ctx, &q, o);
	if (err == ERR_CANCELED)
		err = ERR_TIMEOUT; /* of this leg; conclude() knows when it was our owner */
	if (o->msg != NULL && (err == ERR_OK || err == ERR_RCODE_NXDOMAIN)) {
		int chain = dns_chain_follow(&leg->chain, o->msg, HOST_LOOKUP_CNAME_MAX);

		if (chain != ERR_OK)
			err = chain;
	}
	if (err == ERR_OK) {
		take_addresses(leg, o->msg, l->port);
		if (leg->n_addrs == 0 && leg->chain.hops > hops &&
		    dns_chain_soa(o->msg, DNS_AUTHORITY, &leg->chain.name) == NULL &&
		    !l->canceled) {
			leg_ask(l, leg); /* the server did not follow its own CNAME */
			return;
		}
		if (leg->n_addrs == 0)
			err = ERR_DNS_NODATA;
	}
	leg_over(l, leg, err);
}

static void leg_ask(struct host_lookup_impl *l, struct leg *leg)
{
	const struct dns_question q = { .name = leg->chain.name, .type = leg->type, .rd = true };
	uint64_t now = uv_now(l->net->loop);
	const struct dns_client_params p = {
		.servers = l->servers,
		.n_servers = l->n_servers,
		.question = &q,
		.total_ms = l->deadline > now ? (uint32_t)(l->deadline - now) : 1,
	};

	leg->running = true;
	leg->client.owner = l;
	dns_client_start(&leg->client, l->net, &p, on_answer);
}

/* Start */

static void add_addr(struct leg *leg, const struct addr *a, uint16_t port)
{
	leg->addrs[leg->n_addrs] = *a;
	addr_set_port(&leg->addrs[leg->n_addrs++], port);
}

/** Names that need no question. @return whether @p host is one. */
static bool answer_here(struct host_lookup_impl *l, const char *host)
{
	static const uint8_t lo4[4] = { 127, 0, 0, 1 };
	struct dns_name localhost;
	struct addr a;

	l->legs[LEG_A].chain.ttl = l->legs[LEG_AAAA].chain.ttl = UINT32_MAX;
	if (addr_parse(host, l->port, &a) == ERR_OK) {
		add_addr(&l->legs[a.u.sa.sa_family == AF_INET6 ? LEG_AAAA : LEG_A], &a, l->port);
		return true;
	}
	if (dns_name_parse(host, &l->legs[LEG_A].chain.name) != ERR_OK ||
	    dns_name_is_root(&l->legs[LEG_A].chain.name)) {
		l->legs[LEG_A].err = l->legs[LEG_AAAA].err = ERR_PARSE;
		return true;
	}
	l->legs[LEG_AAAA].chain.name = l->legs[LEG_A].chain.name;
	(void)dns_name_parse("localhost", &localhost);
	if (!dns_name_is_within(&l->legs[LEG_A].chain.name, &localhost))
		return false;
	addr_from_v4(&a, lo4, 0);
	add_addr(&l->legs[LEG_A], &a, l->port);
	addr_from_v6(&a, in6addr_loopback.s6_addr, 0);
	add_addr(&l->legs[LEG_AAAA], &a, l->port);
	return true;
}

/** 0 or ERR_LIMIT. */
static int copy_servers(struct host_lookup_impl *l, const struct host_lookup_params *p)
{
	const struct net *net = l->net;

	if (p->n_servers > DNS_CLIENT_SERVERS_MAX)
		return ERR_LIMIT;
	for (size_t i = 0; i < p->n_servers; i++) {
		l->servers[i] = p->servers[i];
		if (l->servers[i].key != NULL)
			tsig_key_ref(l->servers[i].key);
	}
	l->n_servers = p->n_servers;
	for (size_t i = 0; p->n_servers == 0 && i < net->n_resolvers; i++)
		l->servers[l->n_servers++].addr = net->resolvers[i];
	return ERR_OK;
}

void host_lookup_start(struct host_lookup *h, struct net *net, const struct host_lookup_params *p,
		       host_lookup_done_fn *done)
{
	struct host_lookup_impl *l = calloc(1, sizeof(*l));
	int err;

	h->done = done;
	h->impl = l;
	uv_timer_init(net->loop, &h->timer);
	h->timer.data = h;
	if (l == NULL) {
		uv_close((uv_handle_t *)&h->timer, on_timer_closed);
		return;
	}
	l->h = h;
	l->net = net;
	l->port = p->port;
	l->any_order = p->any_order;
	l->on_query = p->on_query;
	l->on_query_ctx = p->on_query_ctx;
	l->legs[LEG_A].type = DNS_TYPE_A;
	l->legs[LEG_AAAA].type = DNS_TYPE_AAAA;
	uv_update_time(net->loop);
	l->deadline = uv_now(net->loop) + (p->total_ms != 0 ? p->total_ms : DNS_CLIENT_TOTAL_MS);
	err = copy_servers(l, p);
	if (err != ERR_OK) {
		l->result.err = err;
		end(l);
	} else if (answer_here(l, p->host)) {
		conclude(l);
	} else {
		leg_ask(l, &l->legs[LEG_AAAA]);
		leg_ask(l, &l->legs[LEG_A]);
	}
}

void host_lookup_cancel(struct host_lookup *h)
{
	struct host_lookup_impl *l = h->impl;

	if (l == NULL || uv_is_closing((uv_handle_t *)&h->timer))
		return; /* what ended it came first */
	l->canceled = true;
	for (size_t i = 0; i < LEG_COUNT_; i++)
		if (l->legs[i].running)
			dns_client_cancel(&l->legs[i].client);
}
