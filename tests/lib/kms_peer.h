/**
 * A KMS host on 127.0.0.1 that a test plays: any number of connections, binds and requests, and a
 * way to behave that can change at any moment. Its bodies are its tag and nothing else.
 */
#ifndef KMSBEACON_TESTS_LIB_KMS_PEER_H
#define KMSBEACON_TESTS_LIB_KMS_PEER_H

#include <uv.h>

#include "common/addr.h"
#include "kmscore/association.h"

#define KMS_PEER_CONNS 64 /* at a time */

enum kms_peer_way {
	KMS_PEER_ANSWERS, /* with `hresult` */
	KMS_PEER_FAULTS,  /* with `fault` */
	KMS_PEER_SILENT,  /* requests get no answer */
	KMS_PEER_DROPS,   /* closes when a request comes */
	KMS_PEER_HALF,    /* sends half an answer, then closes */
	KMS_PEER_NAKS,    /* refuses binds */
	KMS_PEER_MUTE,    /* accepts connections, and reads nothing */
	KMS_PEER_CLOSES,  /* accepts connections, and closes them */
};

struct kms_peer {
	struct addr addr;
	enum kms_peer_way way;
	uint32_t hresult;
	uint32_t fault;
	size_t n_conns; /* accepted */
	size_t n_calls; /* requests that came */
	/* private */
	struct kms_assoc_host self;
	char tag;
	bool listening;
	bool closed;
	uv_tcp_t server;
	struct kms_peer_conn {
		struct kms_peer *f;
		bool used;
		bool open;
		uv_tcp_t tcp;
		struct kms_assoc a;
		struct buf in;
	} conn[KMS_PEER_CONNS];
	char rx[65536];
};

/** Listens. @p role: KMS_KIN_ROLE_..., with this id; @p tag: one letter, the body of its answers.
 */
void kms_peer_start(struct kms_peer *f, uv_loop_t *loop, char tag, uint16_t role, uint8_t id);
/** Connections are refused from now on; those that are open are closed. */
void kms_peer_down(struct kms_peer *f);
/** Listens again, on the same port. */
void kms_peer_again(struct kms_peer *f);
/** Close all connections, as a host does that finds them idle; it listens on. */
void kms_peer_close_conns(struct kms_peer *f);
/** As kms_peer_down(); run the loop afterwards. */
void kms_peer_stop(struct kms_peer *f);

#endif
