/* epoll sets, over played sockets and over real descriptors (libuv's own, Unix sockets), which are
 * looked at in each step. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/sim/calls.h"
#include "tests/sim/machine.h"

#define SETS_MAX    8
#define ENTRIES_MAX (SIM_SOCKETS_MAX + 64)
#define REAL_MAX    256

struct entry {
	int fd;
	uint32_t events;
	epoll_data_t data;
};

struct set {
	int fd; /* 0: unused */
	size_t n;
	struct entry entries[ENTRIES_MAX];
};

static struct set sets[SETS_MAX];

static int no(int err)
{
	errno = err;
	return -1;
}

static struct set *set_of(int fd)
{
	for (size_t i = 0; i < SETS_MAX && fd > 0; i++)
		if (sets[i].fd == fd)
			return &sets[i];
	return NULL;
}

static struct entry *entry_of(struct set *s, int fd)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->entries[i].fd == fd)
			return &s->entries[i];
	return NULL;
}

static void drop_entry(struct set *s, struct entry *e)
{
	s->n--;
	memmove(e, e + 1, (size_t)(&s->entries[s->n] - e) * sizeof(*e));
}

bool epoll_forget(int fd)
{
	struct set *s = set_of(fd);
	struct entry *e;

	for (size_t i = 0; i < SETS_MAX; i++) {
		e = sets[i].fd > 0 ? entry_of(&sets[i], fd) : NULL;
		if (e != NULL)
			drop_entry(&sets[i], e);
	}
	if (s == NULL)
		return false;
	s->fd = 0;
	s->n = 0;
	return true;
}

int sim_call_epoll_create1(int flags)
{
	int fd = open("/dev/null", O_RDWR | ((flags & EPOLL_CLOEXEC) != 0 ? O_CLOEXEC : 0));

	for (size_t i = 0; fd >= 0 && i < SETS_MAX; i++) {
		if (sets[i].fd > 0)
			continue;
		sets[i].fd = fd;
		return fd;
	}
	if (fd >= 0)
		sim_fail("too many epoll sets");
	return -1;
}

int sim_call_epoll_create(int size)
{
	(void)size;
	return sim_call_epoll_create1(0);
}

/* As the kernel, which takes no files and folders. */
static int check_real(int fd)
{
	struct stat st;

	if (socket_of(fd) != NULL)
		return 0;
	if (fstat(fd, &st) != 0)
		return -1;
	return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) ? no(EPERM) : 0;
}

int sim_call_epoll_ctl(int epfd, int op, int fd, struct epoll_event *ev)
{
	struct set *s = set_of(epfd);
	struct entry *e = s != NULL ? entry_of(s, fd) : NULL;

	if (s == NULL)
		return no(EBADF);
	if (check_real(fd) != 0)
		return -1;
	if (op == EPOLL_CTL_ADD) {
		if (e != NULL)
			return no(EEXIST);
		if (s->n == ENTRIES_MAX)
			return no(ENOSPC);
		e = &s->entries[s->n++];
	} else if (e == NULL) {
		return no(ENOENT);
	}
	if (op == EPOLL_CTL_DEL) {
		drop_entry(s, e);
		return 0;
	}
	if ((ev->events & (EPOLLET | EPOLLONESHOT)) != 0)
		sim_fail("EPOLLET and EPOLLONESHOT are not played");
	*e = (struct entry){ fd, ev->events, ev->data };
	return 0;
}

struct wait {
	struct set *set;
	struct epoll_event *events;
	int n, max;
	enum sim_wake_kind kind; /* of the first that is ready */
};

static enum sim_wake_kind kind_of(const struct sim_socket *s)
{
	if (s == NULL)
		return SIM_WAKE_OTHER;
	return s->kind == SOCKET_DATAGRAM ? SIM_WAKE_DATAGRAM : SIM_WAKE_STREAM;
}

static void add_ready(struct wait *w, const struct entry *e, uint32_t events)
{
	events &= e->events | EPOLLERR | EPOLLHUP;
	if (events != 0 && w->n == 0)
		w->kind = kind_of(socket_of(e->fd));
	if (events != 0 && w->n < w->max)
		w->events[w->n++] = (struct epoll_event){ events, e->data };
}

static void look_at_real(struct wait *w, struct pollfd *fds, struct entry *const *entries, size_t n)
{
	if (n == 0 || poll(fds, n, 0) <= 0)
		return;
	for (size_t i = 0; i < n; i++)
		add_ready(w, entries[i], (uint32_t)fds[i].revents & 0xffffu);
}

static bool is_ready(void *ctx)
{
	struct wait *w = ctx;
	struct pollfd fds[REAL_MAX];
	struct entry *real[REAL_MAX];
	size_t n_real = 0;

	w->n = 0;
	for (size_t i = 0; i < w->set->n; i++) {
		struct entry *e = &w->set->entries[i];
		const struct sim_socket *s = socket_of(e->fd);

		if (s != NULL) {
			add_ready(w, e, socket_events(s));
			continue;
		}
		if (n_real == REAL_MAX)
			sim_fail("too many real descriptors in an epoll set");
		fds[n_real] = (struct pollfd){ .fd = e->fd, .events = (short)(e->events & 0x7u) };
		real[n_real++] = e;
	}
	look_at_real(w, fds, real, n_real);
	return w->n > 0;
}

int sim_call_epoll_wait(int epfd, struct epoll_event *events, int max, int timeout)
{
	struct wait w = { .set = set_of(epfd), .events = events, .max = max };
	bool timed_out;

	if (w.set == NULL)
		return no(EBADF);
	if (timeout != 0)
		wake_over();
	timed_out = !wait_until(is_ready, &w,
				timeout < 0 ? NEVER_US : world->now_us + (uint64_t)timeout * 1000);
	world->timeouts += timed_out && timeout > 0;
	if (timeout != 0) /* else it only looked, and was awake */
		wake_begins(timed_out ? SIM_WAKE_TIMER : w.kind, timeout);
	return w.n;
}

int sim_call_epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout,
			 const sigset_t *mask)
{
	if (mask != NULL)
		sim_fail("epoll_pwait() with a mask is not played");
	return sim_call_epoll_wait(epfd, events, max, timeout);
}

/* ---- poll() ---- */

struct polled {
	struct pollfd *fds;
	nfds_t n;
	int ready;
};

static bool is_polled(void *ctx)
{
	struct polled *p = ctx;

	p->ready = poll(p->fds, p->n, 0);
	return p->ready != 0;
}

int sim_call_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	struct polled p = { fds, n, 0 };

	if (world == NULL)
		return poll(fds, n, timeout);
	for (nfds_t i = 0; i < n; i++)
		if (socket_of(fds[i].fd) != NULL)
			sim_fail("poll() of a socket is not played");
	(void)wait_until(is_polled, &p,
			 timeout < 0 ? NEVER_US : world->now_us + (uint64_t)timeout * 1000);
	return p.ready;
}

uint64_t sim_timeouts(void)
{
	return world->timeouts;
}
