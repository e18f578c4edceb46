/**
 * `kmsbeacon run`: joins publisher, resolver and KMS core around one loop, and keeps them in order
 * from the first signal to the last handle.
 */
#ifndef KMSBEACON_DAEMON_DAEMON_H
#define KMSBEACON_DAEMON_DAEMON_H

#include "common/config.h"
#include "daemon/keys.h"

#define DAEMON_STOP_MS  20000 /* for withdrawing (on_stop) before everything is closed */
#define DAEMON_DRAIN_MS 20000 /* meanwhile, for clients to get the answers they wait for */

/**
 * Run until SIGTERM or SIGINT; a second one waits neither for DNS nor for clients. SIGHUP reads @p
 * path again. Takes over @p cfg and @p keys. @return 0 after an orderly stop; 1 where it could not
 * start (the reason is logged), such as an address that cannot be bound; 2 where the configuration
 * asks for what this build lacks.
 */
int daemon_run(const char *path, struct config *cfg, struct keys *keys);

#endif
