#include "kmscore/probe.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kmscore/bind_judge.h"
#include "kmscore/kms_client.h"
#include "net/tcp_stream.h"

#define NS_PER_MS UINT64_C(1000000)

/** A running probe; allocated, because the caller's struct cannot know our size. */
struct probe {
	struct probe_op *op;
	struct net *net;
	struct addr addr;
	uint32_t timeout_ms;
	uint64_t started_ns;
	bool ndr64; /* the second try of an rpc probe */
	bool canceled;
	struct kms_client rpc;
	struct tcp_stream tcp; /* of a tcp probe */
	bool is_tcp;
	double rtt_ms;
	struct probe_result r;
};

static double elapsed_ms(const struct probe *p)
{
	return (double)(uv_hrtime() - p->started_ns) / (double)NS_PER_MS;
}

static void say(struct probe_result *r, enum probe_state state, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void say(struct probe_result *r, enum probe_state state, const char *fmt, ...)
{
	va_list ap;

	r->state = state;
	va_start(ap, fmt);
	(void)vsnprintf(r->detail, sizeof(r->detail), fmt, ap);
	va_end(ap);
}

static void judge_rpc(struct probe *p, const struct kms_client_result *k)
{
	const char *syntaxes = "NDR32";

	if (p->ndr64)
		syntaxes = k->err == 0 ? "NDR64" : "NDR32 or NDR64";
	p->r.state = kms_bind_judge(k, syntaxes, p->r.detail, sizeof(p->r.detail));
	p->r.rtt_ms = k->rtt_ms > 0 ? p->rtt_ms + k->rtt_ms : 0;
}

static void deliver(struct probe *p)
{
	struct probe_op *op = p->op;
	struct probe_result r = p->r;

	if (p->canceled)
		say(&r, PROBE_TIMEOUT, "canceled");
	r.addr = p->addr;
	free(p);
	op->impl = NULL;
	op->done(op, &r); /* may free op */
}

static void rpc_try(struct probe *p, uint32_t timeout_ms);

static void on_rpc_done(struct kms_client *c, const struct kms_client_result *k)
{
	struct probe *p = c->owner;
	double left = (double)p->timeout_ms - elapsed_ms(p);

	if (k->err == ERR_RPC_SYNTAX && !p->ndr64 && !p->canceled && left >= 1) {
		/* A host that wants NDR64 is up. A new connection, because some servers end an
		 * association whose first bind brought them nothing. */
		p->ndr64 = true;
		p->rtt_ms = k->rtt_ms;
		rpc_try(p, (uint32_t)left);
		return;
	}
	judge_rpc(p, k);
	deliver(p);
}

static void rpc_try(struct probe *p, uint32_t timeout_ms)
{
	struct rpc_ctx_item item = { .n_transfer = 1, .abstract = rpc_syntax_kms };
	struct kms_client_params kp = { .peer = p->addr,
					.timeout_ms = timeout_ms,
					.ctx = &item,
					.n_ctx = 1,
					.done = on_rpc_done };

	item.transfer[0] = p->ndr64 ? rpc_syntax_ndr64 : rpc_syntax_ndr32;
	memset(&p->rpc, 0, sizeof(p->rpc));
	p->rpc.owner = p;
	kms_client_start(&p->rpc, p->net, &kp);
}

static void on_late_closed(uv_handle_t *h)
{
	struct probe_op *op = h->data;
	struct probe_result r = { .state = PROBE_TIMEOUT, .detail = "not probed: out of memory" };

	op->done(op, &r);
}

static void on_late(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, on_late_closed);
}

/** NULL: out of memory, and done() is on its way. */
static struct probe *probe_new(struct probe_op *op, struct net *net, const struct addr *addr,
			       uint32_t timeout_ms, probe_done_fn *done)
{
	struct probe *p = calloc(1, sizeof(*p));

	op->done = done;
	op->impl = p;
	if (p == NULL) {
		uv_timer_init(net->loop, &op->late);
		op->late.data = op;
		uv_timer_start(&op->late, on_late, 0, 0);
		return NULL;
	}
	p->op = op;
	p->net = net;
	p->addr = *addr;
	p->timeout_ms = timeout_ms;
	p->started_ns = uv_hrtime();
	return p;
}

static void rpc_start(const struct prober *self, struct probe_op *op, struct net *net,
		      const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done)
{
	struct probe *p = probe_new(op, net, addr, timeout_ms, done);

	(void)self;
	if (p != NULL)
		rpc_try(p, timeout_ms);
}

static void on_tcp_open(struct tcp_stream *s)
{
	struct probe *p = s->owner;

	p->r.rtt_ms = elapsed_ms(p);
	say(&p->r, PROBE_UP, "the port accepts connections; KMS was not asked");
	tcp_stream_finish(s, 0);
}

static size_t on_tcp_data(struct tcp_stream *s, const uint8_t *data, size_t len)
{
	(void)s;
	(void)data;
	return len;
}

static void on_tcp_done(struct tcp_stream *s, int err)
{
	struct probe *p = s->owner;

	if (err != 0)
		p->r.state = kms_connect_judge(err, false, p->r.detail, sizeof(p->r.detail));
	deliver(p);
}

static void tcp_start(const struct prober *self, struct probe_op *op, struct net *net,
		      const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done)
{
	struct probe *p = probe_new(op, net, addr, timeout_ms, done);
	struct tcp_stream_params tp = { .peer = *addr,
					.timeout_ms = timeout_ms,
					.max_in = RPC_FRAG_MAX,
					.on_open = on_tcp_open,
					.on_data = on_tcp_data,
					.done = on_tcp_done };

	(void)self;
	if (p == NULL)
		return;
	p->is_tcp = true;
	p->tcp.owner = p;
	tcp_stream_start(&p->tcp, net, &tp);
}

static void probe_cancel(struct probe_op *op)
{
	struct probe *p = op->impl;

	if (p == NULL)
		return; /* not started, done, or about to report that memory is out */
	p->canceled = true;
	if (p->is_tcp)
		tcp_stream_cancel(&p->tcp);
	else
		kms_client_cancel(&p->rpc);
}

const struct prober *kms_prober_rpc(void)
{
	static const struct prober prober = { rpc_start, probe_cancel, NULL };

	return &prober;
}

const struct prober *kms_prober_tcp(void)
{
	static const struct prober prober = { tcp_start, probe_cancel, NULL };

	return &prober;
}
