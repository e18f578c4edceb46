/**
 * The whole system at random: a relay with its hosts and clients, two zones on three name servers,
 * others who change the same zones, and whatever can go wrong, for days of virtual time; the
 * invariants of judge.c are checked at each change and after each round. The same seed gives the
 * same run.
 *
 * A *round* is trouble (faults of faults.c begin and end at random), then quiet: everything is
 * healed, and after CHAOS_SETTLE_MS nothing may be left to do for CHAOS_STEADY_MS.
 *
 * All of it is in the world's memory (tests/sim/sim.h): lives of the program come and go.
 */
#ifndef KMSBEACON_TESTS_CHAOS_CHAOS_H
#define KMSBEACON_TESTS_CHAOS_CHAOS_H

#include "tests/sim/sim.h"
#include "tests/sim/sim_dns.h"
#include "tests/sim/sim_kms.h"

#define CHAOS_SERVERS  3
#define CHAOS_ZONES    2
#define CHAOS_HOSTS    3
#define CHAOS_CLIENTS  12
#define CHAOS_FAULTS   8   /* under way at once */
#define CHAOS_KNOWN    256 /* different records that the program ever added */
#define CHAOS_LINES    400 /* kept to be shown */
#define CHAOS_SET_MAX  32  /* records of one set */
#define CHAOS_BURST    60  /* updates in CHAOS_BURST_MS at most, whatever happens */
#define CHAOS_BURST_MS 10000
/* From the read of a check to its update. An add gives its TTL to the whole set (RFC 2181 §5.2), so
 * also to what others have added in that time. */
#define CHAOS_CHECK_MS 30000
#define CHAOS_HEAP     (512u << 10) /* by so much may two steady times of one life differ */
#define CHAOS_SOCKETS  64           /* in a steady time */

#define CHAOS_MINUTE    60000u
#define CHAOS_SETTLE_MS (90u * CHAOS_MINUTE)
#define CHAOS_STEADY_MS (60u * CHAOS_MINUTE)

enum chaos_phase {
	CHAOS_TROUBLE,
	CHAOS_SETTLING, /* all is well, and what was broken is mended */
	CHAOS_STEADY,   /* nothing is left to do */
	CHAOS_OVER,
};

/** What a life shall end by; the director says so before it ends it. */
enum chaos_end { CHAOS_RUNS, CHAOS_STOPS, CHAOS_CRASHES };

/** What a configuration says; the rest of it never changes. */
struct chaos_config {
	uint16_t local_weight, office_priority;
	bool office_in_second; /* the second domain has `office`, too */
	uint32_t ttl_s;
	uint32_t refresh_min;
	bool local_weighted_first; /* order of the upstreams */
};

struct chaos_fault {
	const struct chaos_kind *kind; /* NULL: a free place */
	unsigned what;                 /* which server, host, link */
	uint64_t until;
};

struct chaos_line {
	uint64_t ms;
	char text[240];
};

struct chaos {
	char dir[64];
	bool verbose;
	unsigned round, rounds;
	enum chaos_phase phase;
	enum chaos_end end;
	uint64_t phase_ends;
	struct chaos_config config;
	struct sim_dns_server *server[CHAOS_SERVERS];
	struct sim_zone *zone[CHAOS_ZONES];
	struct sim_kms_host *host[CHAOS_HOSTS];
	struct sim_kms_client *client[CHAOS_CLIENTS];
	struct chaos_fault fault[CHAOS_FAULTS];
	int64_t clock_off_ms;
	unsigned n_foreign; /* ever made, so that each is another */
	bool crash_at_update;
	bool judged; /* the answer to the last question came */
	/* what is counted */
	unsigned lives, crashes, stops, reloads, faults, updates, answered, failed;
	/* for judge.c */
	struct chaos_known {
		unsigned zone;
		char rdata[SIM_DNS_RDATA_MAX];
	} known[CHAOS_KNOWN]; /* what the program ever added */
	size_t n_known;
	uint64_t others_added_at[CHAOS_ZONES];
	uint64_t burst_from; /* updates since then, in a time of CHAOS_BURST_MS */
	unsigned burst;
	struct chaos_book {
		unsigned asked, ended;
		bool waits;
	} book[CHAOS_CLIENTS];
	unsigned life_of_level; /* in which life the level was taken */
	size_t level_heap;
	/* the last lines */
	size_t n_lines;
	struct chaos_line line[CHAOS_LINES];
};

extern const char *const chaos_zone_name[CHAOS_ZONES];
extern const char *const chaos_server_name[CHAOS_SERVERS];
extern const char *const chaos_host_name[CHAOS_HOSTS];
extern const char *const chaos_client_name[CHAOS_CLIENTS];

/** Evenly from lo to hi. */
uint32_t chaos_rand(uint32_t lo, uint32_t hi);
bool chaos_chance(uint32_t percent);
/** One line for the trace. */
void chaos_note(struct chaos *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** Ends the test: what, and the trace. */
void chaos_broken(struct chaos *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3), noreturn));

/* scene.c */
/** Servers, zones, hosts, clients; the files that never change. */
void chaos_scene(struct chaos *c);
void chaos_config_draw(struct chaos *c);
void chaos_config_write(const struct chaos *c);
/** Records that the program shall publish in a zone: RDATA; how many. */
size_t chaos_wanted(const struct chaos *c, unsigned zone,
		    char ret[CHAOS_SET_MAX][SIM_DNS_RDATA_MAX]);
/** Each client asks now and then, for ever. */
void chaos_clients_begin(struct chaos *c);

/* faults.c */
/** Begin one, at random. */
void chaos_fault_begin(struct chaos *c);
/** End those whose time is over; all of them where @p all. */
void chaos_faults_end(struct chaos *c, bool all);

/* judge.c */
void chaos_judge_watch(struct chaos *c);
/** At the end of the settling, and of the steady time. */
void chaos_judge_settled(struct chaos *c);
void chaos_judge_steady(struct chaos *c);
/** A life is over. */
void chaos_judge_life(struct chaos *c, const struct sim_life *life);

#endif
