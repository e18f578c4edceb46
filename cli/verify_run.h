/** `verify` at work: one pass over the domains, or one after the other (--watch), to stdout. */
#ifndef KMSBEACON_CLI_VERIFY_RUN_H
#define KMSBEACON_CLI_VERIFY_RUN_H

#include "cli/verify_options.h"

/** Of so many domains only those are shown that are not ok, and the sum. */
#define VERIFY_SHOWN_MAX 16

/** @return the exit code. Uses up o->fd. */
int verify_run(const struct cli_args *a, struct session *s, struct verify_options *o);

#endif
