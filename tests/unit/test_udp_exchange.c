#include "net/udp_exchange.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/fake_dns.h"

#define PATIENCE_MS 30000 /* a deadline that the test never reaches */

struct fixture {
	struct test_net t;
	struct fake_dns *server;
	struct udp_exchange *x;
	bool done;
	int calls;
	int err;
	unsigned offered; /* datagrams that match() saw */
	char reply[64];
	size_t reply_len;
};

static void on_done(struct udp_exchange *x, int err, const uint8_t *reply, size_t len)
{
	struct fixture *f = x->owner;

	f->calls++;
	f->done = true;
	f->err = err;
	assert_int_equal(err == ERR_OK, reply != NULL);
	if (reply != NULL) {
		assert_true(len < sizeof(f->reply));
		memcpy(f->reply, reply, len);
		f->reply_len = len;
	}
	memset(x, 0xa5, sizeof(*x)); /* any later touch is seen */
	free(x);
	fake_dns_free(f->server);
}

/** The reply wanted is "ok". */
static bool match(void *ctx, const uint8_t *data, size_t len)
{
	struct fixture *f = ctx;

	f->offered++;
	return len == 2 && memcmp(data, "ok", 2) == 0;
}

static void start_to(struct fixture *f, const struct addr *peer, const void *req, size_t len,
		     uint32_t timeout_ms)
{
	struct udp_exchange_params p = {
		.peer = *peer,
		.request = req,
		.request_len = len,
		.timeout_ms = timeout_ms,
		.match = match,
		.match_ctx = f,
	};

	f->x = calloc(1, sizeof(*f->x));
	assert_non_null(f->x);
	f->x->owner = f;
	udp_exchange_start(f->x, &f->t.net, &p, on_done);
	assert_int_equal(f->calls, 0); /* never from inside start */
}

static void init(struct fixture *f, const char *ip, fake_dns_fn *serve)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->server = fake_dns_new(&f->t, &(struct fake_dns_params){ .ip = ip, .on_message = serve });
}

static void done(struct fixture *f)
{
	test_net_run_until(&f->t, &f->done);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

static void serve_ok(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send(&rq->from, "ok", 2);
}

static void serve_silence(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)rq;
	(void)ctx;
}

/** Junk of all sizes, then the reply. */
static void serve_junk_first(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	static char big[60000];

	(void)s;
	(void)ctx;
	fake_dns_send(&rq->from, "", 0);
	fake_dns_send(&rq->from, "o", 1);
	fake_dns_send(&rq->from, big, sizeof(big));
	fake_dns_send(&rq->from, "ok", 2);
}

static void serve_from_elsewhere(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct fake_reply r = { .len = 2, .data = "ok" };

	(void)s;
	(void)ctx;
	fake_dns_send_elsewhere(&rq->from, &r);
	fake_dns_send(&rq->from, "no", 2);
	fake_dns_send(&rq->from, "ok", 2);
}

static void t_reply_over_both_families(void **state)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < (test_net_has_ipv6() ? 2 : 1); i++) {
		struct fixture f;

		init(&f, ips[i], serve_ok);
		start_to(&f, fake_dns_addr(f.server), "hi", 2, PATIENCE_MS);
		done(&f);
		assert_int_equal(f.err, ERR_OK);
		assert_int_equal(f.reply_len, 2);
		assert_memory_equal(f.reply, "ok", 2);
	}
}

static void t_U16_junk_does_not_end_the_wait(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, NULL, serve_junk_first);
	start_to(&f, fake_dns_addr(f.server), "hi", 2, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	assert_int_equal(f.offered, 4);
}

static void t_U17_other_ports_are_not_heard(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, NULL, serve_from_elsewhere);
	start_to(&f, fake_dns_addr(f.server), "hi", 2, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	assert_int_equal(f.offered, 2);
}

static void t_silence_ends_at_the_deadline(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, NULL, serve_silence);
	start_to(&f, fake_dns_addr(f.server), "hi", 2, 20);
	done(&f);
	assert_int_equal(f.err, ERR_TIMEOUT);
}

static void t_closed_port_ends_at_once(void **state)
{
	struct fixture f;
	struct addr closed;

	(void)state;
	init(&f, NULL, serve_silence);
	closed = test_net_closed_port();
	start_to(&f, &closed, "hi", 2, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, -ECONNREFUSED);
}

static void t_failures_of_start_come_through_done(void **state)
{
	static uint8_t big[65535]; /* more than a datagram takes */
	struct fixture f;
	struct addr a;

	(void)state;
	init(&f, NULL, serve_silence);
	start_to(&f, fake_dns_addr(f.server), big, sizeof(big), PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, -EMSGSIZE);

	init(&f, NULL, serve_silence);
	f.t.net.source4 = test_addr("192.0.2.1:0"); /* not an address of this machine */
	start_to(&f, fake_dns_addr(f.server), "hi", 2, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, -EADDRNOTAVAIL);

	init(&f, NULL, serve_silence);
	memset(&a, 0, sizeof(a));
	start_to(&f, &a, "hi", 2, PATIENCE_MS);
	done(&f);
	assert_true(f.err < 0);
}

static struct addr seen_from;

static void serve_and_see(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	(void)s;
	(void)ctx;
	seen_from = rq->from.addr;
	fake_dns_send(&rq->from, "ok", 2);
}

static void t_source_address_by_family(void **state)
{
	struct addr source = test_addr("127.0.0.7:99"); /* the port is not used */
	struct fixture f;

	(void)state;
	init(&f, NULL, serve_and_see);
	f.t.net.source4 = source;
	f.t.net.source6 = test_addr("2001:db8::1");
	start_to(&f, fake_dns_addr(f.server), "hi", 2, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	assert_true(addr_same_host(&seen_from, &source));
	assert_int_not_equal(addr_port(&seen_from), 99);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 6; steps++) {
		struct fixture f;

		init(&f, NULL, serve_silence);
		start_to(&f, fake_dns_addr(f.server), "hi", 2, PATIENCE_MS);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		udp_exchange_cancel(f.x);
		udp_exchange_cancel(f.x);
		assert_int_equal(f.calls, 0); /* never from inside cancel */
		done(&f);
		assert_int_equal(f.err, ERR_CANCELED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_reply_over_both_families),
		cmocka_unit_test(t_U16_junk_does_not_end_the_wait),
		cmocka_unit_test(t_U17_other_ports_are_not_heard),
		cmocka_unit_test(t_silence_ends_at_the_deadline),
		cmocka_unit_test(t_closed_port_ends_at_once),
		cmocka_unit_test(t_failures_of_start_come_through_done),
		cmocka_unit_test(t_source_address_by_family),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
