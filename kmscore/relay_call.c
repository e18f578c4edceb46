#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/hresult.h"
#include "kmscore/lab.h"
#include "kmscore/relay_priv.h"

enum state {
	RC_IDLE,
	RC_ASKING,  /* a host */
	RC_JUDGING, /* what came of it; callbacks of the owner may run */
	RC_ENDING,  /* without the host's answer; its last callback is awaited */
	RC_DUE,     /* the end is told from the timer */
};

/** How a call ends that no host has ended. */
enum end {
	END_CANCELED,
	END_BAD_STUB,
	END_NO_HOST, /* none may be asked, or none is left */
	END_NO_LAB,  /* a lab message, and no lab host in the list */
	END_TIME_IS_UP,
};

/** A copy of an answer, while others are asked for a better one. */
struct relay_held {
	struct upstream *from;
	uint32_t hresult;
	bool be;
	size_t len;
	uint8_t stub[];
};

static void unlink_call(struct relay *r, struct relay_call *c)
{
	if (c->prev != NULL)
		c->prev->next = c->next;
	else
		r->first = c->next;
	if (c->next != NULL)
		c->next->prev = c->prev;
	else
		r->last = c->prev;
	c->prev = c->next = NULL;
}

static void link_call(struct relay *r, struct relay_call *c)
{
	c->prev = r->last;
	c->next = NULL;
	if (r->last != NULL)
		r->last->next = c;
	else
		r->first = c;
	r->last = c;
}

static double ms_since(uint64_t ns)
{
	return (double)(uv_hrtime() - ns) / 1e6;
}

/** The end: first the record, then done(), which may free @p c. */
static void end_call(struct relay_call *c, const struct relay_answer *a, const struct upstream *who,
		     uint32_t hresult)
{
	struct relay *r = c->relay;
	struct relay_held *held = c->held;
	struct relay_record rec = { .client = &c->client,
				    .upstream = who != NULL ? who->name : NULL,
				    .version = c->version,
				    .attempts = c->attempts,
				    .err = a->err,
				    .hresult = hresult,
				    .fault_status = a->fault_status,
				    .bytes_in = c->stub_len,
				    .bytes_out = a->stub_len };

	if (c->state == RC_JUDGING)
		unlink_call(r, c);
	if (held != NULL && held->hresult == HR_INVALID_TIMESTAMP && who != held->from &&
	    a->err == 0 && hresult == HR_OK)
		rec.wrong_clock = held->from->name;
	rec.ms = ms_since(c->started_ns);
	if (r->p.record != NULL)
		r->p.record(r->p.ctx, &rec);
	upstream_unref(&c->up);
	upstream_unref(&c->faulty);
	upstream_unref(&c->accused);
	c->held = NULL;
	if (held != NULL)
		upstream_unref(&held->from);
	c->state = RC_IDLE;
	r->n_calls--;
	if (r->freeing && r->n_calls == 0)
		relay_wake(r, relay_now(r));
	c->done(c, a);
	free(held); /* the answer may have been in it */
}

static void end_with_fault(struct relay_call *c, int err, uint32_t status,
			   const struct upstream *who)
{
	struct relay_answer a = { .err = err, .fault_status = status, .be = c->be };

	end_call(c, &a, who, 0);
}

static void end_with_refusal(struct relay_call *c)
{
	struct kms_response rs = { .hresult = HR_HOST_MISMATCH };
	struct relay_answer a = { .be = c->be };
	struct buf stub;

	buf_init(&stub, RPC_STUB_MAX);
	if (kms_response_encode(&stub, c->be, &rs) != 0) {
		end_with_fault(c, ERR_NOMEM, RPC_S_OUT_OF_MEMORY, NULL);
		return;
	}
	a.stub = stub.data;
	a.stub_len = stub.len;
	end_call(c, &a, NULL, rs.hresult);
	buf_done(&stub);
}

/** No host is left to ask: the best of what came. */
static void end_with_what_there_is(struct relay_call *c, int err)
{
	struct upstream *accused = c->accused;

	if (accused != NULL) /* nobody has answered it better */
		upstream_tell(accused, UPSTREAM_FAULT, c->accused_status, &c->client, false);
	if (c->held != NULL) {
		struct relay_answer a = { .stub = c->held->stub,
					  .stub_len = c->held->len,
					  .be = c->held->be };

		end_call(c, &a, c->held->from, c->held->hresult);
	} else if (c->faulty != NULL) {
		end_with_fault(c, ERR_RPC_FAULT, c->fault_status, c->faulty);
	} else {
		end_with_fault(c, err, RPC_S_TOO_BUSY, NULL);
	}
}

void relay_call_deliver(struct relay_call *c)
{
	if (c->canceled)
		c->end = END_CANCELED;
	switch ((enum end)c->end) {
	case END_CANCELED:
		end_with_fault(c, ERR_CANCELED, 0, NULL);
		return;
	case END_BAD_STUB:
		end_with_fault(c, ERR_RPC_MALFORMED, RPC_S_NDR, NULL);
		return;
	case END_NO_LAB:
		end_with_refusal(c);
		return;
	case END_NO_HOST:
		end_with_what_there_is(c, ERR_NO_SERVER);
		return;
	case END_TIME_IS_UP:
		end_with_what_there_is(c, ERR_TIMEOUT);
		return;
	}
}

static void end_later(struct relay_call *c, enum end end)
{
	struct relay *r = c->relay;

	c->end = (uint8_t)end;
	c->state = RC_DUE;
	c->prev = c->next = NULL;
	if (r->due_last != NULL)
		r->due_last->next = c;
	else
		r->due = c;
	r->due_last = c;
	relay_wake(r, relay_now(r));
}

/** The host that the client is known to be served by, where @p i is known not to. */
static int follow_route(const struct relay_call *c, int i, const struct relay_query *q)
{
	struct relay *r = c->relay;
	uint64_t served_by;

	if (!relay_routes_get(r->routes, relay_hash_address(&c->client), r->candidate[i].name_hash,
			      relay_now(r), &served_by))
		return i;
	for (size_t k = 0; k < r->n_up; k++)
		if (r->candidate[k].name_hash == served_by && (q->tried >> k & 1) == 0 &&

		    r->candidate[k].class == UPSTREAM_GOOD && relay_may_serve(&r->candidate[k], q))
			return (int)k;
	return i;
}

static struct relay_query query_of(const struct relay_call *c)
{
	return (struct relay_query){
		.network = c->network, .lab = c->lab, .from_relay = c->from_relay, .tried = c->tried
	};
}

/** The next host to ask, or -1. */
static int pick(const struct relay_call *c)
{
	struct relay_query q = query_of(c);
	struct relay *r = c->relay;
	int i;

	if (r->n_failing > 0)
		for (size_t k = 0; k < r->n_up; k++)
			upstream_refresh(r->up[k]);
	i = relay_choose(r->candidate, r->n_up, &q);
	if (i >= 0 && relay_routes_count(r->routes) > 0)
		i = follow_route(c, i, &q);
	return i;
}

static void on_pool_done(struct kms_pool_call *pc, const struct kms_pool_outcome *o);

static void ask(struct relay_call *c, int i)
{
	struct upstream *u = c->relay->up[i];

	if (c->relay->candidate[i].class == UPSTREAM_TRIAL) {
		upstream_health_trial(&u->health, &c->relay->health, relay_now(c->relay));
		upstream_refresh(u);
	}
	upstream_unref(&c->up);
	upstream_ref(&c->up, u);
	c->tried |= UINT64_C(1) << i;
	c->attempts++;
	c->moved = false;
	c->state = RC_ASKING;
	memset(&c->pool_call, 0, sizeof(c->pool_call));
	c->pool_call.owner = c;
	kms_pool_call_start(u->pool, &c->pool_call, c->stub, c->stub_len, c->be, on_pool_done);
}

/** Hosts that fail requests get a copy of this one, which goes to a better host. */
static void try_failing_hosts(const struct relay_call *c)
{
	struct relay_query q = query_of(c);
	struct relay *r = c->relay;

	for (size_t k = 0; k < r->n_up; k++)
		if (r->candidate[k].class == UPSTREAM_TRIAL &&
		    relay_may_serve(&r->candidate[k], &q))
			upstream_try(r->up[k], c);
}

static bool has_lab_host(const struct relay *r)
{
	for (size_t i = 0; i < r->n_up; i++)
		if (r->candidate[i].lab)
			return true;
	return false;
}

/** Keep a copy of the first one. @return false: no memory. */
static bool hold(struct relay_call *c, const struct kms_pool_outcome *o, uint32_t hresult)
{
	struct relay_held *h = malloc(sizeof(*h) + o->stub_len);

	if (h == NULL)
		return false;
	memcpy(h->stub, o->stub, o->stub_len);
	h->len = o->stub_len;
	h->be = o->be;
	h->hresult = hresult;
	upstream_ref(&h->from, c->up);
	c->held = h;
	return true;
}

/** A fault is evidence when it is known what the next host said to the same request. */
static void on_fault(struct relay_call *c, uint32_t status)
{
	if (c->faulty == NULL) {
		upstream_ref(&c->faulty, c->up);
		c->fault_status = status;
	}
	if (c->accused != NULL) {
		upstream_unref(&c->accused);
		c->fault_repeated = true;
	} else if (!c->fault_repeated && status != RPC_S_TOO_BUSY) {
		upstream_ref(&c->accused, c->up);
		c->accused_status = status;
	}
}

/** Counters and health: what this outcome tells of the host, and of the one before. */
static void learn(struct relay_call *c, const struct relay_judgement *j,
		  const struct kms_pool_outcome *o)
{
	upstream_count(c->up, j, o, ms_since(c->asked_ns));
	if (j->err == ERR_RPC_FAULT)
		on_fault(c, o->fault_status);
	if (!j->tells || j->result == UPSTREAM_FAULT)
		return;
	upstream_tell(c->up, j->result, o->fault_status, &c->client, false);
	if (j->result != UPSTREAM_ANSWERED || c->accused == NULL)
		return;
	upstream_tell(c->accused, UPSTREAM_FAULT, c->accused_status, &c->client, true);
	upstream_unref(&c->accused);
}

static void give(struct relay_call *c, const struct relay_judgement *j,
		 const struct kms_pool_outcome *o)
{
	struct relay_answer a = { .stub = o->stub, .stub_len = o->stub_len, .be = o->be };
	struct relay *r = c->relay;

	if (c->held != NULL && j->verdict == RELAY_GIVE)
		relay_routes_put(r->routes, relay_hash_address(&c->client),
				 relay_hash_name(c->held->from->name), relay_hash_name(c->up->name),
				 relay_now(r));
	end_call(c, &a, c->up, j->hresult);
}

/** Ask another host, or end with what there is. */
static void go_on(struct relay_call *c, const struct relay_judgement *j,
		  const struct kms_pool_outcome *o)
{
	bool may = true;
	int next;

	if (j->verdict == RELAY_FAIL) {
		c->err = j->err;
		if (!j->free)
			c->failures++;
		may = relay_may_ask_next(c->held != NULL, c->failures, c->relay->rules.retry);
	}
	next = may ? pick(c) : -1;
	if (j->verdict == RELAY_HOLD && c->held == NULL && (next < 0 || !hold(c, o, j->hresult))) {
		give(c, j, o);
		return;
	}
	if (next >= 0) {
		c->asked_ns = uv_hrtime();
		ask(c, next);
		return;
	}
	end_with_what_there_is(c, c->err);
}

static void on_pool_done(struct kms_pool_call *pc, const struct kms_pool_outcome *o)
{
	struct relay_call *c = pc->owner;
	struct relay *r = c->relay;
	struct relay_judgement j;

	if (c->state == RC_ENDING) { /* it is in no list */
		relay_call_deliver(c);
		return;
	}
	c->state = RC_JUDGING;
	relay_judge(o, c->held != NULL, &j);
	learn(c, &j, o);
	if (c->canceled || r->freeing)
		end_with_fault(c, ERR_CANCELED, 0, NULL);
	else if (j.verdict == RELAY_GIVE)
		give(c, &j, o);
	else
		go_on(c, &j, o);
}

void relay_call_start(struct relay *r, struct relay_call *c, const struct relay_call_params *p,
		      relay_done_fn *done)
{
	struct kms_request rq;
	void *owner = c->owner;
	int first;

	memset(c, 0, sizeof(*c));
	c->owner = owner;
	c->relay = r;
	c->done = done;
	c->client = *p->client;
	c->from_relay = p->from_relay;
	c->stub = p->stub;
	c->stub_len = p->stub_len;
	c->be = p->be;
	c->started_ms = relay_now(r);
	c->started_ns = c->asked_ns = uv_hrtime();
	r->n_calls++;
	if (kms_request_decode(p->stub, p->stub_len, p->be, &rq) != 0) {
		end_later(c, END_BAD_STUB);
		return;
	}
	(void)kms_body_version(rq.body, rq.body_len, &c->version);
	c->lab = c->version.major == LAB_VERSION_MAJOR;
	c->network = relay_hash_network(&c->client);
	first = r->freeing ? -1 : pick(c);
	if (first < 0) {
		end_later(c, c->lab && !has_lab_host(r) ? END_NO_LAB : END_NO_HOST);
		return;
	}
	link_call(r, c);
	if (r->first == c)
		relay_wake(r, c->started_ms + relay_call_ms(r));
	ask(c, first);
	if (r->n_failing > 0)
		try_failing_hosts(c);
}

/** Take it from its host, with this end. */
static void take_away(struct relay_call *c, enum end end)
{
	unlink_call(c->relay, c);
	c->state = RC_ENDING;
	c->end = (uint8_t)end;
	kms_pool_call_cancel(&c->pool_call);
}

void relay_call_cancel(struct relay_call *c)
{
	if (c->state == RC_IDLE)
		return;
	c->canceled = true;
	if (c->state == RC_ASKING)
		take_away(c, END_CANCELED);
}

void relay_call_expire(struct relay_call *c)
{
	static const struct relay_judgement late = { .verdict = RELAY_FAIL, .err = ERR_TIMEOUT };
	static const struct kms_pool_outcome waited = { .err = ERR_TIMEOUT,
							.stage = KMS_POOL_SENT };

	upstream_count(c->up, &late, &waited, 0);
	take_away(c, END_TIME_IS_UP);
}

void relay_calls_leave(struct relay *r, const struct upstream *u)
{
	for (struct relay_call *c = r->first; c != NULL; c = c->next) {
		struct relay_query q;

		if (c->state != RC_ASKING || c->up != u || c->moved ||
		    !relay_may_ask_next(c->held != NULL, c->failures + 1, r->rules.retry))
			continue;
		q = query_of(c);
		if (relay_choose(r->candidate, r->n_up, &q) < 0)
			continue;
		c->moved = true;
		kms_pool_call_cancel(&c->pool_call);
	}
}
