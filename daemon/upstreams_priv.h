/** What the configuration and SRV records name, as rows; pure. For daemon/upstreams.c. */
#ifndef KMSBEACON_DAEMON_UPSTREAMS_PRIV_H
#define KMSBEACON_DAEMON_UPSTREAMS_PRIV_H

#include <jansson.h>

#include "common/config.h"
#include "kmscore/relay.h"
#include "net/host_lookup.h"
#include "resolver/lookup.h"

/** One host, without its addresses. */
struct upstream_row {
	char name[RELAY_NAME_MAX];
	char host[HOST_TEXT_MAX]; /* a name or a literal, lower case */
	uint16_t port;
	uint32_t priority;
	bool lab;
	bool from_srv;
};

/** Same name, and the same place: what is known of it stays true. */
bool upstream_row_same(const struct upstream_row *a, const struct upstream_row *b);
bool upstream_rows_equal(const struct upstream_row *a, size_t n_a, const struct upstream_row *b,
			 size_t n_b);
/** As many as c->n_upstreams; the caller frees. 0 or ERR_NOMEM. */
int upstream_rows_from_config(const struct config_relay *c, struct upstream_row **ret);
/**
 * The records of @p set, lowest priority first, without those that are in @p config already, and as
 * many as there is room for beside it; *ret_left_out counts the others. The caller frees. 0 or
 * ERR_NOMEM.
 */
int upstream_rows_from_srv(const struct rsv_set *set, const struct upstream_row *config,
			   size_t n_config, struct upstream_row **ret, size_t *ret_n,
			   size_t *ret_left_out);
/** Take out of @p rows what is in @p config, and what there is no room for. @return how many are
 * left. */
size_t upstream_rows_leave_out(struct upstream_row *rows, size_t n,
			       const struct upstream_row *config, size_t n_config);

/** A host with the addresses that are known of it. */
struct upstream_known {
	struct upstream_row row;
	struct addr addrs[KMS_POOL_ADDRS_MAX];
	size_t n_addrs;
};
/** For the next process; @p srv is the name of the records, "" for none. NULL where memory is out.
 */
json_t *upstream_known_json(const struct upstream_known *list, size_t n, const char *srv);
/** Read it back; what is not as it should be is left out. The caller frees *ret, also with none.
 * @return how many. */
size_t upstream_known_parse(const json_t *known, struct upstream_known **ret,
			    char ret_srv[HOST_TEXT_MAX]);

#endif
