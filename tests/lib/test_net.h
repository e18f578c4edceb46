/** A loop, a clock and randomness that a test owns: what every network operation is given. */
#ifndef KMSBEACON_TESTS_LIB_TEST_NET_H
#define KMSBEACON_TESTS_LIB_TEST_NET_H

#include "net/net.h"

/** Time that stands still until the test moves it. Timers of the loop are real; this is what
 * signatures and caches see. */
struct fake_clock {
	struct clock clock;
	uint64_t mono_ms;
	int64_t wall_ms;
};

#define FAKE_CLOCK_WALL_MS 1790000000000 /* some day in 2026 */

struct test_net {
	uv_loop_t loop;
	struct net net; /* no resolvers */
	struct fake_clock clock;
	struct rng rng;
	uv_timer_t tick; /* see test_net_run_until */
};

/** Loop, fake clock, seeded randomness; SIGPIPE ignored, as the program does. */
void test_net_init(struct test_net *t);
/** Run what closes to its end, then fail the test where a handle is left (uv_loop_close). */
void test_net_done(struct test_net *t);
/** Run the loop until @p flag is set; fails the test when nothing is left that could set it. */
void test_net_run_until(struct test_net *t, const bool *flag);
/** One pass of the loop without waiting. */
void test_net_step(struct test_net *t);
/** An address on 127.0.0.1 whose port is closed for TCP and UDP. */
struct addr test_net_closed_port(void);
/** Whether ::1 can be bound: containers often have no IPv6. */
bool test_net_has_ipv6(void);
/** "127.0.0.1:53"; fails the test on anything else than a literal. */
struct addr test_addr(const char *text);

#endif
