/** The state file of a node, open: the store's thread tied to the loop, and the publisher's
 * journal. */
#ifndef KMSBEACON_DAEMON_STATE_H
#define KMSBEACON_DAEMON_STATE_H

#include <uv.h>

#include "common/store.h"
#include "publisher/journal.h"

#define STATE_FILE_NAME "state.db"

struct state {
	struct store *store;
	struct pub_journal *journal;
	/* private */
	uv_async_t wake;
};

/**
 * Open @p state_dir/state.db; the caller holds the lock (daemon/lock.h). While it is open the loop
 * has work. A damaged file is set aside and reported in @p info with a result of 0 and
 * *ret_damaged.
 */
int state_open(uv_loop_t *loop, const char *state_dir, struct state *ret, bool *ret_damaged,
	       struct err_info *info);
/** Nothing is written any more: the store's thread closes the file while the caller does something
 * else before state_close(). */
void state_finish(struct state *s);
/**
 * Write what is queued, then close. Every operation that uses the journal must have ended. The
 * struct stays put until the loop has turned once more (env_done() does that), also after a failed
 * state_open().
 */
void state_close(struct state *s);

#endif
