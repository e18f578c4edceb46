#include "net/tcp_stream.h"

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

#define PATIENCE_MS 30000
#define BIG         (700 * 1024) /* more than socket buffers take at once */

/* The messages of these tests: one byte that gives the length of what follows. */
struct fixture {
	struct test_net t;
	struct fake_dns *server;
	struct tcp_stream *s;
	bool done;
	int calls;
	int err;
	unsigned opened;
	unsigned messages;
	size_t offered_max;
	unsigned finish_after; /* messages; 0: never */
	size_t to_write;       /* in on_open */
	size_t served;         /* bytes that the server saw */
	struct addr source;
	struct addr seen; /* where the client came from */
};

static void on_open(struct tcp_stream *s)
{
	struct fixture *f = s->owner;
	uint8_t *big;

	f->opened++;
	if (f->to_write == 0)
		return;
	big = calloc(1, f->to_write);
	assert_non_null(big);
	tcp_stream_write(s, big, f->to_write);
	free(big);
}

static size_t on_data(struct tcp_stream *s, const uint8_t *data, size_t len)
{
	struct fixture *f = s->owner;

	if (len > f->offered_max)
		f->offered_max = len;
	if (len < (size_t)data[0] + 1)
		return 0;
	f->messages++;
	if (f->messages == f->finish_after)
		tcp_stream_finish(s, ERR_OK);
	return (size_t)data[0] + 1;
}

static void on_done(struct tcp_stream *s, int err)
{
	struct fixture *f = s->owner;

	f->calls++;
	f->done = true;
	f->err = err;
	memset(s, 0xa5, sizeof(*s));
	free(s);
	fake_dns_free(f->server);
}

static void init(struct fixture *f, const struct fake_dns_params *p)
{
	struct fake_dns_params params = *p;

	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	params.ctx = f;
	f->server = fake_dns_new(&f->t, &params);
}

static void start_to(struct fixture *f, const struct addr *peer, size_t max_in, uint32_t timeout_ms)
{
	struct tcp_stream_params p = {
		.peer = *peer,
		.source = f->source,
		.timeout_ms = timeout_ms,
		.max_in = max_in,
		.on_open = on_open,
		.on_data = on_data,
		.done = on_done,
	};

	f->s = calloc(1, sizeof(*f->s));
	assert_non_null(f->s);
	f->s->owner = f;
	tcp_stream_start(f->s, &f->t.net, &p);
	assert_int_equal(f->calls, 0);
}

static void start(struct fixture *f)
{
	start_to(f, fake_dns_addr(f->server), 256, PATIENCE_MS);
}

static void done(struct fixture *f)
{
	test_net_run_until(&f->t, &f->done);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

static void send_five(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send_raw(peer, "\1a\0\3abc\0\1z", 10);
}

static void send_part(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_send_raw(peer, "\1a\5ab", 5);
	fake_dns_close(peer);
}

static void send_reset(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	(void)s;
	(void)ctx;
	fake_dns_reset(peer);
}

static void send_flood(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	static uint8_t flood[2000];

	(void)s;
	(void)ctx;
	memset(flood, 200, sizeof(flood));
	fake_dns_send_raw(peer, flood, sizeof(flood));
}

static void count_bytes(struct fake_dns *s, const struct fake_dns_peer *peer, const uint8_t *data,
			size_t len, void *ctx)
{
	struct fixture *f = ctx;

	(void)s;
	(void)data;
	f->served += len;
	if (f->served == BIG + 6)
		fake_dns_send_raw(peer, "\1!", 2);
}

/** Answers each byte with one byte, so that a message arrives in as many pieces as it has bytes. */
static void one_by_one(struct fake_dns *s, const struct fake_dns_peer *peer, const uint8_t *data,
		       size_t len, void *ctx)
{
	(void)s;
	(void)ctx;
	for (size_t i = 0; i < len; i++)
		fake_dns_send_raw(peer, data + i, 1);
}

static void t_messages_in_one_segment(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_connect = send_five });
	f.finish_after = 5;
	start(&f);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	assert_int_equal(f.messages, 5);
	assert_int_equal(f.opened, 1);
}

static void t_nothing_comes_after_finish(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_connect = send_five });
	f.finish_after = 2;
	start(&f);
	done(&f);
	assert_int_equal(f.messages, 2);
}

static void t_peer_closes_within_a_message(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_connect = send_part });
	start(&f);
	done(&f);
	assert_int_equal(f.err, ERR_CLOSED);
	assert_int_equal(f.messages, 1);
	assert_true(f.offered_max <= 5);
}

static void t_peer_resets(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_connect = send_reset });
	start(&f);
	done(&f);
	assert_int_equal(f.err, -ECONNRESET);
}

static void t_unused_bytes_are_bounded(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_connect = send_flood });
	start_to(&f, fake_dns_addr(f.server), 100, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, ERR_LIMIT);
}

static void t_writes_before_open_and_large_ones_keep_their_order(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_bytes = count_bytes });
	f.to_write = BIG;
	f.finish_after = 1;
	start(&f);
	tcp_stream_write(f.s, "before", 6);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	assert_int_equal(f.served, BIG + 6);
}

static void t_byte_by_byte(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_bytes = one_by_one });
	f.finish_after = 2;
	start(&f);
	tcp_stream_write(f.s, "\3abc\2de", 7);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	assert_int_equal(f.messages, 2);
}

static void t_unsent_bytes_are_bounded(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ 0 });
	f.to_write = TCP_STREAM_OUT_MAX + (16u << 20);
	start(&f);
	done(&f);
	assert_int_equal(f.err, ERR_LIMIT);
}

static void note_source(struct fake_dns *s, const struct fake_dns_peer *peer, void *ctx)
{
	struct fixture *f = ctx;

	f->seen = peer->addr;
	send_five(s, peer, ctx);
}

static void t_source(void **state)
{
	struct fixture f;

	(void)state;
	init(&f, &(struct fake_dns_params){ .on_connect = note_source });
	f.source = test_addr("127.0.0.2:7"); /* of which only the address counts */
	f.finish_after = 5;
	start(&f);
	done(&f);
	assert_int_equal(f.err, ERR_OK);
	addr_set_port(&f.seen, 7);
	assert_true(addr_equal(&f.seen, &f.source));
}

static void t_closed_port_and_bad_source(void **state)
{
	struct fixture f;
	struct addr closed;

	(void)state;
	init(&f, &(struct fake_dns_params){ 0 });
	closed = test_net_closed_port();
	start_to(&f, &closed, 256, PATIENCE_MS);
	done(&f);
	assert_int_equal(f.err, -ECONNREFUSED);
	assert_int_equal(f.opened, 0);

	init(&f, &(struct fake_dns_params){ 0 });
	f.source = test_addr("192.0.2.1:0");
	start(&f);
	done(&f);
	assert_int_equal(f.err, -EADDRNOTAVAIL);
	assert_int_equal(f.opened, 0);
}

static void t_cancel_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 8; steps++) {
		struct fixture f;
		int small = 4096;

		init(&f, &(struct fake_dns_params){ .on_bytes = count_bytes });
		f.to_write = steps % 2 == 0 ? BIG : TCP_STREAM_OUT_MAX;
		start(&f);
		/* so that most of it is still to be written */
		assert_int_equal(uv_send_buffer_size((uv_handle_t *)&f.s->tcp, &small), 0);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		tcp_stream_cancel(f.s);
		tcp_stream_cancel(f.s);
		tcp_stream_write(f.s, "late", 4);
		tcp_stream_clear_deadline(f.s);
		assert_int_equal(f.calls, 0);
		done(&f);
		assert_int_equal(f.err, ERR_CANCELED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_messages_in_one_segment),
		cmocka_unit_test(t_nothing_comes_after_finish),
		cmocka_unit_test(t_peer_closes_within_a_message),
		cmocka_unit_test(t_peer_resets),
		cmocka_unit_test(t_unused_bytes_are_bounded),
		cmocka_unit_test(t_writes_before_open_and_large_ones_keep_their_order),
		cmocka_unit_test(t_byte_by_byte),
		cmocka_unit_test(t_unsent_bytes_are_bounded),
		cmocka_unit_test(t_source),
		cmocka_unit_test(t_closed_port_and_bad_source),
		cmocka_unit_test(t_cancel_at_every_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
