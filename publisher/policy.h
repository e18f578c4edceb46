/** `kmsbeacon policy`: the least that a server must allow, written in its own language. Pure. */
#ifndef KMSBEACON_PUBLISHER_POLICY_H
#define KMSBEACON_PUBLISHER_POLICY_H

#include <stdbool.h>

#include "common/mem.h"
#include "publisher/targets.h"

enum pub_policy_for { PUB_POLICY_BIND, PUB_POLICY_COUNT_ };

/** "bind": what --for takes. false for a word that is not offered. */
bool pub_policy_for_parse(const char *text, enum pub_policy_for *ret);
/** The words, separated by "|", for --help. */
const char *pub_policy_for_list(void);

struct pub_policy_params {
	const struct pub_targets *targets;
	const struct dns_name *domain; /* NULL: all */
	enum pub_policy_for server;
	bool delegate; /* _vlmcs._tcp.D as a zone of its own */
};

/**
 * Append to @p out. For BIND and without `delegate`, the text of one domain may stand as it is
 * inside the zone statement: what belongs elsewhere is in comments. No secret is in it.
 * @return 0, ERR_NOMEM, ERR_LIMIT; ERR_CONFIG with a sentence where a domain has no key.
 */
int pub_policy_write(const struct pub_policy_params *p, struct buf *out, struct err_info *info);

#endif
