/**
 * One DNS question or update, put to a list of servers until one gives an answer that counts.
 *
 * Each attempt has a random ID, a socket with a random port (net/udp_pool.h) and, with a key, one
 * fresh signature of its own (failure-modes U27). An answer to any attempt counts, also one that
 * was given up (U19). Junk, wrong IDs, wrong questions and replies that do not verify cost nothing
 * (U15, U16, U24). TC=1 repeats over TCP, signed anew (U18). EDNS 1232 on queries, without it after
 * FORMERR, NOTIMP or silence; none on UPDATE (U21). RETRY and NEXT_SERVER errors (common/err.h)
 * move on until the list, the tries or the total deadline end.
 *
 * A question with several servers goes to the next one after DNS_CLIENT_STAGGER_MS of silence in
 * the first round, so that one slow server holds up nobody (S15); an UPDATE does not, since what
 * the first server does with it may only be late.
 *
 * Where all servers of a question have been silent for long (net/silence.h), each is asked once
 * more, for DNS_CLIENT_SILENT_MS at most.
 *
 * Unsigned replies to signed requests never end it well: an unsigned error is remembered as a hint
 * and the result is ERR_TSIG_UNSIGNED or ERR_TSIG_PEER_* (T05, T06).
 *
 * Such a reply could be forged, so the attempt goes on waiting for one that verifies, but no longer
 * than DNS_CLIENT_GRACE_MS, because real servers answer so (BADKEY, BADSIG); then the next server.
 *
 * Lifetime as udp_exchange: the caller owns struct dns_client, which stays put from start until
 * done(); done() exactly once, from the loop, never inside start or cancel.
 */
#ifndef KMSBEACON_NET_DNS_CLIENT_H
#define KMSBEACON_NET_DNS_CLIENT_H

#include "net/dnsmsg.h"
#include "net/net.h"
#include "net/tsig.h"

#define DNS_CLIENT_SERVERS_MAX  16
#define DNS_CLIENT_ATTEMPTS_MAX 32

struct dns_server {
	struct addr addr;
	struct tsig_key *key; /* NULL: unsigned. Referenced by the operation while it runs */
};

struct dns_client_params {
	/** Copied; asked in this order. None: ERR_NO_SERVER; above the maximum: ERR_LIMIT. */
	const struct dns_server *servers;
	size_t n_servers;
	/** Exactly one of the two; copied. */
	const struct dns_question *question;
	const struct dns_update *update;
	uint32_t attempt_ms; /* 0: DNS_CLIENT_ATTEMPT_MS */
	uint32_t total_ms;   /* 0: DNS_CLIENT_TOTAL_MS */
	unsigned tries;      /* rounds over the list; 0: DNS_CLIENT_TRIES */
	bool tcp_only;
	/** NOERROR or NXDOMAIN without AA is ERR_DNS_NOT_AUTH, and the next server is asked. So is,
	 * without this, an empty NOERROR without AA and RA to a question with RD: a server that
	 * does not recurse refers us elsewhere, which is not "no record" (S08). */
	bool require_aa;
};

#define DNS_CLIENT_ATTEMPT_MS 2000
#define DNS_CLIENT_TOTAL_MS   10000
#define DNS_CLIENT_TRIES      3
#define DNS_CLIENT_GRACE_MS   300
#define DNS_CLIENT_STAGGER_MS 500
#define DNS_CLIENT_SILENT_MS  1000

/** How it ended, borrowed during done(). */
struct dns_outcome {
	/**
	 * 0: an answer that counts, RCODE NOERROR. ERR_RCODE_*: an answer that counts, with that
	 * RCODE (msg is set). Anything else: no answer that counts; msg is NULL. Where several
	 * servers failed, the most telling error: an answer that counts before one that does not,
	 * before a refusal, before silence.
	 */
	int err;
	const struct dns_msg *msg;
	struct addr server; /* who gave msg, or whose error this is */
	double rtt_ms;
	bool tcp;
	unsigned sent;       /* datagrams and TCP requests that left */
	unsigned hint_rcode; /* RCODE of an unsigned or unverifiable reply; explains, proves nothing
			      */
	struct tsig_result tsig;
};

struct dns_client;
typedef void dns_client_done_fn(struct dns_client *c, const struct dns_outcome *o);

struct dns_client {
	void *owner; /* the caller's */
	/* private */
	uv_timer_t timer;
	dns_client_done_fn *done;
	struct dns_client_impl
		*impl; /* from start until done(); NULL also where there is no memory for it */
};

/** Start; every error arrives through @p done. */
void dns_client_start(struct dns_client *c, struct net *net, const struct dns_client_params *p,
		      dns_client_done_fn *done);
void dns_client_cancel(struct dns_client *c);

#endif
