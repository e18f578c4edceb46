/**
 * Name servers of the played network: authoritative ones that take RFC 2136 updates, with
 * secondaries that follow their primary, and resolvers.
 *
 * Written apart from net/ (messages, TSIG), so that a mistake there is not repeated here. All of it
 * lives in sim_alloc() memory. Text forms: names lower case without trailing dot; RDATA as in a
 * zone file ("0 0 1688 kms1.corp.example").
 */
#ifndef KMSBEACON_TESTS_SIM_SIM_DNS_H
#define KMSBEACON_TESTS_SIM_SIM_DNS_H

#include "tests/sim/sim.h"

#define SIM_DNS_SERVERS_MAX 16
#define SIM_DNS_ZONES_MAX   32  /* copies count one each */
#define SIM_DNS_RECORDS_MAX 256 /* of a zone */
#define SIM_DNS_NAME_MAX    256
#define SIM_DNS_RDATA_MAX   300

struct sim_dns_server;
struct sim_zone;

struct sim_record {
	char owner[SIM_DNS_NAME_MAX];
	uint16_t type;
	uint32_t ttl;
	char rdata[SIM_DNS_RDATA_MAX];
};

/** How a server behaves; zero: well. */
struct sim_dns_ways {
	bool down;               /* nobody has the port: ECONNREFUSED */
	bool silent;             /* takes messages and answers none */
	bool no_tcp, only_tcp;   /* refuses connections; answers UDP with TC=1 */
	uint16_t mute_type;      /* answers no query for it */
	uint16_t query_rcode;    /* the answer to each query; 0: the right one */
	uint16_t update_rcode;   /* the answer to each update, which is not done */
	bool update_ignored;     /* NOERROR, and nothing happens */
	bool update_answer_lost; /* done, and never answered */
	bool unsigned_answers;   /* to signed requests */
	uint16_t tsig_error;     /* BADKEY, BADSIG, BADTIME */
	int32_t clock_off_s;     /* its clock against the world's, which sim_step_clock() does not
				    move: BADTIME beyond the fudge */
	uint32_t ttl_max;        /* caps what an update adds, and says NOERROR; 0: any TTL */
	uint32_t answer_ms;      /* later by so much */
	uint32_t transfer_ms;    /* secondaries: after the primary's change; 0: 500 */
	bool no_transfer;        /* secondaries: stays as it is */
};

/** @p ip without port; it serves on port 53. All servers and zones are made before the first life.
 */
struct sim_dns_server *sim_dns_server(const char *name, const char *ip);
struct sim_dns_server *sim_dns_find(const char *name); /* NULL: no such server */
const char *sim_dns_name(const struct sim_dns_server *s);
/** To change them: ask for them anew for each change, which takes effect at this very time, but
 * after the running event (ports are opened and closed, a transfer that was due is made). */
struct sim_dns_ways *sim_dns_ways(struct sim_dns_server *s);
/** A zone with its SOA (mname: the first server), an NS and an address for each server, and nothing
 * else. The first server is the primary. @p key: text of a BIND key file whose key may update it;
 * NULL: nobody may. Views: two zones with one apex on one server, told apart by key or, @p
 * view_from, by source address (NULL: any). */
struct sim_zone *sim_zone(const char *apex, struct sim_dns_server *const *servers, size_t n,
			  const char *key, const char *view_from);
/** By its apex, the first one. */
struct sim_zone *sim_zone_find(const char *apex);
/** Changes by somebody else, at the primary; the serial goes up and secondaries follow. rdata NULL
 * in a deletion: the RRset. */
void sim_zone_add(struct sim_zone *z, const char *owner, const char *type, uint32_t ttl,
		  const char *rdata);
void sim_zone_delete(struct sim_zone *z, const char *owner, const char *type, const char *rdata);
/** A server sends one NOTIFY (RFC 1996) for the zone there, unsigned. */
void sim_zone_notify(struct sim_zone *z, struct sim_dns_server *s, const struct addr *to);
/** What a server has now. @return how many were copied. */
size_t sim_zone_records(const struct sim_zone *z, const struct sim_dns_server *s, const char *owner,
			const char *type, struct sim_record *ret, size_t max);
uint32_t sim_zone_serial(const struct sim_zone *z, const struct sim_dns_server *s);

/** A resolver (RA=1) on @p ip: answers from the zones of all servers, from a secondary or primary
 * at random, with a cache that honours TTLs where @p caches. Servers that are down or silent give
 * SERVFAIL. */
struct sim_dns_server *sim_resolver(const char *name, const char *ip, bool caches);

/** What came and what was answered, as one line for traces and patterns:
 *	"ns1 query SRV _vlmcs._tcp.corp.example -> NOERROR 2"      (answers)
 *	"ns1 update corp.example add 3600 0 0 1688 kms1.corp.example, delete ... -> NOERROR"
 *	"ns1 notify corp.example -> 10.0.0.2:53", and "ns1 notify corp.example answered"
 * In an update "0 0 1688 kms1..." is an SRV; of another type the type is before it. A deletion of a
 * whole set is "delete-set SRV", of a whole name "delete-name"; "when 2" at the end of the changes:
 * with so many prerequisites. A TSIG error is behind the rcode: "-> NOTAUTH BADTIME".
 * An answer that is not sent: "-> nothing". @p applied: an update that changed the zone. */
struct sim_dns_event {
	const struct sim_dns_server *server;
	const struct sim_zone *zone; /* NULL: none fits */
	bool is_update, applied, signed_request, tcp;
	const char *line;
};
/** One for the whole world; called in the life that caused it. */
void sim_dns_watch(void (*seen)(void *ctx, const struct sim_dns_event *e), void *ctx);
/** Each record that an UPDATE of the program adds or takes away, before the line above. */
void sim_dns_watch_changes(void (*changed)(void *ctx, const struct sim_zone *z, bool added,
					   const struct sim_record *r),
			   void *ctx);

#endif
