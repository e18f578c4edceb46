#include "daemon/notify.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

static const struct log_ctx log_notify = { .module = "notify" };

#define ANSWER_MAX 512u /* header and question */

/* ---- pure ---- */

int notify_read(const uint8_t *wire, size_t len, struct dns_name *ret_zone, struct buf *answer)
{
	struct dns_msg *m = NULL;
	int err = dnsmsg_parse(wire, len, &m);

	if (err != ERR_OK)
		return err;
	if (m->qr || m->opcode != DNS_OPCODE_NOTIFY || !m->has_question ||
	    m->qtype != DNS_TYPE_SOA || m->qclass != DNS_CLASS_IN) {
		err = ERR_DNS_MISMATCH;
	} else {
		*ret_zone = m->qname;
		err = dnsmsg_build_notify_answer(m, answer);
	}
	dnsmsg_free(m);
	return err;
}

bool notify_rate_take(struct notify_rate *r, uint64_t now_ms)
{
	if (now_ms / 1000 != r->second) {
		r->second = now_ms / 1000;
		r->used = 0;
	}
	if (r->used >= NOTIFY_PER_SECOND)
		return false;
	r->used++;
	return true;
}

/* ---- the sockets ---- */

struct notify_socket {
	uv_udp_t udp;
	struct addr at;
};

struct notify {
	struct net *net;
	notify_fn *fn;
	void *ctx;
	struct notify_socket sockets[NOTIFY_LISTEN_MAX];
	size_t n, open;
	bool freeing;
	struct notify_counts counts;
	struct notify_rate rate;
	struct buf answer;
	char in[NOTIFY_SIZE_MAX];
};

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *ret)
{
	struct notify *n = h->data;

	(void)hint;
	*ret = uv_buf_init(n->in, sizeof(n->in)); /* one datagram at a time is read from it */
}

static void take(struct notify *n, uv_udp_t *udp, const struct sockaddr *peer, size_t len)
{
	char zone_text[DNSNAME_TEXT_MAX], from_text[ADDR_TEXT_MAX];
	struct dns_name zone;
	struct addr from;
	uv_buf_t out;

	if (addr_from_sockaddr(&from, peer) != 0 ||
	    notify_read((const uint8_t *)n->in, len, &zone, &n->answer) != ERR_OK ||
	    n->fn(n->ctx, &zone, &from) != PUB_NOTIFY_TAKEN) {
		n->counts.ignored++;
		return;
	}
	n->counts.taken++;
	log_debug(&log_notify, "notify.taken", "zone=%s from=%s", dns_name_format(&zone, zone_text),
		  (addr_format(&from, from_text), from_text));
	out = uv_buf_init((char *)n->answer.data, (unsigned)n->answer.len);
	(void)uv_udp_try_send(udp, &out, 1, peer); /* lost: the server sends its NOTIFY again */
}

static void on_datagram(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf,
			const struct sockaddr *from, unsigned flags)
{
	struct notify *n = udp->data;

	(void)buf;
	if (len <= 0 || from == NULL || n->freeing)
		return; /* nothing left to read, or an ICMP error of an answer */
	if (!notify_rate_take(&n->rate, clock_mono_ms(n->net->clock)))
		n->counts.dropped++;
	else if ((flags & UV_UDP_PARTIAL) != 0)
		n->counts.ignored++;
	else
		take(n, udp, from, (size_t)len);
}

static void on_closed(uv_handle_t *h)
{
	struct notify *n = h->data;

	if (--n->open > 0)
		return;
	buf_done(&n->answer);
	free(n);
}

void notify_free(struct notify *n)
{
	if (n == NULL || n->freeing)
		return;
	n->freeing = true;
	for (size_t i = 0; i < n->open; i++)
		uv_close((uv_handle_t *)&n->sockets[i].udp, on_closed);
}

static int open_socket(struct notify *n, const struct addr *at, struct err_info *info)
{
	struct notify_socket *s = &n->sockets[n->open];
	struct sockaddr_storage bound;
	int size = sizeof(bound);
	char text[ADDR_TEXT_MAX];
	int err = uv_udp_init(n->net->loop, &s->udp);

	addr_format(at, text);
	if (err != 0)
		return err_set(info, err, "publish.notify_listen: %s", err_text(err));
	s->udp.data = n;
	n->open++;
	err = uv_udp_bind(&s->udp, &at->u.sa, at->u.sa.sa_family == AF_INET6 ? UV_UDP_IPV6ONLY : 0);
	if (err == 0)
		err = uv_udp_getsockname(&s->udp, (struct sockaddr *)&bound, &size);
	if (err == 0)
		err = addr_from_sockaddr(&s->at, (const struct sockaddr *)&bound);
	if (err == 0)
		err = uv_udp_recv_start(&s->udp, on_alloc, on_datagram);
	if (err != 0)
		return err_set(info, err,
			       "publish.notify_listen: cannot listen on %s: %s; choose another "
			       "address or port, and see which program has this one",
			       text, err_text(err));
	addr_format(&s->at, text);
	log_info(&log_notify, "notify.listening", "address=%s", text);
	return 0;
}

int notify_new(struct net *net, const struct addr *listen, size_t n, notify_fn *fn, void *ctx,
	       struct notify **ret, struct err_info *info)
{
	struct notify *x = calloc(1, sizeof(*x));
	int err = 0;

	*ret = NULL;
	if (x == NULL || n == 0 || n > NOTIFY_LISTEN_MAX) {
		free(x);
		return err_set(info, x == NULL ? ERR_NOMEM : ERR_LIMIT,
			       "publish.notify_listen: 1 to %d addresses", NOTIFY_LISTEN_MAX);
	}
	x->net = net;
	x->fn = fn;
	x->ctx = ctx;
	buf_init(&x->answer, ANSWER_MAX);
	for (size_t i = 0; err == 0 && i < n; i++)
		err = open_socket(x, &listen[i], info);
	x->n = x->open;
	if (err == 0) {
		*ret = x;
	} else if (x->open > 0) {
		notify_free(x);
	} else {
		free(x);
	}
	return err;
}

size_t notify_n_listen(const struct notify *n)
{
	return n->n;
}

const struct addr *notify_addr(const struct notify *n, size_t i)
{
	return &n->sockets[i].at;
}

void notify_counts(const struct notify *n, struct notify_counts *ret)
{
	*ret = n->counts;
}
