#include "kmscore/kms_client.h"

#include <string.h>

#include "common/err.h"

/** The only exit: the first call wins, done() follows when the link is closed. */
static void finish(struct kms_client *c, int err)
{
	if (c->state != KC_RUNNING)
		return;
	c->state = KC_CLOSING;
	kms_link_finish(&c->link, err);
}

/** The answer's parts, in a result that says so far that the link has ended well. */
static void read_answer(struct kms_client *c, struct kms_client_result *r)
{
	struct kms_response answer;

	r->stage = KMS_CLIENT_DONE;
	if (c->p.body == NULL)
		return;
	r->err = kms_response_decode(c->stub.data, c->stub.len, c->be, &answer);
	if (r->err != 0) {
		r->stage = KMS_CLIENT_CALL;
		return;
	}
	r->hresult = answer.hresult;
	r->body = answer.body;
	r->body_len = answer.body_len;
}

static void on_done(struct kms_link *l, int err)
{
	struct kms_client *c = l->owner;
	struct kms_client_result r;
	struct buf stub = c->stub; /* done() may free c, and r.body points in here */

	c->state = KC_DONE;
	kms_link_result(l, err, &r);
	if (err == ERR_RPC_FAULT && l->bound)
		r.fault_status = c->fault_status;
	if (err == 0)
		read_answer(c, &r);
	c->p.done(c, &r);
	buf_done(&stub);
}

static void on_bound(struct kms_link *l)
{
	struct kms_client *c = l->owner;
	struct kms_request rq = { c->body, c->p.body_len };
	struct buf stub;
	int err;

	if (c->p.body == NULL) {
		finish(c, 0);
		return;
	}
	buf_init(&stub, RPC_STUB_MAX);
	err = kms_request_encode(&stub, false, &rq);
	if (err == 0)
		err = kms_link_call(l, c, stub.data, stub.len, false);
	buf_done(&stub);
	if (err != 0)
		finish(c, err);
}

static void on_answer(struct kms_link *l, const struct rpc_client_answer *a)
{
	struct kms_client *c = l->owner;
	int err = a->err;

	c->be = a->be;
	c->fault_status = a->fault_status;
	if (err == 0)
		err = buf_append(&c->stub, a->stub, a->stub_len);
	finish(c, err);
}

void kms_client_start(struct kms_client *c, struct net *net, const struct kms_client_params *p)
{
	struct kms_link_params lp = {
		.peer = p->peer,
		.source = p->source,
		.timeout_ms = p->timeout_ms,
		.rpc = { .ctx = &rpc_client_kms_ctx, .n_ctx = 1, .ndr32 = p->body != NULL },
		.bound = on_bound,
		.answer = on_answer,
		.done = on_done
	};
	bool fits = p->n_ctx + (p->kin_id != NULL) <= RPC_CTX_MAX && p->body_len <= KMS_BODY_MAX;

	c->p = *p;
	c->state = KC_RUNNING;
	buf_init(&c->stub, RPC_STUB_MAX);
	if (fits && p->ctx != NULL) {
		memcpy(c->ctx, p->ctx, p->n_ctx * sizeof(c->ctx[0]));
		lp.rpc.ctx = c->ctx;
		lp.rpc.n_ctx = p->n_ctx;
	}
	if (p->kin_id != NULL) {
		c->kin_id = *p->kin_id;
		lp.rpc.node_id = &c->kin_id;
	}
	if (fits && p->body != NULL)
		memcpy(c->body, p->body, p->body_len);
	/* What was borrowed is not looked at again; body is a flag from here on. */
	c->p.ctx = NULL;
	c->p.kin_id = NULL;
	c->p.body = p->body != NULL ? c->body : NULL;
	c->link.owner = c;
	kms_link_start(&c->link, net, &lp);
	if (!fits)
		finish(c, ERR_USAGE);
}

void kms_client_cancel(struct kms_client *c)
{
	finish(c, ERR_CANCELED);
}
