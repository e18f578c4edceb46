/**
 * A scripted RPC server on 127.0.0.1: for each PDU that arrives, over all connections, the next
 * step of a script. Behind the last step it stays silent.
 */
#ifndef KMSBEACON_TESTS_LIB_FAKE_RPC_H
#define KMSBEACON_TESTS_LIB_FAKE_RPC_H

#include <uv.h>

#include "common/addr.h"
#include "kmscore/rpc.h"
#include "tests/lib/kms_vectors.h"

#define FAKE_RPC_CONNS 16
#define FAKE_RPC_STEPS 8

struct fake_rpc_step {
	struct bytes reply; /* sent as it is */
	bool close;         /* afterwards */
	bool drip;          /* byte by byte */
};

struct fake_rpc {
	struct addr addr;
	struct fake_rpc_step step[FAKE_RPC_STEPS];
	size_t n_steps;
	bool close_on_accept;
	/* what came */
	size_t n_pdus;
	size_t n_conns;
	struct bytes last_pdu;
	/* private */
	uv_tcp_t server;
	struct fake_rpc_conn {
		struct fake_rpc *f;
		uv_tcp_t tcp;
		bool open;
		struct bytes in;
	} conn[FAKE_RPC_CONNS];
	char rx[65536];
};

/** Listens; the script may be filled before or after. */
void fake_rpc_start(struct fake_rpc *f, uv_loop_t *loop);
/** Close all; run the loop afterwards. */
void fake_rpc_stop(struct fake_rpc *f);
/** The next step of the script, to be filled. */
struct fake_rpc_step *fake_rpc_add(struct fake_rpc *f);
/** A step that answers with this hex. */
void fake_rpc_add_hex(struct fake_rpc *f, const char *hex);
/** A bind_ack with call id 1 and one result. */
void fake_rpc_add_ack(struct fake_rpc *f, uint16_t result, uint16_t reason,
		      const struct rpc_syntax *transfer);

#endif
