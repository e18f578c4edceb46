#include "tests/lib/test_net.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "net/udp_pool.h"

static uint64_t fake_mono(void *ctx)
{
	return ((struct fake_clock *)ctx)->mono_ms;
}

static int64_t fake_wall(void *ctx)
{
	return ((struct fake_clock *)ctx)->wall_ms;
}

/* UV_RUN_ONCE runs due timers, then waits for I/O: what a timer settled would wait with it. */
static void on_tick(uv_timer_t *t)
{
	(void)t;
}

void test_net_init(struct test_net *t)
{
	memset(t, 0, sizeof(*t));
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(&t->loop), 0);
	t->clock.clock = (struct clock){ fake_mono, fake_wall, &t->clock };
	t->clock.mono_ms = 1000;
	t->clock.wall_ms = FAKE_CLOCK_WALL_MS;
	rng_init_seed(&t->rng, 1);
	t->net.loop = &t->loop;
	t->net.clock = &t->clock.clock;
	t->net.rng = &t->rng;
	t->net.udp = udp_pool_new(&t->loop);
	assert_non_null(t->net.udp);
	uv_timer_init(&t->loop, &t->tick);
	uv_unref((uv_handle_t *)&t->tick);
	uv_timer_start(&t->tick, on_tick, 10, 10);
}

void test_net_done(struct test_net *t)
{
	uv_run(&t->loop, UV_RUN_DEFAULT);
	udp_pool_close(t->net.udp);
	uv_close((uv_handle_t *)&t->tick, NULL);
	uv_run(&t->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&t->loop), 0);
}

void test_net_run_until(struct test_net *t, const bool *flag)
{
	while (!*flag)
		if (uv_run(&t->loop, UV_RUN_ONCE) == 0 && !*flag)
			fail_msg("the loop has nothing left to wait for");
}

void test_net_step(struct test_net *t)
{
	uv_run(&t->loop, UV_RUN_NOWAIT);
}

struct addr test_net_closed_port(void)
{
	struct addr a = test_addr("127.0.0.1:0");
	socklen_t len = addr_len(&a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &a.u.sa, len), 0);
	assert_int_equal(getsockname(fd, &a.u.sa, &len), 0);
	close(fd);
	return a;
}

bool test_net_has_ipv6(void)
{
	struct addr a = test_addr("::1");
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, &a.u.sa, addr_len(&a)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

struct addr test_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, 0, &a), 0);
	return a;
}
