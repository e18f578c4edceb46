/** Loop, time, randomness and the way to DNS of one process, as the configuration says. */
#ifndef KMSBEACON_DAEMON_ENV_H
#define KMSBEACON_DAEMON_ENV_H

#include "common/config.h"
#include "net/net.h"

struct env {
	uv_loop_t loop;
	struct rng rng;
	struct net net;
};

/** @p cfg is read, not kept. 0 or libuv's code, with @p info. */
int env_init(struct env *e, const struct config *cfg, struct err_info *info);
/** Take over what a new configuration says of resolvers and source addresses; running operations go
 * on. */
void env_configure(struct env *e, const struct config *cfg);
/** Every operation must have ended: a handle that is still open is our bug, and aborts. */
void env_done(struct env *e);

#endif
