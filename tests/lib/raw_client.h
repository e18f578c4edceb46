/** A client of a KMS service that sends whatever octets a test wants. */
#ifndef KMSBEACON_TESTS_LIB_RAW_CLIENT_H
#define KMSBEACON_TESTS_LIB_RAW_CLIENT_H

#include "net/tcp_stream.h"
#include "tests/lib/kms_vectors.h"
#include "tests/lib/test_net.h"

struct raw_client {
	struct bytes got; /* since raw_send() */
	bool done;
	int err; /* with done */
	/* private */
	struct tcp_stream s;
	struct test_net *t;
	size_t want;
	bool opened, enough;
};

/** Connected, as far as the kernel is concerned. */
void raw_connect(struct raw_client *c, struct test_net *t, const struct addr *to);
/** Only that. */
void raw_write(struct raw_client *c, const void *data, size_t len);
/** Forget what came, send, and wait until so many octets have come. */
void raw_send(struct raw_client *c, const void *data, size_t len, size_t want);
/** Wait until so many have come since raw_send() or raw_forget(). */
void raw_expect(struct raw_client *c, size_t want);
void raw_forget(struct raw_client *c);
void raw_close(struct raw_client *c);

#endif
