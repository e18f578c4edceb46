/** Options that become one discovery: shared by `discover` and `client ato`. */
#ifndef KMSBEACON_CLI_DISCOVER_OPTIONS_H
#define KMSBEACON_CLI_DISCOVER_OPTIONS_H

#include "cli/session.h"
#include "resolver/client.h"

struct discover_options {
	struct rsv_client client; /* client.params points into the rest: do not move */
	struct dns_server servers[DNS_CLIENT_SERVERS_MAX];
	struct rsv_cache cache;
	const char *cache_file; /* NULL: none */
	struct rng rng;
};

/**
 * The client of the configuration, with the suffixes of --domain in place of its own where given,
 * and --server. @p product: see rsv_client_init(). 0, or the exit code after one sentence.
 */
int discover_client(const struct cli_args *a, const struct session *s, const char *product,
		    struct discover_options *o);
/** All options of `discover`. 0, or the exit code after one sentence; *ret is to be freed either
 * way. */
int discover_options_parse(const struct cli_args *a, const struct session *s,
			   struct discover_options **ret);
void discover_options_free(struct discover_options *o); /* NULL is fine */

/** A --server list as DNS servers, unsigned. 0, or the exit code after one sentence. */
int parse_servers(const struct cli_args *a, struct dns_server *ret, size_t max, size_t *ret_n);

#endif
