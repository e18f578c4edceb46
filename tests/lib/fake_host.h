/**
 * A licensed host on 127.0.0.1 as a pool sees it: an RPC server that answers binds and requests as
 * its test says, on any number of connections, at once or when it is told to.
 */
#ifndef KMSBEACON_TESTS_LIB_FAKE_HOST_H
#define KMSBEACON_TESTS_LIB_FAKE_HOST_H

#include <uv.h>

#include "common/addr.h"
#include "kmscore/guid.h"
#include "kmscore/rpc.h"

#define FAKE_HOST_CONNS 64
#define FAKE_HOST_CALLS 128

enum fake_host_bind {
	FAKE_BIND_ACK,
	FAKE_BIND_NAK,
	FAKE_BIND_REJECT, /* the KMS context */
	FAKE_BIND_MUTE,
	FAKE_BIND_CLOSE,
};

enum fake_host_call {
	FAKE_CALL_ANSWER,  /* the request's own stub */
	FAKE_CALL_HOLD,    /* until fake_host_answer() */
	FAKE_CALL_FAULT,   /* RPC_S_TOO_BUSY */
	FAKE_CALL_CLOSE,   /* the connection, without an octet */
	FAKE_CALL_RESET,   /* the same, hard */
	FAKE_CALL_HALF,    /* the half of an answer, then close */
	FAKE_CALL_FIRST,   /* the first fragment of two, then close */
	FAKE_CALL_UNASKED, /* an answer to another call */
};

struct fake_host {
	struct addr addr;
	enum fake_host_bind on_bind;
	enum fake_host_call on_call;
	unsigned call_once; /* so many calls are as on_call says, then they are answered; 0: all */
	bool multiplex;     /* PFC_CONC_MPX in the bind_ack */
	uint16_t frag;      /* length of answers' fragments; 0: RPC_FRAG_MAX */
	uint16_t max_recv;  /* said in the bind_ack; 0: RPC_FRAG_MAX */
	uint16_t kin_role;  /* answer the item of kin.h; 0: reject it */
	struct guid kin_id;
	/* what came */
	size_t n_conns; /* ever */
	size_t n_open;
	size_t n_binds, n_calls;
	size_t n_reads;     /* of octets, on all connections */
	size_t max_at_once; /* calls held on one connection */
	bool offered_mpx;   /* of the last bind */
	uint8_t n_items;
	uint8_t request[RPC_STUB_MAX]; /* stub of the last request */
	size_t request_len;
	bool request_be;
	unsigned request_frags;
	/* private */
	uv_tcp_t server;
	struct fake_host_conn {
		struct fake_host *h;
		uv_tcp_t tcp;
		bool open;
		uint8_t in[131072];
		size_t in_len;
		uint8_t stub[RPC_STUB_MAX];
		size_t stub_len;
		unsigned frags;
	} * conn[FAKE_HOST_CONNS];
	struct fake_host_held {
		struct fake_host_conn *c;
		uint32_t call_id;
		uint16_t ctx_id;
		bool be;
		uint8_t stub[64];
		size_t stub_len;
	} held[FAKE_HOST_CALLS];
	size_t n_held;
	char rx[65536];
};

void fake_host_start(struct fake_host *h, uv_loop_t *loop);
/** Listen no more; what is connected stays. */
void fake_host_unlisten(struct fake_host *h);
/** Close all; run the loop afterwards. */
void fake_host_stop(struct fake_host *h);
/** Answer the @p i-th of the held calls; those behind it move up. */
void fake_host_answer(struct fake_host *h, size_t i);
/** Answer all held calls with fragments of FAKE_HOST_MIX octets, in turn. */
void fake_host_answer_mixed(struct fake_host *h);
#define FAKE_HOST_MIX 8
/** Close (or reset) every connection that is open. */
void fake_host_drop(struct fake_host *h, bool reset);
/** Send octets on each open connection. */
void fake_host_say(struct fake_host *h, const uint8_t *data, size_t len);

#endif
