/* One request to one server. See dns_client_priv.h. */
#include <string.h>

#include "common/err.h"
#include "net/dns_client_priv.h"

/** RFC 1035 §4.2.1; nsupdate changes to TCP there too. */
#define UDP_REQUEST_MAX 512
/** Messages on one TCP connection that are not the answer. */
#define TCP_JUNK_MAX 16

static void start_tcp(struct dns_attempt *a, const struct buf *request);

/** The request with a fresh ID and a fresh signature (failure-modes U27). */
static int make_request(struct dns_attempt *a, struct buf *out)
{
	struct dns_client_impl *c = a->c;
	const struct buf *from = a->edns ? &c->edns : &c->plain;
	struct tsig_key *key = c->servers[a->server].key;
	int err;

	a->asked = (struct dns_asked){
		.request = c->plain.data,
		.request_len = c->plain.len,
		.id = (uint16_t)rng_u32(c->net->rng),
		.key = key,
		.signature = &a->signature,
		.require_aa = c->require_aa,
	};
	err = buf_append(out, from->data, from->len);
	if (err != ERR_OK)
		return err;
	out->data[0] = (uint8_t)(a->asked.id >> 8);
	out->data[1] = (uint8_t)a->asked.id;
	if (key == NULL)
		return ERR_OK;
	return tsig_sign(key, (uint64_t)clock_wall_s(c->net->clock), out, &a->signature);
}

/** Look at one message. @return whether it ends the attempt. */
static bool take_message(struct dns_attempt *a, const uint8_t *data, size_t len)
{
	struct dns_judgement j;

	switch (dns_judge(&a->asked, (uint64_t)clock_wall_s(a->c->net->clock), data, len, &j)) {
	case DNS_JUNK:
		a->junk++;
		a->broken = j.err == ERR_DNS_MALFORMED;
		if (j.err != ERR_OK)
			dns_client_heard(a, &j);
		return false;
	case DNS_UNPROVEN:
		dns_client_heard(a, &j);
		return false;
	case DNS_TRUNCATED:
	case DNS_COUNTS:
	case DNS_COMPLAINT:
		break;
	}
	dnsmsg_free(a->j.msg);
	a->j = j;
	return true;
}

static uint32_t time_left(const struct dns_attempt *a)
{
	uint64_t now = uv_now(a->c->net->loop);

	/* The client's own deadline comes first; this one only backs it. */
	return a->c->deadline > now ? (uint32_t)(a->c->deadline - now) + 1 : 1;
}

/* UDP */

static bool on_match(void *ctx, const uint8_t *data, size_t len)
{
	return take_message(ctx, data, len);
}

static void on_udp_done(struct udp_exchange *x, int err, const uint8_t *reply, size_t len)
{
	struct dns_attempt *a = x->owner;
	struct dns_client_impl *c = a->c;
	struct buf request;

	(void)reply;
	(void)len;
	if (err != ERR_OK || a->j.verdict != DNS_TRUNCATED || c->state != DC_RUNNING) {
		dns_client_attempt_over(a, err);
		return;
	}
	buf_init(&request, DNSMSG_MAX);
	err = make_request(a, &request);
	if (err == ERR_OK) {
		start_tcp(a, &request);
		dns_client_changed_to_tcp(a);
	} else {
		dns_client_attempt_over(a, err);
	}
	buf_done(&request);
}

static void start_udp(struct dns_attempt *a, const struct buf *request)
{
	struct udp_exchange_params p = {
		.peer = a->c->servers[a->server].addr,
		.request = request->data,
		.request_len = request->len,
		.timeout_ms = time_left(a),
		.match = on_match,
		.match_ctx = a,
	};

	memset(&a->io.udp, 0, sizeof(a->io.udp));
	a->io.udp.owner = a;
	a->began_ns = uv_hrtime();
	udp_exchange_start(&a->io.udp, a->c->net, &p, on_udp_done);
	if (a->io.udp.state == UX_WAITING)
		a->c->outcome.sent++;
}

/* TCP: two bytes of length before each message (RFC 1035 §4.2.2) */

static void on_tcp_open(struct tcp_stream *s)
{
	struct dns_attempt *a = s->owner;

	a->c->outcome.sent++;
}

static size_t on_tcp_data(struct tcp_stream *s, const uint8_t *data, size_t len)
{
	struct dns_attempt *a = s->owner;
	size_t n;

	if (len < 2)
		return 0;
	n = (size_t)data[0] << 8 | data[1];
	if (len < n + 2)
		return 0;
	if (take_message(a, data + 2, n))
		tcp_stream_finish(s, ERR_OK);
	else if (a->broken || a->junk > TCP_JUNK_MAX) /* nobody else speaks on this connection */
		tcp_stream_finish(s, ERR_DNS_MALFORMED);
	return n + 2;
}

static void on_tcp_done(struct tcp_stream *s, int err)
{
	dns_client_attempt_over(s->owner, err);
}

static void start_tcp(struct dns_attempt *a, const struct buf *request)
{
	const struct addr *peer = &a->c->servers[a->server].addr;
	struct tcp_stream_params p = {
		.peer = *peer,
		.source =
			peer->u.sa.sa_family == AF_INET6 ? a->c->net->source6 : a->c->net->source4,
		.timeout_ms = time_left(a),
		.max_in = DNSMSG_MAX + 2,
		.on_open = on_tcp_open,
		.on_data = on_tcp_data,
		.done = on_tcp_done,
	};
	const uint8_t length[2] = { (uint8_t)(request->len >> 8), (uint8_t)request->len };

	a->tcp = a->asked.tcp = true;
	a->junk = 0; /* what others sent to the same socket does not count here */
	a->broken = false;
	memset(&a->io.tcp, 0, sizeof(a->io.tcp));
	a->io.tcp.owner = a;
	a->began_ns = uv_hrtime();
	tcp_stream_start(&a->io.tcp, a->c->net, &p);
	tcp_stream_write(&a->io.tcp, length, sizeof(length));
	tcp_stream_write(&a->io.tcp, request->data, request->len);
}

int dns_attempt_start(struct dns_attempt *a)
{
	struct buf request;
	int err;

	buf_init(&request, DNSMSG_MAX);
	err = make_request(a, &request);
	if (err == ERR_OK && (a->tcp || request.len > UDP_REQUEST_MAX))
		start_tcp(a, &request);
	else if (err == ERR_OK)
		start_udp(a, &request);
	buf_done(&request);
	return err;
}

void dns_attempt_cancel(struct dns_attempt *a)
{
	if (a->tcp)
		tcp_stream_cancel(&a->io.tcp);
	else
		udp_exchange_cancel(&a->io.udp);
}
