#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
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

#include "tests/lib/listener_fixture.h"

/* Rules */

static void t_R04_allow(void **state)
{
	struct cidr allow[2];
	struct lfx f;
	int bad, good;

	(void)state;
	lfx_init(&f);
	assert_int_equal(cidr_parse("192.0.2.0/24", &allow[0]), 0);
	assert_int_equal(cidr_parse("127.0.0.2", &allow[1]), 0);
	f.p.allow = allow;
	f.p.n_allow = 2;
	lfx_open_listener(&f);
	bad = lfx_client(&f, NULL);
	good = lfx_client(&f, "127.0.0.2");
	lfx_until(&f, &f.refused, 1);
	assert_int_equal(f.why, -EACCES);
	assert_int_equal(lfx_drain(&f, bad), 0);
	lfx_send_all(good, "\1a", 2);
	lfx_expect(&f, good, "\1a", 2);
	assert_int_equal(f.opened, 1);
	listener_set_rules(f.l, allow, 1, 10, 10, LFX_PATIENCE_MS);
	close(bad);
	bad = lfx_client(&f, "127.0.0.2");
	lfx_until(&f, &f.refused, 2);
	close(bad);
	lfx_send_all(good, "\1b", 2); /* it was let in before */
	lfx_expect(&f, good, "\1b", 2);
	close(good);
	lfx_finish(&f);
}

static void t_R04_limits(void **state)
{
	static const char *const from[] = { NULL, NULL, NULL, "127.0.0.2", "127.0.0.3" };
	static const int why[] = { 0, 0, ERR_LIMIT, 0, ERR_LIMIT };
	struct lfx f;
	int fd[5];

	(void)state;
	lfx_init(&f);
	f.p.max_conns = 3;
	f.p.max_per_address = 2;
	lfx_open_listener(&f);
	for (int i = 0; i < 5; i++) {
		unsigned before = f.refused;

		fd[i] = lfx_client(&f, from[i]);
		while (f.opened + f.refused < (unsigned)i + 1)
			uv_run(&f.t.loop, UV_RUN_ONCE);
		assert_int_equal(f.refused, before + (why[i] != 0));
		if (why[i] != 0)
			assert_int_equal(f.why, why[i]);
	}
	assert_int_equal(listener_count(f.l), 3);
	close(fd[0]); /* makes room for its address and in all */
	lfx_until(&f, &f.closed, 1);
	close(fd[2]);
	fd[2] = lfx_client(&f, NULL);
	lfx_until(&f, &f.opened, 4);
	close(fd[4]);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
	lfx_finish(&f);
}

static void t_R04_no_descriptors_left(void **state)
{
	struct rlimit was, low;
	int fd[5], probe;
	struct lfx f;

	(void)state;
	if (getenv("KMSBEACON_TEST_VALGRIND") != NULL) {
		print_message("valgrind keeps the limit of open files to itself\n");
		skip();
	}
	lfx_init(&f);
	lfx_open_listener(&f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	for (int i = 0; i < 5; i++)
		fd[i] = lfx_client(&f, NULL);
	test_net_step(&f.t); /* libuv opens what it needs */
	lfx_until(&f, &f.opened, 5);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	lfx_until(&f, &f.closed, 5);
	for (int i = 0; i < 5; i++)
		fd[i] = lfx_client(&f, NULL);
	probe = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(probe >= 0);
	close(probe);
	low = was;
	low.rlim_cur = (rlim_t)probe; /* the lowest free one, so nothing can be opened */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	lfx_until(&f, &f.refused, 5);
	assert_int_equal(f.why, -EMFILE);
	assert_true(f.l->pause.pos != 0); /* no busy loop */
	for (int i = 0; i < 5; i++)
		assert_int_equal(lfx_drain(&f, fd[i]), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	probe = lfx_client(&f, NULL); /* served when the pause is over */
	lfx_send_all(probe, "\1a", 2);
	lfx_expect(&f, probe, "\1a", 2);
	close(probe);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
	/* a pause that ends behind the end of accepting opens nothing again */
	assert_int_equal(listener_deadline(f.l, &f.l->pause, 0), 0);
	listener_stop(f.l);
	while (f.l->pause.pos != 0)
		uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_int_equal(f.opened, 6);
	lfx_finish(&f);
}

/* Listening */

static int try_listen(struct lfx *f, const char *text, struct err_info *info)
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
	struct lfx f;

	(void)state;
	lfx_init(&f);
	lfx_open_listener(&f);
	addr_format(listener_addr(f.l, 0), taken);
	assert_int_equal(try_listen(&f, taken, &info), -EADDRINUSE);
	assert_non_null(strstr(info.text, taken));
	assert_non_null(strstr(info.text, "another program"));
	assert_int_equal(try_listen(&f, "192.0.2.1:0", &info), -EADDRNOTAVAIL);
	assert_non_null(strstr(info.text, "192.0.2.1:0"));
	f.p.n_listen = 0;
	assert_int_equal(listener_new(&f.t.net, &f.p, &f.l, &info), ERR_LIMIT);
	lfx_finish(&f);
}

static void t_both_families_on_one_port(void **state)
{
	struct lfx f;
	struct addr six;
	int fd;

	(void)state;
	if (!test_net_has_ipv6())
		skip();
	lfx_init(&f);
	f.listen[0] = test_addr("0.0.0.0:0");
	lfx_open_listener(&f);
	f.listen[0] = *listener_addr(f.l, 0);
	listener_free(f.l, NULL, NULL);
	uv_run(&f.t.loop, UV_RUN_DEFAULT);
	f.listen[1] = test_addr("[::]:0");
	addr_set_port(&f.listen[1], addr_port(&f.listen[0]));
	f.p.n_listen = 2;
	lfx_open_listener(&f);
	assert_int_equal(listener_addr_count(f.l), 2);
	six = test_addr("::1");
	addr_set_port(&six, addr_port(listener_addr(f.l, 1)));
	fd = lfx_try_client(&six, NULL);
	assert_true(fd >= 0);
	lfx_send_all(fd, "\1a", 2);
	lfx_expect(&f, fd, "\1a", 2);
	assert_int_equal(conn_peer(f.last)->u.sa.sa_family, AF_INET6);
	close(fd);
	lfx_finish(&f);
}

static void t_stop_lets_open_ones_go_on(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	f.stop_in_open = true;
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL);
	lfx_until(&f, &f.opened, 1);
	listener_stop(f.l);
	assert_int_equal(lfx_try_client(listener_addr(f.l, 0), NULL), -1);
	lfx_send_all(fd, "\1a", 2);
	lfx_expect(&f, fd, "\1a", 2);
	close(fd);
	lfx_finish(&f);
}

/* Sockets that are handed in */

/** What systemd does: bound, listening, ours to keep. */
static int made_elsewhere(struct addr *ret)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct addr a = test_addr("127.0.0.1:0");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &a.u.sa, addr_len(&a)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(addr_from_sockaddr(ret, (struct sockaddr *)&ss), 0);
	return fd;
}

static void t_handed_in_socket_is_served(void **state)
{
	struct lfx f;
	int sockets[2], fd, waits;

	(void)state;
	lfx_init(&f);
	sockets[0] = made_elsewhere(&f.listen[2]);
	sockets[1] = -1; /* and one that is opened here */
	f.listen[1] = test_addr("127.0.0.1:0");
	f.p.n_listen = 2;
	f.p.sockets = sockets;
	waits = lfx_try_client(&f.listen[2], NULL); /* before we were there */
	assert_true(waits >= 0);
	lfx_open_listener(&f);
	assert_true(addr_equal(listener_addr(f.l, 0), &f.listen[2]));
	lfx_send_all(waits, "\1a", 2);
	lfx_expect(&f, waits, "\1a", 2);
	fd = lfx_try_client(listener_addr(f.l, 1), NULL);
	assert_true(fd >= 0);
	lfx_send_all(fd, "\1b", 2);
	lfx_expect(&f, fd, "\1b", 2);
	close(fd);

	/* stopped: the kernel goes on taking clients, and we send them away */
	listener_stop(f.l);
	listener_stop(f.l);
	assert_int_equal(lfx_try_client(listener_addr(f.l, 1), NULL), -1);
	fd = lfx_try_client(&f.listen[2], NULL);
	assert_true(fd >= 0);
	assert_int_equal(lfx_drain(&f, fd), 0);
	close(fd);
	assert_int_equal(f.refused, 1);
	assert_int_equal(f.why, -ESHUTDOWN);
	lfx_send_all(waits, "\1c", 2); /* who is there goes on */
	lfx_expect(&f, waits, "\1c", 2);
	close(waits);
	close(sockets[0]);
	lfx_finish(&f);
}

/* A restart loses nobody: who has come is taken, who comes then waits for the next one. */
static void t_release_leaves_nobody_behind(void **state)
{
	struct lfx f;
	int socket, first, later;
	struct listener *old;

	(void)state;
	lfx_init(&f);
	socket = made_elsewhere(&f.listen[0]);
	f.p.sockets = &socket;
	lfx_open_listener(&f);
	first = lfx_client(&f, NULL);
	old = f.l;
	listener_release(old);
	listener_release(old);
	assert_int_equal(f.opened, 1);
	later = lfx_client(&f, NULL);
	for (int i = 0; i < 3; i++)
		test_net_step(&f.t);
	assert_int_equal(f.opened, 1);
	assert_int_equal(f.refused, 0);
	lfx_open_listener(&f);
	lfx_send_all(later, "\1b", 2);
	lfx_expect(&f, later, "\1b", 2);
	lfx_send_all(first, "\1a", 2);
	lfx_expect(&f, first, "\1a", 2);
	close(first);
	close(later);
	lfx_until(&f, &f.closed, 2);
	listener_free(old, NULL, NULL);
	close(socket);
	lfx_finish(&f);
}

static void t_own_sockets_are_released_too(void **state)
{
	struct lfx f;
	int fd;

	(void)state;
	lfx_init(&f);
	lfx_open_listener(&f);
	fd = lfx_client(&f, NULL); /* not accepted yet: a closed queue would reset it */
	listener_release(f.l);
	assert_int_equal(lfx_try_client(listener_addr(f.l, 0), NULL), -1);
	lfx_send_all(fd, "\1a", 2);
	lfx_expect(&f, fd, "\1a", 2);
	close(fd);
	lfx_finish(&f);
}

static void t_what_is_handed_in_may_be_wrong(void **state)
{
	int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int sockets[3] = { bound, open("/dev/null", O_RDONLY | O_CLOEXEC), 9999 };
	struct err_info info;
	struct lfx f;

	(void)state;
	lfx_init(&f);
	for (int i = 0; i < 3; i++) {
		f.p.sockets = &sockets[i];
		assert_int_not_equal(listener_new(&f.t.net, &f.p, &f.l, &info), 0);
		assert_non_null(strstr(info.text, "handed in"));
	}
	assert_int_equal(fcntl(bound, F_GETFD), FD_CLOEXEC); /* still the caller's */
	close(bound);
	close(sockets[1]);
	test_net_done(&f.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_R04_allow),
		cmocka_unit_test(t_R04_limits),
		cmocka_unit_test(t_R04_no_descriptors_left),
		cmocka_unit_test(t_bind_failures_have_sentences),
		cmocka_unit_test(t_both_families_on_one_port),
		cmocka_unit_test(t_stop_lets_open_ones_go_on),
		cmocka_unit_test(t_handed_in_socket_is_served),
		cmocka_unit_test(t_release_leaves_nobody_behind),
		cmocka_unit_test(t_own_sockets_are_released_too),
		cmocka_unit_test(t_what_is_handed_in_may_be_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
