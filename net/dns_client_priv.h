/** What dns_client.c (servers, turns, time) and dns_attempt.c (one request to one server) share. */
#ifndef KMSBEACON_NET_DNS_CLIENT_PRIV_H
#define KMSBEACON_NET_DNS_CLIENT_PRIV_H

#include "net/dns_judge.h"
#include "net/tcp_stream.h"
#include "net/udp_exchange.h"

/** One request to one server: a datagram, then TCP where the answer was truncated. Once begun, it
 * waits until the operation ends, so that a late answer counts. */
struct dns_attempt {
	struct dns_client_impl *c;
	size_t server;
	bool tcp;
	bool edns;
	bool heard;  /* a reply that tells something came, though none that counts */
	bool broken; /* the last message could not be parsed */
	unsigned junk;
	struct dns_asked asked;
	struct tsig_request signature;
	uint64_t began_ns, began_ms; /* of the request that is out; of the attempt, loop time */
	struct dns_judgement j;      /* what ended it */
	union {
		struct udp_exchange udp;
		struct tcp_stream tcp;
	} io;
};

enum dns_client_state { DC_RUNNING, DC_CLOSING };

struct dns_client_impl {
	struct dns_client *c;
	struct net *net;
	enum dns_client_state state;
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	bool no_edns[DNS_CLIENT_SERVERS_MAX];
	bool use_tcp[DNS_CLIENT_SERVERS_MAX];
	struct dns_turns turns;
	uint32_t attempt_ms;
	bool require_aa;
	bool is_question;
	struct buf plain; /* the request, ID 0 */
	struct buf edns;  /* the same with OPT; empty for an UPDATE */
	struct dns_attempt *attempts[DNS_CLIENT_ATTEMPTS_MAX];
	size_t n_attempts;
	struct dns_attempt *current; /* the one that decides when the next begins */
	uint64_t deadline;           /* of it all; loop time */
	uint64_t step_at;            /* when the current attempt's time is over */
	size_t open;                 /* attempts with a socket, and the timer */
	struct dns_outcome outcome;  /* the best so far */
	struct dns_msg *msg;         /* its message */
	unsigned hint_rank;          /* of what outcome.hint_rcode and .tsig are from; 0: nothing */
};

/** Sign and send. 0, or why nothing was sent (then nothing is open). Everything else is reported by
 * the functions below. */
int dns_attempt_start(struct dns_attempt *a);
void dns_attempt_cancel(struct dns_attempt *a);

/* Called by an attempt. */

/** A reply that tells something but ends nothing (verdicts JUNK with an error, UNPROVEN). */
void dns_client_heard(struct dns_attempt *a, const struct dns_judgement *j);
/** Its answer was truncated, and it has begun again over TCP. */
void dns_client_changed_to_tcp(struct dns_attempt *a);
/** Its socket is closed. @p err 0: a->j says with what. */
void dns_client_attempt_over(struct dns_attempt *a, int err);

#endif
