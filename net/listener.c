/*
 * The listening sockets. They are ours, under uv_poll_t, and not uv_tcp_t: so a connection is
 * refused before anything is allocated for it, and accepting can pause. libuv's own accept loop
 * cannot, and when descriptors run out it can spin (uv__server_io continues after EMFILE).
 */
#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/listener_priv.h"

#define ACCEPT_BATCH 64 /* connections taken before the loop serves those that are open */
#define BACKLOG      4096

void listener_handle_closed(struct listener *l)
{
	if (--l->open_handles > 0 || !l->freeing)
		return;
	if (l->spare_fd >= 0)
		close(l->spare_fd);
	deadlines_done(&l->deadlines);
	peer_count_done(&l->peers);
	if (l->done != NULL)
		l->done(l->done_ctx);
	free(l);
}

/* Deadlines */

static void on_timer(uv_timer_t *t);

static void arm(struct listener *l)
{
	uint64_t now = uv_now(l->net->loop);
	uint64_t next;

	if (l->freeing || !deadlines_next(&l->deadlines, &next))
		return;
	if (l->armed_at != 0 && l->armed_at <= next)
		return;
	l->armed_at = next > now ? next : now + 1;
	uv_timer_start(&l->timer, on_timer, l->armed_at - now, 0);
}

static void poll_all(struct listener *l);

static void on_timer(uv_timer_t *t)
{
	struct listener *l = t->data;
	uint64_t now = uv_now(l->net->loop);
	struct deadline *e;

	l->armed_at = 0;
	while ((e = deadlines_pop(&l->deadlines, now)) != NULL) {
		if (e == &l->pause)
			poll_all(l);
		else
			conn_expired((struct conn *)((char *)e - offsetof(struct conn, deadline)));
	}
	arm(l);
}

int listener_deadline(struct listener *l, struct deadline *e, uint64_t ms)
{
	int err = deadlines_set(&l->deadlines, e, uv_now(l->net->loop) + ms);

	if (err == ERR_OK)
		arm(l);
	return err;
}

/* Accepting */

static void refused(struct listener *l, const struct addr *peer, int why)
{
	l->p.ops->refused(l->p.ctx, peer, why);
}

static bool is_allowed(const struct listener *l, const struct addr *peer)
{
	for (size_t i = 0; i < l->p.n_allow; i++)
		if (cidr_contains(&l->p.allow[i], peer))
			return true;
	return l->p.n_allow == 0;
}

/** One accepted connection, taken or refused. */
static void admit(struct listener *l, int fd, const struct sockaddr *sa)
{
	struct peer_entry *entry = NULL;
	struct addr peer;
	int why = addr_from_sockaddr(&peer, sa);

	if (why != ERR_OK) {
		close(fd);
		return;
	}
	if (l->stopped)
		why = -ESHUTDOWN;
	else if (!is_allowed(l, &peer))
		why = -EACCES;
	else if (l->n_conns >= l->p.max_conns)
		why = ERR_LIMIT;
	else
		why = peer_count_add(&l->peers, &peer, l->p.max_per_address, &entry);
	if (why != ERR_OK)
		close(fd);
	else
		why = conn_new(l, fd, &peer, entry);
	if (why != ERR_OK)
		refused(l, &peer, why);
}

static void pause_accepting(struct listener *l)
{
	if (listener_deadline(l, &l->pause, LISTENER_PAUSE_MS) != ERR_OK)
		return;
	for (size_t i = 0; i < l->n_sockets; i++)
		if (l->sockets[i].fd >= 0)
			uv_poll_stop(&l->sockets[i].poll);
}

/** No descriptor for what waits: close it with the spare one, so that clients know at once. */
static void shed(struct listener *l, int listen_fd, int why)
{
	for (int i = 0; i < ACCEPT_BATCH && l->spare_fd >= 0; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		struct addr peer;
		int fd;

		close(l->spare_fd);
		fd = accept4(listen_fd, (struct sockaddr *)&ss, &len, SOCK_CLOEXEC);
		if (fd >= 0)
			close(fd);
		l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			break;
		if (addr_from_sockaddr(&peer, (struct sockaddr *)&ss) == ERR_OK)
			refused(l, &peer, why);
	}
	pause_accepting(l);
}

/** Errors of one connection that died while it waited (accept(2) lists them); others follow it. */
static bool is_of_one_connection(int e)
{
	switch (e) {
	case ECONNABORTED:
	case EINTR:
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
	case EPERM:
		return true;
	default:
		return false;
	}
}

static void accept_waiting(struct listen_socket *s, int max)
{
	struct listener *l = s->l;

	/* Each callback may stop or free the listener: then the socket is closed. */
	for (int i = 0; i < max && s->fd >= 0 && l->pause.pos == 0; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		int fd = accept4(s->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0)
			admit(l, fd, (struct sockaddr *)&ss);
		else if (errno == EAGAIN)
			break;
		else if (!is_of_one_connection(errno))
			shed(l, s->fd, -errno);
	}
}

static void on_connections(uv_poll_t *poll, int status, int events)
{
	struct listen_socket *s = poll->data;
	struct listener *l = s->l;

	(void)events;
	if (status < 0) {
		pause_accepting(l);
		return;
	}
	accept_waiting(s, ACCEPT_BATCH);
}

static void poll_all(struct listener *l)
{
	for (size_t i = 0; i < l->n_sockets; i++)
		if (l->sockets[i].fd >= 0)
			uv_poll_start(&l->sockets[i].poll, UV_READABLE, on_connections);
}

/* Life */

/** The sentence for a listening socket that cannot be had. */
static int bind_failed(const struct addr *a, int e, struct err_info *info)
{
	char text[ADDR_TEXT_MAX];

	addr_format(a, text);
	switch (e) {
	case EADDRINUSE:
		return err_set(info, -e,
			       "cannot listen on %s: another program has this port; "
			       "`ss -ltnp 'sport = :%u'` shows which",
			       text, addr_port(a));
	case EACCES:
		return err_set(info, -e,
			       "cannot listen on %s: not permitted; ports below 1024 need "
			       "CAP_NET_BIND_SERVICE",
			       text);
	case EAFNOSUPPORT:
		return err_set(info, -e,
			       "cannot listen on %s: this machine has no IPv6; remove the address",
			       text);
	case EADDRNOTAVAIL:
		return err_set(info, -e,
			       "cannot listen on %s: no interface has this address%s; "
			       "`ip address` shows those there are",
			       text,
			       a->u.sa.sa_family == AF_INET6 ? " (or IPv6 is switched off)" : "");
	default:
		return err_set(info, -e, "cannot listen on %s: %s", text, err_text(-e));
	}
}

/** A bound, listening socket. @return 0 or an errno. */
static int open_socket(struct listen_socket *s)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	const int on = 1;
	int fd = socket(s->addr.u.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	s->fd = fd;
	/* Without V6ONLY, [::] would take the IPv4 port too and 0.0.0.0 could not be bound. */
	if (s->addr.u.sa.sa_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0)
		return errno;
	/* Accepted sockets inherit NODELAY: answers are written whole. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    bind(fd, &s->addr.u.sa, addr_len(&s->addr)) < 0 || listen(fd, BACKLOG) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return errno;
	return addr_from_sockaddr(&s->addr, (struct sockaddr *)&ss) == ERR_OK ? 0 : EINVAL;
}

/** A socket that is bound and listens already. @return 0 or an errno. */
static int adopt_socket(struct listen_socket *s, int given)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), int_len = sizeof(int);
	const int on = 1;
	int listens = 0, flags;

	s->handed_in = true;
	s->fd = fcntl(given, F_DUPFD_CLOEXEC, 3);
	if (s->fd < 0)
		return errno;
	if (getsockopt(s->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_len) < 0)
		return errno;
	if (!listens)
		return EINVAL;
	flags = fcntl(s->fd, F_GETFL);
	if (flags < 0 || fcntl(s->fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0 ||
	    getsockname(s->fd, (struct sockaddr *)&ss, &len) < 0)
		return errno;
	return addr_from_sockaddr(&s->addr, (struct sockaddr *)&ss) == ERR_OK ? 0 : EINVAL;
}

static int adoption_failed(const struct addr *a, int e, struct err_info *info)
{
	char text[ADDR_TEXT_MAX];

	addr_format(a, text);
	return err_set(info, -e,
		       "the socket handed in for %s is no TCP socket that listens (%s); look at "
		       "ListenStream= of the socket unit",
		       text, err_text(-e));
}

static int open_all(struct listener *l, const int *given, struct err_info *info)
{
	for (size_t i = 0; i < l->n_sockets; i++) {
		struct addr wanted = l->sockets[i].addr;
		bool adopt = given != NULL && given[i] >= 0;
		int e = adopt ? adopt_socket(&l->sockets[i], given[i])
			      : open_socket(&l->sockets[i]);

		if (e != 0)
			return adopt ? adoption_failed(&wanted, e, info)
				     : bind_failed(&wanted, e, info);
	}
	for (size_t i = 0; i < l->n_sockets; i++) {
		struct listen_socket *s = &l->sockets[i];
		int err = uv_poll_init(l->net->loop, &s->poll, s->fd);

		if (err == 0) {
			s->poll.data = s;
			l->open_handles++;
			err = uv_poll_start(&s->poll, UV_READABLE, on_connections);
		}
		if (err < 0)
			return err_set(info, err, "cannot wait for connections: %s", err_text(err));
	}
	return ERR_OK;
}

int listener_new(struct net *net, const struct listener_params *p, struct listener **ret,
		 struct err_info *info)
{
	struct listener *l;
	int err;

	if (p->n_listen == 0 || p->n_listen > LISTENER_ADDRS_MAX)
		return err_set(info, ERR_LIMIT, "between 1 and %d addresses to listen on",
			       LISTENER_ADDRS_MAX);
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	l->net = net;
	l->p = *p;
	l->p.listen = NULL;
	l->p.sockets = NULL;
	l->n_sockets = p->n_listen;
	for (size_t i = 0; i < p->n_listen; i++)
		l->sockets[i] = (struct listen_socket){ .l = l, .addr = p->listen[i], .fd = -1 };
	l->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uv_timer_init(net->loop, &l->timer);
	l->timer.data = l;
	l->open_handles = 1;
	err = peer_count_init(&l->peers, net->rng);
	if (err != ERR_OK)
		(void)err_set(info, err, "%s", err_text(err));
	else
		err = open_all(l, p->sockets, info);
	if (err != ERR_OK) {
		listener_free(l, NULL, NULL); /* handles close in the loop */
		return err;
	}
	*ret = l;
	return ERR_OK;
}

static void on_handle_closed(uv_handle_t *h)
{
	/* timer or poll: data is the listener or a socket of it */
	struct listener *l = h->type == UV_POLL ? ((struct listen_socket *)h->data)->l
						: (struct listener *)h->data;

	listener_handle_closed(l);
}

static void close_socket(struct listen_socket *s)
{
	if (s->fd < 0)
		return;
	if (s->poll.data != NULL)
		uv_close((uv_handle_t *)&s->poll, on_handle_closed);
	close(s->fd);
	s->fd = -1;
}

void listener_stop(struct listener *l)
{
	if (l->stopped)
		return;
	l->stopped = true;
	for (size_t i = 0; i < l->n_sockets; i++)
		if (!l->sockets[i].handed_in)
			close_socket(&l->sockets[i]);
}

void listener_release(struct listener *l)
{
	for (size_t i = 0; i < l->n_sockets; i++) {
		if (!l->stopped)
			accept_waiting(&l->sockets[i], BACKLOG);
		close_socket(&l->sockets[i]);
	}
	l->stopped = true;
	deadlines_remove(&l->deadlines, &l->pause);
}

void listener_free(struct listener *l, void (*done)(void *ctx), void *ctx)
{
	struct deadline *e;

	l->freeing = true;
	l->done = done;
	l->done_ctx = ctx;
	l->stopped = true;
	deadlines_remove(&l->deadlines, &l->pause);
	for (size_t i = 0; i < l->n_sockets; i++)
		close_socket(&l->sockets[i]);
	while ((e = deadlines_take(&l->deadlines)) != NULL)
		conn_end((struct conn *)((char *)e - offsetof(struct conn, deadline)), ERR_OK);
	uv_close((uv_handle_t *)&l->timer, on_handle_closed);
}

void listener_set_rules(struct listener *l, const struct cidr *allow, size_t n_allow,
			size_t max_conns, size_t max_per_address, uint32_t idle_ms)
{
	l->p.allow = allow;
	l->p.n_allow = n_allow;
	l->p.max_conns = max_conns;
	l->p.max_per_address = max_per_address;
	l->p.idle_ms = idle_ms;
}

const struct addr *listener_addr(const struct listener *l, size_t i)
{
	return &l->sockets[i].addr;
}

size_t listener_addr_count(const struct listener *l)
{
	return l->n_sockets;
}

size_t listener_count(const struct listener *l)
{
	return l->n_conns;
}
