/** A listener under test with an owner that echoes, and clients that are plain sockets. */
#ifndef KMSBEACON_TESTS_LIB_LISTENER_FIXTURE_H
#define KMSBEACON_TESTS_LIB_LISTENER_FIXTURE_H

#include <sys/types.h>

#include "net/listener_priv.h"
#include "tests/lib/test_net.h"

#define LFX_PATIENCE_MS 60000

/* The owner of these tests: a message is one byte of length and that many bytes; it is echoed. Some
 * first bytes of a message are commands: Q closes, P pauses. */
struct lfx {
	struct test_net t;
	struct listener *l;
	struct listener_params p;
	struct addr listen[4];
	struct conn *last; /* the connection opened last, while it is open */
	unsigned opened, closed, refused, messages, half_closed;
	int close_err; /* of the last closed() */
	int why;       /* of the last refused() */
	bool freed;
	bool keep_half; /* half_closed() says true */
	bool free_in_data, stop_in_open;
	uint32_t open_deadline;
	size_t reply; /* bytes to write for each message instead of the echo */
};

void lfx_init(struct lfx *f);
void lfx_open_listener(struct lfx *f);
void lfx_finish(struct lfx *f);
/** Run the loop until @p counter is @p wanted. */
void lfx_until(struct lfx *f, const unsigned *counter, unsigned wanted);
int lfx_try_client(const struct addr *to, const char *from);
int lfx_client(struct lfx *f, const char *from);
void lfx_send_all(int fd, const void *data, size_t len);
/** What the client gets while the loop runs: bytes, 0 at the end, or -errno. */
ssize_t lfx_receive(struct lfx *f, int fd, void *out, size_t len);
void lfx_expect(struct lfx *f, int fd, const void *data, size_t len);
/** Read to the end. @return how many bytes came, or -errno. */
ssize_t lfx_drain(struct lfx *f, int fd);
/** For listener_free: checks that each opened connection was closed, and sets `freed`. */
void lfx_on_freed(void *ctx);

#endif
