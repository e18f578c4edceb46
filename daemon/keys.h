/** The TSIG keys of a configuration, read from their files. */
#ifndef KMSBEACON_DAEMON_KEYS_H
#define KMSBEACON_DAEMON_KEYS_H

#include "common/config.h"
#include "net/tsig.h"

/** One for each config.keys[i]; references are counted, so an exchange may outlive a reload. */
struct keys {
	struct tsig_key **list;
	size_t n;
};

/** Read all; every file that is wrong is an entry of @p errs. 0 or ERR_CONFIG, ERR_NOMEM
 * (then @p ret is empty). */
int keys_load(const struct config *cfg, struct keys *ret, struct config_errors *errs);
void keys_done(struct keys *k);

#endif
