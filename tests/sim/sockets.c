/* The program's descriptors that stand for sockets, and the calls that make and name them. A call
 * on any other descriptor goes to the real kernel. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/sim/calls.h"
#include "tests/sim/machine.h"

#define DATAGRAMS_MAX 256
#define PORT_FIRST    32768u
#define PORT_COUNT    28000u

static struct sim_socket *table[FD_MAX];
static size_t n_open;
static int fd_top; /* none is open at or above it */

struct sim_socket *socket_of(int fd)
{
	return fd >= 0 && fd < fd_top ? table[fd] : NULL;
}

size_t sockets_open(void)
{
	return n_open;
}

size_t sim_open_sockets(void)
{
	return n_open;
}

static int no(int err)
{
	errno = err;
	return -1;
}

/* A real descriptor has its number, so that it is like no other, and EMFILE is real. */
static struct sim_socket *new_socket(int family, enum socket_kind kind)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct sim_socket *s;

	if (fd < 0)
		return NULL;
	if (fd >= FD_MAX || n_open == SIM_SOCKETS_MAX)
		sim_fail("too many sockets (SIM_SOCKETS_MAX)");
	s = block_get(sizeof(*s));
	s->fd = fd;
	s->family = family;
	s->kind = kind;
	s->keep = (struct keepalive){ .idle_s = 7200, .every_s = 75, .tries = 9 };
	table[fd] = s;
	n_open++;
	if (fd >= fd_top)
		fd_top = fd + 1;
	return s;
}

int sim_call_socket(int family, int type, int protocol)
{
	int kind = type & ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct sim_socket *s;

	program_acts();
	if (family != AF_INET && family != AF_INET6)
		return socket(family, type, protocol);
	if (kind != SOCK_STREAM && kind != SOCK_DGRAM)
		return no(EPROTONOSUPPORT);
	s = new_socket(family, kind == SOCK_STREAM ? SOCKET_STREAM : SOCKET_DATAGRAM);
	return s != NULL ? s->fd : -1;
}

static void drop_queue(struct sim_socket *s)
{
	for (size_t i = 0; i < s->n_queue; i++)
		if (s->queue[i]->owner == OWNER_QUEUE)
			conn_release(s->queue[i], true);
	s->n_queue = 0;
}

static void close_socket(struct sim_socket *s)
{
	struct datagram *d;

	(void)epoll_forget(s->fd);
	drop_queue(s);
	if (s->conn != NULL)
		conn_release(s->conn, s->conn->rx_bytes > 0 || s->linger_reset);
	while ((d = s->head) != NULL) {
		s->head = d->next;
		block_put(d);
	}
	table[s->fd] = NULL;
	n_open--;
	block_put(s);
}

int sim_call_close(int fd)
{
	struct sim_socket *s = socket_of(fd);

	program_acts();
	if (s != NULL)
		close_socket(s);
	else
		(void)epoll_forget(fd);
	return close(fd);
}

/* ---- addresses ---- */

static int take_addr(const struct sim_socket *s, const struct sockaddr *sa, struct addr *ret)
{
	if (sa == NULL || sa->sa_family != s->family || addr_from_sockaddr(ret, sa) != 0)
		return no(EAFNOSUPPORT);
	return 0;
}

static int give_addr(const struct sim_socket *s, const struct addr *a, struct sockaddr *ret,
		     socklen_t *len)
{
	struct addr any = { 0 };
	socklen_t full;

	any.u.sa.sa_family = (sa_family_t)s->family;
	if (!addr_is_set(a))
		a = &any;
	full = addr_len(a);
	memcpy(ret, &a->u, *len < full ? *len : full);
	*len = full;
	return 0;
}

static bool same_kind(const struct sim_socket *a, const struct sim_socket *b)
{
	return (a->kind == SOCKET_DATAGRAM) == (b->kind == SOCKET_DATAGRAM);
}

/* Connections may share the port of the listener they came from. */
static bool in_use(const struct sim_socket *s, const struct addr *at)
{
	for (int fd = 0; fd < fd_top; fd++) {
		const struct sim_socket *o = table[fd];

		if (o == NULL || o == s || !same_kind(o, s) || !addr_is_set(&o->local) ||
		    o->family != s->family || addr_port(&o->local) != addr_port(at) ||
		    (o->conn != NULL && !addr_is_any(at)))
			continue;
		if (o->conn == NULL &&
		    (addr_is_any(at) || addr_is_any(&o->local) || addr_same_host(&o->local, at)))
			return true;
	}
	return false;
}

static int give_port(const struct sim_socket *s, struct addr *at)
{
	for (unsigned i = 0; i < PORT_COUNT; i++) {
		addr_set_port(at,
			      (uint16_t)(PORT_FIRST + rng_below(&world->program_rng, PORT_COUNT)));
		if (!in_use(s, at))
			return 0;
	}
	return no(EADDRINUSE);
}

int sim_call_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sim_socket *s = socket_of(fd);
	struct addr at;

	if (s == NULL)
		return bind(fd, sa, len);
	if (take_addr(s, sa, &at) != 0)
		return -1;
	if (addr_is_set(&s->local))
		return no(EINVAL);
	if (!addr_is_any(&at) && !addr_is_own(&at))
		return no(EADDRNOTAVAIL);
	if (addr_port(&at) == 0 && give_port(s, &at) != 0)
		return -1;
	if (in_use(s, &at))
		return no(EADDRINUSE);
	s->local = at;
	return 0;
}

static int bind_source(struct sim_socket *s, const struct addr *to)
{
	uint16_t port = addr_is_set(&s->local) ? addr_port(&s->local) : 0;

	if (addr_is_set(&s->local) && !addr_is_any(&s->local))
		return 0;
	if (!addr_source(to, &s->local))
		return no(ENETUNREACH);
	addr_set_port(&s->local, port);
	return port != 0 ? 0 : give_port(s, &s->local);
}

int sim_call_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	struct sim_socket *s = socket_of(fd);
	struct addr to;

	program_acts();
	if (s == NULL)
		return connect(fd, sa, len);
	if (take_addr(s, sa, &to) != 0)
		return -1;
	if (s->conn != NULL && s->conn->state == CONN_CONNECTING)
		return no(EALREADY);
	if (s->conn != NULL && s->conn->state == CONN_OPEN && !s->connect_told) {
		s->connect_told = true;
		return 0;
	}
	if (s->kind == SOCKET_LISTENS || s->conn != NULL)
		return no(EISCONN);
	if (bind_source(s, &to) != 0)
		return -1;
	s->peer = to;
	if (s->kind == SOCKET_DATAGRAM)
		return 0;
	s->conn = conn_connect(&s->local, &to);
	s->conn->owner = OWNER_SOCKET;
	s->conn->socket = s;
	return no(EINPROGRESS);
}

int sim_call_getsockname(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct sim_socket *s = socket_of(fd);

	return s == NULL ? getsockname(fd, sa, len) : give_addr(s, &s->local, sa, len);
}

int sim_call_getpeername(int fd, struct sockaddr *sa, socklen_t *len)
{
	struct sim_socket *s = socket_of(fd);

	if (s == NULL)
		return getpeername(fd, sa, len);
	if (!addr_is_set(&s->peer) || (s->conn != NULL && (s->conn->state != CONN_OPEN ||
							   (s->conn->rx_end && s->conn->tx_end))))
		return no(ENOTCONN);
	return give_addr(s, &s->peer, sa, len);
}

/* ---- listening ---- */

int sim_call_listen(int fd, int n)
{
	struct sim_socket *s = socket_of(fd);
	size_t most = sizeof(s->queue) / sizeof(s->queue[0]);

	if (s == NULL)
		return listen(fd, n);
	if (s->kind == SOCKET_DATAGRAM)
		return no(EOPNOTSUPP);
	if (s->conn != NULL || !addr_is_set(&s->local))
		return no(EINVAL);
	s->kind = SOCKET_LISTENS;
	s->backlog = n < 1 ? 1 : (size_t)n < most ? (size_t)n : most;
	return 0;
}

struct sim_socket *socket_listening(const struct addr *at)
{
	struct sim_socket *any = NULL;

	if (!addr_is_own(at))
		return NULL;
	for (int fd = 0; fd < fd_top; fd++) {
		struct sim_socket *s = table[fd];

		if (s == NULL || s->kind != SOCKET_LISTENS || s->family != at->u.sa.sa_family ||
		    addr_port(&s->local) != addr_port(at))
			continue;
		if (addr_same_host(&s->local, at))
			return s;
		if (addr_is_any(&s->local))
			any = s;
	}
	return any;
}

int sim_call_accept4(int fd, struct sockaddr *sa, socklen_t *len, int flags)
{
	struct sim_socket *s = socket_of(fd), *n;
	struct sim_conn *c;

	program_acts();
	if (s == NULL)
		return accept4(fd, sa, len, flags);
	if (s->kind != SOCKET_LISTENS)
		return no(EINVAL);
	if (s->n_queue == 0)
		return no(EAGAIN);
	n = new_socket(s->family, SOCKET_STREAM);
	if (n == NULL)
		return -1;
	c = s->queue[0];
	s->n_queue--;
	memmove(&s->queue[0], &s->queue[1], s->n_queue * sizeof(s->queue[0]));
	c->owner = OWNER_SOCKET;
	c->socket = n;
	n->conn = c;
	n->connect_told = true;
	n->local = c->local;
	n->peer = c->peer;
	return sa != NULL && give_addr(n, &n->peer, sa, len) != 0 ? -1 : n->fd;
}

int sim_call_accept(int fd, struct sockaddr *sa, socklen_t *len)
{
	return sim_call_accept4(fd, sa, len, 0);
}

/* ---- options ---- */

static int take_error(struct sim_socket *s)
{
	int err = s->err;

	s->err = 0;
	if (err == 0 && s->conn != NULL) {
		err = s->conn->err;
		s->conn->err = 0;
	}
	return err;
}

int sim_call_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	struct sim_socket *s = socket_of(fd);
	int n = 0;

	if (s == NULL)
		return getsockopt(fd, level, name, value, len);
	if (level != SOL_SOCKET || *len < sizeof(n))
		return no(ENOPROTOOPT);
	switch (name) {
	case SO_ERROR:
		n = take_error(s);
		break;
	case SO_TYPE:
		n = s->kind == SOCKET_DATAGRAM ? SOCK_DGRAM : SOCK_STREAM;
		break;
	case SO_ACCEPTCONN:
		n = s->kind == SOCKET_LISTENS;
		break;
	case SO_DOMAIN:
		n = s->family;
		break;
	case SO_SNDBUF:
		n = SEND_BUFFER;
		break;
	case SO_RCVBUF:
		n = WINDOW;
		break;
	default:
		return no(ENOPROTOOPT);
	}
	memcpy(value, &n, sizeof(n));
	*len = sizeof(n);
	return 0;
}

static void set_keepalive(struct sim_socket *s, int name, uint32_t n)
{
	if (name == TCP_KEEPIDLE)
		s->keep.idle_s = n;
	else if (name == TCP_KEEPINTVL)
		s->keep.every_s = n;
	else if (name == TCP_KEEPCNT)
		s->keep.tries = n;
}

int sim_call_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	struct sim_socket *s = socket_of(fd);
	struct linger l;
	uint32_t n = 0;

	if (s == NULL)
		return setsockopt(fd, level, name, value, len);
	if (len >= sizeof(n))
		memcpy(&n, value, sizeof(n));
	if (level == IPPROTO_TCP)
		set_keepalive(s, name, n);
	if (level == SOL_SOCKET && name == SO_KEEPALIVE && n != 0 && s->conn != NULL) {
		conn_keep_alive(s->conn, &s->keep);
	}
	if (level == SOL_SOCKET && name == SO_LINGER && len >= sizeof(l)) {
		memcpy(&l, value, sizeof(l));
		s->linger_reset = l.l_onoff != 0 && l.l_linger == 0;
	}
	return 0; /* the others change nothing that could be seen here */
}

int sim_call_shutdown(int fd, int how)
{
	struct sim_socket *s = socket_of(fd);

	program_acts();
	if (s == NULL)
		return shutdown(fd, how);
	if (s->conn == NULL || s->conn->state != CONN_OPEN)
		return no(ENOTCONN);
	if (how != SHUT_WR)
		s->shut_read = true;
	if (how != SHUT_RD)
		conn_shut(s->conn);
	return 0;
}

/* ---- what a descriptor is ---- */

int sim_call_dup(int fd)
{
	if (socket_of(fd) != NULL)
		sim_fail("dup() of a socket is not played");
	return dup(fd);
}

int sim_call_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (socket_of(fd) != NULL && (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC))
		sim_fail("fcntl(F_DUPFD) of a socket is not played");
	return fcntl(fd, cmd, arg); /* of a socket: those of its number */
}

int sim_call_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	return sim_call_fcntl(fd, cmd, arg);
}

int sim_call_ioctl(int fd, unsigned long request, ...)
{
	struct sim_socket *s = socket_of(fd);
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (s == NULL)
		return request == TIOCGWINSZ ? no(ENOTTY) : ioctl(fd, request, arg);
	if (request == FIONREAD)
		*(int *)arg = s->conn != NULL ? (int)s->conn->rx_bytes : 0;
	else if (request != FIONBIO && request != FIOCLEX)
		sim_fail("ioctl(%#lx) of a socket is not played", request);
	return 0;
}

/* ---- datagrams that arrive ---- */

struct sim_socket *socket_datagram(const struct addr *to, const struct addr *from)
{
	struct sim_socket *best = NULL;
	int rank = 0;

	if (!addr_is_own(to))
		return NULL;
	for (int fd = 0; fd < fd_top; fd++) {
		struct sim_socket *s = table[fd];
		int r = 1;

		if (s == NULL || s->kind != SOCKET_DATAGRAM || !addr_is_set(&s->local) ||
		    s->family != to->u.sa.sa_family || addr_port(&s->local) != addr_port(to))
			continue;
		if (addr_is_set(&s->peer) && !addr_equal(&s->peer, from))
			continue;
		if (!addr_is_any(&s->local) && !addr_same_host(&s->local, to))
			continue;
		r += addr_is_set(&s->peer) ? 2 : 0;
		r += addr_is_any(&s->local) ? 0 : 1;
		if (r > rank) {
			rank = r;
			best = s;
		}
	}
	return best;
}

void socket_put_datagram(struct sim_socket *s, const struct addr *from, const uint8_t *data,
			 size_t len)
{
	struct datagram *d;

	if (s->n_datagrams == DATAGRAMS_MAX)
		return; /* as a kernel whose buffer is full */
	d = block_get(sizeof(*d) + len);
	d->from = *from;
	d->len = len;
	if (len > 0)
		memcpy(d->data, data, len);
	if (s->tail != NULL && s->head != NULL)
		s->tail->next = d;
	else
		s->head = d;
	s->tail = d;
	s->n_datagrams++;
}

/* ---- readiness ---- */

static uint32_t conn_events(const struct sim_socket *s)
{
	const struct sim_conn *c = s->conn;
	bool end = c->rx_end || c->state == CONN_DEAD || s->shut_read;
	uint32_t ev = 0;

	if (c->state == CONN_CONNECTING)
		return 0;
	if (c->rx_bytes > 0 || end)
		ev |= EPOLLIN | (end ? EPOLLRDHUP : 0);
	if (c->state == CONN_DEAD || c->tx_end || c->tx_bytes < SEND_BUFFER)
		ev |= EPOLLOUT;
	if (c->err != 0)
		ev |= EPOLLERR;
	if (c->state == CONN_DEAD || (end && c->tx_end))
		ev |= EPOLLHUP;
	return ev;
}

uint32_t socket_events(const struct sim_socket *s)
{
	if (s->kind == SOCKET_LISTENS)
		return s->n_queue > 0 ? EPOLLIN : 0;
	if (s->kind == SOCKET_STREAM)
		return s->conn != NULL ? conn_events(s) : EPOLLOUT | EPOLLHUP;
	return EPOLLOUT | (s->head != NULL ? EPOLLIN : 0u) | (s->err != 0 ? EPOLLERR : 0u);
}
