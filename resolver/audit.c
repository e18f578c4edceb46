#include "resolver/audit.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/audit_priv.h"

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
	for (size_t i = 0; i < a->r.n_suffixes; i++)
		rsv_set_done(&a->r.suffixes[i].set);
	free(a->suffix_asks);
	free(a->expect);
	free(a->own);
	free(a->journal);
	tsig_key_unref(a->p.key);
	free(a);
}

/** Whatever was heard until now is judged; a deadline leaves unasked what it leaves, and that is
 * said. */
static int verdict(struct rsv_audit_impl *a)
{
	struct rsv_judge_input in = {
		.alias_end = a->found.aliased ? &a->found.owner : NULL,
		.expect = a->expect,
		.n_expect = a->p.n_expect,
		.own = a->own,
		.n_own = a->p.n_own,
		.journal = a->journal,
		.n_journal = a->p.n_journal,
		.lab = a->p.lab,
		.unasked = a->p.unasked,
		.out_of_time_ms = a->out_of_time ? a->p.total_ms : 0,
	};
	enum rsv_agreement agreement;
	int err = 0;

	in.reference = rsv_judge_servers(a->r.servers, a->r.n_servers, &a->r.zone, &agreement);
	rsv_audit_mark_late(a);
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

void rsv_audit_finish(struct rsv_audit_impl *a, int err)
{
	enum rsv_audit_state was = a->state;

	if (was == RSV_AUDIT_CLOSING)
		return; /* first caller wins */
	a->state = RSV_AUDIT_CLOSING;
	a->r.err = err;
	if (was == RSV_AUDIT_ZONE)
		rsv_zone_op_cancel(&a->zone);
	rsv_audit_ask_cancel(a);
	rsv_audit_side_cancel(a);
	uv_close((uv_handle_t *)&a->settle, on_settle_closed);
	uv_close((uv_handle_t *)&a->op->deadline, on_deadline_closed);
}

bool rsv_audit_goes_on(struct rsv_audit_impl *a)
{
	if (a->state != RSV_AUDIT_CLOSING) {
		a->open--; /* the timers are still counted, so this is not the last */
		return true;
	}
	one_closed(a);
	return false;
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
	v->srv_err = ns->n_addrs > 0 ? ERR_TIMEOUT : ERR_NO_SERVER;
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
	v->srv_err = ERR_TIMEOUT;
}

/** 0 or ERR_NOMEM. As many as there are: of thousands of audits some dozens are under way at once.
 */
static int list_servers(struct rsv_audit_impl *a)
{
	size_t most = a->p.n_servers + a->net->n_resolvers + (a->r.has_zone ? a->found.n_ns : 0);

	a->r.servers = calloc(most + 1, sizeof(*a->r.servers));
	a->asks = calloc(most + 1, sizeof(*a->asks));
	if (a->r.servers == NULL || a->asks == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; a->r.has_zone && i < a->found.n_ns; i++)
		add_name_server(a, &a->found.ns[i]);
	for (size_t i = 0; i < a->p.n_servers; i++)
		add_server(a, RSV_ROLE_SERVER, &a->servers[i].addr);
	for (size_t i = 0; i < a->net->n_resolvers; i++)
		if (!a->p.skip_resolvers || !a->r.has_zone)
			add_server(a, RSV_ROLE_RESOLVER, &a->net->resolvers[i]);
	return 0;
}

static void on_zone(struct rsv_zone_op *z, const struct rsv_zone_result *r)
{
	struct rsv_audit_impl *a = z->owner;

	if (!rsv_audit_goes_on(a))
		return;
	a->r.zone_err = r->err;
	if (r->err == 0) {
		a->found = *r;
		a->r.has_zone = true;
		a->r.zone = r->zone;
		a->r.primary = r->mname;
		a->r.zone_err = r->ns_err;
	}
	if (list_servers(a) != 0)
		rsv_audit_finish(a, ERR_NOMEM);
	else
		rsv_audit_ask_servers(a);
}

size_t rsv_audit_ways(const struct rsv_audit_impl *a, struct dns_server ret[DNS_CLIENT_SERVERS_MAX])
{
	size_t n = a->p.n_servers;

	memset(ret, 0, DNS_CLIENT_SERVERS_MAX * sizeof(*ret));
	memcpy(ret, a->servers, n * sizeof(*ret));
	for (size_t i = 0; i < a->net->n_resolvers && n < DNS_CLIENT_SERVERS_MAX; i++)
		ret[n++].addr = a->net->resolvers[i];
	if (a->p.shared != NULL)
		rsv_shared_arrange(a->p.shared, ret, n);
	return n;
}

static void find_zone(struct rsv_audit_impl *a)
{
	struct dns_server list[DNS_CLIENT_SERVERS_MAX];
	struct rsv_zone_params p = {
		.name = a->srv_name,
		.servers = list,
		.n_servers = rsv_audit_ways(a, list),
		.queries = &a->r.queries,
		.shared = a->p.shared,
	};

	a->state = RSV_AUDIT_ZONE;
	a->zone.owner = a;
	a->open++;
	rsv_zone_op_start(&a->zone, a->net, &p, on_zone);
}

/* ---- start ----------------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *t)
{
	struct rsv_audit_impl *a = ((struct rsv_audit *)t->data)->impl;

	if (a->state == RSV_AUDIT_CLOSING)
		return;
	a->out_of_time = true;
	rsv_audit_finish(a, 0);
}

static void *copy_list(const void *list, size_t n, size_t size)
{
	void *copy = calloc(n > 0 ? n : 1, size);

	if (copy != NULL && n > 0)
		memcpy(copy, list, n * size);
	return copy;
}

/** The others of the search list, and where the domain stands among them. */
static void set_suffixes(struct rsv_audit_impl *a, const struct rsv_audit_params *p)
{
	for (size_t i = 0; i < p->n_suffixes; i++) {
		if (dns_name_equal(&p->suffixes[i], &p->domain))
			a->r.suffix_at = a->r.n_suffixes;
		else
			a->r.suffixes[a->r.n_suffixes++].domain = p->suffixes[i];
	}
}

static int set_up(struct rsv_audit_impl *a, const struct rsv_audit_params *p)
{
	a->p = *p;
	a->p.key = p->key != NULL ? tsig_key_ref(p->key) : NULL;
	a->r.domain = p->domain;
	a->reference = RSV_NO_SERVER;
	if (p->n_servers > DNS_CLIENT_SERVERS_MAX || p->n_expect > RSV_EXPECT_MAX ||
	    p->n_own > RSV_EXPECT_MAX || p->n_journal > RSV_JOURNAL_MAX ||
	    p->n_suffixes > RSV_AUDIT_SUFFIXES_MAX)
		return ERR_LIMIT;
	if (p->n_servers > 0)
		memcpy(a->servers, p->servers, p->n_servers * sizeof(*a->servers));
	if (p->settle_ms == 0)
		a->p.settle_ms = RSV_AUDIT_SETTLE_MS;
	if (p->total_ms == 0)
		a->p.total_ms = RSV_AUDIT_TOTAL_MS;
	set_suffixes(a, p);
	a->expect = copy_list(p->expect, p->n_expect, sizeof(*a->expect));
	a->own = copy_list(p->own, p->n_own, sizeof(*a->own));
	a->journal = copy_list(p->journal, p->n_journal, sizeof(*a->journal));
	if (a->expect == NULL || a->own == NULL || a->journal == NULL)
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
	a->state = RSV_AUDIT_SETTLE;
	err = set_up(a, p);
	if (err != 0) {
		rsv_audit_finish(a, err);
		return;
	}
	uv_timer_start(&op->deadline, on_deadline, a->p.total_ms, 0);
	find_zone(a);
}

void rsv_audit_cancel(struct rsv_audit *op)
{
	if (op->impl != NULL)
		rsv_audit_finish(op->impl, ERR_CANCELED);
}
