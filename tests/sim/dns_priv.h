/** Inside the played name servers: zones and their copies, servers, answers. All of it is memory of
 * the world. */
#ifndef KMSBEACON_TESTS_SIM_DNS_PRIV_H
#define KMSBEACON_TESTS_SIM_DNS_PRIV_H

#include "tests/sim/dns_tsig.h"
#include "tests/sim/dns_wire.h"

#define SIM_ANSWER_MAX        SIM_MSG_RECORDS_MAX
#define SIM_CHAIN_MAX         8 /* CNAMEs followed */
#define SIM_CACHE_MAX         256
#define SIM_CACHE_RECORDS_MAX 32 /* of an answer; a longer one is not kept */
#define SIM_CACHE_TTL_MAX     86400
#define SIM_DNS_PORT          53
#define SIM_LINE_MAX          4096
#define SIM_TRANSFER_MS       500

/* ---- zones (dns_zone.c) ---- */

/** What one server has of a zone. The first record is the SOA. */
struct sim_copy {
	struct sim_dns_server *server;
	struct sim_zone *zone;
	uint32_t serial;
	bool behind; /* the primary has changed since the last transfer; the next is at due_ms */
	uint64_t due_ms;
	size_t n;
	struct sim_record *records;
};

struct sim_zone {
	char apex[SIM_DNS_NAME_MAX];
	bool has_key;
	struct sim_key key;
	struct addr view_from;
	size_t n_copies;
	struct sim_copy copies[SIM_DNS_SERVERS_MAX]; /* the first: the primary's */
};

struct sim_copy *sim_zone_copy(struct sim_zone *z, const struct sim_dns_server *s);
/** One of a set from index @p from on; NULL: no more. @p type T_ANY: any. */
struct sim_record *sim_copy_next(const struct sim_copy *c, const char *owner, uint16_t type,
				 size_t *from);
bool sim_copy_has(const struct sim_copy *c, const char *owner, uint16_t type);
/** Something is at the name or below it. */
bool sim_copy_has_below(const struct sim_copy *c, const char *owner);
/** As BIND does it: the set takes the TTL of what is added; a CNAME and others exclude each other,
 * the newcomer is ignored. @return whether anything changed. */
bool sim_copy_add(struct sim_copy *c, const struct sim_record *r);
/** rdata NULL: all of the set. The SOA and the last NS of the zone stay. */
bool sim_copy_remove(struct sim_copy *c, const char *owner, uint16_t type, const char *rdata);
void sim_copy_set_serial(struct sim_copy *c, uint32_t serial);
/** RFC 1982: one more, and never 0. */
uint32_t sim_serial_next(uint32_t serial);
/** The negative answer's SOA, with its TTL (RFC 2308 §3). */
void sim_copy_negative_soa(const struct sim_copy *c, struct sim_record *ret);

/* ---- updates (dns_update.c) ---- */

/** RFC 2136 §3: all of it, or nothing. @return the rcode; *ret_changed: the zone is another one
 * (and its serial higher). */
unsigned sim_update_apply(struct sim_copy *c, const struct sim_msg *m, bool *ret_changed);
/** The records that went, and then those that came, between two states, without the SOA. */
void sim_update_diff(const struct sim_record *before, size_t n_before, const struct sim_copy *now,
		     void (*each)(void *ctx, bool added, const struct sim_record *r), void *ctx);

/* ---- answers (dns_query.c, dns_resolver.c) ---- */

struct sim_answer {
	unsigned rcode;
	bool aa, referral;
	size_t n;
	struct {
		uint8_t section;
		struct sim_record r;
	} records[SIM_ANSWER_MAX];
};

void sim_answer_put(struct sim_answer *a, unsigned section, const struct sim_record *r);
size_t sim_answer_count(const struct sim_answer *a, unsigned section);
/** The last name of the CNAMEs in it; @p name where there are none. */
const char *sim_answer_end(const struct sim_answer *a, const char *name);
/** What the server with this copy says of its own zone; CNAMEs are followed in the zone. */
void sim_query_answer(const struct sim_copy *c, const char *name, uint16_t type, bool additional,
		      struct sim_answer *ret);

struct sim_cache; /* of a resolver */
void sim_resolve(struct sim_dns_server *s, const char *name, uint16_t type, uint64_t now_ms,
		 struct sim_answer *ret);

/* ---- servers (dns.c, dns_serve.c) ---- */

struct sim_dns_server {
	char name[64];
	struct addr at;
	bool udp_open, tcp_open;
	struct sim_dns_ways ways;
	bool is_resolver;
	struct sim_cache *cache; /* NULL: asks each time */
};

struct sim_dns_world {
	size_t n_servers, n_zones, n_copies;
	struct sim_dns_server *servers[SIM_DNS_SERVERS_MAX];
	struct sim_zone *zones[SIM_DNS_ZONES_MAX];
	void (*seen)(void *ctx, const struct sim_dns_event *e);
	void *seen_ctx;
	void (*changed)(void *ctx, const struct sim_zone *z, bool added,
			const struct sim_record *r);
	void *changed_ctx;
};
struct sim_dns_world *sim_dns_world(void);

/** The zone on @p s (NULL: on any server) that is responsible for a name: the longest one; of
 * several views that of the key, then that of the source, then the one for all. @p exact: only one
 * that begins at the name. */
struct sim_zone *sim_dns_zone_for(const struct sim_dns_server *s, const char *name, bool exact,
				  const char *key, const struct addr *from);
/** The primary has changed: the others will follow. */
void sim_zone_changed(struct sim_zone *z);
struct sim_cache *sim_cache_new(void);

/** One message to one server, and what it answers now: pure but for the zone's change, the events
 * and the resolver's choice of a server. @p now_ms since the world began. @return length in @p ret,
 * 0: no answer. */
size_t sim_dns_serve(struct sim_dns_server *s, const struct addr *from, bool tcp,
		     const uint8_t *data, size_t len, uint64_t now_ms, uint8_t *ret, size_t max);
/** An event line of a NOTIFY: sent, or (@p to NULL) answered. */
void sim_dns_tell_notify(struct sim_dns_server *s, struct sim_zone *z, const char *to);

/* ---- its ports (dns_net.c) ---- */

/** Open and close what its ways say. */
void sim_dns_net_apply(struct sim_dns_server *s);

#endif
