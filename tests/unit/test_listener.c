#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/listener_fixture.h"

#define CLIENTS 64

/* Messages */

static void t_messages_whole_in_pieces_and_together(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\3abc", 4);
	lfx_expect(&f, fd, "\3abc", 4);
	lfx_send_all(fd, "\1a\0\2bc", 6);
	lfx_expect(&f, fd, "\1a\0\2bc", 6);
	assert_int_equal(f.messages, 4);
	assert_int_equal(f.last->in.cap, 0); /* nothing is kept between messages */
	for (int i = 0; i < 4; i++) {
		lfx_send_all(fd, &"\3xyz"[i], 1);
		test_net_step(&f.t);
	}
	lfx_expect(&f, fd, "\3xyz", 4);
	assert_int_equal(f.last->in.cap, 0);
	assert_true(addr_is_loopback(conn_peer(f.last)));
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_CLOSED);
	assert_int_equal(listener_count(f.l), 0);
	lfx_finish(&f);
}

static void t_unused_bytes_are_bounded(void **state)
{
	char flood[200];
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.p.max_in = 100;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	memset(flood, 0xff, sizeof(flood));
	lfx_send_all(fd, flood, sizeof(flood));
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_LIMIT);
	assert_int_equal(f.messages, 0);
	close(fd);
	lfx_finish(&f);
}

static void t_unsent_bytes_are_bounded(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.reply = 64 << 20;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\0", 1);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_LIMIT);
	close(fd);
	lfx_finish(&f);
}

static void t_large_replies_arrive_whole(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.p.max_out = 32 << 20;
	f.reply = 7 << 20;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\0\0\1Q", 4);
	assert_int_equal(lfx_drain(&f, fd), 3 * f.reply);
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_OK);
	lfx_finish(&f);
}

/* Ends */

static void t_R05_close_does_not_destroy_what_was_written(void **state)
{
	char rest[5000] = "\1Q";
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.reply = 100000;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, rest, sizeof(rest)); /* more than is ever used: unread input would reset */
	while (f.messages == 0)
		test_net_step(&f.t);
	lfx_send_all(fd, rest, sizeof(rest));
	assert_int_equal(lfx_drain(&f, fd), f.reply);
	assert_int_equal(f.closed, 0); /* the peer has not closed yet */
	lfx_send_all(fd, rest, sizeof(rest));
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.messages, 1);
	assert_int_equal(f.close_err, ERR_OK);
	lfx_finish(&f);
}

static void t_R05_half_close(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	/* the answer was written already */
	lfx_init(&f);
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\2hi\5par", 7);
	shutdown(fd, SHUT_WR);
	lfx_expect(&f, fd, "\2hi", 3);
	assert_int_equal(lfx_drain(&f, fd), 0);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_CLOSED);
	close(fd);
	lfx_finish(&f);

	/* the answer comes later */
	lfx_init(&f);
	f.keep_half = true;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	shutdown(fd, SHUT_WR);
	lfx_until(&f, &f.opened, 1);
	for (int i = 0; i < 3; i++)
		test_net_step(&f.t);
	assert_int_equal(f.closed, 0);
	conn_write(f.last, "late", 4);
	conn_close(f.last);
	conn_close(f.last);
	conn_write(f.last, "too late", 8);
	lfx_expect(&f, fd, "late", 4);
	assert_int_equal(lfx_drain(&f, fd), 0);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_OK);
	close(fd);
	lfx_finish(&f);
}

static void t_R05_reset(void **state)
{
	const struct linger at_once = { 1, 0 };
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_until(&f, &f.opened, 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, -ECONNRESET);
	lfx_finish(&f);
}

/* The client has ended its side before it was told all: what was written still comes. */
static void t_half_close_while_closing(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.p.max_out = 32 << 20;
	f.reply = 16 << 20; /* more than socket buffers take */
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\1Q", 2);
	lfx_until(&f, &f.messages, 1);
	assert_int_equal(f.closed, 0);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (int i = 0; i < 3; i++)
		test_net_step(&f.t);
	assert_int_equal(f.half_closed, 0);
	assert_int_equal(lfx_drain(&f, fd), f.reply);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_OK);
	close(fd);
	lfx_finish(&f);
}

static void t_close_without_a_byte_written(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_until(&f, &f.opened, 1);
	conn_close(f.last);
	assert_int_equal(f.closed, 0); /* never inside */
	assert_int_equal(lfx_drain(&f, fd), 0);
	lfx_until(&f, &f.closed, 1);
	close(fd);
	lfx_finish(&f);
}

/* Deadlines */

static void t_R04_idle_clients_go(void **state)
{
	struct lfx f;
	int fd[3];

	(void)state;
	lfx_init(&f);
	f.p.idle_ms = 30;
	lfx_open_listener(&f);
	for (int i = 0; i < 3; i++)
		fd[i] = lfx_client(&f, NULL);
	lfx_until(&f, &f.closed, 3);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	assert_int_equal(listener_count(f.l), 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	lfx_finish(&f);
}

static void t_R04_slowloris(void **state)
{
	struct lfx f;
	uint64_t began = uv_hrtime();
	int fd;

	(void)state;
	lfx_init(&f);
	f.open_deadline = 50;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\377", 1);
	lfx_until(&f, &f.opened, 1);
	for (int i = 0; i < 3; i++) {
		lfx_send_all(fd, "x", 1); /* bytes do not move a deadline of its own */
		test_net_step(&f.t);
	}
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	assert_true((uv_hrtime() - began) / 1000000 < LFX_PATIENCE_MS / 2);
	close(fd);
	lfx_finish(&f);
}

static void t_R04_reader_that_does_not_read(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.p.max_out = 64 << 20;
	f.p.idle_ms = 50;
	f.reply = 32 << 20;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\1Q", 2);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	close(fd);
	lfx_finish(&f);
}

static void t_deadline_back_to_idle(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.open_deadline = 1;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	while (f.opened == 0)
		test_net_step(&f.t);
	if (f.last != NULL) {
		conn_set_deadline(f.last, 0);
		lfx_send_all(fd, "\1a", 2);
		lfx_expect(&f, fd, "\1a", 2);
	}
	close(fd);
	lfx_finish(&f);
}

/* Free */

static void t_free_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 6; steps++) {
		struct lfx f;
		int fd[4];

		lfx_init(&f);
		f.p.max_out = 64 << 20;
		f.reply = 16 << 20;
		lfx_open_listener(&f);
		for (int i = 0; i < 4; i++)
			fd[i] = lfx_client(&f, NULL);
		lfx_send_all(fd[0], "\5part", 5);
		lfx_send_all(fd[1], "\0", 1);
		lfx_send_all(fd[2], "\1Q", 2);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		lfx_finish(&f);
		for (int i = 0; i < 4; i++)
			close(fd[i]);
	}
}

static void t_free_inside_a_callback(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.free_in_data = true;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\1a\1b", 4);
	lfx_finish(&f);
	assert_int_equal(f.messages, 1);
	close(fd);
}

static void t_connections_are_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct conn) <= 768);
}

static void t_many_connections(void **state)
{
	struct lfx f;
	int fd[CLIENTS];

	(void)state;
	lfx_init(&f);
	lfx_open_listener(&f);
	for (int i = 0; i < CLIENTS; i++) {
		char from[32];

		(void)snprintf(from, sizeof(from), "127.0.1.%d", i + 1);
		fd[i] = lfx_client(&f, from);
	}
	lfx_until(&f, &f.opened, CLIENTS);
	assert_int_equal(peer_count_addresses(&f.l->peers), CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		lfx_send_all(fd[i], "\1a", 2);
	for (int i = 0; i < CLIENTS; i++)
		lfx_expect(&f, fd[i], "\1a", 2);
	for (int i = 0; i < CLIENTS; i += 2)
		close(fd[i]);
	lfx_until(&f, &f.closed, CLIENTS / 2);
	assert_int_equal(peer_count_addresses(&f.l->peers), CLIENTS / 2);
	for (int i = 1; i < CLIENTS; i += 2)
		close(fd[i]);
	lfx_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_messages_whole_in_pieces_and_together),
		cmocka_unit_test(t_unused_bytes_are_bounded),
		cmocka_unit_test(t_unsent_bytes_are_bounded),
		cmocka_unit_test(t_large_replies_arrive_whole),
		cmocka_unit_test(t_R05_close_does_not_destroy_what_was_written),
		cmocka_unit_test(t_R05_half_close),
		cmocka_unit_test(t_R05_reset),
		cmocka_unit_test(t_half_close_while_closing),
		cmocka_unit_test(t_close_without_a_byte_written),
		cmocka_unit_test(t_R04_idle_clients_go),
		cmocka_unit_test(t_R04_slowloris),
		cmocka_unit_test(t_R04_reader_that_does_not_read),
		cmocka_unit_test(t_deadline_back_to_idle),
		cmocka_unit_test(t_free_at_every_step),
		cmocka_unit_test(t_free_inside_a_callback),
		cmocka_unit_test(t_connections_are_small),
		cmocka_unit_test(t_many_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
