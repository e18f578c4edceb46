#include "kmscore/kms_client.h"

#include <string.h>

#include "common/err.h"

#define CALL_BIND    1u
#define CALL_REQUEST 2u
#define KIN_CTX      0x6b6eu /* a context id that callers do not use */
#define NS_PER_MS    1e6

/** The only exit: the first call wins, done() follows when the stream is closed. */
static void finish(struct kms_client *c, int err)
{
	if (c->state == KC_IDLE || c->state == KC_CLOSING || c->state == KC_DONE)
		return;
	c->state = KC_CLOSING;
	c->r.err = err;
	if (err == 0)
		c->r.stage = KMS_CLIENT_DONE;
	tcp_stream_finish(&c->stream, err);
}

static void on_done(struct tcp_stream *s, int err)
{
	struct kms_client *c = s->owner;
	struct kms_client_result r;
	struct buf stub = c->stub; /* done() may free c, and r.body points in here */

	if (c->state != KC_CLOSING) /* the stream ended by itself */
		c->r.err = err;
	c->state = KC_DONE;
	r = c->r;
	c->p.done(c, &r);
	buf_done(&stub);
}

static void send_bind(struct kms_client *c)
{
	struct rpc_hdr h = { .ptype = RPC_BIND, .call_id = CALL_BIND };
	struct rpc_bind b = { .max_xmit = RPC_FRAG_MAX, .max_recv = RPC_FRAG_MAX };
	struct buf out;
	int err;

	b.n_ctx = (uint8_t)c->p.n_ctx;
	memcpy(b.ctx, c->ctx, c->p.n_ctx * sizeof(b.ctx[0]));
	if (c->p.kin_id != NULL)
		kms_kin_offer(&b.ctx[b.n_ctx++], KIN_CTX, &c->kin_id);
	buf_init(&out, RPC_FRAG_MAX);
	err = rpc_bind_encode(&out, &h, &b);
	if (err == 0)
		tcp_stream_write(&c->stream, out.data, out.len);
	buf_done(&out);
	if (err != 0)
		finish(c, err);
}

static void send_request(struct kms_client *c, size_t frag_max)
{
	struct rpc_hdr h = { .ptype = RPC_REQUEST, .call_id = CALL_REQUEST };
	struct kms_request rq = { c->body, c->p.body_len };
	struct rpc_request r = { .ctx_id = c->ctx_id, .opnum = KMS_OPNUM };
	struct buf stub, out;
	int err;

	if (frag_max < RPC_FRAG_MIN)
		frag_max = RPC_FRAG_MIN;
	buf_init(&stub, RPC_STUB_MAX);
	buf_init(&out, 2 * RPC_STUB_MAX);
	err = kms_request_encode(&stub, false, &rq);
	r.stub = stub.data;
	r.stub_len = stub.len;
	if (err == 0)
		err = rpc_request_encode(&out, &h, &r, frag_max);
	if (err == 0)
		tcp_stream_write(&c->stream, out.data, out.len);
	buf_done(&stub);
	buf_done(&out);
	if (err != 0)
		finish(c, err);
}

static void on_open(struct tcp_stream *s)
{
	struct kms_client *c = s->owner;

	c->state = KC_BINDING;
	c->r.stage = KMS_CLIENT_BIND;
	send_bind(c);
}

/** Was @p s among what was offered with the context item @p i? */
static bool offered(const struct kms_client *c, size_t i, const struct rpc_syntax *s)
{
	for (unsigned j = 0; j < c->ctx[i].n_transfer; j++)
		if (rpc_syntax_equal(&c->ctx[i].transfer[j], s))
			return true;
	return false;
}

static int rejected(struct kms_client *c, const struct rpc_ctx_answer *a)
{
	c->r.reason = a->reason;
	if (a->result == RPC_CTX_PROVIDER_REJECT && a->reason == RPC_REASON_ABSTRACT)
		return ERR_RPC_NO_INTERFACE;
	if (a->result == RPC_CTX_PROVIDER_REJECT && a->reason == RPC_REASON_TRANSFER)
		return ERR_RPC_SYNTAX;
	c->r.rejected = true;
	return ERR_RPC_NAK;
}

/** The context to use, or why there is none. */
static int judge_ack(struct kms_client *c, const struct rpc_bind_ack *ack)
{
	int err = ERR_RPC_MALFORMED;

	if (ack->n_results != c->p.n_ctx + (c->p.kin_id != NULL))
		return ERR_RPC_MALFORMED;
	if (c->p.kin_id != NULL)
		c->r.kin = kms_kin_judge(&ack->result[c->p.n_ctx], &c->kin_id);
	for (size_t i = 0; i < c->p.n_ctx; i++) {
		const struct rpc_ctx_answer *a = &ack->result[i];

		if (a->result == RPC_CTX_NEGOTIATE_ACK)
			continue;
		if (a->result != RPC_CTX_ACCEPT) {
			if (err == ERR_RPC_MALFORMED)
				err = rejected(c, a);
			continue;
		}
		if (!offered(c, i, &a->transfer))
			return ERR_RPC_MALFORMED;
		/* Stubs are made in NDR32 only. */
		if (c->p.body != NULL && !rpc_syntax_equal(&a->transfer, &rpc_syntax_ndr32))
			continue;
		c->ctx_id = c->ctx[i].id;
		return 0;
	}
	return err;
}

static void on_fault(struct kms_client *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_fault f;
	int err = rpc_fault_decode(pdu, h, &f);

	if (err == 0)
		c->r.fault_status = f.status;
	finish(c, err == 0 ? ERR_RPC_FAULT : err);
}

static void on_bind_answer(struct kms_client *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_bind_ack ack;
	int err;

	switch (h->ptype) {
	case RPC_BIND_ACK:
		err = rpc_bind_ack_decode(pdu, h, &ack);
		if (err == 0)
			err = judge_ack(c, &ack);
		if (err != 0 || c->p.body == NULL) {
			finish(c, err);
			return;
		}
		c->state = KC_CALLING;
		c->r.stage = KMS_CLIENT_CALL;
		send_request(c, ack.max_recv);
		return;
	case RPC_BIND_NAK:
		err = rpc_bind_nak_decode(pdu, h, &c->r.reason);
		finish(c, err == 0 ? ERR_RPC_NAK : err);
		return;
	case RPC_FAULT:
		on_fault(c, pdu, h);
		return;
	default:
		finish(c, ERR_RPC_MALFORMED);
	}
}

static int on_response(struct kms_client *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	bool first = (h->flags & RPC_FLAG_FIRST) != 0;
	struct kms_response answer;
	struct rpc_response r;
	int err = rpc_response_decode(pdu, h, &r);

	if (err != 0)
		return err;
	if (first == c->answering || r.ctx_id != c->ctx_id || (!first && h->be != c->be))
		return ERR_RPC_MALFORMED;
	c->answering = true;
	c->be = h->be;
	err = buf_append(&c->stub, r.stub, r.stub_len);
	if (err != 0 || (h->flags & RPC_FLAG_LAST) == 0)
		return err;
	err = kms_response_decode(c->stub.data, c->stub.len, h->be, &answer);
	if (err != 0)
		return err;
	c->r.hresult = answer.hresult;
	c->r.body = answer.body;
	c->r.body_len = answer.body_len;
	finish(c, 0);
	return 0;
}

static void on_pdu(struct kms_client *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	int err = 0;

	c->r.rtt_ms = (double)(uv_hrtime() - c->started_ns) / NS_PER_MS;
	if (h->ptype == RPC_SHUTDOWN) {
		finish(c, ERR_CLOSED);
		return;
	}
	if (h->call_id != (c->state == KC_BINDING ? CALL_BIND : CALL_REQUEST))
		err = ERR_RPC_MALFORMED;
	else if (c->state == KC_BINDING)
		on_bind_answer(c, pdu, h);
	else if (h->ptype == RPC_FAULT)
		on_fault(c, pdu, h);
	else if (h->ptype == RPC_RESPONSE)
		err = on_response(c, pdu, h);
	else
		err = ERR_RPC_MALFORMED;
	if (err != 0)
		finish(c, err);
}

static size_t on_data(struct tcp_stream *s, const uint8_t *data, size_t len)
{
	struct kms_client *c = s->owner;
	struct rpc_hdr h;
	size_t frag;
	int err;

	if (c->state != KC_BINDING && c->state != KC_CALLING)
		return 0;
	err = rpc_frame_length(data, len, RPC_FRAG_MAX, &frag);
	if (err == 0 && (frag == 0 || frag > len))
		return 0;
	if (err == 0)
		err = rpc_hdr_decode(data, frag, &h);
	if (err != 0) {
		finish(c, err);
		return 0;
	}
	on_pdu(c, data, &h);
	return frag;
}

void kms_client_start(struct kms_client *c, struct net *net, const struct kms_client_params *p)
{
	const struct tcp_stream_params tp = { .peer = p->peer,
					      .source = p->source,
					      .timeout_ms = p->timeout_ms,
					      .max_in = RPC_FRAG_MAX,
					      .on_open = on_open,
					      .on_data = on_data,
					      .done = on_done };
	bool fits = p->n_ctx + (p->kin_id != NULL) <= RPC_CTX_MAX && p->body_len <= KMS_BODY_MAX;

	c->p = *p;
	c->net = net;
	c->state = KC_CONNECTING;
	c->started_ns = uv_hrtime();
	c->answering = false;
	memset(&c->r, 0, sizeof(c->r));
	memset(c->ctx, 0, sizeof(c->ctx));
	buf_init(&c->stub, RPC_STUB_MAX);
	if (fits && p->ctx != NULL) {
		memcpy(c->ctx, p->ctx, p->n_ctx * sizeof(c->ctx[0]));
	} else {
		c->p.n_ctx = 1;
		c->ctx[0].n_transfer = 1;
		c->ctx[0].abstract = rpc_syntax_kms;
		c->ctx[0].transfer[0] = rpc_syntax_ndr32;
	}
	if (fits && p->body != NULL)
		memcpy(c->body, p->body, p->body_len);
	/* What was borrowed is not looked at again: body and kin_id are flags from here on. */
	c->p.ctx = NULL;
	c->p.body = p->body != NULL ? c->body : NULL;
	if (p->kin_id != NULL) {
		c->kin_id = *p->kin_id;
		c->p.kin_id = &c->kin_id;
	}
	c->stream.owner = c;
	tcp_stream_start(&c->stream, net, &tp);
	if (!fits)
		finish(c, ERR_USAGE);
}

void kms_client_cancel(struct kms_client *c)
{
	finish(c, ERR_CANCELED);
}
