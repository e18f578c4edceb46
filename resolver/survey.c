#include "resolver/survey.h"

#include <stdlib.h>
#include <string.h>

#include "resolver/audit_judge.h"

enum survey_state { SURVEY_SETS, SURVEY_TARGETS, SURVEY_CLOSING };

struct set_ask {
	struct rsv_survey_impl *v;
	struct rsv_lookup lookup;
	bool running;
};

struct target_ask {
	struct rsv_survey_impl *v;
	struct rsv_target_wait wait;
	bool running;
};

struct rsv_survey_impl {
	struct rsv_survey *op;
	struct net *net;
	struct rsv_targets *targets;
	struct rsv_shared *shared; /* NULL: none */
	struct rsv_judge_input in; /* with copies of what is ours */
	struct rsv_expect *own;
	enum survey_state state;
	unsigned open; /* children */
	struct set_ask *sets;
	struct target_ask *target_asks;
	struct rsv_audit_result r;
};

/* ---- the end --------------------------------------------------------------------------------- */

static void impl_free(struct rsv_survey_impl *v)
{
	for (size_t i = 0; i < v->r.n_servers; i++)
		rsv_set_done(&v->r.servers[i].set);
	free(v->r.servers);
	free(v->r.records);
	free(v->r.findings);
	free(v->sets);
	free(v->target_asks);
	free(v->own);
	free(v);
}

/** The one exit, once nothing runs. */
static void deliver(struct rsv_survey_impl *v)
{
	struct rsv_survey *op = v->op;

	if (v->r.err == 0)
		v->r.err = rsv_judge_findings(&v->r, &v->in);
	if (v->r.err != 0)
		v->r.status = RSV_UNKNOWN_;
	op->impl = NULL;
	op->done(op, &v->r);
	/* op may be freed memory now */
	impl_free(v);
}

/** No more is asked; what runs is given up. */
static void finish(struct rsv_survey_impl *v, int err)
{
	if (v->state == SURVEY_CLOSING)
		return; /* first caller wins */
	v->state = SURVEY_CLOSING;
	v->r.err = err;
	for (size_t i = 0; v->sets != NULL && i < v->r.n_servers; i++)
		if (v->sets[i].running)
			rsv_lookup_cancel(&v->sets[i].lookup);
	for (size_t i = 0; v->target_asks != NULL && i < v->r.n_records; i++)
		if (v->target_asks[i].running)
			rsv_targets_cancel(&v->target_asks[i].wait);
}

/* ---- targets --------------------------------------------------------------------------------- */

static void on_target(struct rsv_target_wait *w, const struct rsv_target_result *t)
{
	struct target_ask *k = w->owner;
	struct rsv_survey_impl *v = k->v;

	k->running = false;
	if (t != NULL) {
		struct rsv_audit_record *r = &v->r.records[k - v->target_asks];

		r->known = true;
		r->target = *t;
	} else {
		finish(v, ERR_NOMEM); /* a host that was not looked at is not one that is well */
	}
	if (--v->open == 0)
		deliver(v);
}

static void ask_targets(struct rsv_survey_impl *v)
{
	v->state = SURVEY_TARGETS;
	if (v->r.n_records == 0)
		return;
	v->target_asks = calloc(v->r.n_records, sizeof(*v->target_asks));
	if (v->target_asks == NULL) {
		finish(v, ERR_NOMEM);
		return;
	}
	for (size_t i = 0; i < v->r.n_records; i++) {
		const struct dns_srv *srv = &v->r.records[i].rec.srv;
		struct target_ask *k = &v->target_asks[i];

		if (dns_name_is_root(&srv->target) || srv->port == 0)
			continue;
		k->v = v;
		k->wait.owner = k;
		k->running = true;
		v->open++;
		rsv_targets_ask(v->targets, &srv->target, srv->port, &k->wait, on_target);
	}
}

/* ---- the set --------------------------------------------------------------------------------- */

static void all_heard(struct rsv_survey_impl *v)
{
	enum rsv_agreement agreement;
	int err = 0;

	if (v->state == SURVEY_SETS) {
		v->in.reference = rsv_judge_servers(v->r.servers, v->r.n_servers, NULL, &agreement);
		if (v->in.reference != RSV_NO_SERVER) {
			const struct rsv_set *set = &v->r.servers[v->in.reference].set;

			v->in.alias_end = set->aliased ? &set->owner : NULL;
			err = rsv_judge_records(&v->r, v->in.reference);
		}
		if (err != 0)
			finish(v, err);
		else
			ask_targets(v);
	}
	if (v->open == 0)
		deliver(v);
}

static void on_set(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct set_ask *k = l->owner;
	struct rsv_survey_impl *v = k->v;
	struct rsv_server_view *s = &v->r.servers[k - v->sets];

	k->running = false;
	if (v->shared != NULL && r->err != ERR_CANCELED)
		rsv_shared_heard(v->shared, &s->addr, r->err == ERR_TIMEOUT);
	s->srv_err = r->err;
	s->aa = r->aa;
	s->set = r->set;
	memset(&r->set, 0, sizeof(r->set));
	if (--v->open == 0)
		all_heard(v);
}

static void ask_set(struct rsv_survey_impl *v, size_t i, const struct dns_name *name)
{
	const struct dns_server server = { .addr = v->r.servers[i].addr };
	const struct rsv_lookup_params p = {
		.name = *name,
		.servers = &server,
		.n_servers = 1,
		.rd = true,
		.total_ms = RSV_AUDIT_SERVER_MS,
	};
	struct set_ask *k = &v->sets[i];

	k->v = v;
	k->lookup.owner = k;
	k->running = true;
	v->open++;
	rsv_lookup_start(&k->lookup, v->net, &p, on_set);
}

static void ask_sets(struct rsv_survey_impl *v, const struct dns_name *name)
{
	for (size_t i = 0; i < v->r.n_servers; i++) {
		struct rsv_server_view *s = &v->r.servers[i];

		if (v->shared == NULL || rsv_shared_worth_asking(v->shared, &s->addr))
			ask_set(v, i, name);
		else
			s->srv_err = ERR_NOT_ASKED;
	}
	if (v->open == 0) /* all are silent: one of them has to say so */
		ask_set(v, 0, name);
}

/* ---- start ----------------------------------------------------------------------------------- */

static int list_servers(struct rsv_survey_impl *v, const struct rsv_audit_params *p)
{
	size_t n = p->n_servers > 0 ? p->n_servers : v->net->n_resolvers;

	if (n == 0)
		return ERR_NO_SERVER;
	if (n > RSV_SURVEY_SERVERS_MAX || p->n_own > RSV_EXPECT_MAX)
		return ERR_LIMIT;
	v->r.servers = calloc(n, sizeof(*v->r.servers));
	v->sets = calloc(n, sizeof(*v->sets));
	if (v->r.servers == NULL || v->sets == NULL)
		return ERR_NOMEM;
	v->r.n_servers = n;
	for (size_t i = 0; i < n; i++) {
		struct rsv_server_view *s = &v->r.servers[i];

		s->role = RSV_ROLE_RESOLVER;
		s->addr = p->n_servers > 0 ? p->servers[i].addr : v->net->resolvers[i];
		s->addrs[0] = s->addr;
		s->n_addrs = 1;
		s->srv_err = ERR_TIMEOUT;
	}
	return 0;
}

static int set_up(struct rsv_survey_impl *v, const struct rsv_audit_params *p,
		  struct dns_name *ret_name)
{
	int err = list_servers(v, p);

	if (err != 0)
		return err;
	v->targets = p->targets;
	v->shared = p->shared;
	v->r.domain = p->domain;
	v->in.reference = RSV_NO_SERVER;
	v->in.expect = p->expect;
	v->in.n_expect = p->n_expect;
	if (p->n_own > 0) {
		v->own = calloc(p->n_own, sizeof(*v->own));
		if (v->own == NULL)
			return ERR_NOMEM;
		memcpy(v->own, p->own, p->n_own * sizeof(*v->own));
	}
	v->in.own = v->own;
	v->in.n_own = p->n_own;
	v->in.lab = p->lab;
	return rsv_srv_name(&p->domain, ret_name);
}

static void on_late_closed(uv_handle_t *h)
{
	static const struct rsv_audit_result no_memory = { .err = ERR_NOMEM,
							   .status = RSV_UNKNOWN_ };
	struct rsv_survey *op = h->data;

	if (op->impl != NULL)
		deliver(op->impl);
	else
		op->done(op, &no_memory);
}

void rsv_survey_start(struct rsv_survey *s, struct net *net, const struct rsv_audit_params *p,
		      rsv_survey_done_fn *done)
{
	struct rsv_survey_impl *v = calloc(1, sizeof(*v));
	struct dns_name name;
	int err = ERR_NOMEM;

	s->impl = v;
	s->done = done;
	if (v != NULL) {
		v->op = s;
		v->net = net;
		v->r.domain = p->domain;
		err = set_up(v, p, &name);
	}
	if (err == 0) {
		ask_sets(v, &name);
		return;
	}
	if (v != NULL)
		finish(v, err);
	(void)uv_timer_init(net->loop, &s->late);
	s->late.data = s;
	uv_close((uv_handle_t *)&s->late, on_late_closed);
}

void rsv_survey_cancel(struct rsv_survey *s)
{
	if (s->impl != NULL)
		finish(s->impl, ERR_CANCELED);
}
