#include "net/listener.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "tests/lib/listener_fixture.h"

/** A connection that is paused, and whose peer has sent @p ahead behind the message that paused it.
 */
static int setup(struct lfx *f, const char *ahead)
{
	char first[64] = "\1P";
	int fd;

	lfx_init(f);
	f->keep_half = true;
	lfx_open_listener(f);
	fd = lfx_client(f, NULL);
	memcpy(first + 2, ahead, strlen(ahead));
	lfx_send_all(fd, first, 2 + strlen(ahead));
	lfx_expect(f, fd, "\1P", 2);
	return fd;
}

static void steps(struct lfx *f, int n)
{
	while (n-- > 0)
		test_net_step(&f->t);
}

static void t_what_comes_meanwhile_waits(void **state)
{
	struct lfx f;
	int fd = setup(&f, "");

	(void)state;
	steps(&f, 2);
	assert_false(f.last->stopped); /* nothing came: the kernel was not asked for anything */
	lfx_send_all(fd, "\1a\1b\2c", 6);
	while (!f.last->stopped)
		test_net_step(&f.t);
	lfx_send_all(fd, "d\1e", 3);
	steps(&f, 3);
	assert_int_equal(f.messages, 1);
	conn_resume(f.last);
	conn_resume(f.last);
	assert_false(f.last->stopped);
	lfx_expect(&f, fd, "\1a\1b\2cd\1e", 9);
	assert_int_equal(f.messages, 5);
	assert_int_equal(f.last->in.cap, 0);
	close(fd);
	lfx_finish(&f);
}

/* One answer after the other, each with its pause. */
static void t_paused_again_by_what_was_held(void **state)
{
	struct lfx f;
	int fd = setup(&f, "\1P\1P\1P\1z");

	(void)state;
	for (unsigned i = 1; i <= 3; i++) {
		steps(&f, 2);
		assert_int_equal(f.messages, i);
		conn_resume(f.last);
		assert_int_equal(f.messages, i + 1); /* from within */
	}
	conn_resume(f.last);
	lfx_expect(&f, fd, "\1P\1P\1P\1z", 8);
	lfx_send_all(fd, "\1y", 2);
	lfx_expect(&f, fd, "\1y", 2);
	close(fd);
	lfx_finish(&f);
}

/* Far more than is ever held: TCP slows the peer, and nothing is lost. */
static void t_who_sends_ahead_is_slowed(void **state)
{
	static char flood[1 << 16];
	struct lfx f;
	size_t sent = 0, got = 0;
	ssize_t n;
	int fd = setup(&f, "");

	(void)state;
	for (size_t i = 0; i < sizeof(flood); i += 2)
		memcpy(flood + i, "\1x", 2);
	for (int full = 0; full < 10;) {
		n = send(fd, flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			sent += (size_t)n;
		else
			full++;
		test_net_step(&f.t);
	}
	assert_true(f.last->stopped);
	assert_in_range(f.last->in.len, 1, f.p.max_in + LISTENER_READ_MAX);
	assert_true(sent > 10 * f.last->in.len);
	conn_resume(f.last);
	while (got < sent / 2 * 2) {
		n = lfx_receive(&f, fd, flood, sizeof(flood));
		assert_true(n > 0);
		got += (size_t)n;
	}
	assert_int_equal(f.closed, 0);
	close(fd);
	lfx_finish(&f);
}

static void t_half_close_while_paused(void **state)
{
	struct lfx f;
	int fd = setup(&f, "");

	(void)state;
	/* seen at once, although nothing is taken */
	shutdown(fd, SHUT_WR);
	while (f.half_closed == 0)
		test_net_step(&f.t);
	conn_write(f.last, "late", 4);
	conn_resume(f.last);
	conn_close(f.last);
	lfx_expect(&f, fd, "late", 4);
	assert_int_equal(lfx_drain(&f, fd), 0);
	lfx_until(&f, &f.closed, 1);
	close(fd);
	lfx_finish(&f);

	/* and what came before the end is served, but for a message without its end */
	fd = setup(&f, "\1P");
	shutdown(fd, SHUT_WR);
	steps(&f, 3);
	conn_resume(f.last);
	lfx_expect(&f, fd, "\1P", 2);
	conn_resume(f.last);
	while (f.half_closed == 0)
		test_net_step(&f.t);
	conn_close(f.last);
	lfx_until(&f, &f.closed, 1);
	close(fd);
	lfx_finish(&f);

	fd = setup(&f, "");
	lfx_send_all(fd, "\1a\5par", 6);
	shutdown(fd, SHUT_WR);
	while (f.last->in.len == 0)
		test_net_step(&f.t);
	steps(&f, 2);
	conn_resume(f.last);
	lfx_expect(&f, fd, "\1a", 2);
	while (f.half_closed == 0)
		test_net_step(&f.t);
	assert_int_equal(f.last->in.len, 0);
	assert_int_equal(f.messages, 2);
	close(fd);
	lfx_finish(&f);
}

static void t_reset_while_paused(void **state)
{
	const struct linger at_once = { 1, 0 };
	struct lfx f;
	int fd = setup(&f, "");

	(void)state;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, -ECONNRESET);
	lfx_finish(&f);
}

/* Nothing is read of it: the write tells. */
static void t_reset_while_stopped(void **state)
{
	const struct linger at_once = { 1, 0 };
	char first[] = "\1P\1a";
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.p.max_out = 32 << 20;
	f.reply = 16 << 20; /* more than socket buffers take */
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, first, sizeof(first) - 1);
	while (f.last == NULL || !f.last->stopped)
		test_net_step(&f.t);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_true(f.close_err == -ECONNRESET || f.close_err == -EPIPE);
	lfx_finish(&f);
}

/* What came meanwhile is part of a message that is larger than any may be. */
static void t_too_much_while_paused(void **state)
{
	static uint8_t ahead[200] = { 255 };
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.p.max_in = 100;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_send_all(fd, "\1P", 2);
	lfx_expect(&f, fd, "\1P", 2);
	lfx_send_all(fd, ahead, sizeof(ahead));
	while (!f.last->stopped)
		test_net_step(&f.t);
	assert_int_equal(f.closed, 0);
	conn_resume(f.last);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_LIMIT);
	close(fd);
	lfx_finish(&f);
}

/* Who was stopped is read again when we close: its end has to be seen, its bytes be dropped. */
static void t_close_while_stopped(void **state)
{
	struct lfx f;
	int fd = setup(&f, "\1a");

	(void)state;
	while (!f.last->stopped)
		test_net_step(&f.t);
	conn_close(f.last);
	assert_false(f.last->stopped);
	assert_int_equal(lfx_drain(&f, fd), 0);
	lfx_send_all(fd, "\1b", 2);
	close(fd);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_OK);
	assert_int_equal(f.messages, 1);
	lfx_finish(&f);
}

static void t_deadline_while_stopped(void **state)
{
	struct lfx f;
	int fd = setup(&f, "\1a");

	(void)state;
	while (!f.last->stopped)
		test_net_step(&f.t);
	conn_set_deadline(f.last, 10);
	lfx_until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	close(fd);
	lfx_finish(&f);
}

static void t_free_while_paused(void **state)
{
	(void)state;
	for (int n = 0; n < 4; n++) {
		struct lfx f;
		int fd = setup(&f, n % 2 == 0 ? "" : "\1a");

		steps(&f, n);
		lfx_finish(&f);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_what_comes_meanwhile_waits),
		cmocka_unit_test(t_paused_again_by_what_was_held),
		cmocka_unit_test(t_who_sends_ahead_is_slowed),
		cmocka_unit_test(t_half_close_while_paused),
		cmocka_unit_test(t_reset_while_paused),
		cmocka_unit_test(t_reset_while_stopped),
		cmocka_unit_test(t_too_much_while_paused),
		cmocka_unit_test(t_close_while_stopped),
		cmocka_unit_test(t_deadline_while_stopped),
		cmocka_unit_test(t_free_while_paused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
