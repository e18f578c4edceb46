/**
 * Connection-oriented DCE/RPC 5.0 PDUs (C706 chapter 12, MS-RPCE 2.2.2): framing, decoding,
 * encoding. Pure, in both byte orders; what is decoded points into the bytes it was decoded from.
 *
 * Framing first: rpc_frame_length() says how many bytes the next PDU has, from its first 10. Then
 * rpc_hdr_decode() on exactly these bytes, and the decoder of the type. No decoder reads beyond the
 * PDU, and no count from the wire is believed before the bytes behind it are known to be there.
 *
 * "PDU" is one fragment on the wire; "call" is a request or response put together from its
 * fragments (association.h does that).
 */
#ifndef KMSBEACON_KMSCORE_RPC_H
#define KMSBEACON_KMSCORE_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"
#include "kmscore/guid.h"

#define RPC_HDR_LEN      16
#define RPC_REQ_HDR_LEN  24 /* request and response, without object UUID */
#define RPC_FAULT_LEN    32
#define RPC_FRAG_MAX     5840u /* what we send and take at most; Windows' own value */
#define RPC_FRAG_MIN     128u  /* a peer that wants smaller ones is refused; C706 says 1432 */
#define RPC_STUB_MAX     16384u
#define RPC_CTX_MAX      16 /* context items of one bind, and contexts of one association */
#define RPC_TRANSFER_MAX 8  /* transfer syntaxes of one item */
#define RPC_SEC_ADDR_MAX 64

enum rpc_ptype {
	RPC_REQUEST = 0,
	RPC_RESPONSE = 2,
	RPC_FAULT = 3,
	RPC_BIND = 11,
	RPC_BIND_ACK = 12,
	RPC_BIND_NAK = 13,
	RPC_ALTER_CONTEXT = 14,
	RPC_ALTER_CONTEXT_RESP = 15,
	RPC_AUTH3 = 16,
	RPC_SHUTDOWN = 17,
	RPC_CO_CANCEL = 18,
	RPC_ORPHANED = 19,
};
/** "bind", "request" ...; "unknown" for another number. */
const char *rpc_ptype_name(unsigned ptype);

/* pfc_flags */
#define RPC_FLAG_FIRST           0x01
#define RPC_FLAG_LAST            0x02
#define RPC_FLAG_CONC_MPX        0x10
#define RPC_FLAG_DID_NOT_EXECUTE 0x20
#define RPC_FLAG_OBJECT          0x80

/* fault status */
#define RPC_S_OP_RNG_ERROR  0x1C010002u
#define RPC_S_UNK_IF        0x1C010003u
#define RPC_S_PROTO_ERROR   0x1C01000Bu
#define RPC_S_OUT_OF_MEMORY 0x1C00001Bu /* nca_s_fault_remote_no_memory */
#define RPC_S_TOO_BUSY      0x1C010014u
#define RPC_S_NDR           0x000006F7u /* nca_s_fault_ndr as Windows sends it */

/* bind_nak reasons */
#define RPC_NAK_NOT_SPECIFIED 0
#define RPC_NAK_CONGESTION    1
#define RPC_NAK_LOCAL_LIMIT   2
#define RPC_NAK_VERSION       4
#define RPC_NAK_AUTH_TYPE     8
#define RPC_NAK_CHECKSUM      9

enum rpc_ctx_result {
	RPC_CTX_ACCEPT = 0,
	RPC_CTX_USER_REJECT = 1,
	RPC_CTX_PROVIDER_REJECT = 2,
	RPC_CTX_NEGOTIATE_ACK = 3, /* its reason field holds the bits agreed on */
};
#define RPC_REASON_NONE     0
#define RPC_REASON_ABSTRACT 1 /* abstract syntax not supported */
#define RPC_REASON_TRANSFER 2 /* proposed transfer syntaxes not supported */
#define RPC_REASON_LIMIT    3 /* local limit exceeded */

/** An interface or a transfer syntax. */
struct rpc_syntax {
	struct guid uuid;
	uint16_t major;
	uint16_t minor;
};
extern const struct rpc_syntax rpc_syntax_kms;      /* 51c82175-844e-4750-b0d8-ec255555bc06 v1.0 */
extern const struct rpc_syntax rpc_syntax_ndr32;    /* 8a885d04-1ceb-11c9-9fe8-08002b104860 v2.0 */
extern const struct rpc_syntax rpc_syntax_ndr64;    /* 71710533-beba-4937-8319-b5dbef9ccc36 v1.0 */
extern const struct rpc_syntax rpc_syntax_features; /* 6cb71c2c-9812-4540, no bits set, v1.0 */
bool rpc_syntax_equal(const struct rpc_syntax *a, const struct rpc_syntax *b);
/** Bind-time feature negotiation (MS-RPCE 2.2.2.14), whatever its bits. */
bool rpc_syntax_is_features(const struct rpc_syntax *s);

struct rpc_hdr {
	uint8_t minor; /* 5.0 or 5.1 */
	uint8_t ptype;
	uint8_t flags;
	bool be; /* integers of this PDU are big-endian */
	uint16_t frag_len;
	uint16_t auth_len;
	uint32_t call_id;
};

struct rpc_ctx_item {
	uint16_t id;
	uint8_t n_transfer;
	struct rpc_syntax abstract;
	struct rpc_syntax transfer[RPC_TRANSFER_MAX];
};

/** bind and alter_context */
struct rpc_bind {
	uint16_t max_xmit;
	uint16_t max_recv;
	uint32_t assoc_group;
	uint8_t n_ctx;
	struct rpc_ctx_item ctx[RPC_CTX_MAX];
};

struct rpc_ctx_answer {
	uint16_t result; /* enum rpc_ctx_result */
	uint16_t reason;
	struct rpc_syntax transfer; /* zero unless accepted */
};

/** bind_ack and alter_context_resp */
struct rpc_bind_ack {
	uint16_t max_xmit;
	uint16_t max_recv;
	uint32_t assoc_group;
	char sec_addr[RPC_SEC_ADDR_MAX]; /* "1688"; "" sends none */
	uint8_t n_results;
	struct rpc_ctx_answer result[RPC_CTX_MAX];
};

struct rpc_request {
	uint32_t alloc_hint; /* a hint: nothing is allocated by it */
	uint16_t ctx_id;
	uint16_t opnum;
	bool has_object;
	const uint8_t *stub;
	size_t stub_len;
};

struct rpc_response {
	uint32_t alloc_hint;
	uint16_t ctx_id;
	const uint8_t *stub;
	size_t stub_len;
};

struct rpc_fault {
	uint16_t ctx_id;
	uint32_t status;
};

/**
 * How long the PDU at the start of @p buf is. *ret_len == 0: more bytes are needed to know.
 * @p bound is the longest that is taken.
 * @return 0; RPC_NOT_RPC: the bytes are no RPC 5; RPC_MALFORMED: byte order or length impossible;
 * LIMIT: longer than @p bound.
 */
int rpc_frame_length(const uint8_t *buf, size_t have, size_t bound, size_t *ret_len);
/** @p len is frag_length. Minor versions above 1 and unknown types are the caller's to refuse. */
int rpc_hdr_decode(const uint8_t *pdu, size_t len, struct rpc_hdr *ret);

/* Decoders take the whole PDU and its header. RPC_MALFORMED, or LIMIT where only our own bounds
 * are exceeded. An auth trailer is cut off the stub. */
int rpc_bind_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_bind *ret);
int rpc_bind_ack_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_bind_ack *ret);
int rpc_bind_nak_decode(const uint8_t *pdu, const struct rpc_hdr *h, uint16_t *ret_reason);
int rpc_request_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_request *ret);
int rpc_response_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_response *ret);
int rpc_fault_decode(const uint8_t *pdu, const struct rpc_hdr *h, struct rpc_fault *ret);

/* Encoders append one PDU to @p out and use ptype, flags, be and call_id of @p h; lengths are made
 * here. @return 0, or the error of the buffer, which is then as before; USAGE where the PDU would
 * not fit its length field. */
int rpc_bind_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_bind *b);
int rpc_bind_ack_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_bind_ack *a);
int rpc_bind_nak_encode(struct buf *out, const struct rpc_hdr *h, uint16_t reason);
int rpc_fault_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_fault *f);
/** One call in as many fragments as @p frag_max asks for (RPC_FRAG_MIN or more). FIRST, LAST and
 * alloc_hint (what is left) are set here; no object UUID is sent. */
int rpc_request_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_request *r,
		       size_t frag_max);
int rpc_response_encode(struct buf *out, const struct rpc_hdr *h, const struct rpc_response *r,
			size_t frag_max);

/** "local limit exceeded" ...; for a bind_nak and for a rejected context. */
const char *rpc_nak_text(uint16_t reason);
const char *rpc_reason_text(uint16_t reason);
const char *rpc_fault_text(uint32_t status);

#endif
