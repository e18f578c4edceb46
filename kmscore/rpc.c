#include "kmscore/rpc.h"

#include <string.h>

#include "common/err.h"
#include "kmscore/wire.h"

#define AUTH_TRAILER_LEN 8u /* before the auth_length bytes of the verifier */

const struct rpc_syntax rpc_syntax_kms = {
	{ { 0x51, 0xc8, 0x21, 0x75, 0x84, 0x4e, 0x47, 0x50, 0xb0, 0xd8, 0xec, 0x25, 0x55, 0x55,
	    0xbc, 0x06 } },
	1,
	0,
};
const struct rpc_syntax rpc_syntax_ndr32 = {
	{ { 0x8a, 0x88, 0x5d, 0x04, 0x1c, 0xeb, 0x11, 0xc9, 0x9f, 0xe8, 0x08, 0x00, 0x2b, 0x10,
	    0x48, 0x60 } },
	2,
	0,
};
const struct rpc_syntax rpc_syntax_ndr64 = {
	{ { 0x71, 0x71, 0x05, 0x33, 0xbe, 0xba, 0x49, 0x37, 0x83, 0x19, 0xb5, 0xdb, 0xef, 0x9c,
	    0xcc, 0x36 } },
	1,
	0,
};
const struct rpc_syntax rpc_syntax_features = {
	{ { 0x6c, 0xb7, 0x1c, 0x2c, 0x98, 0x12, 0x45, 0x40 } },
	1,
	0,
};

bool rpc_syntax_equal(const struct rpc_syntax *a, const struct rpc_syntax *b)
{
	return guid_equal(&a->uuid, &b->uuid) && a->major == b->major && a->minor == b->minor;
}

bool rpc_syntax_is_features(const struct rpc_syntax *s)
{
	return memcmp(s->uuid.b, rpc_syntax_features.uuid.b, 8) == 0 && s->major == 1;
}

int rpc_frame_length(const uint8_t *buf, size_t have, size_t bound, size_t *ret_len)
{
	size_t len;

	*ret_len = 0;
	if (have > 0 && buf[0] != 5)
		return ERR_RPC_NOT_RPC;
	/* Integers big (0) or little (1), characters ASCII (0) or EBCDIC (1). */
	if (have > 4 && (buf[4] & 0xee) != 0)
		return ERR_RPC_MALFORMED;
	if (have < 10)
		return 0;
	len = wire_get_u16(buf + 8, (buf[4] & 0x10) == 0);
	if (len < RPC_HDR_LEN)
		return ERR_RPC_MALFORMED;
	if (len > bound)
		return ERR_LIMIT;
	*ret_len = len;
	return 0;
}

int rpc_hdr_decode(const uint8_t *pdu, size_t len, struct rpc_hdr *ret)
{
	size_t frag_len;
	int err = rpc_frame_length(pdu, len, UINT16_MAX, &frag_len);

	if (err != 0)
		return err;
	if (frag_len == 0 || frag_len != len)
		return ERR_RPC_MALFORMED;
	ret->be = (pdu[4] & 0x10) == 0;
	ret->minor = pdu[1];
	ret->ptype = pdu[2];
	ret->flags = pdu[3];
	ret->frag_len = (uint16_t)frag_len;
	ret->auth_len = wire_get_u16(pdu + 10, ret->be);
	ret->call_id = wire_get_u32(pdu + 12, ret->be);
	if (ret->auth_len > 0 && AUTH_TRAILER_LEN + ret->auth_len > frag_len - RPC_HDR_LEN)
		return ERR_RPC_MALFORMED;
	return 0;
}

/** Reads what is between the header and the auth trailer; `bad` once something is missing. */
struct reader {
	const uint8_t *pdu;
	size_t at;
	size_t end;
	bool be;
	bool bad;
};

static void rd_init(struct reader *r, const uint8_t *pdu, const struct rpc_hdr *h)
{
	r->pdu = pdu;
	r->at = RPC_HDR_LEN;
	r->end = h->frag_len;
	r->be = h->be;
	r->bad = false;
	if (h->auth_len > 0) /* rpc_hdr_decode() has seen to it that this fits */
		r->end -= AUTH_TRAILER_LEN + h->auth_len;
}

/** @p len bytes, or NULL and r->bad. */
static const uint8_t *rd_take(struct reader *r, size_t len)
{
	const uint8_t *p = r->pdu + r->at;

	if (r->bad || len > r->end - r->at) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	return p;
}

static uint8_t rd_u8(struct reader *r)
{
	const uint8_t *p = rd_take(r, 1);

	return p != NULL ? *p : 0;
}

static uint16_t rd_u16(struct reader *r)
{
	const uint8_t *p = rd_take(r, 2);

	return p != NULL ? wire_get_u16(p, r->be) : 0;
}

static uint32_t rd_u32(struct reader *r)
{
	const uint8_t *p = rd_take(r, 4);

	return p != NULL ? wire_get_u32(p, r->be) : 0;
}

static void rd_syntax(struct reader *r, struct rpc_syntax *ret)
{
	const uint8_t *p = rd_take(r, 20);

	if (p == NULL) {
		memset(ret, 0, sizeof(*ret));
		return;
	}
	wire_put_u32(ret->uuid.b, wire_get_u32(p, r->be), true);
	wire_put_u16(ret->uuid.b + 4, wire_get_u16(p + 4, r->be), true);
	wire_put_u16(ret->uuid.b + 6, wire_get_u16(p + 6, r->be), true);
	memcpy(ret->uuid.b + 8, p + 8, 8);
	/* One 32-bit number with the major version in its low half, C706 12.6.3.1. */
	ret->major = (uint16_t)wire_get_u32(p + 16, r->be);
	ret->minor = (uint16_t)(wire_get_u32(p + 16, r->be) >> 16);
}

static int rd_ctx_item(struct reader *r, struct rpc_ctx_item *item)
{
	struct rpc_syntax unused;
	uint8_t n;

	item->id = rd_u16(r);
	n = rd_u8(r);
	(void)rd_u8(r);
	rd_syntax(r, &item->abstract);
	for (unsigned i = 0; i < n && !r->bad; i++)
		rd_syntax(r, i < RPC_TRANSFER_MAX ? &item->transfer[i] : &unused);
	if (r->bad)
		return ERR_RPC_MALFORMED;
	if (n > RPC_TRANSFER_MAX)
		return ERR_LIMIT;
	item->n_transfer = n;
	return 0;
}

int rpc_bind_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_bind *ret)
{
	struct reader r;

	rd_init(&r, pdu, h);
	memset(ret, 0, sizeof(*ret));
	ret->max_xmit = rd_u16(&r);
	ret->max_recv = rd_u16(&r);
	ret->assoc_group = rd_u32(&r);
	ret->n_ctx = rd_u8(&r);
	(void)rd_take(&r, 3);
	if (r.bad || ret->n_ctx == 0)
		return ERR_RPC_MALFORMED;
	if (ret->n_ctx > RPC_CTX_MAX)
		return ERR_LIMIT;
	for (unsigned i = 0; i < ret->n_ctx; i++) {
		int err = rd_ctx_item(&r, &ret->ctx[i]);

		if (err != 0)
			return err;
	}
	return 0;
}

int rpc_bind_ack_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_bind_ack *ret)
{
	struct reader r;
	const uint8_t *text;
	size_t len;

	rd_init(&r, pdu, h);
	memset(ret, 0, sizeof(*ret));
	ret->max_xmit = rd_u16(&r);
	ret->max_recv = rd_u16(&r);
	ret->assoc_group = rd_u32(&r);
	len = rd_u16(&r);
	text = rd_take(&r, len);
	if (text != NULL) { /* its NUL is part of the length; the rest is already zero */
		if (len >= sizeof(ret->sec_addr))
			len = sizeof(ret->sec_addr) - 1;
		memcpy(ret->sec_addr, text, strnlen((const char *)text, len));
	}
	(void)rd_take(&r, (4 - r.at % 4) % 4);
	ret->n_results = rd_u8(&r);
	(void)rd_take(&r, 3);
	if (r.bad)
		return ERR_RPC_MALFORMED;
	if (ret->n_results > RPC_CTX_MAX)
		return ERR_LIMIT;
	for (unsigned i = 0; i < ret->n_results; i++) {
		ret->result[i].result = rd_u16(&r);
		ret->result[i].reason = rd_u16(&r);
		rd_syntax(&r, &ret->result[i].transfer);
	}
	return r.bad ? ERR_RPC_MALFORMED : 0;
}

int rpc_bind_nak_decode(const uint8_t *pdu, const struct rpc_hdr *h, uint16_t *ret_reason)
{
	struct reader r;

	rd_init(&r, pdu, h);
	*ret_reason = rd_u16(&r);
	return r.bad ? ERR_RPC_MALFORMED : 0;
}

/** What is left, without the padding that stands before an auth trailer. */
static int rd_stub(struct reader *r, const struct rpc_hdr *h, const uint8_t **ret, size_t *ret_len)
{
	size_t pad = 0;

	if (r->bad)
		return ERR_RPC_MALFORMED;
	if (h->auth_len > 0)
		pad = r->pdu[r->end + 2];
	if (pad > r->end - r->at)
		return ERR_RPC_MALFORMED;
	*ret = r->pdu + r->at;
	*ret_len = r->end - r->at - pad;
	return 0;
}

int rpc_request_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_request *ret)
{
	struct reader r;

	rd_init(&r, pdu, h);
	ret->alloc_hint = rd_u32(&r);
	ret->ctx_id = rd_u16(&r);
	ret->opnum = rd_u16(&r);
	ret->has_object = (h->flags & RPC_FLAG_OBJECT) != 0;
	if (ret->has_object)
		(void)rd_take(&r, 16);
	return rd_stub(&r, h, &ret->stub, &ret->stub_len);
}

int rpc_response_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_response *ret)
{
	struct reader r;

	rd_init(&r, pdu, h);
	ret->alloc_hint = rd_u32(&r);
	ret->ctx_id = rd_u16(&r);
	(void)rd_take(&r, 2); /* cancel count, reserved */
	return rd_stub(&r, h, &ret->stub, &ret->stub_len);
}

int rpc_fault_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_fault *ret)
{
	struct reader r;

	rd_init(&r, pdu, h);
	(void)rd_u32(&r); /* alloc_hint */
	ret->ctx_id = rd_u16(&r);
	(void)rd_take(&r, 2);
	ret->status = rd_u32(&r);
	return r.bad ? ERR_RPC_MALFORMED : 0;
}

const char *rpc_ptype_name(unsigned ptype)
{
	switch (ptype) {
	case RPC_REQUEST:
		return "request";
	case RPC_RESPONSE:
		return "response";
	case RPC_FAULT:
		return "fault";
	case RPC_BIND:
		return "bind";
	case RPC_BIND_ACK:
		return "bind_ack";
	case RPC_BIND_NAK:
		return "bind_nak";
	case RPC_ALTER_CONTEXT:
		return "alter_context";
	case RPC_ALTER_CONTEXT_RESP:
		return "alter_context_resp";
	case RPC_AUTH3:
		return "auth3";
	case RPC_SHUTDOWN:
		return "shutdown";
	case RPC_CO_CANCEL:
		return "co_cancel";
	case RPC_ORPHANED:
		return "orphaned";
	default:
		return "unknown";
	}
}

const char *rpc_nak_text(uint16_t reason)
{
	switch (reason) {
	case RPC_NAK_NOT_SPECIFIED:
		return "reason not specified";
	case RPC_NAK_CONGESTION:
		return "temporary congestion";
	case RPC_NAK_LOCAL_LIMIT:
		return "local limit exceeded";
	case RPC_NAK_VERSION:
		return "protocol version not supported";
	case RPC_NAK_AUTH_TYPE:
		return "authentication type not recognized";
	case RPC_NAK_CHECKSUM:
		return "invalid checksum";
	default:
		return "unknown reason";
	}
}

const char *rpc_reason_text(uint16_t reason)
{
	switch (reason) {
	case RPC_REASON_NONE:
		return "reason not specified";
	case RPC_REASON_ABSTRACT:
		return "abstract syntax not supported";
	case RPC_REASON_TRANSFER:
		return "proposed transfer syntaxes not supported";
	case RPC_REASON_LIMIT:
		return "local limit exceeded";
	default:
		return "unknown reason";
	}
}

const char *rpc_fault_text(uint32_t status)
{
	switch (status) {
	case RPC_S_OP_RNG_ERROR:
		return "nca_s_op_rng_error: no such operation";
	case RPC_S_UNK_IF:
		return "nca_s_unk_if: unknown interface";
	case RPC_S_PROTO_ERROR:
		return "nca_s_proto_error: protocol error";
	case RPC_S_OUT_OF_MEMORY:
		return "nca_s_fault_remote_no_memory: out of memory";
	case RPC_S_TOO_BUSY:
		return "nca_s_server_too_busy: server too busy";
	case RPC_S_NDR:
		return "nca_s_fault_ndr: arguments cannot be decoded";
	case 5:
		return "access denied";
	default:
		return "fault";
	}
}
