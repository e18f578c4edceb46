/** The list of targets: made from the configuration, counted, never changed. */
#ifndef KMSBEACON_PUBLISHER_TARGETS_H
#define KMSBEACON_PUBLISHER_TARGETS_H

#include "common/config.h"
#include "common/err.h"
#include "publisher/target.h"

struct pub_targets;

/**
 * @p keys holds one loaded key for each of cfg->keys, in that order (references are taken).
 * @p local_port is what the service listens on, for a `local` whose port is "as bound" (0).
 * @return 0, ERR_NOMEM, or ERR_CONFIG with a sentence (`local` without a target name, a domain with
 * which `_vlmcs._tcp.` is too long). The caller unrefs.
 */
int pub_targets_from_config(const struct config *cfg, struct tsig_key *const *keys,
			    uint16_t local_port, struct pub_targets **ret, struct err_info *info);
struct pub_journal;
struct pub_set;
/**
 * What the journal has of domains (with their view) that @p t no longer holds: targets that want
 * nothing, reached the way that was configured then, with a key that @p t still holds.
 * @p j may be NULL. 0 or ERR_NOMEM.
 */
int pub_targets_from_orphans(const struct pub_targets *t, struct pub_journal *j,
			     struct pub_targets **ret);
/** Whether a set of the journal is one of those: live, and of a domain that is not configured. */
bool pub_targets_is_orphan(const struct pub_targets *t, const struct pub_set *set);
struct pub_targets *pub_targets_ref(struct pub_targets *t);
void pub_targets_unref(struct pub_targets *t); /* the last one frees; NULL is fine */

size_t pub_targets_count(const struct pub_targets *t);
const struct pub_target *pub_targets_at(const struct pub_targets *t, size_t i);
/** Whether any view of the domain is configured. */
bool pub_targets_has_domain(const struct pub_targets *t, const struct dns_name *domain);
/** Whether any target wants a record of this host. */
bool pub_targets_has_host(const struct pub_targets *t, const char *host);
/** NULL where there is none. */
const struct pub_target *pub_targets_find(const struct pub_targets *t,
					  const struct dns_name *domain, const char *view);
/** A key by its handle; NULL where there is none. Borrowed. */
struct tsig_key *pub_targets_key(const struct pub_targets *t, const char *handle);

#endif
