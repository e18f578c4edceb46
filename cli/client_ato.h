/**
 * `client ato` whole: a manual host, else the remembered one, else DNS discovery, then activation
 * at the hosts in that order (behaviour §2.7). An operation that joins resolver/ and kmscore/,
 * which do not know each other.
 */
#ifndef KMSBEACON_CLI_CLIENT_ATO_H
#define KMSBEACON_CLI_CLIENT_ATO_H

#include <jansson.h>

#include "kmscore/lab_ato.h"
#include "net/host_lookup.h"
#include "resolver/discover.h"

#define CLIENT_HOST_TIMEOUT_MS 5000 /* connect, bind, request, answer: for each address */
#define CLIENT_ATTEMPTS_MAX    (2 * LAB_ATO_HOSTS_MAX)

struct client_ato;
typedef void client_ato_done_fn(struct client_ato *c);

struct client_ato_params {
	struct lab_client *client;
	const struct lab_key *key;
	/** Suffixes, resolvers and profile; its cache and prober are not used. Borrowed until
	 * done(). */
	const struct rsv_discover_params *discover;
	client_ato_done_fn *done;
};

enum client_ato_state { CA_IDLE, CA_RESOLVING, CA_CACHED, CA_DISCOVERING, CA_TRYING, CA_DONE };

/** Owned by the caller, zeroed before start; done() runs once, from the loop. */
struct client_ato {
	void *owner; /* the caller's */

	/* the result, valid in done() */
	uint32_t code; /* 0: activated */
	bool asked_dns;
	struct lab_attempt attempt[CLIENT_ATTEMPTS_MAX]; /* in the order they were made */
	size_t n_attempts;

	/* private */
	enum client_ato_state state;
	struct client_ato_params p;
	struct net *net;
	struct host_lookup lookup;
	struct rsv_discover discovery;
	struct lab_ato ato;
	struct lab_candidate hosts[LAB_ATO_HOSTS_MAX];
	size_t n_hosts;
	char manual[HOST_TEXT_MAX];
};

void client_ato_start(struct client_ato *c, struct net *net, const struct client_ato_params *p);

#endif
