/**
 * `client fleet`: many lab clients, each with an activation attempt of its own over the network, as
 * many side by side as asked for. A progress line on a terminal; SIGINT begins no more and lets
 * those at work finish.
 */
#ifndef KMSBEACON_CLI_CLIENT_FLEET_H
#define KMSBEACON_CLI_CLIENT_FLEET_H

#include <stdbool.h>

#include "cli/client_ato.h"

#define FLEET_CONCURRENCY     64
#define FLEET_CONCURRENCY_MAX 1024
#define FLEET_RATE_MAX        100000
#define FLEET_CODES_MAX       32 /* distinct results told apart; further ones are counted as failed */
#define FLEET_HOSTS_MAX       64 /* likewise hosts */

struct fleet_params {
	struct lab_client *clients; /* changed by their attempts */
	size_t n_clients;
	const struct lab_key *key;
	const struct rsv_discover_params *discover;
	size_t concurrency;
	size_t rate; /* begun in a second; 0: as fast as they come */
	bool json;
	json_t *events; /* those of the attempts are appended */
};

/** Runs net->loop until all is done, and prints the summary. @return whether all are activated. */
bool fleet_run(struct net *net, const struct fleet_params *p);

#endif
