/* Reading and writing on the played sockets; the standard output and error of the program. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/sim/calls.h"
#include "tests/sim/machine.h"

static ssize_t no(int err)
{
	errno = err;
	return -1;
}

static int take_error(struct sim_socket *s)
{
	int *err = s->err != 0 || s->conn == NULL ? &s->err : &s->conn->err;
	int e = *err;

	*err = 0;
	return e;
}

/* ---- one message or part of a stream, in one piece ---- */

static ssize_t get_datagram(struct sim_socket *s, void *buf, size_t size, int flags,
			    struct addr *ret_from, bool *ret_cut)
{
	struct datagram *d = s->head;
	size_t n;

	if (s->err != 0)
		return no(take_error(s));
	if (d == NULL)
		return no(EAGAIN);
	n = d->len < size ? d->len : size;
	memcpy(buf, d->data, n);
	*ret_cut = d->len > size;
	*ret_from = d->from;
	if ((flags & MSG_PEEK) == 0) {
		s->head = d->next;
		s->n_datagrams--;
		block_put(d);
	}
	return (ssize_t)n;
}

static ssize_t get_stream(struct sim_socket *s, void *buf, size_t size, int flags)
{
	struct sim_conn *c = s->conn;

	if (c == NULL || c->state == CONN_CONNECTING)
		return no(c == NULL ? ENOTCONN : EAGAIN);
	if (c->rx_bytes > 0)
		return (ssize_t)conn_take(c, buf, size, (flags & MSG_PEEK) != 0);
	if (c->err != 0)
		return no(take_error(s));
	if (c->rx_end || c->state == CONN_DEAD || s->shut_read)
		return 0;
	return no(EAGAIN);
}

static ssize_t get(struct sim_socket *s, void *buf, size_t size, int flags, struct addr *ret_from,
		   bool *ret_cut)
{
	*ret_cut = false;
	*ret_from = s->peer;
	if (s->kind == SOCKET_DATAGRAM)
		return get_datagram(s, buf, size, flags, ret_from, ret_cut);
	return s->kind == SOCKET_STREAM ? get_stream(s, buf, size, flags) : no(ENOTCONN);
}

static ssize_t put_datagram(struct sim_socket *s, const uint8_t *data, size_t len,
			    const struct addr *to)
{
	struct addr from;

	if (s->err != 0)
		return no(take_error(s));
	if (to == NULL)
		to = addr_is_set(&s->peer) ? &s->peer : NULL;
	if (to == NULL)
		return no(EDESTADDRREQ);
	if (len > SIM_PACKET_MAX - 28)
		return no(EMSGSIZE);
	if (!addr_is_set(&s->local)) {
		struct addr any = { 0 };

		any.u.sa.sa_family = (sa_family_t)s->family;
		if (sim_call_bind(s->fd, &any.u.sa, addr_len(&any)) != 0)
			return -1;
	}
	from = s->local;
	if (addr_is_any(&from)) {
		if (!addr_source(to, &from))
			return no(ENETUNREACH);
		addr_set_port(&from, addr_port(&s->local));
	}
	datagram_send(&from, to, data, len);
	return (ssize_t)len;
}

static ssize_t put_stream(struct sim_socket *s, const uint8_t *data, size_t len)
{
	struct sim_conn *c = s->conn;
	size_t room;

	if (c == NULL)
		return no(EPIPE);
	if (c->err != 0)
		return no(take_error(s));
	if (c->state == CONN_DEAD || c->tx_end)
		return no(EPIPE);
	if (c->state == CONN_CONNECTING || c->tx_bytes >= SEND_BUFFER)
		return no(EAGAIN);
	room = SEND_BUFFER - c->tx_bytes;
	if (len > room)
		len = room;
	conn_send(c, data, len);
	return (ssize_t)len;
}

static ssize_t put(struct sim_socket *s, const void *data, size_t len, const struct addr *to)
{
	if (s->kind == SOCKET_DATAGRAM)
		return put_datagram(s, data, len, to);
	return s->kind == SOCKET_STREAM ? put_stream(s, data, len) : no(ENOTCONN);
}

/* ---- in several buffers ---- */

static ssize_t get_all(struct sim_socket *s, const struct iovec *iov, size_t n, int flags,
		       struct addr *ret_from, bool *ret_cut)
{
	ssize_t all = 0;

	if (s->kind == SOCKET_DATAGRAM && n > 1)
		sim_fail("a datagram into several buffers is not played");
	for (size_t i = 0; i < n; i++) {
		ssize_t got = get(s, iov[i].iov_base, iov[i].iov_len, flags, ret_from, ret_cut);

		if (got < 0)
			return all > 0 ? all : got;
		all += got;
		if ((size_t)got < iov[i].iov_len)
			break;
	}
	return all;
}

static ssize_t put_all(struct sim_socket *s, const struct iovec *iov, size_t n,
		       const struct addr *to)
{
	static uint8_t whole[SIM_PACKET_MAX];
	ssize_t all = 0;
	size_t len = 0;

	if (s->kind == SOCKET_DATAGRAM) {
		for (size_t i = 0; i < n; i++) {
			if (iov[i].iov_len > sizeof(whole) - len)
				return no(EMSGSIZE);
			memcpy(whole + len, iov[i].iov_base, iov[i].iov_len);
			len += iov[i].iov_len;
		}
		return put(s, whole, len, to);
	}
	for (size_t i = 0; i < n; i++) {
		ssize_t sent = put(s, iov[i].iov_base, iov[i].iov_len, NULL);

		if (sent < 0)
			return all > 0 ? all : sent;
		all += sent;
		if ((size_t)sent < iov[i].iov_len)
			break;
	}
	return all;
}

/* ---- the calls ---- */

ssize_t sim_call_recvmsg(int fd, struct msghdr *m, int flags)
{
	struct sim_socket *s = socket_of(fd);
	struct addr from;
	bool cut;
	ssize_t n;

	program_acts();
	if (s == NULL)
		return recvmsg(fd, m, flags);
	n = get_all(s, m->msg_iov, m->msg_iovlen, flags, &from, &cut);
	if (n < 0)
		return n;
	m->msg_flags = cut ? MSG_TRUNC : 0;
	m->msg_controllen = 0;
	if (m->msg_name != NULL && addr_is_set(&from)) {
		socklen_t len = addr_len(&from);

		memcpy(m->msg_name, &from.u, len < m->msg_namelen ? len : m->msg_namelen);
		m->msg_namelen = len;
	}
	return n;
}

ssize_t sim_call_recvfrom(int fd, void *buf, size_t size, int flags, struct sockaddr *sa,
			  socklen_t *len)
{
	struct iovec iov = { buf, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	program_acts();
	if (socket_of(fd) == NULL)
		return recvfrom(fd, buf, size, flags, sa, len);
	m.msg_name = sa;
	m.msg_namelen = sa != NULL ? *len : 0;
	n = sim_call_recvmsg(fd, &m, flags);
	if (n >= 0 && sa != NULL)
		*len = m.msg_namelen;
	return n;
}

ssize_t sim_call_recv(int fd, void *buf, size_t size, int flags)
{
	program_acts();
	if (socket_of(fd) == NULL)
		return recv(fd, buf, size, flags);
	return sim_call_recvfrom(fd, buf, size, flags, NULL, NULL);
}

ssize_t sim_call_read(int fd, void *buf, size_t size)
{
	program_acts();
	if (socket_of(fd) == NULL)
		return read(fd, buf, size);
	return sim_call_recv(fd, buf, size, 0);
}

ssize_t sim_call_readv(int fd, const struct iovec *iov, int n)
{
	struct sim_socket *s = socket_of(fd);
	struct addr from;
	bool cut;

	program_acts();
	return s == NULL ? readv(fd, iov, n) : get_all(s, iov, (size_t)n, 0, &from, &cut);
}

ssize_t sim_call_sendmsg(int fd, const struct msghdr *m, int flags)
{
	struct sim_socket *s = socket_of(fd);
	struct addr to;

	program_acts();
	if (s == NULL)
		return sendmsg(fd, m, flags);
	if (m->msg_name != NULL && addr_from_sockaddr(&to, m->msg_name) != 0)
		return no(EAFNOSUPPORT);
	return put_all(s, m->msg_iov, m->msg_iovlen, m->msg_name != NULL ? &to : NULL);
}

ssize_t sim_call_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *sa,
			socklen_t sa_len)
{
	struct sim_socket *s = socket_of(fd);
	struct addr to;

	program_acts();
	if (s == NULL)
		return sendto(fd, data, len, flags, sa, sa_len);
	if (sa != NULL && addr_from_sockaddr(&to, sa) != 0)
		return no(EAFNOSUPPORT);
	return put(s, data, len, sa != NULL ? &to : NULL);
}

ssize_t sim_call_send(int fd, const void *data, size_t len, int flags)
{
	program_acts();
	if (socket_of(fd) == NULL)
		return send(fd, data, len, flags);
	return sim_call_sendto(fd, data, len, flags, NULL, 0);
}

ssize_t sim_call_write(int fd, const void *data, size_t len)
{
	program_acts();
	if (fd == STDERR_FILENO && life_process != NULL) {
		life_stderr(data, len);
		return (ssize_t)len;
	}
	if (fd == STDOUT_FILENO && life_process != NULL) {
		life_stdout(data, len);
		return (ssize_t)len;
	}
	if (socket_of(fd) == NULL)
		return write(fd, data, len);
	return sim_call_send(fd, data, len, 0);
}

ssize_t sim_call_writev(int fd, const struct iovec *iov, int n)
{
	struct sim_socket *s = socket_of(fd);

	program_acts();
	return s == NULL ? writev(fd, iov, n) : put_all(s, iov, (size_t)n, NULL);
}
