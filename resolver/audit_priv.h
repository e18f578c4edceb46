/**
 * The operation of audit.h in parts: audit.c (life, zone, list of servers), audit_ask.c (what each
 * server says, until they have settled), audit_side.c (targets, and the questions that need the
 * set: wildcard, key, AD, other suffixes). The verdict is audit_judge.h.
 */
#ifndef KMSBEACON_RESOLVER_AUDIT_PRIV_H
#define KMSBEACON_RESOLVER_AUDIT_PRIV_H

#include "net/ad_lookup.h"
#include "resolver/audit_judge.h"

enum rsv_audit_state {
	RSV_AUDIT_ZONE,   /* which zone, which servers */
	RSV_AUDIT_ASK,    /* what each of them says */
	RSV_AUDIT_SETTLE, /* they disagree in a way that time may heal */
	RSV_AUDIT_SIDE,   /* the hosts behind the records, and what else there is to ask */
	RSV_AUDIT_CLOSING,
};

/** The questions to one server; answers go to result.servers[same index]. */
struct rsv_server_ask {
	struct rsv_audit_impl *a;
	struct dns_server addrs[HOST_LOOKUP_ADDRS_MAX]; /* those that are worth asking */
	size_t n_addrs;
	struct dns_question soa_question;
	struct dns_client soa;
	struct rsv_lookup srv;
	bool soa_running, srv_running;
	unsigned samples; /* answers about the set, of a resolver */
};

struct rsv_target_ask {
	struct rsv_audit_impl *a;
	struct rsv_target_wait wait;
	bool running;
};

struct rsv_suffix_ask {
	struct rsv_audit_impl *a;
	struct rsv_lookup lookup;
	bool running;
};

struct rsv_audit_impl {
	struct rsv_audit *op;
	struct net *net;
	struct rsv_audit_params p; /* of its pointers, only `targets` and `key` are used */
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	struct rsv_expect *expect, *own;
	struct rsv_journal_row *journal;
	struct dns_name srv_name; /* _vlmcs._tcp.DOMAIN */

	enum rsv_audit_state state;
	unsigned open; /* timers and children */
	bool out_of_time;
	unsigned asking;
	uv_timer_t settle;
	uint64_t settle_until; /* loop time; 0: not begun */
	uint32_t baseline;     /* the newest serial when the settling began */
	bool has_baseline;
	unsigned rounds;    /* of questions to all servers */
	unsigned baselines; /* begun */
	size_t reference;
	struct rsv_zone_op zone;
	struct rsv_zone_result found; /* with err 0 */
	struct rsv_server_ask *asks;

	struct rsv_target_ask *target_asks;
	struct rsv_suffix_ask *suffix_asks;
	struct rsv_lookup sibling;
	bool sibling_running;
	struct dns_client key;
	struct dns_question key_question;
	bool key_running;
	struct ad_lookup ad;
	bool ad_running;
	struct rsv_audit_result r;
};

/* audit.c */

/** Begin the end; the first caller's @p err counts. */
void rsv_audit_finish(struct rsv_audit_impl *a, int err);
/** A child ended. @return false: closing, do nothing more. */
bool rsv_audit_goes_on(struct rsv_audit_impl *a);
/** `--server` first, then the resolvers: who names servers knows a way that they may not know. Last
 * those that are silent in this run.
 * @return how many. */
size_t rsv_audit_ways(const struct rsv_audit_impl *a,
		      struct dns_server ret[DNS_CLIENT_SERVERS_MAX]);

/* audit_ask.c */
void rsv_audit_ask_servers(struct rsv_audit_impl *a);
/** Set .late of each server, as far as the settling has shown. */
void rsv_audit_mark_late(struct rsv_audit_impl *a);
void rsv_audit_ask_cancel(struct rsv_audit_impl *a);

/* audit_side.c */
void rsv_audit_side(struct rsv_audit_impl *a);
void rsv_audit_side_cancel(struct rsv_audit_impl *a);

#endif
