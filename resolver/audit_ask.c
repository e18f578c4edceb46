/* Part of audit_priv.h: what each server says, asked until they agree or time is up. */
#include <string.h>

#include "resolver/audit_priv.h"

#define SETTLE_STEP_MS 500 /* between two rounds of questions */
#define SERVER_TRIES   2
#define BASELINES_MAX  4
#define DIFFER_ROUNDS  3 /* as often must servers contradict each other at one serial */

static void begin_baseline(struct rsv_audit_impl *a, uint64_t now)
{
	a->baselines++;
	a->settle_until = now + a->p.settle_ms;
	a->has_baseline = rsv_newest_serial(a->r.servers, a->r.n_servers, &a->baseline);
}

void rsv_audit_mark_late(struct rsv_audit_impl *a)
{
	bool over = a->has_baseline && uv_now(a->net->loop) >= a->settle_until &&
		    !rsv_many_primaries(a->r.servers, a->r.n_servers);

	for (size_t i = 0; i < a->r.n_servers; i++) {
		struct rsv_server_view *v = &a->r.servers[i];

		v->late = over && v->has_serial && rsv_serial_older(v->serial, a->baseline);
	}
}

static void on_settle(uv_timer_t *t)
{
	struct rsv_audit_impl *a = t->data;

	if (a->state == RSV_AUDIT_SETTLE)
		rsv_audit_ask_servers(a);
}

/**
 * Whether to wait and ask again. A lag is timed from a baseline, the newest serial that was seen at
 * one moment: who has it has done its duty, however much has changed since. So a zone that changes
 * while it is audited is no fault, and neither is one that changes all the time.
 */
static bool goes_on_settling(struct rsv_audit_impl *a, enum rsv_agreement agreement)
{
	uint64_t now = uv_now(a->net->loop);

	if (a->rounds++ == 0)
		begin_baseline(a, now);
	if (agreement == RSV_DIFFER)
		return a->rounds < DIFFER_ROUNDS;
	if (agreement != RSV_LAG)
		return false;
	if (now < a->settle_until)
		return true;
	rsv_audit_mark_late(a);
	for (size_t i = 0; i < a->r.n_servers; i++)
		if (a->r.servers[i].late)
			return false;
	if (a->baselines >= BASELINES_MAX)
		return false;
	begin_baseline(a, now);
	return true;
}

/** All servers have answered, or will not. */
static void all_heard(struct rsv_audit_impl *a)
{
	enum rsv_agreement agreement;
	int err = 0;

	a->reference = rsv_judge_servers(a->r.servers, a->r.n_servers, &a->r.zone, &agreement);
	if (goes_on_settling(a, agreement)) {
		a->state = RSV_AUDIT_SETTLE;
		uv_timer_start(&a->settle, on_settle, SETTLE_STEP_MS, 0);
		return;
	}
	if (a->reference != RSV_NO_SERVER)
		err = rsv_judge_records(&a->r, a->reference);
	if (err != 0)
		rsv_audit_finish(a, err);
	else
		rsv_audit_side(a);
}

static void heard(struct rsv_audit_impl *a)
{
	if (--a->asking == 0)
		all_heard(a);
}

static void on_soa(struct dns_client *c, const struct dns_outcome *o)
{
	struct rsv_server_ask *k = c->owner;
	struct rsv_audit_impl *a = k->a;
	struct rsv_server_view *v = &a->r.servers[k - a->asks];
	size_t n = 0;
	const struct dns_rr *rr;

	k->soa_running = false;
	rsv_queries_add(&a->r.queries, &k->soa_question, o);
	if (!rsv_audit_goes_on(a))
		return;
	v->has_serial = false;
	rr = o->err == 0 ? dnsmsg_section(o->msg, DNS_ANSWER, &n) : NULL;
	for (; n > 0; n--, rr++) {
		if (rr->type == DNS_TYPE_SOA && rr->rclass == DNS_CLASS_IN &&
		    dns_name_equal(&rr->owner, &k->soa_question.name)) {
			v->has_serial = true;
			v->serial = rr->data.soa.serial;
			v->mname = rr->data.soa.mname;
		}
	}
	heard(a);
}

static void ask_set(struct rsv_audit_impl *a, size_t i);

static void take_set(struct rsv_server_view *v, struct rsv_lookup_result *r)
{
	rsv_set_done(&v->set);
	v->set = r->set;
	memset(&r->set, 0, sizeof(r->set));
	v->srv_err = r->err;
	v->aa = r->aa;
	if (addr_is_set(&r->server))
		v->addr = r->server;
}

/** For the other audits of the run: thousands of domains may have one dead server in common. */
static void tell_others(const struct rsv_server_ask *k, const struct rsv_lookup_result *r)
{
	struct rsv_shared *s = k->a->p.shared;

	if (s == NULL)
		return;
	if (r->err != ERR_TIMEOUT) {
		rsv_shared_heard(s, &r->server, false);
		return;
	}
	for (size_t n = 0; n < k->n_addrs; n++)
		rsv_shared_heard(s, &k->addrs[n].addr, true);
}

static void on_srv(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct rsv_server_ask *k = l->owner;
	struct rsv_audit_impl *a = k->a;
	size_t i = (size_t)(k - a->asks);
	struct rsv_server_view *v = &a->r.servers[i];

	k->srv_running = false;
	if (!rsv_audit_goes_on(a))
		return;
	tell_others(k, r);
	if (k->samples++ == 0 || v->role != RSV_ROLE_RESOLVER || r->aa)
		take_set(v, r);
	else if (!rsv_same_answer(v->srv_err, &v->set, r->err, &r->set))
		v->inconsistent = true;
	if (v->role == RSV_ROLE_RESOLVER && !v->aa && k->samples < a->p.resolver_samples &&
	    rsv_is_answer(v->srv_err) && rsv_is_answer(r->err))
		ask_set(a, i);
	heard(a);
}

static void ask_soa(struct rsv_audit_impl *a, struct rsv_server_ask *k, size_t n_addrs, bool rd)
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

static void ask_set(struct rsv_audit_impl *a, size_t i)
{
	struct rsv_server_view *v = &a->r.servers[i];
	struct rsv_server_ask *k = &a->asks[i];
	bool is_ns = v->role == RSV_ROLE_NS;
	struct rsv_lookup_params p = {
		.name = is_ns ? a->found.owner : a->srv_name,
		.servers = k->addrs,
		.n_servers = k->n_addrs,
		.rd = !is_ns,
		.total_ms = RSV_AUDIT_SERVER_MS,
		.queries = &a->r.queries,
	};

	k->srv_running = true;
	k->srv.owner = k;
	a->asking++;
	a->open++;
	rsv_lookup_start(&k->srv, a->net, &p, on_srv);
}

static void ask_server(struct rsv_audit_impl *a, size_t i)
{
	struct rsv_server_view *v = &a->r.servers[i];
	struct rsv_server_ask *k = &a->asks[i];

	if (v->n_addrs == 0)
		return;
	k->a = a;
	k->n_addrs = 0;
	for (size_t n = 0; n < v->n_addrs; n++)
		if (a->p.shared == NULL || rsv_shared_worth_asking(a->p.shared, &v->addrs[n]))
			k->addrs[k->n_addrs++].addr = v->addrs[n];
	if (k->n_addrs == 0) {
		v->srv_err = ERR_NOT_ASKED;
		return;
	}
	if (a->r.has_zone && (v->role != RSV_ROLE_RESOLVER || v->aa))
		ask_soa(a, k, k->n_addrs, v->role != RSV_ROLE_NS);
	ask_set(a, i);
}

/** Ask all of them; again those with authority only, since the others do not settle. A resolver
 * may be a secondary of the zone itself: then it has. */
void rsv_audit_ask_servers(struct rsv_audit_impl *a)
{
	bool again = a->state == RSV_AUDIT_SETTLE;

	a->state = RSV_AUDIT_ASK;
	for (size_t i = 0; i < a->r.n_servers; i++)
		if (!again || a->r.servers[i].aa)
			ask_server(a, i);
	if (a->asking == 0)
		all_heard(a);
}

void rsv_audit_ask_cancel(struct rsv_audit_impl *a)
{
	for (size_t i = 0; a->asks != NULL && i < a->r.n_servers; i++) {
		if (a->asks[i].soa_running)
			dns_client_cancel(&a->asks[i].soa);
		if (a->asks[i].srv_running)
			rsv_lookup_cancel(&a->asks[i].srv);
	}
}
