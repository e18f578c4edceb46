/* What exchanges that share sockets owe each other. What one exchange promises: test_udp_exchange.c
 */
#include "net/udp_pool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "net/udp_exchange.h"
#include "tests/lib/fake_dns.h"

#define PATIENCE_MS 30000 /* a deadline that the test never reaches */
#define PEER_MAX    2000  /* exchanges of one test */

struct fixture;

/** One exchange; its request and its reply are its number. */
struct one {
	struct fixture *f;
	struct udp_exchange *x;
	uint16_t n;
	int calls;
	int err;
};

struct fixture {
	struct test_net t;
	struct fake_dns *server;
	struct one all[PEER_MAX];
	size_t n_started, n_done;
	bool done;    /* all that were started */
	size_t go_on; /* start another one when one ends, until so many were started */
	struct addr peer;
	uint16_t ports[PEER_MAX]; /* of the requests, as they came */
	size_t n_requests;
	struct fake_dns_peer from[PEER_MAX];
	void (*offered)(struct one *o); /* before a datagram is looked at */
};

static void start_one(struct fixture *f);

static void on_done(struct udp_exchange *x, int err, const uint8_t *reply, size_t len)
{
	struct one *o = x->owner;
	struct fixture *f = o->f;

	o->calls++;
	o->err = err;
	o->x = NULL;
	if (err == ERR_OK) {
		assert_int_equal(len, sizeof(o->n));
		assert_memory_equal(reply, &o->n, sizeof(o->n));
	}
	memset(x, 0xa5, sizeof(*x)); /* any later touch is seen */
	free(x);
	f->n_done++;
	if (f->n_started < f->go_on)
		start_one(f);
	f->done = f->n_done == f->n_started;
}

static bool match(void *ctx, const uint8_t *data, size_t len)
{
	struct one *o = ctx;

	if (o->f->offered != NULL)
		o->f->offered(o);
	return len == sizeof(o->n) && memcmp(data, &o->n, len) == 0;
}

static void start_for(struct fixture *f, uint32_t timeout_ms)
{
	struct one *o = &f->all[f->n_started];
	struct udp_exchange_params p = { .peer = f->peer,
					 .request = (const uint8_t *)&o->n,
					 .request_len = sizeof(o->n),
					 .timeout_ms = timeout_ms,
					 .match = match,
					 .match_ctx = o };

	o->f = f;
	o->n = (uint16_t)f->n_started++;
	f->done = false;
	o->x = malloc(sizeof(*o->x)); /* not zeroed: start needs no more than the owner */
	assert_non_null(o->x);
	memset(o->x, 0x5a, sizeof(*o->x));
	o->x->owner = o;
	udp_exchange_start(o->x, &f->t.net, &p, on_done);
	assert_int_equal(o->calls, 0); /* never from inside start */
}

static void start_one(struct fixture *f)
{
	start_for(f, PATIENCE_MS);
}

static void keep(struct fixture *f, const struct fake_dns_request *rq)
{
	assert_true(f->n_requests < PEER_MAX);
	f->from[f->n_requests] = rq->from;
	f->ports[f->n_requests++] = addr_port(&rq->from.addr);
}

static void serve_echo(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	keep(ctx, rq);
	fake_dns_send(&rq->from, rq->data, rq->len);
}

static void serve_silence(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	keep(ctx, rq);
}

static struct fixture *new_fixture(fake_dns_fn *serve)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	test_net_init(&f->t);
	f->server = fake_dns_new(&f->t, &(struct fake_dns_params){ .on_message = serve, .ctx = f });
	f->peer = *fake_dns_addr(f->server);
	return f;
}

static void run(struct fixture *f)
{
	test_net_run_until(&f->t, &f->done);
	for (size_t i = 0; i < f->n_started; i++)
		assert_int_equal(f->all[i].calls, 1);
}

static void done(struct fixture *f)
{
	fake_dns_free(f->server);
	test_net_done(&f->t);
	free(f);
}

static size_t count_ports(const struct fixture *f, size_t *ret_most)
{
	size_t n = 0, *uses = calloc(65536, sizeof(*uses));

	assert_non_null(uses);
	*ret_most = 0;
	for (size_t i = 0; i < f->n_requests; i++) {
		n += uses[f->ports[i]]++ == 0;
		if (uses[f->ports[i]] > *ret_most)
			*ret_most = uses[f->ports[i]];
	}
	free(uses);
	return n;
}

static void t_many_share_few_sockets(void **state)
{
	const size_t seats = (size_t)UDP_POOL_SPREAD * UDP_POOL_SEATS;
	struct fixture *f = new_fixture(serve_echo);
	size_t most;

	(void)state;
	for (size_t i = 0; i < seats; i++)
		start_one(f);
	run(f);
	assert_int_equal(count_ports(f, &most), UDP_POOL_SPREAD);
	assert_int_equal(most, UDP_POOL_SEATS);
	start_one(f); /* the seats are free again */
	run(f);
	assert_int_equal(count_ports(f, &most), UDP_POOL_SPREAD);
	done(f);
}

static void t_more_than_all_seats_is_too_many(void **state)
{
	const size_t seats = (size_t)UDP_POOL_SOCKETS * UDP_POOL_SEATS;
	struct fixture *f = new_fixture(serve_silence);

	(void)state;
	for (size_t i = 0; i <= seats; i++)
		start_one(f);
	while (f->n_done == 0)
		uv_run(&f->t.loop, UV_RUN_ONCE);
	assert_int_equal(f->n_done, 1);
	assert_int_equal(f->all[seats].err, ERR_LIMIT);
	for (size_t i = 0; i < seats; i++)
		udp_exchange_cancel(f->all[i].x);
	run(f);
	done(f);
}

static void t_a_socket_serves_so_many_and_no_more(void **state)
{
	struct fixture *f = new_fixture(serve_echo);
	size_t most;

	(void)state;
	f->go_on = 5 * UDP_POOL_USES;
	start_one(f); /* one after the other: each starts inside the end of the one before */
	run(f);
	assert_int_equal(f->n_requests, f->go_on);
	assert_true(count_ports(f, &most) >= 5);
	assert_true(most <= UDP_POOL_USES);
	done(f);
}

static void t_replies_find_their_exchange_in_any_order(void **state)
{
	struct fixture *f = new_fixture(serve_silence);
	size_t n = (size_t)UDP_POOL_SPREAD * UDP_POOL_SEATS;

	(void)state;
	for (size_t i = 0; i < n; i++)
		start_one(f);
	while (f->n_requests < n)
		uv_run(&f->t.loop, UV_RUN_ONCE);
	for (size_t i = n; i-- > 0;) {
		uint16_t stranger = 40000;
		/* the requests of one socket came in order, those of several did not */
		uint16_t number = (uint16_t)i;

		fake_dns_send(&f->from[i], &stranger, sizeof(stranger));
		for (size_t k = 0; k < UDP_POOL_SPREAD; k++)
			fake_dns_send(&f->from[k], &number, sizeof(number));
	}
	run(f);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(f->all[i].err, ERR_OK);
	done(f);
}

static void t_deadlines_are_each_ones_own(void **state)
{
	struct fixture *f = new_fixture(serve_silence);

	(void)state;
	for (size_t i = 0; i < 20; i++)
		start_for(f, i % 2 == 0 ? 10 : PATIENCE_MS);
	while (f->n_done < 10)
		uv_run(&f->t.loop, UV_RUN_ONCE);
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(f->all[i].calls, i % 2 == 0);
	assert_int_equal(f->all[0].err, ERR_TIMEOUT);
	for (size_t i = 1; i < 20; i += 2)
		udp_exchange_cancel(f->all[i].x);
	run(f);
	done(f);
}

static void t_refused_is_for_all_at_that_peer_and_no_other(void **state)
{
	struct fixture *f = new_fixture(serve_echo);
	struct addr open = f->peer;

	(void)state;
	f->peer = test_net_closed_port();
	for (size_t i = 0; i < 40; i++)
		start_one(f);
	f->peer = open;
	for (size_t i = 0; i < 40; i++)
		start_one(f);
	run(f);
	for (size_t i = 0; i < 80; i++)
		assert_int_equal(f->all[i].err, i < 40 ? -ECONNREFUSED : ERR_OK);
	done(f);
}

/* More peers than the table has places for: each is found, and forgotten. */
static void t_many_peers(void **state)
{
	struct fixture *f = new_fixture(serve_echo);
	struct addr closed = test_net_closed_port();
	char text[32];

	(void)state;
	for (unsigned i = 1; i <= 300; i++) {
		(void)snprintf(text, sizeof(text), "127.0.%u.%u:%u", i / 200, 1 + i % 200,
			       addr_port(&closed));
		f->peer = test_addr(text);
		start_one(f);
	}
	run(f);
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(f->all[i].err, -ECONNREFUSED);
	done(f);
}

/** The first one that is offered something ends all the others, and begins one. */
static void cancel_all_others(struct one *o)
{
	struct fixture *f = o->f;
	size_t n = f->n_started;

	f->offered = NULL;
	for (size_t i = 0; i < n; i++)
		if (f->all[i].x != NULL && &f->all[i] != o)
			udp_exchange_cancel(f->all[i].x);
	start_one(f);
}

static void cancel_self(struct one *o)
{
	o->f->offered = NULL;
	udp_exchange_cancel(o->x);
}

static void t_match_may_start_and_cancel(void **state)
{
	struct fixture *f = new_fixture(serve_echo);
	size_t ok = 0;

	(void)state;
	f->offered = cancel_all_others;
	for (size_t i = 0; i < 40; i++)
		start_one(f);
	run(f);
	for (size_t i = 0; i <= 40; i++)
		ok += f->all[i].err == ERR_OK;
	assert_true(ok >= 1); /* the new one, and the one that was offered its own */
	assert_int_equal(f->all[40].err, ERR_OK);
	done(f);

	f = new_fixture(serve_echo);
	f->offered = cancel_self;
	start_one(f);
	run(f);
	assert_int_equal(f->all[0].err, ERR_CANCELED);
	done(f);
}

static void t_one_is_canceled_at_every_step_and_the_others_go_on(void **state)
{
	(void)state;
	for (int steps = 0; steps < 6; steps++) {
		struct fixture *f = new_fixture(serve_echo);

		for (size_t i = 0; i < 20; i++)
			start_one(f);
		for (int i = 0; i < steps; i++)
			test_net_step(&f->t);
		if (f->all[7].x != NULL) {
			udp_exchange_cancel(f->all[7].x);
			udp_exchange_cancel(f->all[7].x);
			assert_int_equal(f->all[7].calls, 0); /* never from inside cancel */
		}
		run(f);
		for (size_t i = 0; i < 20; i++)
			assert_true(f->all[i].err == ERR_OK || i == 7);
		done(f);
	}
}

static void count_open(uv_handle_t *h, void *ctx)
{
	size_t *n = ctx;

	*n += h->type == UV_UDP && !uv_is_closing(h);
}

static void on_guard(uv_timer_t *t)
{
	(void)t;
	fail_msg("the sockets stay open");
}

static void t_nothing_keeps_the_loop_or_the_sockets(void **state)
{
	struct fixture *f = new_fixture(serve_echo);
	uv_timer_t guard;
	size_t n;

	(void)state;
	start_one(f);
	run(f);
	fake_dns_free(f->server);
	uv_run(&f->t.loop, UV_RUN_DEFAULT); /* returns: an idle socket waits for nothing */
	n = 0;
	uv_walk(&f->t.loop, count_open, &n);
	assert_int_equal(n, 1);
	uv_timer_init(&f->t.loop, &guard);
	uv_timer_start(&guard, on_guard, PATIENCE_MS, 0);
	while (n > 0) {
		uv_run(&f->t.loop, UV_RUN_ONCE);
		n = 0;
		uv_walk(&f->t.loop, count_open, &n);
	}
	uv_close((uv_handle_t *)&guard, NULL);
	test_net_done(&f->t);
	free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_many_share_few_sockets),
		cmocka_unit_test(t_more_than_all_seats_is_too_many),
		cmocka_unit_test(t_a_socket_serves_so_many_and_no_more),
		cmocka_unit_test(t_replies_find_their_exchange_in_any_order),
		cmocka_unit_test(t_deadlines_are_each_ones_own),
		cmocka_unit_test(t_refused_is_for_all_at_that_peer_and_no_other),
		cmocka_unit_test(t_many_peers),
		cmocka_unit_test(t_match_may_start_and_cancel),
		cmocka_unit_test(t_one_is_canceled_at_every_step_and_the_others_go_on),
		cmocka_unit_test(t_nothing_keeps_the_loop_or_the_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
