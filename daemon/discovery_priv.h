/** The daemon's discovery in three files: discovery.c (rounds and their schedule), discovery_look.c
 * (one look), discovery_status.c (the report). */
#ifndef KMSBEACON_DAEMON_DISCOVERY_PRIV_H
#define KMSBEACON_DAEMON_DISCOVERY_PRIV_H

#include "daemon/discovery.h"
#include "daemon/health.h"
#include "daemon/probe_memo.h"

#define DISCOVERY_LOOKUP_MS 20000

enum look_state {
	LOOK_NONE,
	LOOK_QUEUED,
	LOOK_DNS,    /* the set and the addresses */
	LOOK_HOSTS,  /* a probe of each host */
	LOOK_CLIENT, /* what a client does that remembers its host */
};

/** A host of the set as last looked up. */
struct seen_host {
	struct rsv_record rec;
	double probability;
	struct addr addrs[HOST_LOOKUP_ADDRS_MAX];
	size_t n_addrs;
	bool resolved; /* else the time was over before its addresses were known */
	enum pub_health_state state;
	bool doubted; /* the last probe spoke against the state */
};

/** One probe of a look. */
struct look_slot {
	struct row *row;
	struct probe_op op;
	size_t host; /* of row->host */
	size_t at;   /* of its addresses */
	bool busy;
};

/** What the client did that remembers its host. */
struct client_view {
	bool ran;
	uint32_t code;
	bool selected;
	char target[DNSNAME_TEXT_MAX];
	uint16_t port;
	enum rsv_source source;
	bool has_standing;
	enum discovery_standing standing; /* of the host it remembers */
	enum discovery_standing told;     /* last */
};

/** One profile and one suffix. */
struct row {
	struct discovery *d;
	enum rsv_profile profile;
	struct dns_name domain; /* not set: the manual host */

	uint64_t due_ms; /* monotonic */
	uint64_t last_ms;
	uint64_t keep_until_ms; /* the answers hold until then */
	unsigned quick;
	bool again;                          /* poked while it was being looked at */
	int64_t since_wall_ms, last_wall_ms; /* 0: never */

	bool has_set;
	uint32_t code; /* of the last lookup */
	struct seen_host *host;
	size_t n, n_records;
	struct discovery_track track;
	bool has_pending;
	struct discovery_view pending; /* what was seen last, where it is not told yet */

	struct rsv_cache cache;
	struct rsv_cached_host saved; /* as in the file; empty name: none */
	bool save_failed;
	struct client_view client;

	enum look_state state;
	bool unfinished; /* the look was cancelled */
	bool doubt;      /* the last look is not what was told, or speaks against it */
	uint32_t last_code;
	struct rsv_discover dns, remembering;
	struct look_slot slot[DISCOVERY_HOSTS_AT_A_TIME];
	size_t next_host;
};

/** The state of one (target, port), however many rows name it. */
struct tracked {
	struct dns_name target;
	uint16_t port;
	struct health_track track;
	uint64_t round;   /* in which it was probed last */
	uint64_t used_ms; /* monotonic */
};

struct discovery {
	struct discovery_params p;
	char *state_dir;
	struct discovery_setup setup;
	struct discovery_setup next; /* in force when the round under way has ended */
	bool has_next;
	struct row **rows;
	size_t n_rows;
	struct tracked *tracked;
	size_t n_tracked;
	struct probe_memo *memo;
	uint64_t round;
	uint64_t round_ms; /* monotonic, when it began */
	uint32_t jitter;
	unsigned active; /* looks under way */
	bool in_round;
	bool starting;
	bool stopping;
	uv_timer_t timer;    /* of the next round */
	uv_timer_t deadline; /* of the one under way */
	unsigned open;       /* handles, and the memo, still to be closed */
	void (*done)(void *ctx);
	void *done_ctx;
};

extern const struct log_ctx discovery_log;

/** Whom a row is about, for logs and reports: the domain, or the manual host. */
const char *discovery_subject(const struct row *r, char buf[DNSNAME_TEXT_MAX]);

/* discovery.c */
/** A look has ended: row->state is LOOK_NONE, and when to look again is known. */
void discovery_look_ended(struct row *r);
/** Take a probe's word for a host; damped. */
enum pub_health_state discovery_observe(struct discovery *d, const struct dns_name *target,
					uint16_t port, bool up, bool *ret_doubted);

/** The same without a word: its state as it was. */
enum pub_health_state discovery_state_of(const struct discovery *d, const struct dns_name *target,
					 uint16_t port);

/* discovery_look.c */
void discovery_look_start(struct row *r);
/** It ends by itself soon, without news. */
void discovery_look_cancel(struct row *r);
/** The file of a row's cache: read at its beginning, written when its host has changed. */
void discovery_cache_load(struct row *r);
void discovery_cache_save(struct row *r);

#endif
