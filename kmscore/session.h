/**
 * One connection of a client: octets to requests, answers to octets, deadlines.
 *
 * A request is answered at once, or waits; while it waits nothing more is read (conn_pause). Its
 * memory lives until the connection is closed and no request waits.
 */
#ifndef KMSBEACON_KMSCORE_SESSION_H
#define KMSBEACON_KMSCORE_SESSION_H

#include "kmscore/association.h"
#include "kmscore/relay.h"
#include "kmscore/service_priv.h"

struct session {
	struct kms_assoc a;
	struct kms_service *s;
	struct conn *c;              /* NULL: closed, and a request still waits */
	struct session *prev, *next; /* in s->sessions */
	struct relay_call call;      /* of answer_relay.c */
	uint32_t half_call;          /* the request that the deadline is for; 0: none */
	bool half_pdu;               /* the deadline is for a PDU whose end is missing */
	bool waiting;                /* a request is not answered yet */
	bool half_closed;            /* the client sends no more */
	bool kin_told;               /* that its bind was our own */
};

/** For the listener; its ctx is the service. */
extern const struct conn_ops session_conn_ops;

/** The answer of a session that waits is in s->out, or, with an @p err, there is none and the
 * association cannot go on. Where the client is gone this is the session's end. */
void session_answered(struct session *e, int err);
/** The service drains: close what is quiet soon. */
void session_drain(struct session *e);

#endif
