/**
 * Faults on purpose: each call of ours that can fail fails once, in turn.
 *
 * The programs of this folder are linked with a copy of libkmsbeacon.a in which such calls go to
 * fault_calls.c instead (tests/module.mk): a function `fault_call_NAME` there takes the calls of
 * NAME. Calls made on behalf of a played peer (tests/lib, but for its fixtures) never fail, nor do
 * those of the test itself.
 *
 * A scenario runs one operation to its end. It is run once for each kind of fault to count the
 * calls, then once for each of them, which fails; and at last without a fault again.
 */
#ifndef KMSBEACON_TESTS_FAULTS_FAULT_H
#define KMSBEACON_TESTS_FAULTS_FAULT_H

#include <stdbool.h>
#include <stddef.h>

enum fault_kind {
	FAULT_ALLOC,  /* no memory: ours, and what a library makes for us */
	FAULT_UV,     /* a libuv call that starts something */
	FAULT_SQLITE, /* SQLITE_FULL, SQLITE_NOMEM */
	FAULT_SYSTEM, /* no descriptor, no thread, no room for a socket */
	FAULT_DISK,   /* ENOSPC */
	FAULT_EIO,    /* the same calls, and close() */
	FAULT_SHORT,  /* half of a write is done, or nothing as yet */
	FAULT_GONE,   /* the peer went away: a connection that waited, a write under way */
	FAULT_KINDS,
};

struct fault_scenario {
	const char *name;
	/** One operation, with its set-up and its end. Between fault_begin() and fault_end() calls
	 * count and fail. @return 0 where the operation said that all is well, which is checked
	 * here, or the error that it told. */
	int (*run)(void);
	/** Once before all runs and once behind them; may be NULL. */
	void (*begin)(void);
	void (*end)(void);
	/** Where a run takes long: so many faults of a kind, spread over its calls, the first by
	 * $FAULTS_SEED (1 unless given: a run says the same as the one before). 0, or FAULTS=all:
	 * each of them. */
	unsigned at_most;
};

#define FAULT_SCENARIOS_MAX 64

void fault_begin(void);
void fault_end(void);
/** As fault_begin(), for the calls of a process of fault_child.h in place of those of this one. */
void fault_begin_child(void);
/** In a new process: whether it is the one that is meant. */
void fault_is_child(bool counts);

/** Of this run. */
enum fault_kind fault_kind(void);

/** How to repeat this run, as a line. */
const char *fault_repeat(void);
/** Calls that were made to fail in this run. */
unsigned fault_hits(void);
/** Whether calls have a place by name: not without the sanitizers, as where lines are counted. */
bool fault_site_known(void);
/** Where the first of them was made, as "fault_call_malloc < buf_reserve < on_alloc < ..."; ""
 * where none was, or it is not known. */
const char *fault_site_text(void);
/** Whether it was this call ("": any), made for this function of the program. */
bool fault_site_has(const char *call, const char *function);

/** What says whether a call now is a played peer's, in place of the section of tests/lib. */
void fault_peers(bool (*is_peer)(void));

/** For fault_calls.c: whether this call has to fail. */
bool fault_hit(enum fault_kind kind);

/** Let time pass so many times as fast for the program: clocks, timers, deadlines. */
void fault_time(unsigned times);

/** Where files of tests that write much go: in memory, where there is such a folder. */
const char *fault_folder(void);

/** All of them, as tests of a cmocka group. @return for main(). */
int fault_run(const char *group, const struct fault_scenario *list, size_t n);

#endif
