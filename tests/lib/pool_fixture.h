/** A pool, two hosts it may be at, and calls whose outcomes are kept. */
#ifndef KMSBEACON_TESTS_LIB_POOL_FIXTURE_H
#define KMSBEACON_TESTS_LIB_POOL_FIXTURE_H

#include "kmscore/pool.h"
#include "tests/lib/fake_host.h"
#include "tests/lib/test_net.h"

#define POOL_CALLS 80

struct pool_fixture {
	struct test_net t;
	struct fake_host a, b; /* b is started by the test */
	struct kms_pool *pool;
	struct pool_test_call {
		struct kms_pool_call c;
		struct pool_fixture *f;
		uint8_t request[64];
		size_t len;
		bool done;
		unsigned order; /* of its end, from 1 */
		int err;
		enum kms_pool_stage stage;
		uint32_t fault_status;
		uint8_t stub[RPC_STUB_MAX];
		size_t stub_len;
		bool be;
	} call[POOL_CALLS];
	unsigned n_done;
	unsigned again; /* so many ends start another call, at once */
	/* of bound() */
	unsigned n_bound; /* with err 0 */
	unsigned n_failed;
	struct kms_pool_bound last;
	struct addr last_addr;
	bool gone;
	bool inside; /* a function of the pool that must not call back */
};

/** Rules of 4 associations, none kept, 16 in the queue, and times that no test reaches. */
struct kms_pool_rules pool_rules(void);
/** With host a as the only address. */
void pool_setup(struct pool_fixture *f, const struct kms_pool_rules *rules);
void pool_teardown(struct pool_fixture *f);
/** Start call @p i, whose request says its number. */
void pool_start(struct pool_fixture *f, size_t i);
/** With this stub, which the caller keeps. */
void pool_start_stub(struct pool_fixture *f, size_t i, const uint8_t *stub, size_t len, bool be);
void pool_cancel(struct pool_fixture *f, size_t i);
/** Run until @p n calls have ended. */
void pool_run(struct pool_fixture *f, unsigned n);
/** Run until *what is at least @p n. */
void pool_wait(struct pool_fixture *f, const size_t *what, size_t n);
/** One call, to its end. */
struct pool_test_call *pool_one(struct pool_fixture *f, size_t i);
/** The host gave the call its own request back. */
void pool_assert_answered(const struct pool_test_call *c);
struct kms_pool_status pool_status(const struct pool_fixture *f);
/** Run until the pool has so many open associations. */
void pool_until_open(struct pool_fixture *f, size_t n);
/** Time passes: no association was used lately. */
void pool_age(struct pool_fixture *f);

#endif
