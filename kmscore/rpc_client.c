#include "kmscore/rpc_client.h"

#include <string.h>

#include "common/err.h"

#define CALL_BIND 1u
#define STUB_KEEP 1024u /* memory that a call without an answer may keep */

const struct rpc_ctx_item rpc_client_kms_ctx = {
	.n_transfer = 1,
	.abstract = { { { 0x51, 0xc8, 0x21, 0x75, 0x84, 0x4e, 0x47, 0x50, 0xb0, 0xd8, 0xec, 0x25,
			  0x55, 0x55, 0xbc, 0x06 } },
		      1,
		      0 },
	.transfer = { { { { 0x8a, 0x88, 0x5d, 0x04, 0x1c, 0xeb, 0x11, 0xc9, 0x9f, 0xe8, 0x08, 0x00,
			    0x2b, 0x10, 0x48, 0x60 } },
			2,
			0 } },
};

void rpc_client_init(struct rpc_client *c, const struct rpc_client_params *p)
{
	memset(c, 0, sizeof(*c));
	c->p = *p;
	c->last_id = CALL_BIND;
	for (unsigned i = 0; i < RPC_CLIENT_CALLS_MAX; i++)
		buf_init(&c->call[i].stub, RPC_STUB_MAX);
}

void rpc_client_done(struct rpc_client *c)
{
	for (unsigned i = 0; i < RPC_CLIENT_CALLS_MAX; i++)
		buf_done(&c->call[i].stub);
}

static size_t n_items(const struct rpc_client *c)
{
	return c->p.n_ctx + (c->p.node_id != NULL ? 1 : 0);
}

int rpc_client_bind(struct rpc_client *c, struct buf *out)
{
	struct rpc_hdr h = { .ptype = RPC_BIND,
			     .flags = c->p.multiplex ? RPC_FLAG_CONC_MPX : 0,
			     .call_id = CALL_BIND };
	struct rpc_bind b = { .max_xmit = RPC_FRAG_MAX, .max_recv = RPC_FRAG_MAX };
	uint16_t id = 0;
	int err;

	if (c->state != RPC_CLIENT_NEW || c->p.n_ctx == 0 || n_items(c) > RPC_CTX_MAX)
		return ERR_USAGE;
	memcpy(b.ctx, c->p.ctx, c->p.n_ctx * sizeof(b.ctx[0]));
	for (size_t i = 0; i < c->p.n_ctx; i++)
		if (b.ctx[i].id >= id)
			id = (uint16_t)(b.ctx[i].id + 1u);
	if (c->p.node_id != NULL)
		kms_kin_offer(&b.ctx[c->p.n_ctx], id, c->p.node_id);
	b.n_ctx = (uint8_t)n_items(c);
	err = rpc_bind_encode(out, &h, &b);
	if (err == 0)
		c->state = RPC_CLIENT_BINDING;
	return err;
}

/** The end, because of the server. */
static int refuse(struct rpc_client *c, int err, const char *why)
{
	c->why = why;
	return err;
}

/** Was @p s among what was offered with the context item @p i? */
static bool offered(const struct rpc_client *c, size_t i, const struct rpc_syntax *s)
{
	for (unsigned j = 0; j < c->p.ctx[i].n_transfer; j++)
		if (rpc_syntax_equal(&c->p.ctx[i].transfer[j], s))
			return true;
	return false;
}

static int rejected(struct rpc_client *c, const struct rpc_ctx_answer *a)
{
	c->reason = a->reason;
	if (a->result == RPC_CTX_PROVIDER_REJECT && a->reason == RPC_REASON_ABSTRACT)
		return ERR_RPC_NO_INTERFACE;
	if (a->result == RPC_CTX_PROVIDER_REJECT && a->reason == RPC_REASON_TRANSFER)
		return ERR_RPC_SYNTAX;
	c->rejected = true;
	return ERR_RPC_NAK;
}

/** The context to use, or why there is none: the first rejection. */
static int judge_contexts(struct rpc_client *c, const struct rpc_bind_ack *ack)
{
	int err = 0;

	if (ack->n_results != n_items(c))
		return refuse(c, ERR_RPC_MALFORMED,
			      "the bind_ack has another number of results than the bind had items");
	for (size_t i = 0; i < c->p.n_ctx; i++) {
		const struct rpc_ctx_answer *a = &ack->result[i];

		if (a->result == RPC_CTX_NEGOTIATE_ACK)
			continue;
		if (a->result != RPC_CTX_ACCEPT) {
			if (err == 0)
				err = rejected(c, a);
			continue;
		}
		if (!offered(c, i, &a->transfer))
			return refuse(c, ERR_RPC_MALFORMED,
				      "the bind_ack accepts a transfer syntax that was not "
				      "offered");
		if (c->p.ndr32 && !rpc_syntax_equal(&a->transfer, &rpc_syntax_ndr32))
			continue;
		c->ctx_id = c->p.ctx[i].id;
		return 0;
	}
	return err != 0 ? err : refuse(c, ERR_RPC_MALFORMED, "the bind_ack accepts nothing of use");
}

static int on_bind_ack(struct rpc_client *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_bind_ack ack;
	int err = rpc_bind_ack_decode(pdu, h, &ack);

	if (err != 0)
		return refuse(c, err, "a malformed bind_ack");
	if (c->p.node_id != NULL && ack.n_results == n_items(c))
		c->kin = kms_kin_judge(&ack.result[c->p.n_ctx], c->p.node_id);
	err = judge_contexts(c, &ack);
	if (err != 0)
		return err;
	c->rejected = false; /* of an item that another one stood in for */
	c->reason = 0;
	c->max_xmit = ack.max_recv < RPC_FRAG_MIN   ? RPC_FRAG_MIN
		      : ack.max_recv > RPC_FRAG_MAX ? RPC_FRAG_MAX
						    : ack.max_recv;
	c->max_open =
		c->p.multiplex && (h->flags & RPC_FLAG_CONC_MPX) != 0 ? RPC_CLIENT_CALLS_MAX : 1;
	c->state = RPC_CLIENT_OPEN;
	return 0;
}

static int on_bind_answer(struct rpc_client *c, const uint8_t *pdu, const struct rpc_hdr *h)
{
	struct rpc_fault f;

	if (h->call_id != CALL_BIND)
		return refuse(c, ERR_RPC_MALFORMED, "an answer to something else than the bind");
	switch (h->ptype) {
	case RPC_BIND_ACK:
		return on_bind_ack(c, pdu, h);
	case RPC_BIND_NAK:
		if (rpc_bind_nak_decode(pdu, h, &c->reason) != 0)
			return refuse(c, ERR_RPC_MALFORMED, "a malformed bind_nak");
		return ERR_RPC_NAK;
	case RPC_FAULT:
		if (rpc_fault_decode(pdu, h, &f) != 0)
			return refuse(c, ERR_RPC_MALFORMED, "a malformed fault");
		c->fault_status = f.status;
		return ERR_RPC_FAULT;
	default:
		return refuse(c, ERR_RPC_MALFORMED, "a PDU that is no answer to a bind");
	}
}

static struct rpc_client_call *find_id(struct rpc_client *c, uint32_t id)
{
	for (unsigned i = 0; i < c->max_open; i++)
		if (c->call[i].open && c->call[i].id == id)
			return &c->call[i];
	return NULL;
}

static const struct rpc_client_call *find_tag(const struct rpc_client *c, const void *tag)
{
	for (unsigned i = 0; i < c->max_open; i++)
		if (c->call[i].open && c->call[i].tag == tag)
			return &c->call[i];
	return NULL;
}

/** The bytes of its answer stay where they are until the next feed: they are lent out. */
static void call_close(struct rpc_client *c, struct rpc_client_call *k)
{
	c->held -= k->held;
	c->lent = k;
	c->n_open--;
	if (k->tag == NULL)
		c->n_dropped--;
	k->open = false;
}

static void stub_clear(struct rpc_client_call *k)
{
	if (k->stub.cap > STUB_KEEP)
		buf_done(&k->stub);
	else
		buf_clear(&k->stub);
}

int rpc_client_request(struct rpc_client *c, void *tag, uint16_t opnum, const uint8_t *stub,
		       size_t len, bool be, struct buf *out)
{
	struct rpc_hdr h = { .ptype = RPC_REQUEST, .be = be };
	struct rpc_request r = {
		.ctx_id = c->ctx_id, .opnum = opnum, .stub = stub, .stub_len = len
	};
	struct rpc_client_call *k = c->call;
	int err;

	if (c->state != RPC_CLIENT_OPEN || tag == NULL)
		return ERR_USAGE;
	if (c->n_open >= c->max_open)
		return ERR_BUSY;
	do {
		h.call_id = ++c->last_id;
	} while (h.call_id == 0 || find_id(c, h.call_id) != NULL);
	err = rpc_request_encode(out, &h, &r, c->max_xmit);
	if (err != 0)
		return err;
	while (k->open)
		k++;
	k->held = 0;
	k->open = true;
	k->begun = false;
	k->n_frags = 0;
	k->id = h.call_id;
	k->tag = tag;
	c->n_open++;
	return 0;
}

void rpc_client_drop(struct rpc_client *c, const void *tag)
{
	struct rpc_client_call *k = (struct rpc_client_call *)(uintptr_t)find_tag(c, tag);

	if (tag == NULL || k == NULL)
		return;
	k->tag = NULL;
	c->n_dropped++;
	c->held -= k->held;
	k->held = 0;
	if (k != c->lent)
		stub_clear(k);
}

void *rpc_client_take(struct rpc_client *c, bool *ret_begun)
{
	for (unsigned i = 0; i < c->max_open; i++) {
		struct rpc_client_call *k = &c->call[i];
		void *tag = k->tag;

		if (!k->open || tag == NULL)
			continue;
		*ret_begun = k->begun;
		call_close(c, k);
		return tag;
	}
	return NULL;
}

bool rpc_client_has_begun(const struct rpc_client *c, const void *tag)
{
	const struct rpc_client_call *k = find_tag(c, tag);

	return k != NULL && k->begun;
}

/** One fragment of a response. @return 0, or why the association ends. */
static int on_fragment(struct rpc_client *c, struct rpc_client_call *k, const uint8_t *pdu,
		       const struct rpc_hdr *h, struct rpc_client_answer *ret)
{
	bool first = (h->flags & RPC_FLAG_FIRST) != 0, last = (h->flags & RPC_FLAG_LAST) != 0;
	struct rpc_response r;
	int err;

	if (rpc_response_decode(pdu, h, &r) != 0)
		return refuse(c, ERR_RPC_MALFORMED, "a malformed response");
	if (r.ctx_id != c->ctx_id)
		return refuse(c, ERR_RPC_MALFORMED, "a response on another context");
	if (first == k->begun || (!first && h->be != k->be))
		return refuse(c, ERR_RPC_MALFORMED, "a fragment of a response in a wrong place");
	if (k->n_frags++ >= RPC_CLIENT_FRAGS_MAX)
		return refuse(c, ERR_LIMIT, "a response in too many fragments");
	k->begun = true;
	k->be = h->be;
	if (first && last) { /* as nearly all are: nothing is copied */
		ret->stub = r.stub;
		ret->stub_len = r.stub_len;
	} else if (k->tag != NULL) {
		if (r.stub_len > RPC_CLIENT_HELD_MAX - c->held)
			return refuse(c, ERR_LIMIT, "half responses that are too large together");
		err = buf_append(&k->stub, r.stub, r.stub_len);
		if (err != 0)
			return refuse(c, err,
				      err == ERR_LIMIT ? "a response that is too large" : NULL);
		c->held += r.stub_len;
		k->held += r.stub_len;
		ret->stub = k->stub.data;
		ret->stub_len = k->stub.len;
	}
	ret->be = h->be;
	return 0;
}

/** *ret_whole: a call has ended. @return 0, or why the association ends. */
static int on_call_answer(struct rpc_client *c, const uint8_t *pdu, const struct rpc_hdr *h,
			  struct rpc_client_answer *ret, bool *ret_whole)
{
	struct rpc_client_call *k = find_id(c, h->call_id);
	struct rpc_fault f;
	int err = 0;

	if (h->ptype != RPC_RESPONSE && h->ptype != RPC_FAULT)
		return refuse(c, ERR_RPC_MALFORMED, "a PDU that is no answer to a request");
	if (k == NULL)
		return refuse(c, ERR_RPC_MALFORMED, "an answer to a request that was not made");
	memset(ret, 0, sizeof(*ret));
	ret->tag = k->tag;
	if (h->ptype == RPC_RESPONSE) {
		err = on_fragment(c, k, pdu, h, ret);
		*ret_whole = (h->flags & RPC_FLAG_LAST) != 0;
	} else {
		if (rpc_fault_decode(pdu, h, &f) != 0)
			return refuse(c, ERR_RPC_MALFORMED, "a malformed fault");
		ret->err = ERR_RPC_FAULT;
		ret->fault_status = f.status;
		*ret_whole = true;
	}
	if (err == 0 && *ret_whole)
		call_close(c, k);
	return err;
}

static const char *frame_error(int err)
{
	switch (err) {
	case ERR_RPC_NOT_RPC:
		return NULL; /* the code's own text says it */
	case ERR_LIMIT:
		return "an RPC PDU that is too large";
	default:
		return "an RPC PDU with an impossible header";
	}
}

enum rpc_client_event rpc_client_feed(struct rpc_client *c, const uint8_t *data, size_t len,
				      size_t *ret_used, struct rpc_client_answer *ret_answer)
{
	bool was_open = c->state == RPC_CLIENT_OPEN, whole = false;
	struct rpc_hdr h;
	size_t frag;
	int err = 0;

	*ret_used = 0;
	if (c->lent != NULL) /* if it is open again, nothing of its new answer is there yet */
		stub_clear(c->lent);
	c->lent = NULL;
	while (err == 0 && !whole && c->state != RPC_CLIENT_ENDED && *ret_used < len) {
		const uint8_t *pdu = data + *ret_used;

		err = rpc_frame_length(pdu, len - *ret_used, RPC_FRAG_MAX, &frag);
		if (err == 0 && (frag == 0 || frag > len - *ret_used))
			break;
		if (err == 0)
			err = rpc_hdr_decode(pdu, frag, &h);
		if (err != 0) {
			(void)refuse(c, err, frame_error(err));
			break;
		}
		*ret_used += frag;
		if (h.ptype == RPC_SHUTDOWN)
			err = refuse(c, ERR_CLOSED, "the server asked for the end");
		else if (was_open)
			err = on_call_answer(c, pdu, &h, ret_answer, &whole);
		else if (c->state == RPC_CLIENT_BINDING)
			err = on_bind_answer(c, pdu, &h);
		else
			err = refuse(c, ERR_RPC_MALFORMED, "an RPC PDU before the bind");
		if (err == 0 && !was_open)
			return RPC_CLIENT_BOUND;
	}
	if (err != 0) {
		c->state = RPC_CLIENT_ENDED;
		c->err = err;
	}
	if (c->state == RPC_CLIENT_ENDED)
		return RPC_CLIENT_END;
	return whole ? RPC_CLIENT_ANSWER : RPC_CLIENT_MORE;
}
