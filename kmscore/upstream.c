#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kmscore/relay_priv.h"

void upstream_ref(struct upstream **at, struct upstream *u)
{
	*at = u;
	u->refs++;
}

void upstream_unref(struct upstream **at)
{
	struct upstream *u = *at;

	*at = NULL;
	if (u != NULL && --u->refs == 0 && u->gone)
		relay_wake(u->relay, relay_now(u->relay));
}

/** Is no host for the same messages up? Then the first success of this one is enough. */
static bool is_alone(const struct upstream *u)
{
	const struct relay *r = u->relay;

	for (size_t i = 0; i < r->n_up; i++)
		if (r->up[i] != u && r->up[i]->health.state == RELAY_UP &&
		    r->candidate[i].lab == r->candidate[u->index].lab)
			return false;
	return true;
}

static bool fails_requests(enum relay_state s)
{
	return s == RELAY_FAULTS || s == RELAY_SLOW;
}

void upstream_refresh(struct upstream *u)
{
	struct relay_candidate *c = &u->relay->candidate[u->index];

	c->class = upstream_health_class(&u->health, relay_now(u->relay));
	c->maybe_relay = !u->health.kin_known || u->health.kin == KMS_KIN_RELAY;
}

static void on_state(struct upstream *u, enum relay_state from)
{
	struct relay *r = u->relay;
	enum relay_state to = u->health.state;
	bool usable = to == RELAY_UP || to == RELAY_UNKNOWN;
	enum log_level level = to == RELAY_UP ? LOG_INFO : LOG_WARNING;

	u->since_ms = clock_wall_ms(r->net->clock);
	if (fails_requests(to))
		r->n_failing++;
	if (fails_requests(from))
		r->n_failing--;
	kms_pool_keep_warm(u->pool, usable);
	if (to != RELAY_UNKNOWN)
		LOG_AT(level, &r->log, "upstream.state", "name=%s from=%s to=%s text=%s", u->name,
		       relay_state_name(from), relay_state_name(to), u->health.detail);
	if (r->p.upstream_changed != NULL)
		r->p.upstream_changed(r->p.ctx, u->name, from, to, u->health.detail);
	if (!usable)
		relay_calls_leave(r, u);
}

/** After anything that health was told. */
static void after_news(struct upstream *u, enum relay_state before)
{
	upstream_refresh(u);
	if (u->health.state != before)
		on_state(u, before);
	relay_tell_changed(u->relay);
	relay_wake(u->relay, upstream_probe_at(u));
}

/** The connection was accepted and closed, as by a host that has too many. */
static bool is_turned_away(const struct kms_client_result *k)
{
	return k->stage > KMS_CLIENT_CONNECT &&
	       (k->err == ERR_CLOSED || k->err == -ECONNRESET || k->err == -EPIPE);
}

static void on_connect(struct upstream *u, const struct kms_client_result *k, enum kms_kin kin)
{
	enum relay_state before = u->health.state;

	if (u->gone)
		return;
	if (is_turned_away(k))
		kms_pool_make_room(u->pool);
	upstream_health_connect(&u->health, &u->relay->health, k, kin, is_alone(u),
				relay_now(u->relay));
	after_news(u, before);
}

static void on_pool_bound(void *ctx, const struct kms_pool_bound *b)
{
	on_connect(ctx, &b->r, b->kin);
}

static void on_probe_done(struct kms_client *k, const struct kms_client_result *res)
{
	struct upstream *u = k->owner;

	u->probing = false;
	if (u->gone) {
		relay_wake(u->relay, relay_now(u->relay));
		return;
	}
	if (res->err != 0)
		u->probe_turn++;
	on_connect(u, res, res->kin);
}

void upstream_probe(struct upstream *u)
{
	struct relay *r = u->relay;
	struct kms_client_params kp = { .timeout_ms = r->rules.probe_ms,
					.kin_id = &r->p.node_id,
					.done = on_probe_done };

	kp.peer = u->addrs[u->probe_turn % u->n_addrs];
	upstream_health_probing(&u->health, &r->health, relay_now(r));
	u->probing = true;
	memset(&u->probe, 0, sizeof(u->probe));
	u->probe.owner = u;
	kms_client_start(&u->probe, r->net, &kp);
}

uint64_t upstream_probe_at(const struct upstream *u)
{
	if (u->probing || u->n_addrs == 0)
		return UPSTREAM_PROBE_NEVER;
	return upstream_health_probe_at(&u->health, &u->relay->health);
}

void upstream_tell(struct upstream *u, enum upstream_result result, uint32_t status,
		   const struct addr *client, bool proven)
{
	enum relay_state before = u->health.state;
	bool hung = u->health.hangs;

	if (u->gone)
		return;
	upstream_health_request(&u->health, &u->relay->health, result, status, client, proven,
				relay_now(u->relay));
	/* The usual news changes nothing, and there is one with every answer. */
	if (result != UPSTREAM_ANSWERED || u->health.state != before || u->health.hangs != hung)
		after_news(u, before);
}

static void count_hresult(struct upstream *u, uint32_t hresult)
{
	for (size_t i = 0; i < u->n_hresults; i++)
		if (u->hresults[i].hresult == hresult) {
			u->hresults[i].n++;
			return;
		}
	if (u->n_hresults == RELAY_HRESULTS_MAX) {
		u->other_hresults++;
		return;
	}
	u->hresults[u->n_hresults++] = (struct relay_hresult){ hresult, 1 };
}

void upstream_count(struct upstream *u, const struct relay_judgement *j,
		    const struct kms_pool_outcome *o, double ms)
{
	u->requests++;
	if (j->verdict != RELAY_FAIL) {
		count_hresult(u, j->hresult);
		latency_add(&u->latency, ms);
		return;
	}
	u->failed++;
	if (j->err == ERR_CANCELED && u->last_error[0] != '\0')
		return; /* taken from it because of errors: those are what is to be seen */
	relay_error_text(o, j->err, u->last_error, sizeof(u->last_error));
	u->last_error_ms = clock_wall_ms(u->relay->net->clock);
}

static void on_trial_done(struct kms_pool_call *pc, const struct kms_pool_outcome *o)
{
	struct upstream *u = pc->owner;
	struct relay_judgement j;

	relay_judge(o, false, &j);
	if (o->err != ERR_CANCELED)
		upstream_count(u, &j, o, (double)(uv_hrtime() - u->trial.started_ns) / 1e6);
	free(u->trial.stub);
	u->trial.stub = NULL;
	u->trial.running = false;
	if (u->gone)
		relay_wake(u->relay, relay_now(u->relay));
	else if (j.tells)
		upstream_tell(u, j.result, o->fault_status, &u->trial.client, false);
}

void upstream_try(struct upstream *u, const struct relay_call *c)
{
	struct upstream_trial *t = &u->trial;

	if (t->running)
		return;
	t->stub = malloc(c->stub_len);
	if (t->stub == NULL)
		return;
	memcpy(t->stub, c->stub, c->stub_len);
	t->running = true;
	t->client = c->client;
	t->started_ns = uv_hrtime();
	memset(&t->pool_call, 0, sizeof(t->pool_call));
	t->pool_call.owner = u;
	upstream_health_trial(&u->health, &u->relay->health, relay_now(u->relay));
	upstream_refresh(u);
	kms_pool_call_start(u->pool, &t->pool_call, t->stub, c->stub_len, c->be, on_trial_done);
}

struct upstream *upstream_new(struct relay *r, const struct relay_upstream *p)
{
	struct kms_pool_params pp = { .net = r->net,
				      .rules = r->rules.pool,
				      .node_id = r->p.node_id,
				      .bound = on_pool_bound };
	struct upstream *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return NULL;
	u->relay = r;
	pp.ctx = u;
	(void)snprintf(u->name, sizeof(u->name), "%s", p->name);
	if (kms_pool_new(&pp, &u->pool) != 0) {
		free(u);
		return NULL;
	}
	return u;
}

void upstream_set_addrs(struct upstream *u, const struct addr *addrs, size_t n)
{
	enum relay_state before = u->health.state;
	bool same;

	if (n > KMS_POOL_ADDRS_MAX)
		n = KMS_POOL_ADDRS_MAX;
	same = n == u->n_addrs && u->started;
	for (size_t i = 0; same && i < n; i++)
		same = addr_equal(&addrs[i], &u->addrs[i]);
	if (same)
		return;
	for (size_t i = 0; i < n; i++)
		u->addrs[i] = addrs[i];
	u->n_addrs = n;
	kms_pool_set_addrs(u->pool, u->addrs, n);
	if (!u->started) {
		u->started = true;
		upstream_health_init(&u->health, n, relay_now(u->relay));
		before = RELAY_UNKNOWN;
		u->since_ms = clock_wall_ms(u->relay->net->clock);
		kms_pool_keep_warm(u->pool, n > 0);
	} else {
		upstream_health_set_addrs(&u->health, n, relay_now(u->relay));
	}
	after_news(u, before);
}

void upstream_leave(struct upstream *u)
{
	if (fails_requests(u->health.state))
		u->relay->n_failing--;
	u->gone = true;
	kms_pool_keep_warm(u->pool, false);
	if (u->probing)
		kms_client_cancel(&u->probe);
	if (u->trial.running)
		kms_pool_call_cancel(&u->trial.pool_call);
}

bool upstream_is_idle(const struct upstream *u)
{
	return u->refs == 0 && !u->probing && !u->trial.running;
}

void upstream_free(struct upstream *u, void (*done)(void *ctx), void *ctx)
{
	u->freeing = true;
	kms_pool_free(u->pool, done, ctx);
}

void upstream_status(const struct upstream *u, struct relay_upstream_status *ret)
{
	const struct relay_candidate *c = &u->relay->candidate[u->index];

	memset(ret, 0, sizeof(*ret));
	memcpy(ret->name, u->name, sizeof(ret->name));
	ret->priority = c->priority;
	ret->lab = c->lab;
	ret->draining = c->draining;
	ret->is_relay = u->health.kin_known && u->health.kin == KMS_KIN_RELAY;
	ret->state = u->health.state;
	memcpy(ret->detail, u->health.detail, sizeof(ret->detail));
	ret->since_ms = u->since_ms;
	kms_pool_status(u->pool, &ret->pool);
	ret->requests = u->requests;
	ret->failed = u->failed;
	ret->p50_ms = latency_quantile(&u->latency, 0.5);
	ret->p99_ms = latency_quantile(&u->latency, 0.99);
	memcpy(ret->hresults, u->hresults, sizeof(ret->hresults));
	ret->n_hresults = u->n_hresults;
	ret->other_hresults = u->other_hresults;
	memcpy(ret->last_error, u->last_error, sizeof(ret->last_error));
	ret->last_error_ms = u->last_error_ms;
}
