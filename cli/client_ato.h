/**
 * `client ato` whole: the discovery of resolver/, with an activation as its way to try a host
 * (behaviour §2.7). An operation that joins resolver/ and kmscore/, which do not know each other.
 */
#ifndef KMSBEACON_CLI_CLIENT_ATO_H
#define KMSBEACON_CLI_CLIENT_ATO_H

#include <jansson.h>

#include "kmscore/lab_ato.h"
#include "resolver/discover.h"

#define CLIENT_HOST_TIMEOUT_MS 5000 /* connect, bind, request, answer: for each address */
#define CLIENT_ATTEMPTS_MAX    64   /* recorded; further hosts are still tried */

struct client_ato;
typedef void client_ato_done_fn(struct client_ato *c);

struct client_ato_params {
	struct lab_client *client;
	const struct lab_key *key;
	/** Suffixes, resolvers, profile and the settings of discovery; what the client itself
	 * remembers (manual host, lookup domain, cache) comes from its state. Borrowed until
	 * done(). */
	const struct rsv_discover_params *discover;
	client_ato_done_fn *done;
};

/** Owned by the caller, zeroed before start; done() runs once, from the loop. */
struct client_ato {
	void *owner; /* the caller's */

	/* the result, valid in done() */
	uint32_t code; /* 0: activated */
	char text[ERR_INFO_MAX];
	struct lab_attempt attempt[CLIENT_ATTEMPTS_MAX]; /* in the order they were made */
	size_t n_attempts;
	json_t *discovery; /* its report; the caller's to release, may be NULL */

	/* private */
	struct client_ato_params p;
	struct rsv_discover search;
	struct prober prober;
	struct probe_op *op; /* the try that runs */
	struct lab_ato ato;
	const struct clock *clock;
	struct rsv_cache cache;
	char manual[HOST_TEXT_MAX];
	struct dns_name lookup_domain;
};

void client_ato_start(struct client_ato *c, struct net *net, const struct client_ato_params *p);
/** Once it is done: append the events of its attempts (kmscore/lab_events.h). */
void client_ato_events(const struct client_ato *c, json_t *list);

#endif
