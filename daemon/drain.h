/**
 * Drains (design §5): a host is taken out of DNS, and when no client can have its record cached any
 * more it is safe to stop. `local` is then stopped here; of another host it is told.
 *
 * A drain is begun on request: what it would do is looked at first, and refused where a set would
 * be left empty, where something else publishes the host, too, or where a set could not be read or
 * changed, unless forced. Once begun it lasts, over refresh,
 * reload and restart (publisher/journal.h keeps it), until it is resumed; what could not be
 * withdrawn is tried again every DRAIN_RETRY_MS. The wait starts when no server that can be asked
 * shows the record, and lasts the largest TTL under which it was seen.
 */
#ifndef KMSBEACON_DAEMON_DRAIN_H
#define KMSBEACON_DAEMON_DRAIN_H

#include "daemon/events.h"
#include "publisher/engine.h"

#define DRAIN_RETRY_MS 15000u
#define DRAIN_WAIT_MAX_MS                                                                          \
	(7u * 86400u * 1000u) /* the longest TTL that resolvers keep (RFC 8767)                    \
			       */
#define DRAIN_HOST_MAX 64

enum drain_phase {
	DRAIN_WITHDRAWING, /* some server still shows the record, or could not be asked to drop it
			    */
	DRAIN_WAITING,     /* caches may still hold it */
	DRAIN_SAFE,        /* nobody uses it any more */
};
const char *drain_phase_name(enum drain_phase p); /* "withdrawing", "waiting", "safe" */

/* ---- the rule, pure ---- */

/** What one run over the domains showed. */
struct drain_look {
	bool gone;        /* no server that can be asked shows the record, in any domain */
	bool would_empty; /* blocked: a set would be left empty */
	bool failed;      /* a domain could not be read or changed */
	bool unseen;      /* a domain did not have it any more, so its TTL there is unknown */
	uint32_t ttl_s;   /* the largest TTL that was seen */
};
void drain_see(const struct pub_result *results, size_t n, struct drain_look *ret);

struct drain_track {
	enum drain_phase phase;
	bool looked;     /* drain_take() was there */
	uint32_t ttl_s;  /* the largest so far */
	uint64_t due_ms; /* monotonic: the next try, or the end of the wait */
};
/** Take what a run showed; @p unseen_ttl_s is assumed where nothing was to be seen at the first
 * look. */
void drain_take(struct drain_track *t, const struct drain_look *l, uint32_t unseen_ttl_s,
		uint64_t now_ms);
/** Whether the wait has ended just now; the phase is DRAIN_SAFE then. */
bool drain_tick(struct drain_track *t, uint64_t now_ms);

/* ---- the drains of a daemon ---- */

struct drains;

struct drains_params {
	struct net *net;             /* borrowed for the drains' life, as the next three */
	struct events *events;       /* NULL: nobody keeps them */
	struct pub_engine *engine;   /* it stops before drains_free() */
	struct pub_journal *journal; /* NULL: nothing can be drained. Must be closed by store_free()
					before the loop turns after drains_free() */
	/** TTL to assume for a host whose record nobody shows. */
	uint32_t (*unseen_ttl)(void *ctx, const char *host);
	/** The moment has come; from the loop, or from drains_load(). */
	void (*safe)(void *ctx, const char *host);
	void *ctx;
};

int drains_new(const struct drains_params *p, struct drains **ret); /* 0 or ERR_NOMEM */
/** Go on with what the journal has of @p host; at start, and for each host of a reload. */
void drains_load(struct drains *d, const char *host);

/**
 * How it began. 0: it is begun, and @p results says what was done. ERR_USAGE: it was refused, and
 * @p results (one or more not well) says why. Else it failed: ERR_CANCELED (resumed, or the daemon
 * stops), ERR_NOMEM.
 */
typedef void drain_begun_fn(void *ctx, int err, const struct pub_result *results, size_t n);
/**
 * @return 0: done() runs once, later. Else it does not run: ERR_BUSY (its drain is being begun),
 * ERR_STORE_OPEN (no journal), ERR_LIMIT, ERR_NOMEM, ERR_CANCELED (stopping). Not for a host that
 * drains_get() knows.
 */
int drains_begin(struct drains *d, const char *host, bool force, drain_begun_fn *done, void *ctx);
/** Lift drains and what `withdraw` holds back, and publish again; NULL: of every host. @return how
 * many were lifted; one that is being worked on is counted, and goes when that step ends. */
size_t drains_resume(struct drains *d, const char *host);

struct drain_status {
	enum drain_phase phase;
	int64_t since_ms;   /* wall clock */
	int64_t safe_at_ms; /* wall clock; 0: not known yet */
	uint32_t ttl_s;     /* 0: not known, or told to an earlier process */
	const char *text;   /* why it is not further, borrowed; "" for nothing to say */
};
/** false: not drained, or only being looked at. */
bool drains_get(const struct drains *d, const char *host, struct drain_status *ret);

/** Once the engine has stopped. NULL is fine. */
void drains_free(struct drains *d);

#endif
