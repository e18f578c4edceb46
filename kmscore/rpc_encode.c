#include "kmscore/rpc.h"

#include <string.h>

#include "common/err.h"
#include "kmscore/wire.h"

#define SYNTAX_LEN 20u

/** Writes into memory that was reserved for the whole PDU: lengths are known before. */
struct writer {
	uint8_t *p;
	size_t at;
	bool be;
};

static void wr_u8(struct writer *w, uint8_t v)
{
	w->p[w->at++] = v;
}

static void wr_u16(struct writer *w, uint16_t v)
{
	wire_put_u16(w->p + w->at, v, w->be);
	w->at += 2;
}

static void wr_u32(struct writer *w, uint32_t v)
{
	wire_put_u32(w->p + w->at, v, w->be);
	w->at += 4;
}

static void wr_zero(struct writer *w, size_t len)
{
	memset(w->p + w->at, 0, len);
	w->at += len;
}

static void wr_bytes(struct writer *w, const void *data, size_t len)
{
	memcpy(w->p + w->at, data, len);
	w->at += len;
}

static void wr_syntax(struct writer *w, const struct rpc_syntax *s)
{
	wr_u32(w, wire_get_u32(s->uuid.b, true));
	wr_u16(w, wire_get_u16(s->uuid.b + 4, true));
	wr_u16(w, wire_get_u16(s->uuid.b + 6, true));
	wr_bytes(w, s->uuid.b + 8, 8);
	wr_u32(w, (uint32_t)s->minor << 16 | s->major);
}

static void wr_hdr(struct writer *w, const struct rpc_hdr *h, uint8_t flags, size_t frag_len)
{
	wr_u8(w, 5);
	wr_u8(w, h->minor);
	wr_u8(w, h->ptype);
	wr_u8(w, flags);
	wr_u8(w, w->be ? 0x00 : 0x10);
	wr_zero(w, 3);
	wr_u16(w, (uint16_t)frag_len);
	wr_u16(w, 0); /* no authentication */
	wr_u32(w, h->call_id);
}

_Static_assert(RPC_HDR_LEN + 12 + RPC_CTX_MAX * (4 + SYNTAX_LEN * (1 + RPC_TRANSFER_MAX)) <=
		       UINT16_MAX,
	       "the longest PDU of one fragment, a bind, fits its length field");

/** Room for a PDU of one fragment, its header written. */
static int wr_begin(struct writer *w, struct buf *out, const struct rpc_hdr *h, size_t len)
{
	int err = buf_reserve(out, len, &w->p);

	if (err != 0)
		return err;
	w->at = 0;
	w->be = h->be;
	wr_hdr(w, h, h->flags | RPC_FLAG_FIRST | RPC_FLAG_LAST, len);
	return 0;
}

int rpc_bind_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_bind *b)
{
	struct writer w;
	size_t len = RPC_HDR_LEN + 12;
	int err;

	if (b->n_ctx > RPC_CTX_MAX)
		return ERR_USAGE;
	for (unsigned i = 0; i < b->n_ctx; i++) {
		if (b->ctx[i].n_transfer > RPC_TRANSFER_MAX)
			return ERR_USAGE;
		len += 4 + SYNTAX_LEN * (1u + b->ctx[i].n_transfer);
	}
	err = wr_begin(&w, out, h, len);
	if (err != 0)
		return err;
	wr_u16(&w, b->max_xmit);
	wr_u16(&w, b->max_recv);
	wr_u32(&w, b->assoc_group);
	wr_u8(&w, b->n_ctx);
	wr_zero(&w, 3);
	for (unsigned i = 0; i < b->n_ctx; i++) {
		const struct rpc_ctx_item *c = &b->ctx[i];

		wr_u16(&w, c->id);
		wr_u8(&w, c->n_transfer);
		wr_u8(&w, 0);
		wr_syntax(&w, &c->abstract);
		for (unsigned j = 0; j < c->n_transfer; j++)
			wr_syntax(&w, &c->transfer[j]);
	}
	out->len += len;
	return 0;
}

int rpc_bind_ack_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_bind_ack *a)
{
	struct writer w;
	size_t text = strnlen(a->sec_addr, sizeof(a->sec_addr) - 1);
	size_t addr_len = text > 0 ? text + 1 : 0; /* with its NUL; an empty address has none */
	size_t pad = (4 - (RPC_HDR_LEN + 10 + addr_len) % 4) % 4;
	size_t len =
		RPC_HDR_LEN + 10 + addr_len + pad + 4 + (4 + SYNTAX_LEN) * (size_t)a->n_results;
	int err;

	if (a->n_results > RPC_CTX_MAX)
		return ERR_USAGE;
	err = wr_begin(&w, out, h, len);
	if (err != 0)
		return err;
	wr_u16(&w, a->max_xmit);
	wr_u16(&w, a->max_recv);
	wr_u32(&w, a->assoc_group);
	wr_u16(&w, (uint16_t)addr_len);
	wr_bytes(&w, a->sec_addr, text);
	wr_zero(&w, addr_len - text + pad);
	wr_u8(&w, a->n_results);
	wr_zero(&w, 3);
	for (unsigned i = 0; i < a->n_results; i++) {
		wr_u16(&w, a->result[i].result);
		wr_u16(&w, a->result[i].reason);
		wr_syntax(&w, &a->result[i].transfer);
	}
	out->len += len;
	return 0;
}

int rpc_bind_nak_encode(struct buf *out, const struct rpc_hdr *h, uint16_t reason)
{
	struct writer w;
	size_t len = RPC_HDR_LEN + 5;
	int err = wr_begin(&w, out, h, len);

	if (err != 0)
		return err;
	wr_u16(&w, reason);
	wr_u8(&w, 1); /* versions supported: 5.0 */
	wr_u8(&w, 5);
	wr_u8(&w, 0);
	out->len += len;
	return 0;
}

int rpc_fault_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_fault *f)
{
	struct writer w;
	int err = wr_begin(&w, out, h, RPC_FAULT_LEN);

	if (err != 0)
		return err;
	wr_u32(&w, RPC_FAULT_LEN); /* alloc_hint: Windows sends this, and clients look at it */
	wr_u16(&w, f->ctx_id);
	wr_zero(&w, 2);
	wr_u32(&w, f->status);
	wr_zero(&w, 4);
	out->len += RPC_FAULT_LEN;
	return 0;
}

/** Requests and responses differ only in their last two 16-bit fields before the stub. */
static int encode_call(struct buf *out, const struct rpc_hdr *h, uint16_t ctx_id, uint16_t last,
		       const uint8_t *stub, size_t stub_len, size_t frag_max)
{
	struct writer w;
	size_t chunk, n_frags;
	int err;

	if (stub == NULL)
		stub_len = 0;
	if (frag_max < RPC_FRAG_MIN || frag_max > UINT16_MAX || stub_len > RPC_STUB_MAX)
		return ERR_USAGE;
	/* NDR aligns to the start of the stub: each fragment but the last holds a multiple of 8. */
	chunk = (frag_max - RPC_REQ_HDR_LEN) & ~(size_t)7;
	n_frags = stub_len == 0 ? 1 : (stub_len + chunk - 1) / chunk;
	err = buf_reserve(out, stub_len + n_frags * RPC_REQ_HDR_LEN, &w.p);
	if (err != 0)
		return err;
	w.at = 0;
	w.be = h->be;
	for (size_t i = 0; i < n_frags; i++) {
		size_t left = stub_len - i * chunk;
		size_t len = left < chunk ? left : chunk;
		unsigned flags = h->flags & ~(unsigned)(RPC_FLAG_FIRST | RPC_FLAG_LAST);

		flags |= (i == 0 ? RPC_FLAG_FIRST : 0) | (i + 1 == n_frags ? RPC_FLAG_LAST : 0);
		wr_hdr(&w, h, (uint8_t)flags, RPC_REQ_HDR_LEN + len);
		wr_u32(&w, (uint32_t)left);
		wr_u16(&w, ctx_id);
		wr_u16(&w, last);
		if (len > 0)
			wr_bytes(&w, stub + i * chunk, len);
	}
	out->len += w.at;
	return 0;
}

int rpc_request_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_request *r,
		       size_t frag_max)
{
	return encode_call(out, h, r->ctx_id, r->opnum, r->stub, r->stub_len, frag_max);
}

int rpc_response_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_response *r,
			size_t frag_max)
{
	return encode_call(out, h, r->ctx_id, 0, r->stub, r->stub_len, frag_max);
}
