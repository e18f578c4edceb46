/** What the files of the service share: service.c (life, rules, status), session.c (a connection),
 * answer_lab.c and answer_relay.c (what answers requests). Nobody else's. */
#ifndef KMSBEACON_KMSCORE_SERVICE_PRIV_H
#define KMSBEACON_KMSCORE_SERVICE_PRIV_H

#include <uv.h>

#include "common/log.h"
#include "common/mem.h"
#include "kmscore/association.h"
#include "kmscore/kms_msg.h"
#include "kmscore/line_budget.h"
#include "kmscore/log_limit.h"
#include "kmscore/memory.h"
#include "kmscore/request_log.h"
#include "kmscore/service.h"

struct session;

/** What answers requests: one of these for each mode. */
struct answers {
	uint16_t role; /* kin.h */
	int (*init)(struct kms_service *s, const struct kms_service_params *p,
		    struct err_info *info);
	/**
	 * A request, whose association waits for its answer. Either it is answered into s->out, or
	 * e->waiting is set and session_answered() called later, from the loop.
	 * @return 0, or why the association cannot go on.
	 */
	int (*request)(struct kms_service *s, struct session *e, const struct kms_request *rq);
	/** The client of a request that waits is gone: session_answered() is due all the same. */
	void (*cancel)(struct session *e);
	/** How long an answer may take. */
	uint32_t (*wait_ms)(const struct kms_service *s);
	/** As kms_assoc_host has it; NULL: never. @p s is the service. */
	bool (*congested)(void *s, bool from_relay);
	/** All sessions are gone; @p done runs once, from the loop or from within. */
	void (*end)(struct kms_service *s, void (*done)(struct kms_service *s));
};
extern const struct answers kms_answers_lab;
extern const struct answers kms_answers_relay;

/** What mode relay has beside the relay. */
struct relay_side {
	struct relay *relay;
	struct request_log *log;
	unsigned ending; /* parts whose end is waited for */
	void (*ended)(struct kms_service *s);
	struct line_budget lines;
	struct log_limit skew;   /* clients whose clock was called wrong */
	uint64_t wrong_clock_ms; /* when a host's clock was last, monotonic; 0: never */
	void (*changed)(void *ctx);
	void (*upstream_changed)(void *ctx, const char *name, enum relay_state from,
				 enum relay_state to, const char *detail);
};

struct kms_service {
	struct net *net;
	struct listener *listener;
	const struct answers *answers;
	enum kms_mode mode;
	struct kms_assoc_host host;
	struct cidr *allow;
	struct kms_limits limits; /* without zeros */
	uint32_t next_group;
	uint64_t bad_calls; /* requests that were answered with a fault, and nobody was asked */
	uint64_t refused;
	bool stopped;
	bool draining;
	struct session *sessions;  /* those that are connected */
	struct kms_memory *memory; /* of clients */
	struct kms_memory own;     /* what `memory` points to where none was given */
	lab_host_event_fn *on_event;
	void *ctx;                 /* of the callbacks */
	struct line_budget *lines; /* of requests */
	uv_timer_t second;         /* what waits is told: kms_service_tell_later() */
	struct buf out;            /* answers of the connection that is being served */
	struct log_ctx log;
	struct log_limit limit;
	struct lab_host lab;
	struct relay_side relay;
	uv_timer_t drain_timer;
	void (*drained)(void *ctx); /* until it has run */
	void *drained_ctx;
	unsigned open_handles;
	void (*done)(void *ctx);
	void *done_ctx;
};

/** May a line about @p peer be logged now? */
bool kms_service_may_log(struct kms_service *s, const struct addr *peer);
/** Requests have no line of their own: they are told when the second is over. */
void kms_service_tell_later(struct kms_service *s);
/** A session has ended; the drain may be over. */
void kms_service_session_ended(struct kms_service *s);

#endif
