/**
 * A small DNS world for the publisher's tests: a resolver (127.0.0.1), a primary (127.0.0.2) and a
 * secondary (127.0.0.3) on one port, serving the zones d0.test, d1.test ... that take updates.
 *
 * Every zone has ns1 (the primary), ns2 (the secondary), and the hosts kms1 and kms2 with an
 * address. Tests change how a server behaves between or during runs, and count what was asked.
 * Unsigned: signatures are tested below this, and against real servers above.
 */
#ifndef KMSBEACON_TESTS_LIB_PUB_SITE_H
#define KMSBEACON_TESTS_LIB_PUB_SITE_H

#include "common/store.h"
#include "publisher/reconcile.h"
#include "tests/lib/auth_zone.h"

#define PUB_SITE_ZONES   160 /* more than PUB_ACTIVE_MAX and PUB_WAVE_SIZE */
#define PUB_SITE_RECORDS 8

#define HOSTS                                                                                      \
	"hosts:\n"                                                                                 \
	"  - { name: one, target: kms1.d0.test, port: 1688, priority: 0, weight: 10 }\n"           \
	"  - { name: two, target: kms2.d0.test, port: 1688, priority: 10, weight: 0 }\n"
#define ONE(domain, more)                                                                          \
	HOSTS "publish:\n  ttl: 1h\n  domains:\n    - { domain: " domain ", lab: true" more " }\n"
#define D0 ONE("d0.test", ", hosts: [one]")
#define K1 "0 10 1688 kms1.d0.test"
#define K2 "10 0 1688 kms2.d0.test"
#define F1 "0 0 1688 other.d0.test"

struct pub_site_set {
	struct {
		uint16_t priority, weight, port;
		char target[64];
	} srv[PUB_SITE_RECORDS];
	size_t n;
	uint32_t ttl;
	uint32_t serial;
	const char *cname; /* the owner is an alias */
};

struct pub_site;

struct pub_site_server {
	struct pub_site *site;
	struct fake_dns *dns;
	bool resolver;
	struct pub_site_set sets[PUB_SITE_ZONES];
	bool silent;           /* answers nothing */
	int silent_zone;       /* nothing about this zone; -1: none */
	unsigned rcode;        /* to everything */
	bool silent_about_ad;  /* nothing about domain controllers */
	bool is_controller;    /* the primary of each zone stands among them */
	unsigned update_rcode; /* to UPDATE, without effect */
	bool ignores_updates;  /* NOERROR, without effect */
	bool brings_back;      /* what an update deletes: at once, as an eager registrar would */
	bool loses_answers;    /* of updates, with effect: once */
	uint32_t max_ttl;      /* 0: none */
	bool frozen;           /* secondary: keeps what it has */
	unsigned thaw_after;   /* secondary: frozen for so many more SRV questions */
	int late_zone;         /* answers to SRV questions about it come late; -1: none */
	uint32_t delay_ms;     /* answers to updates come that late */
	/** Asked for each message: whether it has been dealt with here; NULL: none is. */
	bool (*instead)(struct pub_site_server *v, const struct fake_dns_request *rq);
	uint64_t first_update_ms;
	unsigned early_updates; /* that came before any answer can have left */
	/* counts */
	unsigned updates, srv, soa, other;
	unsigned ad;      /* of srv: about domain controllers */
	unsigned changes; /* in the last update */
};

enum { SITE_RESOLVER, SITE_PRIMARY, SITE_SECONDARY, SITE_SERVERS };

struct pub_site {
	struct test_net t;
	struct pub_site_server servers[SITE_SERVERS];
	uint16_t port;
	const char *host_ip; /* of kms1 and kms2, where nothing listens unless a test does */
	/* state file */
	char dir[64], path[96];
	struct store *store;
	struct pub_journal *journal;
	uv_async_t wake;
	struct pub_targets *targets;
	/** At each UPDATE, what it changes must stand in the state file; unset where it cannot. */
	bool check_journal;
};

#define PUB_SITE_LATE_MS (2 * PUB_WAVE_WAIT_MS)

void pub_site_init(struct pub_site *s);
/** Everything closed, no handle and no file left. */
void pub_site_done(struct pub_site *s);
/** The servers alone, without a state file: for a program in a process of its own. */
void pub_site_serve(struct pub_site *s);
void pub_site_unserve(struct pub_site *s);
/** Read the state file anew, as a new process would. */
void pub_site_restart(struct pub_site *s);
/** Replace the targets by those of a configuration, which is `publish:`, `hosts:` and so on. */
void pub_site_configure(struct pub_site *s, const char *yaml);
/** So many domains, d0.test and on, each with the host `one`. */
void pub_site_configure_many(struct pub_site *s, unsigned n);
/** Put a record there that is not ours: at the primary, and at the secondary unless it is frozen.
 */
void pub_site_add(struct pub_site *s, unsigned zone, uint16_t priority, uint16_t weight,
		  uint16_t port, const char *target, uint32_t ttl);
/** "0 10 1688 kms1.d0.test | ...", in order of text; at the primary. */
const char *pub_site_show(struct pub_site *s, unsigned zone);
void pub_site_reset_counts(struct pub_site *s);

/** One run to its end. Results are copied as far as tests look at them; site_run.err is its error.
 */
struct pub_site_result {
	char domain[64], view[16];
	enum pub_state state;
	unsigned rcode;
	bool has_rcode;
	uint32_t hresult;
	char hint[PUB_HINT_MAX];
	char changes[1024]; /* "-RR | +RR @TTL" */
	char findings[256]; /* ids */
	char proof[256];    /* "ns1:ok ns2:lagging" */
	unsigned n_serials;
};
struct pub_site_run {
	int err;
	int calls;
	bool done;
	struct pub_site_result results[PUB_SITE_ZONES];
	size_t n;
	struct pub_reconcile *reconcile;
	struct pub_site *site;
};
void pub_site_start(struct pub_site *s, struct pub_site_run *run,
		    const struct pub_reconcile_params *p);
void pub_site_run(struct pub_site *s, struct pub_site_run *run, const struct pub_request *rq,
		  struct pub_zone_cache *zones, const struct pub_health *health);

extern const struct pub_request pub_site_publish, pub_site_refresh, pub_site_withdraw;

/** The run had one target, and it ended so. */
void pub_site_expect(const struct pub_site_run *run, enum pub_state state);
/** What the journal says of the first record with this target in zone dN.test. */
enum pub_rec_state pub_site_journaled(struct pub_site *s, unsigned zone, const char *target);

#endif
