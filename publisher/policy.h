/** `kmsbeacon policy`: the least that a server must allow, written in its own language. Pure. */
#ifndef KMSBEACON_PUBLISHER_POLICY_H
#define KMSBEACON_PUBLISHER_POLICY_H

#include <stdbool.h>

#include "common/mem.h"
#include "publisher/targets.h"

#define PUB_POLICY_NS_MAX 8

enum pub_policy_for { PUB_POLICY_BIND, PUB_POLICY_KNOT, PUB_POLICY_PDNS, PUB_POLICY_COUNT_ };

/** What --for takes. false for a word that is not offered. */
bool pub_policy_for_parse(const char *text, enum pub_policy_for *ret);
/** The words, separated by "|", for --help. */
const char *pub_policy_for_list(void);

struct pub_policy_params {
	const struct pub_targets *targets;
	const struct config *config;   /* where the targets come from: names the key files */
	const struct dns_name *domain; /* NULL: all */
	enum pub_policy_for server;
	bool delegate; /* _vlmcs._tcp.D as a zone of its own */
	/** Names of the servers of that zone, the primary first. None: the names among `server:` of
	 * the domain, else a name that is to be replaced, and that the text says so of. */
	const struct dns_name *ns;
	size_t n_ns; /* up to PUB_POLICY_NS_MAX */
};

/**
 * Append to @p out. The text falls into parts by the file that each goes into: a line such as
 * "// ---- named.conf ----" opens one, as a comment in the language of the part. What is to be
 * merged by hand stands in comments. For BIND and without `delegate` all of it is one part, which
 * may stand as it is inside the zone statement. No secret is in it.
 * @return 0, ERR_NOMEM, ERR_LIMIT; ERR_CONFIG with a sentence where a domain has no key.
 */
int pub_policy_write(const struct pub_policy_params *p, struct buf *out, struct err_info *info);

#endif
