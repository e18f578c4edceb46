#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "net/listener_priv.h"
#include "tests/lib/test_net.h"

#define PATIENCE_MS 60000
#define CLIENTS     64

/* The owner of these tests: a message is one byte of length and that many bytes; it is echoed. Some
 * first bytes of a message are commands. */
struct fixture {
	struct test_net t;
	struct listener *l;
	struct listener_params p;
	struct addr listen[4];
	struct conn *last; /* the connection opened last, while it is open */
	unsigned opened, closed, refused, messages;
	int close_err; /* of the last closed() */
	int why;       /* of the last refused() */
	bool freed;
	bool keep_half; /* half_closed() says true */
	bool free_in_data, stop_in_open;
	uint32_t open_deadline;
	size_t reply; /* bytes to write for each message instead of the echo */
};

static void on_freed(void *ctx)
{
	struct fixture *f = ctx;

	assert_false(f->freed);
	assert_int_equal(f->opened, f->closed);
	f->freed = true;
}

static void on_open(struct conn *c, void *ctx)
{
	struct fixture *f = ctx;

	f->opened++;
	f->last = c;
	conn_set_data(c, malloc(1)); /* lost, so reported, where closed() does not run */
	if (f->open_deadline != 0)
		conn_set_deadline(c, f->open_deadline);
	if (f->stop_in_open)
		listener_stop(f->l);
}

static void write_zeros(struct conn *c, size_t len)
{
	uint8_t *zeros = calloc(1, len);

	assert_non_null(zeros);
	conn_write(c, zeros, len);
	free(zeros);
}

static size_t on_data(struct conn *c, void *ctx, const uint8_t *data, size_t len)
{
	struct fixture *f = ctx;
	size_t n = (size_t)data[0] + 1;

	if (len < n)
		return 0;
	f->messages++;
	if (f->reply != 0)
		write_zeros(c, f->reply);
	else
		conn_write(c, data, n);
	if (n > 1 && data[1] == 'Q')
		conn_close(c);
	if (f->free_in_data)
		listener_free(f->l, on_freed, f);
	return n;
}

static bool on_half_closed(struct conn *c, void *ctx)
{
	(void)c;
	return ((struct fixture *)ctx)->keep_half;
}

static void on_closed(struct conn *c, void *ctx, int err)
{
	struct fixture *f = ctx;

	f->closed++;
	f->close_err = err;
	free(conn_data(c));
	if (f->last == c)
		f->last = NULL;
}

static void on_refused(void *ctx, const struct addr *peer, int why)
{
	struct fixture *f = ctx;

	assert_true(addr_is_loopback(peer));
	f->refused++;
	f->why = why;
}

static const struct conn_ops ops = { on_open, on_data, on_half_closed, on_closed, on_refused };

static void init(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	f->listen[0] = test_addr("127.0.0.1:0");
	f->p = (struct listener_params){
		.listen = f->listen,
		.n_listen = 1,
		.max_conns = 1000,
		.max_per_address = 1000,
		.max_in = 256,
		.max_out = 4 << 20,
		.idle_ms = PATIENCE_MS,
		.ops = &ops,
		.ctx = f,
	};
}

static void open_listener(struct fixture *f)
{
	struct err_info info = { "" };

	assert_int_equal(listener_new(&f->t.net, &f->p, &f->l, &info), ERR_OK);
	assert_string_equal(info.text, "");
}

static void finish(struct fixture *f)
{
	if (!f->free_in_data)
		listener_free(f->l, on_freed, f);
	assert_false(f->freed);
	test_net_run_until(&f->t, &f->freed);
	test_net_done(&f->t);
}

/** Run the loop until @p counter is @p wanted. */
static void until(struct fixture *f, const unsigned *counter, unsigned wanted)
{
	while (*counter < wanted)
		uv_run(&f->t.loop, UV_RUN_ONCE);
	assert_int_equal(*counter, wanted);
}

/* Clients are plain sockets; on loopback connect() is done before accept(). */

static int try_client(const struct addr *to, const char *from)
{
	int fd = socket(to->u.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (from != NULL) {
		struct addr a = test_addr(from);

		assert_int_equal(bind(fd, &a.u.sa, addr_len(&a)), 0);
	}
	if (connect(fd, &to->u.sa, addr_len(to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int client(struct fixture *f, const char *from)
{
	int fd = try_client(listener_addr(f->l, 0), from);

	assert_true(fd >= 0);
	return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

/** What the client gets while the loop runs: bytes, 0 at the end, or -errno. */
static ssize_t receive(struct fixture *f, int fd, void *out, size_t len)
{
	for (;;) {
		ssize_t n = recv(fd, out, len, MSG_DONTWAIT);

		if (n >= 0)
			return n;
		if (errno != EAGAIN)
			return -errno;
		uv_run(&f->t.loop, UV_RUN_NOWAIT);
	}
}

static void expect(struct fixture *f, int fd, const void *data, size_t len)
{
	uint8_t got[300];
	size_t have = 0;

	assert_true(len <= sizeof(got));
	while (have < len) {
		ssize_t n = receive(f, fd, got + have, len - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(got, data, len);
}

/** Read to the end. @return how many bytes came, or -errno. */
static ssize_t drain(struct fixture *f, int fd)
{
	static char sink[65536];
	ssize_t sum = 0, n;

	while ((n = receive(f, fd, sink, sizeof(sink))) > 0)
		sum += n;
	return n < 0 ? n : sum;
}

/* Messages */

static void t_messages_whole_in_pieces_and_together(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\3abc", 4);
	expect(&f, fd, "\3abc", 4);
	send_all(fd, "\1a\0\2bc", 6);
	expect(&f, fd, "\1a\0\2bc", 6);
	assert_int_equal(f.messages, 4);
	assert_int_equal(f.last->in.cap, 0); /* nothing is kept between messages */
	for (int i = 0; i < 4; i++) {
		send_all(fd, &"\3xyz"[i], 1);
		test_net_step(&f.t);
	}
	expect(&f, fd, "\3xyz", 4);
	assert_int_equal(f.last->in.cap, 0);
	assert_true(addr_is_loopback(conn_peer(f.last)));
	close(fd);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_CLOSED);
	assert_int_equal(listener_count(f.l), 0);
	finish(&f);
}

static void t_unused_bytes_are_bounded(void **state)
{
	char flood[200];
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.p.max_in = 100;
	open_listener(&f);
	fd = client(&f, NULL);
	memset(flood, 0xff, sizeof(flood));
	send_all(fd, flood, sizeof(flood));
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_LIMIT);
	assert_int_equal(f.messages, 0);
	close(fd);
	finish(&f);
}

static void t_unsent_bytes_are_bounded(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.reply = 64 << 20;
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\0", 1);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_LIMIT);
	close(fd);
	finish(&f);
}

static void t_large_replies_arrive_whole(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.p.max_out = 32 << 20;
	f.reply = 7 << 20;
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\0\0\1Q", 4);
	assert_int_equal(drain(&f, fd), 3 * f.reply);
	close(fd);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_OK);
	finish(&f);
}

/* Ends */

static void t_R05_close_does_not_destroy_what_was_written(void **state)
{
	char rest[5000] = "\1Q";
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.reply = 100000;
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, rest, sizeof(rest)); /* more than is ever used: unread input would reset */
	while (f.messages == 0)
		test_net_step(&f.t);
	send_all(fd, rest, sizeof(rest));
	assert_int_equal(drain(&f, fd), f.reply);
	assert_int_equal(f.closed, 0); /* the peer has not closed yet */
	send_all(fd, rest, sizeof(rest));
	close(fd);
	until(&f, &f.closed, 1);
	assert_int_equal(f.messages, 1);
	assert_int_equal(f.close_err, ERR_OK);
	finish(&f);
}

static void t_R05_half_close(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	/* the answer was written already */
	init(&f);
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\2hi\5par", 7);
	shutdown(fd, SHUT_WR);
	expect(&f, fd, "\2hi", 3);
	assert_int_equal(drain(&f, fd), 0);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_CLOSED);
	close(fd);
	finish(&f);

	/* the answer comes later */
	init(&f);
	f.keep_half = true;
	open_listener(&f);
	fd = client(&f, NULL);
	shutdown(fd, SHUT_WR);
	until(&f, &f.opened, 1);
	for (int i = 0; i < 3; i++)
		test_net_step(&f.t);
	assert_int_equal(f.closed, 0);
	conn_write(f.last, "late", 4);
	conn_close(f.last);
	conn_close(f.last);
	conn_write(f.last, "too late", 8);
	expect(&f, fd, "late", 4);
	assert_int_equal(drain(&f, fd), 0);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_OK);
	close(fd);
	finish(&f);
}

static void t_R05_reset(void **state)
{
	const struct linger at_once = { 1, 0 };
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	open_listener(&f);
	fd = client(&f, NULL);
	until(&f, &f.opened, 1);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
	close(fd);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, -ECONNRESET);
	finish(&f);
}

static void t_close_without_a_byte_written(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	open_listener(&f);
	fd = client(&f, NULL);
	until(&f, &f.opened, 1);
	conn_close(f.last);
	assert_int_equal(f.closed, 0); /* never inside */
	assert_int_equal(drain(&f, fd), 0);
	until(&f, &f.closed, 1);
	close(fd);
	finish(&f);
}

/* Deadlines */

static void t_R04_idle_clients_go(void **state)
{
	struct fixture f;
	int fd[3];

	(void)state;
	init(&f);
	f.p.idle_ms = 30;
	open_listener(&f);
	for (int i = 0; i < 3; i++)
		fd[i] = client(&f, NULL);
	until(&f, &f.closed, 3);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	assert_int_equal(listener_count(f.l), 0);
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	finish(&f);
}

static void t_R04_slowloris(void **state)
{
	struct fixture f;
	uint64_t began = uv_hrtime();
	int fd;

	(void)state;
	init(&f);
	f.open_deadline = 50;
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\377", 1);
	until(&f, &f.opened, 1);
	for (int i = 0; i < 3; i++) {
		send_all(fd, "x", 1); /* bytes do not move a deadline of its own */
		test_net_step(&f.t);
	}
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	assert_true((uv_hrtime() - began) / 1000000 < PATIENCE_MS / 2);
	close(fd);
	finish(&f);
}

static void t_R04_reader_that_does_not_read(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.p.max_out = 64 << 20;
	f.p.idle_ms = 50;
	f.reply = 32 << 20;
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\1Q", 2);
	until(&f, &f.closed, 1);
	assert_int_equal(f.close_err, ERR_TIMEOUT);
	close(fd);
	finish(&f);
}

static void t_deadline_back_to_idle(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.open_deadline = 1;
	open_listener(&f);
	fd = client(&f, NULL);
	while (f.opened == 0)
		test_net_step(&f.t);
	if (f.last != NULL) {
		conn_set_deadline(f.last, 0);
		send_all(fd, "\1a", 2);
		expect(&f, fd, "\1a", 2);
	}
	close(fd);
	finish(&f);
}

/* Rules */

static void t_R04_allow(void **state)
{
	struct cidr allow[2];
	struct fixture f;
	int bad, good;

	(void)state;
	init(&f);
	assert_int_equal(cidr_parse("192.0.2.0/24", &allow[0]), 0);
	assert_int_equal(cidr_parse("127.0.0.2", &allow[1]), 0);
	f.p.allow = allow;
	f.p.n_allow = 2;
	open_listener(&f);
	bad = client(&f, NULL);
	good = client(&f, "127.0.0.2");
	until(&f, &f.refused, 1);
	assert_int_equal(f.why, -EACCES);
	assert_int_equal(drain(&f, bad), 0);
	send_all(good, "\1a", 2);
	expect(&f, good, "\1a", 2);
	assert_int_equal(f.opened, 1);
	listener_set_rules(f.l, allow, 1, 10, 10, PATIENCE_MS);
	close(bad);
	bad = client(&f, "127.0.0.2");
	until(&f, &f.refused, 2);
	close(bad);
	send_all(good, "\1b", 2); /* it was let in before */
	expect(&f, good, "\1b", 2);
	close(good);
	finish(&f);
}

static void t_R04_limits(void **state)
{
	static const char *const from[] = { NULL, NULL, NULL, "127.0.0.2", "127.0.0.3" };
	static const int why[] = { 0, 0, ERR_LIMIT, 0, ERR_LIMIT };
	struct fixture f;
	int fd[5];

	(void)state;
	init(&f);
	f.p.max_conns = 3;
	f.p.max_per_address = 2;
	open_listener(&f);
	for (int i = 0; i < 5; i++) {
		unsigned before = f.refused;

		fd[i] = client(&f, from[i]);
		while (f.opened + f.refused < (unsigned)i + 1)
			uv_run(&f.t.loop, UV_RUN_ONCE);
		assert_int_equal(f.refused, before + (why[i] != 0));
		if (why[i] != 0)
			assert_int_equal(f.why, why[i]);
	}
	assert_int_equal(listener_count(f.l), 3);
	close(fd[0]); /* makes room for its address and in all */
	until(&f, &f.closed, 1);
	close(fd[2]);
	fd[2] = client(&f, NULL);
	until(&f, &f.opened, 4);
	close(fd[4]);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
	finish(&f);
}

static void t_R04_no_descriptors_left(void **state)
{
	struct rlimit was, low;
	int fd[5], probe;
	struct fixture f;

	(void)state;
	init(&f);
	open_listener(&f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	for (int i = 0; i < 5; i++)
		fd[i] = client(&f, NULL);
	test_net_step(&f.t); /* libuv opens what it needs */
	until(&f, &f.opened, 5);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	until(&f, &f.closed, 5);
	for (int i = 0; i < 5; i++)
		fd[i] = client(&f, NULL);
	probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(probe >= 0);
	close(probe);
	low = was;
	low.rlim_cur = (rlim_t)probe; /* the lowest free one, so nothing can be opened */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	until(&f, &f.refused, 5);
	assert_int_equal(f.why, -EMFILE);
	assert_true(f.l->pause.pos != 0); /* no busy loop */
	for (int i = 0; i < 5; i++)
		assert_int_equal(drain(&f, fd[i]), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	probe = client(&f, NULL); /* served when the pause is over */
	send_all(probe, "\1a", 2);
	expect(&f, probe, "\1a", 2);
	close(probe);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	finish(&f);
}

/* Listening */

static int try_listen(struct fixture *f, const char *text, struct err_info *info)
{
	struct listener *l = NULL;
	int err;

	f->listen[1] = test_addr(text);
	f->p.n_listen = 2;
	err = listener_new(&f->t.net, &f->p, &l, info);
	assert_true((err == ERR_OK) == (l != NULL));
	if (l != NULL)
		listener_free(l, NULL, NULL);
	return err;
}

static void t_bind_failures_have_sentences(void **state)
{
	char taken[ADDR_TEXT_MAX];
	struct err_info info;
	struct fixture f;

	(void)state;
	init(&f);
	open_listener(&f);
	addr_format(listener_addr(f.l, 0), taken);
	assert_int_equal(try_listen(&f, taken, &info), -EADDRINUSE);
	assert_non_null(strstr(info.text, taken));
	assert_non_null(strstr(info.text, "another program"));
	assert_int_equal(try_listen(&f, "192.0.2.1:0", &info), -EADDRNOTAVAIL);
	assert_non_null(strstr(info.text, "192.0.2.1:0"));
	f.p.n_listen = 0;
	assert_int_equal(listener_new(&f.t.net, &f.p, &f.l, &info), ERR_LIMIT);
	finish(&f);
}

static void t_both_families_on_one_port(void **state)
{
	struct fixture f;
	struct addr six;
	int fd;

	(void)state;
	if (!test_net_has_ipv6())
		skip();
	init(&f);
	f.listen[0] = test_addr("0.0.0.0:0");
	open_listener(&f);
	f.listen[0] = *listener_addr(f.l, 0);
	listener_free(f.l, NULL, NULL);
	uv_run(&f.t.loop, UV_RUN_DEFAULT);
	f.listen[1] = test_addr("[::]:0");
	addr_set_port(&f.listen[1], addr_port(&f.listen[0]));
	f.p.n_listen = 2;
	open_listener(&f);
	assert_int_equal(listener_addr_count(f.l), 2);
	six = test_addr("::1");
	addr_set_port(&six, addr_port(listener_addr(f.l, 1)));
	fd = try_client(&six, NULL);
	assert_true(fd >= 0);
	send_all(fd, "\1a", 2);
	expect(&f, fd, "\1a", 2);
	assert_int_equal(conn_peer(f.last)->u.sa.sa_family, AF_INET6);
	close(fd);
	finish(&f);
}

static void t_stop_lets_open_ones_go_on(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.stop_in_open = true;
	open_listener(&f);
	fd = client(&f, NULL);
	until(&f, &f.opened, 1);
	listener_stop(f.l);
	assert_int_equal(try_client(listener_addr(f.l, 0), NULL), -1);
	send_all(fd, "\1a", 2);
	expect(&f, fd, "\1a", 2);
	close(fd);
	finish(&f);
}

/* Free */

static void t_free_at_every_step(void **state)
{
	(void)state;
	for (int steps = 0; steps < 6; steps++) {
		struct fixture f;
		int fd[4];

		init(&f);
		f.p.max_out = 64 << 20;
		f.reply = 16 << 20;
		open_listener(&f);
		for (int i = 0; i < 4; i++)
			fd[i] = client(&f, NULL);
		send_all(fd[0], "\5part", 5);
		send_all(fd[1], "\0", 1);
		send_all(fd[2], "\1Q", 2);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		finish(&f);
		for (int i = 0; i < 4; i++)
			close(fd[i]);
	}
}

static void t_free_inside_a_callback(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	init(&f);
	f.free_in_data = true;
	open_listener(&f);
	fd = client(&f, NULL);
	send_all(fd, "\1a\1b", 4);
	finish(&f);
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
	struct fixture f;
	int fd[CLIENTS];

	(void)state;
	init(&f);
	open_listener(&f);
	for (int i = 0; i < CLIENTS; i++) {
		char from[32];

		(void)snprintf(from, sizeof(from), "127.0.1.%d", i + 1);
		fd[i] = client(&f, from);
	}
	until(&f, &f.opened, CLIENTS);
	assert_int_equal(peer_count_addresses(&f.l->peers), CLIENTS);
	for (int i = 0; i < CLIENTS; i++)
		send_all(fd[i], "\1a", 2);
	for (int i = 0; i < CLIENTS; i++)
		expect(&f, fd[i], "\1a", 2);
	for (int i = 0; i < CLIENTS; i += 2)
		close(fd[i]);
	until(&f, &f.closed, CLIENTS / 2);
	assert_int_equal(peer_count_addresses(&f.l->peers), CLIENTS / 2);
	for (int i = 1; i < CLIENTS; i += 2)
		close(fd[i]);
	finish(&f);
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
		cmocka_unit_test(t_close_without_a_byte_written),
		cmocka_unit_test(t_R04_idle_clients_go),
		cmocka_unit_test(t_R04_slowloris),
		cmocka_unit_test(t_R04_reader_that_does_not_read),
		cmocka_unit_test(t_deadline_back_to_idle),
		cmocka_unit_test(t_R04_allow),
		cmocka_unit_test(t_R04_limits),
		cmocka_unit_test(t_R04_no_descriptors_left),
		cmocka_unit_test(t_bind_failures_have_sentences),
		cmocka_unit_test(t_both_families_on_one_port),
		cmocka_unit_test(t_stop_lets_open_ones_go_on),
		cmocka_unit_test(t_free_at_every_step),
		cmocka_unit_test(t_free_inside_a_callback),
		cmocka_unit_test(t_connections_are_small),
		cmocka_unit_test(t_many_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
