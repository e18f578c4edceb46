#include "kmscore/association.h"

#include <stdio.h>
#include <string.h>

#include "kmscore/kms_msg.h"

#define MUST_RECV_FRAG 1432  /* what every implementation has to take, C706 12.6.3.1 */
#define STUB_KEEP      1024u /* memory an idle association may keep */

/** One PDU under way, so that the handlers below share one signature. */
struct pdu {
	const uint8_t *bytes;
	struct rpc_hdr h;
	struct buf *out;
	struct err_info *info;
};

void kms_assoc_init(struct kms_assoc *a, const struct kms_assoc_host *host, uint32_t group)
{
	memset(a, 0, sizeof(*a));
	a->group = group;
	a->host = host;
	buf_init(&a->stub, RPC_STUB_MAX);
}

void kms_assoc_done(struct kms_assoc *a)
{
	buf_done(&a->stub);
}

const struct kms_call *kms_assoc_call(const struct kms_assoc *a)
{
	return a->call_ready ? &a->call : NULL;
}

bool kms_assoc_is_bound(const struct kms_assoc *a)
{
	return a->bound;
}

enum kms_kin kms_assoc_kin(const struct kms_assoc *a)
{
	return (enum kms_kin)a->kin;
}

uint32_t kms_assoc_half_call(const struct kms_assoc *a)
{
	return a->call_open ? a->n_calls : 0;
}

static bool ctx_known(const struct kms_assoc *a, uint16_t id)
{
	for (unsigned i = 0; i < a->n_ctx; i++)
		if (a->ctx[i] == id)
			return true;
	return false;
}

static void ctx_forget(struct kms_assoc *a, uint16_t id)
{
	for (unsigned i = 0; i < a->n_ctx; i++)
		if (a->ctx[i] == id)
			a->ctx[i] = a->ctx[--a->n_ctx];
}

static void reject(struct rpc_ctx_answer *ret, uint16_t reason)
{
	ret->result = RPC_CTX_PROVIDER_REJECT;
	ret->reason = reason;
}

static void answer_item(struct kms_assoc *a, const struct rpc_ctx_item *c,
			struct rpc_ctx_answer *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (c->n_transfer == 1 && rpc_syntax_is_features(&c->transfer[0])) {
		ret->result = RPC_CTX_NEGOTIATE_ACK; /* reason 0: none of its bits is supported */
		return;
	}
	ctx_forget(a, c->id); /* an alter_context may give an id a new meaning */
	if (kms_kin_is_offer(c)) {
		kms_kin_accept(ret, &a->host->node_id, a->host->role);
		return; /* not a context that calls may use */
	}
	if (!rpc_syntax_equal(&c->abstract, &rpc_syntax_kms)) {
		reject(ret, RPC_REASON_ABSTRACT);
		return;
	}
	for (unsigned i = 0; i < c->n_transfer; i++) {
		if (!rpc_syntax_equal(&c->transfer[i], &rpc_syntax_ndr32))
			continue;
		if (a->n_ctx == RPC_CTX_MAX) {
			reject(ret, RPC_REASON_LIMIT);
			return;
		}
		a->ctx[a->n_ctx++] = c->id;
		ret->result = RPC_CTX_ACCEPT;
		ret->transfer = rpc_syntax_ndr32;
		return;
	}
	reject(ret, RPC_REASON_TRANSFER);
}

static struct rpc_hdr reply_hdr(const struct kms_assoc *a, const struct rpc_hdr *h, uint8_t ptype)
{
	return (struct rpc_hdr){
		.minor = a->minor, .ptype = ptype, .be = h->be, .call_id = h->call_id
	};
}

/** The end, with a bind_nak. */
static int nak(const struct kms_assoc *a, const struct pdu *p, uint16_t reason)
{
	struct rpc_hdr h = reply_hdr(a, &p->h, RPC_BIND_NAK);

	return rpc_bind_nak_encode(p->out, &h, reason);
}

/** A fault for a call that was not executed. */
static int fault(const struct kms_assoc *a, uint32_t call_id, bool be, uint16_t ctx_id,
		 uint32_t status, struct buf *out)
{
	struct rpc_hdr h = { .minor = a->minor,
			     .ptype = RPC_FAULT,
			     .flags = RPC_FLAG_DID_NOT_EXECUTE,
			     .be = be,
			     .call_id = call_id };
	struct rpc_fault f = { .ctx_id = ctx_id, .status = status };

	return rpc_fault_encode(out, &h, &f);
}

/** The end, with a fault: @p p breaks the protocol. */
static int protocol_error(const struct kms_assoc *a, const struct pdu *p)
{
	return fault(a, p->h.call_id, p->h.be, 0, RPC_S_PROTO_ERROR, p->out);
}

static uint16_t clamp(uint16_t v, uint16_t low, uint16_t high)
{
	return v < low ? low : v > high ? high : v;
}

/** Did another kmsbeacon send this, or we? */
static void note_kin(struct kms_assoc *a, const struct rpc_bind *b)
{
	for (unsigned i = 0; i < b->n_ctx; i++) {
		if (!kms_kin_is_offer(&b->ctx[i]))
			continue;
		if (guid_equal(&b->ctx[i].transfer[0].uuid, &a->host->node_id))
			a->kin = KMS_KIN_SELF;
		else if (a->kin != KMS_KIN_SELF)
			a->kin = KMS_KIN_RELAY;
	}
}

/** Our own bind is answered always: how else would we learn that it is our own? */
static bool is_congested(const struct kms_assoc *a)
{
	return a->host->congested != NULL && a->kin != KMS_KIN_SELF &&
	       a->host->congested(a->host->ctx, a->kin == KMS_KIN_RELAY);
}

static int send_ack(struct kms_assoc *a, const struct pdu *p, const struct rpc_bind *b,
		    uint8_t ptype)
{
	struct rpc_hdr h = reply_hdr(a, &p->h, ptype);
	struct rpc_bind_ack ack = {
		.max_xmit = a->max_xmit,
		.max_recv = clamp(b->max_xmit, MUST_RECV_FRAG, RPC_FRAG_MAX),
		.assoc_group = a->group,
		.n_results = b->n_ctx,
	};

	if (ptype == RPC_BIND_ACK)
		(void)snprintf(ack.sec_addr, sizeof(ack.sec_addr), "%u", a->host->port);
	for (unsigned i = 0; i < b->n_ctx; i++)
		answer_item(a, &b->ctx[i], &ack.result[i]);
	return rpc_bind_ack_encode(p->out, &h, &ack);
}

#define WHOLE (RPC_FLAG_FIRST | RPC_FLAG_LAST)

static int on_bind(struct kms_assoc *a, const struct pdu *p)
{
	struct rpc_bind b;
	int err;

	if (a->bound) {
		(void)nak(a, p, RPC_NAK_NOT_SPECIFIED);
		return err_set(p->info, ERR_RPC_MALFORMED, "a second bind on one association");
	}
	if (p->h.minor > 1) {
		(void)nak(a, p, RPC_NAK_VERSION);
		return err_set(p->info, ERR_RPC_MALFORMED,
			       "a bind in RPC version 5.%u, and only 5.0 and 5.1 are known",
			       p->h.minor);
	}
	a->minor = p->h.minor;
	if (p->h.auth_len > 0) {
		(void)nak(a, p, RPC_NAK_AUTH_TYPE);
		return err_set(p->info, ERR_RPC_NAK,
			       "the client wants RPC authentication, which KMS does not have");
	}
	err = (p->h.flags & WHOLE) == WHOLE ? rpc_bind_decode(p->bytes, &p->h, &b)
					    : ERR_RPC_MALFORMED;
	if (err == ERR_LIMIT || (err == 0 && b.max_recv < RPC_FRAG_MIN)) {
		(void)nak(a, p, RPC_NAK_LOCAL_LIMIT);
		return err_set(p->info, ERR_LIMIT,
			       "a bind with too many contexts (%u are taken, each with %u transfer "
			       "syntaxes) or fragments below %u bytes",
			       RPC_CTX_MAX, RPC_TRANSFER_MAX, RPC_FRAG_MIN);
	}
	if (err != 0) {
		(void)nak(a, p, RPC_NAK_NOT_SPECIFIED);
		return err_set(p->info, err, "a malformed bind");
	}
	note_kin(a, &b);
	if (is_congested(a)) {
		a->refused = true;
		return nak(a, p, RPC_NAK_CONGESTION);
	}
	a->bound = true;
	a->max_xmit = clamp(b.max_recv, RPC_FRAG_MIN, RPC_FRAG_MAX);
	return send_ack(a, p, &b, RPC_BIND_ACK);
}

static int on_alter_context(struct kms_assoc *a, const struct pdu *p)
{
	struct rpc_bind b;
	int err;

	if (!a->bound) {
		(void)protocol_error(a, p);
		return err_set(p->info, ERR_RPC_MALFORMED, "an alter_context before any bind");
	}
	if (p->h.auth_len > 0) {
		(void)protocol_error(a, p);
		return err_set(p->info, ERR_RPC_NAK,
			       "an alter_context with RPC authentication, which KMS does not have");
	}
	err = (p->h.flags & WHOLE) == WHOLE ? rpc_bind_decode(p->bytes, &p->h, &b)
					    : ERR_RPC_MALFORMED;
	if (err != 0) {
		(void)protocol_error(a, p);
		return err_set(p->info, err, "an alter_context that is malformed or too large");
	}
	note_kin(a, &b);
	return send_ack(a, p, &b, RPC_ALTER_CONTEXT_RESP);
}

/** Is @p rq, in @p p, in its place? Else why not. */
static const char *fragment_error(const struct kms_assoc *a, const struct pdu *p,
				  const struct rpc_request *rq)
{
	if ((p->h.flags & RPC_FLAG_FIRST) != 0)
		return a->call_open ? "a new request before the last fragment of another" : NULL;
	if (!a->call_open)
		return "a later fragment of a request without its first";
	if (p->h.call_id != a->call.call_id || rq->ctx_id != a->call.ctx_id ||
	    rq->opnum != a->opnum || p->h.be != a->call.be)
		return "a fragment that does not belong to the request before it";
	if (a->n_frags >= KMS_ASSOC_FRAGS_MAX)
		return "a request in too many fragments";
	return NULL;
}

static void call_drop(struct kms_assoc *a)
{
	a->call_open = false;
	a->call_ready = false;
	if (a->stub.cap > STUB_KEEP)
		buf_done(&a->stub);
	else
		buf_clear(&a->stub);
}

static int call_complete(struct kms_assoc *a, struct buf *out)
{
	uint32_t status = 0;
	int err;

	a->call_open = false;
	if (!ctx_known(a, a->call.ctx_id))
		status = RPC_S_UNK_IF;
	else if (a->opnum != KMS_OPNUM)
		status = RPC_S_OP_RNG_ERROR;
	if (status != 0) {
		err = fault(a, a->call.call_id, a->call.be, a->call.ctx_id, status, out);
		call_drop(a);
		return err;
	}
	a->call.stub = a->stub.data;
	a->call.stub_len = a->stub.len;
	a->call_ready = true;
	return 0;
}

static int on_request(struct kms_assoc *a, const struct pdu *p)
{
	struct rpc_request rq;
	const char *why = NULL;
	int err;

	if (!a->bound)
		why = "a request before any bind";
	else if (p->h.auth_len > 0)
		why = "a request with RPC authentication on an association without";
	else if (rpc_request_decode(p->bytes, &p->h, &rq) != 0)
		why = "a malformed request";
	else
		why = fragment_error(a, p, &rq);
	if (why != NULL) {
		(void)protocol_error(a, p);
		return err_set(p->info, ERR_RPC_MALFORMED, "%s", why);
	}
	if ((p->h.flags & RPC_FLAG_FIRST) != 0) {
		a->call_open = true;
		a->call.call_id = p->h.call_id;
		a->call.ctx_id = rq.ctx_id;
		a->call.be = p->h.be;
		a->opnum = rq.opnum;
		a->n_frags = 0;
		if (++a->n_calls == 0)
			a->n_calls = 1;
		buf_clear(&a->stub);
	}
	a->n_frags++;
	err = rq.stub_len > 0 ? buf_append(&a->stub, rq.stub, rq.stub_len) : 0;
	if (err != 0) {
		(void)fault(a, p->h.call_id, p->h.be, rq.ctx_id, RPC_S_OUT_OF_MEMORY, p->out);
		return err_set(p->info, err, "a request of more than %u bytes (or no memory)",
			       RPC_STUB_MAX);
	}
	return (p->h.flags & RPC_FLAG_LAST) != 0 ? call_complete(a, p->out) : 0;
}

static int on_pdu(struct kms_assoc *a, const struct pdu *p)
{
	switch (p->h.ptype) {
	case RPC_BIND:
		return on_bind(a, p);
	case RPC_ALTER_CONTEXT:
		return on_alter_context(a, p);
	case RPC_REQUEST:
		return on_request(a, p);
	case RPC_ORPHANED:
		/* The client wants no answer to the call it has half sent. */
		if (a->call_open && a->call.call_id == p->h.call_id)
			call_drop(a);
		return 0;
	case RPC_CO_CANCEL:
		return 0; /* a hint; calls are short, and their answer is due anyway */
	default:
		(void)protocol_error(a, p);
		return err_set(p->info, ERR_RPC_MALFORMED,
			       "an RPC PDU of type %u (%s) from a client", p->h.ptype,
			       rpc_ptype_name(p->h.ptype));
	}
}

static int frame_error(struct err_info *info, int err)
{
	switch (err) {
	case ERR_RPC_NOT_RPC:
		return err_set(info, err, "the client does not speak DCE/RPC");
	case ERR_LIMIT:
		return err_set(info, err, "an RPC PDU of more than %u bytes", RPC_FRAG_MAX);
	default:
		return err_set(info, err, "an RPC PDU with an impossible header");
	}
}

enum kms_assoc_event kms_assoc_feed(struct kms_assoc *a, const uint8_t *data, size_t len,
				    size_t *ret_used, struct buf *out, struct err_info *info)
{
	struct pdu p = { .out = out, .info = info };
	size_t used = 0, frag;
	int err = 0;

	while (err == 0 && !a->ended && !a->refused && !a->call_ready && used < len) {
		err = rpc_frame_length(data + used, len - used, RPC_FRAG_MAX, &frag);
		if (err == 0 && (frag == 0 || len - used < frag))
			break;
		p.bytes = data + used;
		if (err == 0)
			err = rpc_hdr_decode(p.bytes, frag, &p.h);
		if (err != 0) {
			(void)frame_error(info, err);
			break;
		}
		if (info != NULL)
			info->text[0] = '\0';
		err = on_pdu(a, &p);
		if (err != 0 && info != NULL && info->text[0] == '\0')
			(void)err_set(info, err, "the answer cannot be buffered: %s",
				      err_text(err));
		used += frag;
	}
	*ret_used = used;
	if (err != 0)
		a->ended = true;
	if (a->ended)
		return KMS_ASSOC_END;
	if (a->refused)
		return KMS_ASSOC_REFUSED;
	return a->call_ready ? KMS_ASSOC_CALL : KMS_ASSOC_MORE;
}

int kms_assoc_respond(struct kms_assoc *a, const uint8_t *stub, size_t len, bool be,
		      struct buf *out)
{
	struct rpc_hdr h = {
		.minor = a->minor, .ptype = RPC_RESPONSE, .be = be, .call_id = a->call.call_id
	};
	struct rpc_response rs = { .ctx_id = a->call.ctx_id, .stub = stub, .stub_len = len };
	int err;

	if (!a->call_ready)
		return ERR_USAGE;
	err = rpc_response_encode(out, &h, &rs, a->max_xmit);
	call_drop(a); /* afterwards: the answer may lie in the call's own stub */
	return err;
}

int kms_assoc_fault(struct kms_assoc *a, uint32_t status, struct buf *out)
{
	if (!a->call_ready)
		return ERR_USAGE;
	call_drop(a);
	return fault(a, a->call.call_id, a->call.be, a->call.ctx_id, status, out);
}
