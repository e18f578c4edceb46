/**
 * The decisions of dns_client, without any I/O: what a reply is worth, which server is next, and
 * which of several failures tells most. Pure; private to dns_client.c and dns_attempt.c.
 */
#ifndef KMSBEACON_NET_DNS_JUDGE_H
#define KMSBEACON_NET_DNS_JUDGE_H

#include "net/dns_client.h"

enum dns_verdict {
	DNS_JUNK,      /* not for us, or unreadable: go on waiting. `err` may tell something */
	DNS_UNPROVEN,  /* of a signed exchange, but it does not verify: explains, proves nothing */
	DNS_TRUNCATED, /* to be asked again over TCP */
	DNS_COUNTS,    /* an answer; `msg` is set. `err` is 0 or ERR_RCODE_* */
	DNS_COMPLAINT, /* the server refuses our signature, and signed that: `err` says how */
};

struct dns_judgement {
	enum dns_verdict verdict;
	int err;
	struct dns_msg *msg; /* DNS_COUNTS only; the caller frees */
	unsigned rcode;      /* UNPROVEN, COUNTS, COMPLAINT */
	struct tsig_result tsig;
};

/** What was asked. */
struct dns_asked {
	const uint8_t *request; /* any form of the request: its ID and OPT do not matter */
	size_t request_len;
	uint16_t id;
	struct tsig_key *key; /* NULL: unsigned */
	const struct tsig_request *signature;
	bool tcp;
	bool require_aa;
};

/** @return the verdict. ERR_NOMEM comes as DNS_JUNK with that `err`. */
enum dns_verdict dns_judge(const struct dns_asked *asked, uint64_t now_s, const uint8_t *reply,
			   size_t len, struct dns_judgement *ret);

/** Whether the server, having failed with @p err, need not be asked again in this operation. */
bool dns_err_rules_out(int err);
/** Whether the operation ends: no server will do better. */
bool dns_err_ends_all(int err);
/** The higher, the more @p err tells about why there is no answer. */
unsigned dns_err_rank(int err);

/** Whose turn it is. */
struct dns_turns {
	size_t n_servers;
	unsigned tries;
	/* private */
	unsigned round;
	size_t next;
	bool out[DNS_CLIENT_SERVERS_MAX];
};

/** The next server that is not ruled out; false: the list and the tries are used up. */
bool dns_turns_next(struct dns_turns *t, size_t *ret_server);

#endif
