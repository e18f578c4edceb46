/**
 * The played sockets beside those of the real kernel: the same calls give the same results, errors
 * and readiness. Each row is a run of calls on sockets named by letters, over loopback:
 *	tcp A, udp A           a socket, nonblocking
 *	bind A, listen A       on a free port
 *	connect A B            to the address that B has or had
 *	accept A B             from B's queue
 *	write A N, read A N, shut A HOW, close A, error A (SO_ERROR), linger A, peer A (getpeername)
 *	look A                 what poll() says, in the end
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/err.h"
#include "tests/sim/calls.h"
#include "tests/sim/sim.h"

#define TRACE_MAX 4096
#define WAIT_MS   2000 /* for the real kernel */

static const struct calls {
	int (*socket)(int family, int type, int protocol);
	int (*bind)(int fd, const struct sockaddr *sa, socklen_t len);
	int (*listen)(int fd, int n);
	int (*connect)(int fd, const struct sockaddr *sa, socklen_t len);
	int (*accept4)(int fd, struct sockaddr *sa, socklen_t *len, int flags);
	int (*getsockname)(int fd, struct sockaddr *sa, socklen_t *len);
	int (*getpeername)(int fd, struct sockaddr *sa, socklen_t *len);
	int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
	int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
	int (*shutdown)(int fd, int how);
	int (*close)(int fd);
	ssize_t (*write)(int fd, const void *data, size_t len);
	ssize_t (*read)(int fd, void *buf, size_t size);
	int (*epoll_create1)(int flags);
	int (*epoll_ctl)(int epfd, int op, int fd, struct epoll_event *ev);
	int (*epoll_wait)(int epfd, struct epoll_event *events, int max, int timeout);
} real = { socket,     bind,     listen, connect, accept4, getsockname,   getpeername, getsockopt,
	   setsockopt, shutdown, close,  write,   read,    epoll_create1, epoll_ctl,   epoll_wait },
  played = {
	  sim_call_socket,     sim_call_bind,          sim_call_listen,      sim_call_connect,
	  sim_call_accept4,    sim_call_getsockname,   sim_call_getpeername, sim_call_getsockopt,
	  sim_call_setsockopt, sim_call_shutdown,      sim_call_close,       sim_call_write,
	  sim_call_read,       sim_call_epoll_create1, sim_call_epoll_ctl,   sim_call_epoll_wait,
  };

static struct machine {
	const struct calls *k;
	int fd[26], epfd;
	struct addr at[26];
	char trace[TRACE_MAX];
	size_t len;
	const char *expected; /* the real one waits until it looks like this */
} * m;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(m->trace + m->len, TRACE_MAX - m->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= TRACE_MAX - m->len)
		sim_fail("the trace is too long");
	m->len += (size_t)n;
}

static void say_result(long n)
{
	if (n < 0)
		say(" %s\n", err_name(-errno));
	else
		say(" %ld\n", n);
}

static void format_events(uint32_t ev, char ret[64])
{
	(void)snprintf(ret, 64, " %s%s%s%s%s.\n", (ev & EPOLLIN) != 0 ? "in " : "",
		       (ev & EPOLLOUT) != 0 ? "out " : "", (ev & EPOLLRDHUP) != 0 ? "rdhup " : "",
		       (ev & EPOLLHUP) != 0 ? "hup " : "", (ev & EPOLLERR) != 0 ? "err " : "");
}

static uint32_t look_once(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP };
	int n;

	(void)m->k->epoll_ctl(m->epfd, EPOLL_CTL_ADD, fd, &ev);
	n = m->k->epoll_wait(m->epfd, &ev, 1, 0);
	(void)m->k->epoll_ctl(m->epfd, EPOLL_CTL_DEL, fd, &ev);
	return n > 0 ? ev.events : 0;
}

static int64_t real_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until all that is under way has arrived: in the played machine after a while, in the real one as
 * soon as it looks alike. */
static void look(int fd)
{
	int64_t until = real_ms() + WAIT_MS;
	struct epoll_event none;
	char text[64];

	if (m->expected == NULL) {
		(void)m->k->epoll_wait(m->epfd, &none, 1, 100);
		format_events(look_once(fd), text);
	} else {
		do
			format_events(look_once(fd), text);
		while (strncmp(m->expected + m->len, text, strlen(text)) != 0 && real_ms() < until);
	}
	say("%s", text);
}

static int new_socket(int type)
{
	return m->k->socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int so_error(int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	(void)m->k->getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	errno = err;
	return err == 0 ? 0 : -1;
}

static int bind_at(size_t a)
{
	socklen_t len = sizeof(m->at[a]);
	struct addr any;

	if (addr_parse("127.0.0.1:0", 0, &any) != 0 ||
	    m->k->bind(m->fd[a], &any.u.sa, addr_len(&any)) != 0)
		return -1;
	return m->k->getsockname(m->fd[a], &m->at[a].u.sa, &len);
}

static int linger(int fd)
{
	const struct linger l = { 1, 0 };

	return m->k->setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static int peer(int fd)
{
	struct addr at;
	socklen_t len = sizeof(at);

	return m->k->getpeername(fd, &at.u.sa, &len);
}

static void do_step(const char *op, size_t a, const char *arg)
{
	static uint8_t buf[10000];
	size_t b = (size_t)(arg[0] - 'A'), n = (size_t)strtoul(arg, NULL, 10);
	int *fd = &m->fd[a];
	int how = strcmp(arg, "wr") == 0 ? SHUT_WR : strcmp(arg, "rd") == 0 ? SHUT_RD : SHUT_RDWR;

	say("%s %c %s:", op, (int)('A' + a), arg);
	if (strcmp(op, "tcp") == 0 || strcmp(op, "udp") == 0) {
		*fd = new_socket(op[0] == 't' ? SOCK_STREAM : SOCK_DGRAM);
		say(" %s\n", *fd >= 0 ? "made" : "not made");
	} else if (strcmp(op, "bind") == 0) {
		say_result(bind_at(a));
	} else if (strcmp(op, "listen") == 0) {
		say_result(m->k->listen(*fd, 5));
	} else if (strcmp(op, "connect") == 0) {
		say_result(m->k->connect(*fd, &m->at[b].u.sa, addr_len(&m->at[b])));
	} else if (strcmp(op, "accept") == 0) {
		*fd = m->k->accept4(m->fd[b], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		say_result(*fd >= 0 ? 0 : -1);
	} else if (strcmp(op, "write") == 0) {
		say_result(m->k->write(*fd, buf, n));
	} else if (strcmp(op, "read") == 0) {
		say_result(m->k->read(*fd, buf, n));
	} else if (strcmp(op, "shut") == 0) {
		say_result(m->k->shutdown(*fd, how));
	} else if (strcmp(op, "close") == 0) {
		say_result(m->k->close(*fd));
	} else if (strcmp(op, "error") == 0) {
		say_result(so_error(*fd));
	} else if (strcmp(op, "linger") == 0) {
		say_result(linger(*fd));
	} else if (strcmp(op, "peer") == 0) {
		say_result(peer(*fd));
	} else if (strcmp(op, "look") == 0) {
		look(*fd);
	} else {
		sim_fail("no such step: %s", op);
	}
}

/* "tcp L; bind L; ..." */
static void do_steps(const char *steps)
{
	char text[1024], *rest = text, *step, *save;

	m->epfd = m->k->epoll_create1(0);
	(void)snprintf(text, sizeof(text), "%s", steps);
	while ((step = strsep(&rest, ";")) != NULL) {
		const char *op = strtok_r(step, " ", &save);
		const char *name = strtok_r(NULL, " ", &save);
		const char *arg = strtok_r(NULL, " ", &save);

		do_step(op, (size_t)(name[0] - 'A'), arg != NULL ? arg : "");
	}
}

static const char *steps_now;

static int program(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	do_steps(steps_now);
	return 0;
}

#define PAIR "tcp L; bind L; listen L; tcp A; connect A L; look A; accept B L; "

static const char *const rows[] = {
	/* beginning */
	"tcp A; look A; read A 1; write A 1; peer A; shut A wr",
	"tcp L; bind L; look L; listen L; look L; accept B L; connect L L",
	"tcp L; bind L; tcp A; connect A L; look A; error A; error A; read A 1; look A; peer A",
	"tcp L; bind L; close L; tcp A; connect A L; look A; read A 1; read A 1; write A 1",
	"tcp L; bind L; listen L; tcp A; connect A L; look L; look A; error A; accept B L; look L; "
	"accept C L; peer A; peer B",
	"tcp L; bind L; listen L; tcp A; connect A L; look A; connect A L; close A; look L; "
	"accept B L; look B; read B 1",
	"tcp L; bind L; listen L; tcp A; connect A L; look A; write A 5; close A; look L; "
	"accept B L; look B; read B 9; read B 9; write B 1; look B; write B 1",
	"tcp L; bind L; listen L; tcp A; connect A L; look A; close L; look A; read A 1",
	/* there and back */
	PAIR "look B; read B 9; write A 5; look B; read B 3; look B; read B 9; read B 9; look B",
	PAIR "write A 3; write A 4; look B; read B 9; write B 2; look A; read A 1; read A 1",
	PAIR "write A 9000; look B; read B 9000; look A; look B",
	/* closing in order */
	PAIR "close A; look B; read B 1; read B 1; look B; close B",
	PAIR "write A 3; close A; look B; read B 9; look B; read B 9; peer B",
	PAIR "close A; look B; write B 3; look B; write B 3; error B; write B 3; read B 1",
	PAIR "close A; look B; write B 3; look B; error B; look B; read B 1; write B 1",
	PAIR "shut A wr; look A; look B; read B 1; write B 4; look A; read A 9; close B; look A; "
	     "read A 9",
	PAIR "shut A wr; shut A wr; write A 1; look A",
	PAIR "shut A wr; look B; shut B wr; look A; look B; read A 1; peer A",
	PAIR "shut A rd; look A; read A 1; write A 2; look B; read B 9",
	PAIR "shut A rdwr; look A; read A 1; write A 1; look B; read B 1",
	PAIR "write B 3; look A; shut A wr; look B; read A 9; look A",
	/* resets */
	PAIR "write B 3; look A; close A; look B; read B 1; read B 1; look B",
	PAIR "write B 3; look A; close A; look B; write B 1; write B 1; error B",
	PAIR "linger A; close A; look B; error B; look B; read B 1; write B 1",
	PAIR "linger A; close A; look B; write B 1; write B 1; peer B; shut B wr",
	PAIR "write A 3; look B; linger A; close A; look B; read B 9; read B 9; read B 9",
	/* datagrams */
	"udp A; look A; read A 1; write A 1; peer A",
	"udp B; bind B; udp A; connect A B; write A 5; look B; read B 9; look B; peer A",
	"udp B; bind B; udp A; connect A B; write A 5; write A 6; look B; read B 2; read B 9; "
	"read B 9",
	"udp B; bind B; close B; udp A; connect A B; write A 5; look A; read A 1; look A; read A 1",
	"udp B; bind B; close B; udp A; connect A B; write A 5; look A; write A 5; look A; error "
	"A; "
	"look A",
	"udp B; bind B; udp A; connect A B; write A 0; look B; read B 9; look B",
	"udp B; bind B; udp C; bind C; connect B C; udp A; connect A B; write A 5; look A; read A "
	"9",
	"udp A; listen A; bind A; bind A",
};

static void t_as_the_real_kernel(void **state)
{
	char *argv[] = { (char[]){ "program" }, NULL };
	const struct sim_process p = { .argc = 1, .argv = argv, .main = program };
	struct machine *const beside = calloc(1, sizeof(*beside));
	size_t differ = 0;

	(void)state;
	assert_non_null(beside);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct machine *in_world;

		sim_new(1);
		m = in_world = sim_alloc(sizeof(*m));
		m->k = &played;
		steps_now = rows[i];
		assert_int_equal(sim_run(&p).end, SIM_ENDED);
		*beside = (struct machine){ .k = &real, .expected = in_world->trace };
		m = beside;
		do_steps(rows[i]);
		closefrom(m->epfd);
		if (strcmp(beside->trace, in_world->trace) == 0)
			continue;
		differ++;
		print_message("---- played:\n%s---- real:\n%s", in_world->trace, beside->trace);
	}
	free(beside);
	assert_int_equal(differ, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_as_the_real_kernel),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
