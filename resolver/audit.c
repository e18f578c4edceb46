#include "resolver/audit.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/audit_judge.h"

#define SETTLE_STEP_MS 500 /* between two rounds of questions */
#define SERVER_TRIES   2
#define DIFFER_ROUNDS  3 /* as often must servers contradict each other at one serial */

enum audit_state {
	AUDIT_ZONE,    /* which zone, which servers */
	AUDIT_ASK,     /* what each of them says */
	AUDIT_SETTLE,  /* they disagree in a way that time may heal */
	AUDIT_TARGETS, /* the hosts behind the records */
	AUDIT_CLOSING,
};

/** The questions to one server; answers go to result.servers[same index]. */
struct server_ask {
	struct rsv_audit_impl *a;
	struct dns_server addrs[HOST_LOOKUP_ADDRS_MAX];
	struct dns_question soa_question;
	struct dns_client soa;
	struct rsv_lookup srv;
	bool soa_running, srv_running;
};

struct target_ask {
	struct rsv_audit_impl *a;
	struct rsv_target_wait wait;
	bool running;
};

struct rsv_audit_impl {
	struct rsv_audit *op;
	struct net *net;
	struct rsv_audit_params p; /* of its pointers, only `targets` is used */
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	struct rsv_expect *expect, *own;
	struct dns_name srv_name; /* _vlmcs._tcp.DOMAIN */

	enum audit_state state;
	unsigned open; /* timers and children */
	unsigned asking;
	uv_timer_t settle;
	uint64_t settle_until; /* loop time; 0: not begun */
	unsigned rounds;       /* of questions to all servers */
	struct rsv_zone_op zone;
	struct rsv_zone_result found; /* with err 0 */
	struct server_ask *asks;
	struct target_ask *target_asks;
	struct rsv_audit_result r;
};

/* ---- the end --------------------------------------------------------------------------------- */

static void impl_free(struct rsv_audit_impl *a)
{
	if (a == NULL)
		return;
	for (size_t i = 0; i < a->r.n_servers; i++)
		rsv_set_done(&a->r.servers[i].set);
	free(a->r.servers);
	free(a->r.records);
	free(a->r.findings);
	rsv_queries_done(&a->r.queries);
	free(a->asks);
	free(a->target_asks);
	free(a->expect);
	free(a->own);
	free(a);
}

/** Whatever was heard until now is judged; a deadline leaves unasked what it leaves. */
static int verdict(struct rsv_audit_impl *a)
{
	struct rsv_judge_input in = {
		.aliased = a->found.aliased,
		.expect = a->expect,
		.n_expect = a->p.n_expect,
		.own = a->own,
		.n_own = a->p.n_own,
	};
	enum rsv_agreement agreement;
	int err = 0;

	in.reference = rsv_judge_servers(a->r.servers, a->r.n_servers, &a->r.zone, &agreement);
	if (in.reference != RSV_NO_SERVER && a->r.records == NULL)
		err = rsv_judge_records(&a->r, in.reference);
	return err == 0 ? rsv_judge_findings(&a->r, &in) : err;
}

static void one_closed(struct rsv_audit_impl *a)
{
	struct rsv_audit *op = a->op;

	if (--a->open > 0)
		return;
	if (a->r.err == 0)
		a->r.err = verdict(a);
	if (a->r.err != 0)
		a->r.status = RSV_UNKNOWN_;
	op->impl = NULL;
	op->done(op, &a->r);
	/* op may be freed memory now */
	impl_free(a);
}

static void on_settle_closed(uv_handle_t *h)
{
	one_closed(h->data);
}

static void on_deadline_closed(uv_handle_t *h)
{
	static const struct rsv_audit_result nothing = { .err = ERR_NOMEM, .status = RSV_UNKNOWN_ };
	struct rsv_audit *op = h->data;

	if (op->impl != NULL)
		one_closed(op->impl);
	else
		op->done(op, &nothing);
}

static void finish(struct rsv_audit_impl *a, int err)
{
	enum audit_state was = a->state;

	if (was == AUDIT_CLOSING)
		return; /* first caller wins */
	a->state = AUDIT_CLOSING;
	a->r.err = err;
	if (was == AUDIT_ZONE)
		rsv_zone_op_cancel(&a->zone);
	for (size_t i = 0; a->asks != NULL && i < a->r.n_servers; i++) {
		if (a->asks[i].soa_running)
			dns_client_cancel(&a->asks[i].soa);
		if (a->asks[i].srv_running)
			rsv_lookup_cancel(&a->asks[i].srv);
	}
	for (size_t i = 0; a->target_asks != NULL && i < a->r.n_records; i++)
		if (a->target_asks[i].running)
			rsv_targets_cancel(&a->target_asks[i].wait);
	uv_close((uv_handle_t *)&a->settle, on_settle_closed);
	uv_close((uv_handle_t *)&a->op->deadline, on_deadline_closed);
}

/** A child ended. @return false: closing, do nothing more. */
static bool goes_on(struct rsv_audit_impl *a)
{
	if (a->state != AUDIT_CLOSING) {
		a->open--; /* the timers are still counted, so this is not the last */
		return true;
	}
	one_closed(a);
	return false;
}

/* ---- targets --------------------------------------------------------------------------------- */

static void on_target(struct rsv_target_wait *w, const struct rsv_target_result *t)
{
	struct target_ask *k = w->owner;
	struct rsv_audit_impl *a = k->a;

	k->running = false;
	if (!goes_on(a))
		return;
	if (t != NULL) {
		struct rsv_audit_record *r = &a->r.records[k - a->target_asks];

		r->known = true;
		r->target = *t;
	}
	if (--a->asking == 0)
		finish(a, 0);
}

static void ask_targets(struct rsv_audit_impl *a)
{
	a->state = AUDIT_TARGETS;
	if (a->r.n_records > 0) {
		a->target_asks = calloc(a->r.n_records, sizeof(*a->target_asks));
		if (a->target_asks == NULL) {
			finish(a, ERR_NOMEM);
			return;
		}
	}
	for (size_t i = 0; i < a->r.n_records; i++) {
		const struct dns_srv *srv = &a->r.records[i].rec.srv;
		struct target_ask *k = &a->target_asks[i];

		if (dns_name_is_root(&srv->target) || srv->port == 0)
			continue;
		k->a = a;
		k->wait.owner = k;
		k->running = true;
		a->asking++;
		a->open++;
		rsv_targets_ask(a->p.targets, &srv->target, srv->port, &k->wait, on_target);
	}
	if (a->asking == 0)
		finish(a, 0);
}

/* ---- servers --------------------------------------------------------------------------------- */

static void ask_servers(struct rsv_audit_impl *a);

static void on_settle(uv_timer_t *t)
{
	struct rsv_audit_impl *a = t->data;

	if (a->state == AUDIT_SETTLE)
		ask_servers(a);
}

/** All servers have answered, or will not. */
static void all_heard(struct rsv_audit_impl *a)
{
	uint64_t now = uv_now(a->net->loop);
	enum rsv_agreement agreement;
	size_t reference;
	int err = 0;

	reference = rsv_judge_servers(a->r.servers, a->r.n_servers, &a->r.zone, &agreement);
	if (a->settle_until == 0)
		a->settle_until = now + a->p.settle_ms;
	a->rounds++;
	if (now < a->settle_until &&
	    (agreement == RSV_LAG || (agreement == RSV_DIFFER && a->rounds < DIFFER_ROUNDS))) {
		a->state = AUDIT_SETTLE;
		uv_timer_start(&a->settle, on_settle, SETTLE_STEP_MS, 0);
		return;
	}
	if (reference != RSV_NO_SERVER)
		err = rsv_judge_records(&a->r, reference);
	if (err != 0)
		finish(a, err);
	else
		ask_targets(a);
}

static void heard(struct rsv_audit_impl *a)
{
	if (--a->asking == 0)
		all_heard(a);
}

static void on_soa(struct dns_client *c, const struct dns_outcome *o)
{
	struct server_ask *k = c->owner;
	struct rsv_audit_impl *a = k->a;
	struct rsv_server_view *v = &a->r.servers[k - a->asks];
	size_t n = 0;
	const struct dns_rr *rr;

	k->soa_running = false;
	rsv_queries_add(&a->r.queries, &k->soa_question, o);
	if (!goes_on(a))
		return;
	v->soa_err = o->err;
	v->has_serial = false;
	rr = o->err == 0 ? dnsmsg_section(o->msg, DNS_ANSWER, &n) : NULL;
	for (; n > 0; n--, rr++) {
		if (rr->type == DNS_TYPE_SOA && rr->rclass == DNS_CLASS_IN &&
		    dns_name_equal(&rr->owner, &k->soa_question.name)) {
			v->has_serial = true;
			v->serial = rr->data.soa.serial;
		}
	}
	heard(a);
}

static void on_srv(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct server_ask *k = l->owner;
	struct rsv_audit_impl *a = k->a;
	struct rsv_server_view *v = &a->r.servers[k - a->asks];

	k->srv_running = false;
	if (!goes_on(a))
		return;
	rsv_set_done(&v->set);
	v->set = r->set;
	memset(&r->set, 0, sizeof(r->set));
	v->srv_err = r->err;
	v->aa = r->aa;
	if (addr_is_set(&r->server))
		v->addr = r->server;
	heard(a);
}

static void ask_soa(struct rsv_audit_impl *a, struct server_ask *k, size_t n_addrs, bool rd)
{
	struct dns_client_params p = {
		.servers = k->addrs,
		.n_servers = n_addrs,
		.question = &k->soa_question,
		.total_ms = RSV_AUDIT_SERVER_MS,
		.tries = SERVER_TRIES,
	};

	k->soa_question =
		(struct dns_question){ .name = a->r.zone, .type = DNS_TYPE_SOA, .rd = rd };
	k->soa_running = true;
	k->soa.owner = k;
	a->asking++;
	a->open++;
	dns_client_start(&k->soa, a->net, &p, on_soa);
}

static void ask_server(struct rsv_audit_impl *a, size_t i)
{
	struct rsv_server_view *v = &a->r.servers[i];
	struct server_ask *k = &a->asks[i];
	bool is_ns = v->role == RSV_ROLE_NS;
	struct rsv_lookup_params p = {
		.name = is_ns ? a->found.owner : a->srv_name,
		.servers = k->addrs,
		.n_servers = v->n_addrs,
		.rd = !is_ns,
		.total_ms = RSV_AUDIT_SERVER_MS,
		.queries = &a->r.queries,
	};

	if (v->n_addrs == 0)
		return;
	k->a = a;
	for (size_t n = 0; n < v->n_addrs; n++)
		k->addrs[n].addr = v->addrs[n];
	if (a->r.has_zone && v->role != RSV_ROLE_RESOLVER)
		ask_soa(a, k, v->n_addrs, !is_ns);
	k->srv_running = true;
	k->srv.owner = k;
	a->asking++;
	a->open++;
	rsv_lookup_start(&k->srv, a->net, &p, on_srv);
}

/** Ask all of them; again those with authority only, since the others do not settle. */
static void ask_servers(struct rsv_audit_impl *a)
{
	bool again = a->state == AUDIT_SETTLE;

	a->state = AUDIT_ASK;
	for (size_t i = 0; i < a->r.n_servers; i++)
		if (!again || (a->r.servers[i].aa && a->r.servers[i].role != RSV_ROLE_RESOLVER))
			ask_server(a, i);
	if (a->asking == 0)
		all_heard(a);
}

/* ---- which servers --------------------------------------------------------------------------- */

/** The port at which the administrator said that this address serves DNS. */
static void take_port(const struct rsv_audit_impl *a, struct addr *addr)
{
	uint16_t port = 0;

	if (a->net->dns_port != 0)
		return;
	for (size_t i = 0; i < a->p.n_servers; i++) {
		const struct addr *s = &a->servers[i].addr;

		if (!addr_same_host(s, addr))
			continue;
		if (port != 0 && port != addr_port(s))
			return; /* several servers at one address: no telling */
		port = addr_port(s);
	}
	for (size_t i = 0; port == 0 && i < a->net->n_resolvers; i++)
		if (addr_same_host(&a->net->resolvers[i], addr))
			port = addr_port(&a->net->resolvers[i]);
	if (port != 0)
		addr_set_port(addr, port);
}

static void add_name_server(struct rsv_audit_impl *a, const struct rsv_ns *ns)
{
	struct rsv_server_view *v = &a->r.servers[a->r.n_servers++];

	v->role = RSV_ROLE_NS;
	v->name = ns->name;
	v->is_primary = ns->is_primary;
	v->n_addrs = ns->n_addrs;
	for (size_t i = 0; i < ns->n_addrs; i++) {
		v->addrs[i] = ns->addrs[i];
		take_port(a, &v->addrs[i]);
	}
	v->soa_err = v->srv_err = ns->n_addrs > 0 ? ERR_TIMEOUT : ERR_NO_SERVER;
	if (ns->n_addrs > 0)
		v->addr = v->addrs[0];
}

/** A server known by its address, unless it is there already. */
static void add_server(struct rsv_audit_impl *a, enum rsv_server_role role, const struct addr *addr)
{
	struct rsv_server_view *v;

	for (size_t i = 0; i < a->r.n_servers; i++)
		for (size_t k = 0; k < a->r.servers[i].n_addrs; k++)
			if (addr_equal(&a->r.servers[i].addrs[k], addr))
				return;
	v = &a->r.servers[a->r.n_servers++];
	v->role = role;
	v->addr = v->addrs[0] = *addr;
	v->n_addrs = 1;
	v->soa_err = v->srv_err = ERR_TIMEOUT;
}

static void list_servers(struct rsv_audit_impl *a)
{
	for (size_t i = 0; a->r.has_zone && i < a->found.n_ns; i++)
		add_name_server(a, &a->found.ns[i]);
	for (size_t i = 0; i < a->p.n_servers; i++)
		add_server(a, RSV_ROLE_SERVER, &a->servers[i].addr);
	for (size_t i = 0; i < a->net->n_resolvers; i++)
		if (!a->p.skip_resolvers || !a->r.has_zone)
			add_server(a, RSV_ROLE_RESOLVER, &a->net->resolvers[i]);
}

static void on_zone(struct rsv_zone_op *z, const struct rsv_zone_result *r)
{
	struct rsv_audit_impl *a = z->owner;

	if (!goes_on(a))
		return;
	a->r.zone_err = r->err;
	if (r->err == 0) {
		a->found = *r;
		a->r.has_zone = true;
		a->r.zone = r->zone;
		a->r.primary = r->mname;
	}
	list_servers(a);
	ask_servers(a);
}

/** `--server` first: who names servers knows a way that the resolvers may not know. */
static void find_zone(struct rsv_audit_impl *a)
{
	struct dns_server list[DNS_CLIENT_SERVERS_MAX];
	struct rsv_zone_params p = {
		.name = a->srv_name,
		.servers = list,
		.n_servers = a->p.n_servers,
		.queries = &a->r.queries,
	};

	memset(list, 0, sizeof(list));
	memcpy(list, a->servers, a->p.n_servers * sizeof(*list));
	for (size_t i = 0; i < a->net->n_resolvers && p.n_servers < DNS_CLIENT_SERVERS_MAX; i++)
		list[p.n_servers++].addr = a->net->resolvers[i];
	a->state = AUDIT_ZONE;
	a->zone.owner = a;
	a->open++;
	rsv_zone_op_start(&a->zone, a->net, &p, on_zone);
}

/* ---- start ----------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *t)
{
	finish(((struct rsv_audit *)t->data)->impl, 0);
}

static struct rsv_expect *copy_expect(const struct rsv_expect *e, size_t n)
{
	struct rsv_expect *copy = calloc(n > 0 ? n : 1, sizeof(*copy));

	if (copy != NULL && n > 0)
		memcpy(copy, e, n * sizeof(*copy));
	return copy;
}

static int set_up(struct rsv_audit_impl *a, const struct rsv_audit_params *p)
{
	a->p = *p;
	a->r.domain = p->domain;
	if (p->n_servers > DNS_CLIENT_SERVERS_MAX || p->n_expect > RSV_EXPECT_MAX ||
	    p->n_own > RSV_EXPECT_MAX)
		return ERR_LIMIT;
	if (p->n_servers > 0)
		memcpy(a->servers, p->servers, p->n_servers * sizeof(*a->servers));
	if (p->settle_ms == 0)
		a->p.settle_ms = RSV_AUDIT_SETTLE_MS;
	if (p->total_ms == 0)
		a->p.total_ms = RSV_AUDIT_TOTAL_MS;
	a->expect = copy_expect(p->expect, p->n_expect);
	a->own = copy_expect(p->own, p->n_own);
	a->r.servers = calloc(RSV_AUDIT_SERVERS_MAX, sizeof(*a->r.servers));
	a->asks = calloc(RSV_AUDIT_SERVERS_MAX, sizeof(*a->asks));
	if (a->expect == NULL || a->own == NULL || a->r.servers == NULL || a->asks == NULL)
		return ERR_NOMEM;
	return rsv_srv_name(&p->domain, &a->srv_name);
}

void rsv_audit_start(struct rsv_audit *op, struct net *net, const struct rsv_audit_params *p,
		     rsv_audit_done_fn *done)
{
	struct rsv_audit_impl *a = calloc(1, sizeof(*a));
	int err;

	uv_timer_init(net->loop, &op->deadline);
	op->deadline.data = op;
	op->done = done;
	op->impl = a;
	if (a == NULL) {
		uv_close((uv_handle_t *)&op->deadline, on_deadline_closed);
		return;
	}
	a->op = op;
	a->net = net;
	uv_timer_init(net->loop, &a->settle);
	a->settle.data = a;
	a->open = 2; /* the timers */
	a->state = AUDIT_SETTLE;
	err = set_up(a, p);
	if (err != 0) {
		finish(a, err);
		return;
	}
	uv_timer_start(&op->deadline, on_deadline, a->p.total_ms, 0);
	find_zone(a);
}

void rsv_audit_cancel(struct rsv_audit *op)
{
	if (op->impl != NULL)
		finish(op->impl, ERR_CANCELED);
}
