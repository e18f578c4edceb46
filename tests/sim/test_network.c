/* The network of the played machine, as a program of a few system calls sees it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/sim/calls.h"
#include "tests/sim/sim.h"

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			sim_fail("%s:%d: %s (errno %d)", __FILE__, __LINE__, #x, errno);           \
	} while (0)

#define BIG 1000000u

static struct shared {
	struct addr own, peer;
	size_t n, bytes, ends, opens;
	int err;
	uint64_t at_us[64];
	uint8_t first[64]; /* the first byte of each message */
	struct sim_conn *conn;
	size_t answers; /* how many to each request */
	bool hold;
} * shared;

static void begin(uint64_t seed)
{
	sim_new(seed);
	shared = sim_alloc(sizeof(*shared));
	assert_int_equal(addr_parse("10.0.0.2", 0, &shared->own), 0);
	assert_int_equal(addr_parse("10.0.0.53:53", 0, &shared->peer), 0);
	shared->answers = 1;
}

static void note(const uint8_t *data, size_t len)
{
	MUST(shared->n < 64);
	shared->first[shared->n] = len > 0 ? data[0] : 0;
	shared->at_us[shared->n++] = sim_now_us();
}

static void runs_well(int (*program)(int argc, char **argv))
{
	char *argv[] = { (char[]){ "program" }, NULL };
	const struct sim_process p = {
		.argc = 1,
		.argv = argv,
		.main = program,
		.own = &shared->own,
		.n_own = 1,
	};
	struct sim_life life = sim_run(&p);

	if (life.end != SIM_ENDED || life.code != 0)
		fail_msg("end %d, code %d: %s", (int)life.end, life.code, sim_failure());
}

static void rule(uint32_t latency_us, uint32_t jitter_us, uint16_t lose, uint16_t repeat, bool cut)
{
	const struct sim_rule r = { .latency_us = latency_us,
				    .jitter_us = jitter_us,
				    .lose = lose,
				    .repeat = repeat,
				    .cut = cut };

	sim_rule(&r);
}

static void cut(void *ctx, uint64_t arg)
{
	(void)ctx;
	rule(1000, 0, 0, 0, arg != 0);
}

/* ---- for the programs ---- */

/* @return what is ready: 0 after the time */
static uint32_t wait_for(int fd, uint32_t events, int timeout_ms)
{
	static int epfd = -1;
	struct epoll_event ev = { .events = events };
	int n;

	if (epfd < 0)
		epfd = sim_call_epoll_create1(0);
	MUST(sim_call_epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == 0);
	n = sim_call_epoll_wait(epfd, &ev, 1, timeout_ms);
	MUST(sim_call_epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL) == 0);
	return n > 0 ? ev.events : 0;
}

static int new_socket(int type)
{
	int fd = sim_call_socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	return fd;
}

static int connect_to(int type, const struct addr *to)
{
	int fd = new_socket(type);
	int rc = sim_call_connect(fd, &to->u.sa, addr_len(to));

	MUST(type == SOCK_DGRAM ? rc == 0 : rc < 0 && errno == EINPROGRESS);
	return fd;
}

static int so_error(int fd)
{
	int err = -1;
	socklen_t len = sizeof(err);

	MUST(sim_call_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) == 0);
	return err;
}

static int open_stream(void)
{
	int fd = connect_to(SOCK_STREAM, &shared->peer);

	MUST((wait_for(fd, EPOLLOUT, -1) & EPOLLOUT) != 0);
	MUST(so_error(fd) == 0);
	return fd;
}

/* Up to the end, or the first error. */
static size_t read_all(int fd, int *ret_err)
{
	static uint8_t buf[10000];
	size_t all = 0;
	ssize_t n;

	for (;;) {
		n = sim_call_read(fd, buf, sizeof(buf));
		if (n > 0) {
			all += (size_t)n;
			continue;
		}
		*ret_err = n < 0 ? errno : 0;
		if (n == 0 || errno != EAGAIN || wait_for(fd, EPOLLIN, -1) == 0)
			return all;
	}
}

static size_t write_all(int fd, size_t len, int wait_ms)
{
	static uint8_t buf[10000];
	size_t all = 0;
	ssize_t n;

	while (all < len) {
		n = sim_call_write(fd, buf, len - all < sizeof(buf) ? len - all : sizeof(buf));
		if (n > 0)
			all += (size_t)n;
		else if (errno != EAGAIN || wait_for(fd, EPOLLOUT, wait_ms) == 0)
			break;
	}
	return all;
}

/* ---- datagrams ---- */

static void answer_datagram(void *ctx, const struct addr *to, const struct addr *from,
			    const uint8_t *data, size_t len)
{
	(void)ctx;
	MUST(addr_equal(to, &shared->peer));
	MUST(addr_same_host(from, &shared->own));
	note(data, len);
	for (size_t i = 0; i < shared->answers; i++)
		sim_udp_send(to, from, data, len);
}

static int asks(int argc, char **argv)
{
	int fd = connect_to(SOCK_DGRAM, &shared->peer);
	struct addr at = { 0 };
	socklen_t len = sizeof(at);
	uint8_t buf[16] = { 0 };

	(void)argc;
	(void)argv;
	MUST(sim_call_getsockname(fd, &at.u.sa, &len) == 0);
	MUST(addr_same_host(&at, &shared->own) && addr_port(&at) != 0);
	MUST(sim_call_send(fd, "abc", 3, 0) == 3);
	MUST(sim_call_recv(fd, buf, sizeof(buf), 0) < 0 && errno == EAGAIN);
	MUST((wait_for(fd, EPOLLIN, 1000) & EPOLLIN) != 0);
	MUST(sim_call_recv(fd, buf, sizeof(buf), 0) == 3 && memcmp(buf, "abc", 3) == 0);
	MUST(sim_now_us() == 2 * 1500);
	return sim_call_close(fd);
}

static void t_datagram_there_and_back(void **state)
{
	(void)state;
	begin(1);
	rule(1500, 0, 0, 0, false);
	sim_udp_open(&shared->peer, answer_datagram, NULL);
	runs_well(asks);
	assert_int_equal(shared->n, 1);
	assert_int_equal(shared->at_us[0], 1500);
}

static int asks_nobody(int argc, char **argv)
{
	int fd = connect_to(SOCK_DGRAM, &shared->peer), loose = new_socket(SOCK_DGRAM);
	uint8_t b;

	(void)argc;
	(void)argv;
	MUST(sim_call_send(fd, "abc", 3, 0) == 3);
	MUST((wait_for(fd, EPOLLIN, 1000) & EPOLLERR) != 0);
	MUST(sim_call_recv(fd, &b, 1, 0) < 0 && errno == ECONNREFUSED);
	MUST(sim_call_recv(fd, &b, 1, 0) < 0 && errno == EAGAIN); /* told once */
	MUST(sim_call_sendto(loose, "abc", 3, 0, &shared->peer.u.sa, addr_len(&shared->peer)) == 3);
	MUST(wait_for(loose, EPOLLIN, 1000) == 0); /* not connected: never told */
	return 0;
}

static void t_closed_port_refuses(void **state)
{
	(void)state;
	begin(1);
	runs_well(asks_nobody);
}

static int asks_often(int argc, char **argv)
{
	int fd = connect_to(SOCK_DGRAM, &shared->peer);

	(void)argc;
	(void)argv;
	for (uint8_t i = 1; i <= 20; i++)
		MUST(sim_call_send(fd, &i, 1, 0) == 1);
	while (wait_for(fd, EPOLLIN, 1000) != 0) {
		uint8_t b;

		MUST(sim_call_recv(fd, &b, 1, 0) == 1);
		shared->bytes++;
	}
	return 0;
}

static uint64_t digest_of(uint64_t seed)
{
	begin(seed);
	rule(1000, 5000, 200, 100, false);
	sim_udp_open(&shared->peer, answer_datagram, NULL);
	runs_well(asks_often);
	return sim_digest();
}

static void t_same_seed_same_run(void **state)
{
	bool overtaken = false;
	uint64_t first;

	(void)state;
	first = digest_of(5);
	assert_in_range(shared->n, 8, 22); /* lost some, repeated some */
	assert_true(shared->bytes < shared->n + 5);
	for (size_t i = 1; i < shared->n; i++)
		overtaken = overtaken || shared->first[i] < shared->first[i - 1];
	assert_true(overtaken);
	assert_true(digest_of(5) == first);
	assert_true(digest_of(6) != first);
}

static void t_rules_lose_and_repeat(void **state)
{
	(void)state;
	begin(1);
	rule(1000, 0, 1000, 0, false);
	sim_udp_open(&shared->peer, answer_datagram, NULL);
	runs_well(asks_often);
	assert_int_equal(shared->n, 0);
	begin(1);
	rule(1000, 0, 0, 1000, false);
	sim_udp_open(&shared->peer, answer_datagram, NULL);
	runs_well(asks_often);
	assert_int_equal(shared->n, 40);
	assert_int_equal(shared->bytes, 80);
}

static int binds(int argc, char **argv)
{
	int fd = new_socket(SOCK_DGRAM), other = new_socket(SOCK_DGRAM), v6;
	struct addr at = shared->own, far = shared->peer;

	(void)argc;
	(void)argv;
	addr_set_port(&at, 99);
	MUST(sim_call_bind(fd, &far.u.sa, addr_len(&far)) < 0 && errno == EADDRNOTAVAIL);
	MUST(sim_call_bind(fd, &at.u.sa, addr_len(&at)) == 0);
	MUST(sim_call_bind(other, &at.u.sa, addr_len(&at)) < 0 && errno == EADDRINUSE);
	v6 = sim_call_socket(AF_INET6, SOCK_DGRAM, 0);
	MUST(addr_parse("[2001:db8::1]:53", 0, &far) == 0);
	MUST(sim_call_connect(v6, &far.u.sa, addr_len(&far)) < 0 && errno == ENETUNREACH);
	MUST(addr_parse("[::1]:53", 0, &far) == 0);
	MUST(sim_call_connect(v6, &far.u.sa, addr_len(&far)) == 0);
	MUST(sim_open_sockets() == 3);
	return 0;
}

static void t_addresses_are_those_of_the_machine(void **state)
{
	(void)state;
	begin(1);
	runs_well(binds);
}

/* ---- connections ---- */

static void on_open(struct sim_conn *c)
{
	shared->opens++;
	shared->conn = c;
	if (shared->hold)
		sim_conn_hold(c, true);
}

static void on_data(struct sim_conn *c, const uint8_t *data, size_t len)
{
	if (shared->n < 64)
		note(data, len);
	shared->bytes += len;
	for (size_t i = 0; i < shared->answers; i++)
		sim_conn_write(c, data, len);
}

static void on_closed(struct sim_conn *c, int err)
{
	(void)c;
	shared->ends++;
	shared->err = err;
	shared->conn = NULL;
}

static const struct sim_conn_ops ops = { on_open, on_data, on_closed };

static void serve(size_t answers)
{
	rule(1000, 0, 0, 0, false);
	shared->answers = answers;
	sim_tcp_listen(&shared->peer, &ops, NULL);
}

static void end_conn(void *ctx, uint64_t arg)
{
	(void)ctx;
	if (arg == 0)
		sim_conn_close(shared->conn);
	else if (arg == 1)
		sim_conn_reset(shared->conn);
	else if (arg == 2)
		sim_conn_shutdown(shared->conn);
	else
		sim_conn_hold(shared->conn, false);
}

static int talks(int argc, char **argv)
{
	int fd = open_stream(), err;
	uint8_t buf[16];

	(void)argc;
	(void)argv;
	MUST(sim_now_us() == 2000);
	MUST(sim_call_write(fd, "abc", 3) == 3);
	MUST(wait_for(fd, EPOLLIN, -1) == EPOLLIN);
	MUST(sim_now_us() == 4000);
	MUST(sim_call_read(fd, buf, sizeof(buf)) == 3 && memcmp(buf, "abc", 3) == 0);
	MUST(sim_call_shutdown(fd, SHUT_WR) == 0);
	MUST(sim_call_write(fd, "d", 1) < 0 && errno == EPIPE);
	MUST(read_all(fd, &err) == 0 && err == 0);
	return sim_call_close(fd);
}

static void t_stream_there_and_back(void **state)
{
	(void)state;
	begin(1);
	serve(1);
	runs_well(talks);
	assert_int_equal(shared->opens, 1);
	assert_int_equal(shared->ends, 1);
	assert_int_equal(shared->err, 0);
}

static int is_refused(int argc, char **argv)
{
	int fd = connect_to(SOCK_STREAM, &shared->peer);

	(void)argc;
	(void)argv;
	MUST((wait_for(fd, EPOLLOUT, -1) & EPOLLERR) != 0);
	MUST(so_error(fd) == ECONNREFUSED);
	return 0;
}

static int is_timed_out(int argc, char **argv)
{
	int fd = connect_to(SOCK_STREAM, &shared->peer);

	(void)argc;
	(void)argv;
	MUST((wait_for(fd, EPOLLOUT, -1) & EPOLLERR) != 0);
	MUST(so_error(fd) == ETIMEDOUT);
	MUST(sim_now() > 60000 && sim_now() < 200000);
	return 0;
}

static void t_connect_fails_as_it_should(void **state)
{
	(void)state;
	begin(1);
	runs_well(is_refused);
	begin(1);
	rule(1000, 0, 0, 0, true);
	runs_well(is_timed_out);
}

static int sends_much(int argc, char **argv)
{
	int fd = open_stream(), err;
	size_t n = write_all(fd, BIG, 1000);

	(void)argc;
	(void)argv;
	MUST(n >= 65536 && n <= 200000); /* the peer reads nothing */
	MUST(sim_now() < 2000);
	MUST(write_all(fd, BIG - n, 20000) == BIG - n);
	MUST(sim_call_shutdown(fd, SHUT_WR) == 0);
	MUST(read_all(fd, &err) == 0 && err == 0);
	return 0;
}

static void t_backpressure_from_the_peer(void **state)
{
	(void)state;
	begin(1);
	serve(0);
	shared->hold = true;
	sim_at(5000, end_conn, NULL, 3);
	runs_well(sends_much);
	assert_int_equal(shared->bytes, BIG);
}

static int reads_late(int argc, char **argv)
{
	int fd = open_stream(), err;
	struct timespec nap = { 100, 0 };

	(void)argc;
	(void)argv;
	MUST(sim_call_write(fd, "x", 1) == 1);
	(void)sim_call_nanosleep(&nap, NULL);
	MUST(read_all(fd, &err) == BIG && err == 0);
	return 0;
}

static void answer_much(struct sim_conn *c, const uint8_t *data, size_t len)
{
	static const uint8_t buf[BIG];

	(void)data;
	(void)len;
	sim_conn_write(c, buf, BIG);
	sim_conn_close(c);
}

static void t_backpressure_to_the_peer(void **state)
{
	static const struct sim_conn_ops much = { on_open, answer_much, on_closed };

	(void)state;
	begin(1);
	sim_tcp_listen(&shared->peer, &much, NULL);
	runs_well(reads_late);
	assert_int_equal(shared->ends, 0); /* it has closed it itself */
}

static int sees_reset(int argc, char **argv)
{
	int fd = open_stream(), err;

	(void)argc;
	(void)argv;
	MUST(sim_call_write(fd, "abc", 3) == 3);
	MUST(read_all(fd, &err) == 3 && err == ECONNRESET); /* what came before is there */
	MUST(sim_call_write(fd, "d", 1) < 0 && errno == EPIPE);
	return 0;
}

static void t_reset_by_the_peer(void **state)
{
	(void)state;
	begin(1);
	serve(1);
	sim_at(10, end_conn, NULL, 1);
	runs_well(sees_reset);
}

static int writes_to_the_closed(int argc, char **argv)
{
	int fd = open_stream(), err;

	(void)argc;
	(void)argv;
	MUST(read_all(fd, &err) == 0 && err == 0);
	MUST(sim_call_write(fd, "abc", 3) == 3);
	MUST((wait_for(fd, EPOLLIN, 1000) & EPOLLIN) != 0);
	MUST((wait_for(fd, 0, 1000) & EPOLLERR) != 0);
	MUST(sim_call_write(fd, "abc", 3) < 0 && errno == EPIPE);
	return 0;
}

static int closes_unread(int argc, char **argv)
{
	int fd = open_stream();

	(void)argc;
	(void)argv;
	MUST(sim_call_write(fd, "abc", 3) == 3);
	MUST((wait_for(fd, EPOLLIN, 1000) & EPOLLIN) != 0);
	MUST(sim_call_close(fd) == 0);
	(void)wait_for(new_socket(SOCK_DGRAM), EPOLLIN, 100);
	return 0;
}

static void t_closed_too_early(void **state)
{
	(void)state;
	begin(1);
	serve(1);
	sim_at(10, end_conn, NULL, 0);
	runs_well(writes_to_the_closed);
	begin(1);
	serve(1);
	runs_well(closes_unread);
	assert_int_equal(shared->ends, 1);
	assert_int_equal(shared->err, -ECONNRESET);
}

static int is_cut_off(int argc, char **argv)
{
	int fd = open_stream(), err;

	(void)argc;
	(void)argv;
	MUST(wait_for(fd, EPOLLIN, 50) == 0);
	MUST(sim_call_write(fd, "abc", 3) == 3);
	MUST(wait_for(fd, EPOLLIN, 900) == 0);
	MUST((wait_for(fd, EPOLLIN, 10000) & EPOLLIN) != 0); /* sent again after 1 s */
	MUST(wait_for(new_socket(SOCK_DGRAM), EPOLLIN, 100000) == 0);
	MUST(sim_call_write(fd, "abc", 3) == 3);
	MUST(read_all(fd, &err) == 3 && err == ETIMEDOUT);
	MUST(sim_now() > 15 * 60000);
	return 0;
}

static void t_cut_link_hangs(void **state)
{
	(void)state;
	begin(1);
	serve(1);
	sim_at(10, cut, NULL, 1);
	sim_at(1000, cut, NULL, 0);
	sim_at(50000, cut, NULL, 1);
	runs_well(is_cut_off);
}

static int keeps_alive(int argc, char **argv)
{
	const int on = 1, idle_s = 60, every_s = 10, tries = 3;
	int fd = open_stream(), err;

	(void)argc;
	(void)argv;
	MUST(sim_call_setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(int)) == 0);
	MUST(sim_call_setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(int)) == 0);
	MUST(sim_call_setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(int)) == 0);
	MUST(sim_call_setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(int)) == 0);
	MUST(read_all(fd, &err) == 0 && err == ETIMEDOUT);
	MUST(sim_now() >= 3600000 && sim_now() <= 3600000 + 60000 + 40000);
	return 0;
}

static void t_keepalive_finds_a_dead_peer(void **state)
{
	(void)state;
	begin(1);
	serve(1);
	sim_at(3600000, cut, NULL, 1);
	runs_well(keeps_alive);
}

static int connects_often(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (size_t i = 0; i < 3 * SIM_CONNS_MAX; i++) {
		int fd = open_stream(), err;

		MUST(sim_call_write(fd, "abc", 3) == 3);
		if (i % 3 == 0)
			MUST(sim_call_shutdown(fd, SHUT_WR) == 0 && read_all(fd, &err) == 3);
		if (i % 3 == 1)
			MUST(wait_for(fd, EPOLLIN, -1) != 0); /* it closes with a reset */
		MUST(sim_call_close(fd) == 0);
	}
	return 0;
}

static void t_nothing_is_left_of_connections(void **state)
{
	(void)state;
	begin(1);
	serve(1);
	runs_well(connects_often);
	sim_idle(sim_now() + 10000);
	assert_int_equal(shared->opens, shared->ends);
	assert_int_equal(shared->opens, 3 * SIM_CONNS_MAX);
}

/* ---- the program listens ---- */

static void come(void *ctx, uint64_t arg)
{
	struct addr to = shared->own, from;

	(void)ctx;
	(void)arg;
	MUST(addr_parse("10.0.9.1", 0, &from) == 0);
	addr_set_port(&to, 1688);
	shared->conn = sim_tcp_connect(&from, &to, &ops, NULL);
	sim_conn_write(shared->conn, (const uint8_t *)"hello", 5);
}

static int listen_at(void)
{
	int fd = new_socket(SOCK_STREAM);
	struct addr at;

	MUST(addr_parse("0.0.0.0:1688", 0, &at) == 0);
	MUST(sim_call_bind(fd, &at.u.sa, addr_len(&at)) == 0);
	MUST(sim_call_listen(fd, 2) == 0);
	return fd;
}

static int serves_one(int argc, char **argv)
{
	int l = listen_at(), fd;
	struct addr from = { 0 };
	socklen_t len = sizeof(from);
	uint8_t buf[16];

	(void)argc;
	(void)argv;
	MUST(sim_call_accept4(l, NULL, NULL, 0) < 0 && errno == EAGAIN);
	MUST(wait_for(l, EPOLLIN, -1) == EPOLLIN);
	fd = sim_call_accept4(l, &from.u.sa, &len, SOCK_NONBLOCK);
	MUST(fd >= 0 && addr_port(&from) != 0);
	MUST(wait_for(fd, EPOLLIN, -1) == EPOLLIN);
	MUST(sim_call_read(fd, buf, sizeof(buf)) == 5 && memcmp(buf, "hello", 5) == 0);
	MUST((wait_for(fd, EPOLLIN, -1) & EPOLLIN) != 0);
	MUST(sim_call_read(fd, buf, sizeof(buf)) == 0); /* its side is shut down */
	MUST(sim_call_write(fd, "bye", 3) == 3);
	MUST(sim_call_close(fd) == 0);
	return sim_call_close(l);
}

static void t_clients_come(void **state)
{
	(void)state;
	begin(1);
	rule(1000, 0, 0, 0, false);
	shared->answers = 0;
	sim_at(5, come, NULL, 0);
	sim_at(100, end_conn, NULL, 2);
	runs_well(serves_one);
	sim_idle(1000); /* what it sent last is still under way at its end */
	assert_int_equal(shared->opens, 1);
	assert_int_equal(shared->bytes, 3);
	assert_int_equal(shared->ends, 1);
	assert_int_equal(shared->err, 0);
	come(NULL, 0); /* nobody there */
	sim_idle(2000);
	assert_int_equal(shared->ends, 2);
	assert_int_equal(shared->err, -ECONNREFUSED);
}

static int talks_to_itself(int argc, char **argv)
{
	int l = listen_at(), a, b, err;
	struct addr at;

	(void)argc;
	(void)argv;
	MUST(addr_parse("127.0.0.1:1688", 0, &at) == 0);
	a = connect_to(SOCK_STREAM, &at);
	MUST(wait_for(l, EPOLLIN, -1) == EPOLLIN);
	b = sim_call_accept4(l, NULL, NULL, 0);
	MUST(b >= 0);
	MUST(wait_for(a, EPOLLOUT, -1) == EPOLLOUT);
	MUST(sim_call_write(a, "abc", 3) == 3);
	MUST(sim_call_close(a) == 0);
	MUST(read_all(b, &err) == 3 && err == 0);
	MUST(sim_call_close(b) == 0);
	return 0;
}

static void t_program_reaches_itself(void **state)
{
	(void)state;
	begin(1);
	runs_well(talks_to_itself);
}

static void crash(void *ctx, uint64_t arg)
{
	(void)ctx;
	(void)arg;
	sim_crash();
}

static int waits(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	(void)wait_for(open_stream(), EPOLLIN, 100000);
	return 0;
}

static void t_crash_ends_connections(void **state)
{
	char *argv[] = { (char[]){ "program" }, NULL };
	struct sim_process p = { .argc = 1, .argv = argv, .main = waits };

	(void)state;
	begin(1);
	p.own = &shared->own;
	p.n_own = 1;
	serve(0);
	sim_at(1000, crash, NULL, 0);
	assert_int_equal(sim_run(&p).end, SIM_CRASHED);
	assert_int_equal(shared->ends, 1);
	assert_int_equal(shared->err, -ECONNRESET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_datagram_there_and_back),
		cmocka_unit_test(t_closed_port_refuses),
		cmocka_unit_test(t_same_seed_same_run),
		cmocka_unit_test(t_rules_lose_and_repeat),
		cmocka_unit_test(t_addresses_are_those_of_the_machine),
		cmocka_unit_test(t_stream_there_and_back),
		cmocka_unit_test(t_connect_fails_as_it_should),
		cmocka_unit_test(t_backpressure_from_the_peer),
		cmocka_unit_test(t_backpressure_to_the_peer),
		cmocka_unit_test(t_reset_by_the_peer),
		cmocka_unit_test(t_closed_too_early),
		cmocka_unit_test(t_cut_link_hangs),
		cmocka_unit_test(t_keepalive_finds_a_dead_peer),
		cmocka_unit_test(t_nothing_is_left_of_connections),
		cmocka_unit_test(t_clients_come),
		cmocka_unit_test(t_program_reaches_itself),
		cmocka_unit_test(t_crash_ends_connections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
