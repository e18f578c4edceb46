/**
 * A program of ours as a process of its own, whose calls can fail, above peers that the test plays
 * in its loop.
 *
 * The process is a fork of the test. What it logs (by the log's tap, so that a disk that is full
 * keeps no line from us) and says on stderr comes to `said`, what it prints to `printed`.
 */
#ifndef KMSBEACON_TESTS_FAULTS_FAULT_CHILD_H
#define KMSBEACON_TESTS_FAULTS_FAULT_CHILD_H

#include <jansson.h>
#include <sys/types.h>

#include "tests/lib/test_net.h"

#define FAULT_CHILD_TEXT_MAX (8u << 20)

struct fault_child_text {
	struct fault_child *owner;
	uv_pipe_t pipe;
	char *text; /* ends with a zero */
	size_t len, cap;
	bool over;
};

struct fault_child {
	struct test_net *t;
	pid_t pid;
	struct fault_child_text said, printed;
	bool over; /* it has ended; `code` is its exit code, or 128 and the signal */
	int code;
};

struct fault_child_params {
	int (*main)(void *ctx);
	void *ctx;
	bool counts;           /* its calls are those of fault_begin_child() */
	unsigned speed;        /* of its time; 0: as it is */
	const char *stdout_to; /* a file in place of `printed`; NULL: none */
};

void fault_child_start(struct fault_child *c, struct test_net *t,
		       const struct fault_child_params *p);
/** Run the loop until this stands in what was said behind octet @p from; false: it has ended. */
bool fault_child_says(struct fault_child *c, size_t from, const char *text);
/** Run the loop until it has ended. @return `code`. */
int fault_child_wait(struct fault_child *c);
/** Free what is left of a process that has ended. */
void fault_child_done(struct fault_child *c);
/** End it, and fail the test with what it said. */
void fault_child_fail(struct fault_child *c, const char *why);

/**
 * A request to the control socket at @p path while the loop runs. @return its answer, a new
 * reference; NULL where the connection was closed without one.
 */
json_t *fault_ask(struct test_net *t, const char *path, const char *request);

#endif
