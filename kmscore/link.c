#include "kmscore/link.h"

#include <string.h>

#include "common/err.h"
#include "kmscore/kms_client.h"
#include "kmscore/kms_msg.h"

#define NS_PER_MS 1e6

/* A request of RPC_STUB_MAX in the smallest fragments; a bind with all its contexts. */
#define OUT_MAX  (2 * RPC_STUB_MAX)
#define OUT_KEEP 16384u /* memory that an association may keep between requests */

static void on_done(struct tcp_stream *s, int err)
{
	struct kms_link *l = s->owner;

	buf_done(&l->out);
	rpc_client_done(&l->rpc); /* memory only: which calls are open is still known */
	l->p.done(l, err);
	/* l may be freed memory now */
}

static void on_open(struct tcp_stream *s)
{
	struct kms_link *l = s->owner;
	int err;

	l->connected = true;
	err = rpc_client_bind(&l->rpc, &l->out);
	if (err != 0) {
		kms_link_finish(l, err);
		return;
	}
	tcp_stream_write(s, l->out.data, l->out.len);
	buf_clear(&l->out);
}

static size_t on_data(struct tcp_stream *s, const uint8_t *data, size_t len)
{
	struct kms_link *l = s->owner;
	struct rpc_client_answer a;
	enum rpc_client_event ev;
	size_t used;

	l->heard_ns = uv_hrtime();
	l->silent = false;
	ev = rpc_client_feed(&l->rpc, data, len, &used, &a);
	l->half = used < len;
	switch (ev) {
	case RPC_CLIENT_MORE:
		break;
	case RPC_CLIENT_BOUND:
		l->bound = true;
		if (l->p.lives_on)
			tcp_stream_clear_deadline(s);
		l->p.bound(l);
		break;
	case RPC_CLIENT_ANSWER:
		l->p.answer(l, &a);
		break;
	case RPC_CLIENT_END:
		kms_link_finish(l, l->rpc.err);
		break;
	}
	return used;
}

void kms_link_start(struct kms_link *l, struct net *net, const struct kms_link_params *p)
{
	const struct tcp_stream_params tp = { .peer = p->peer,
					      .source = p->source,
					      .timeout_ms = p->timeout_ms,
					      .max_in = RPC_FRAG_MAX,
					      .on_open = on_open,
					      .on_data = on_data,
					      .done = on_done };

	l->p = *p;
	l->connected = l->bound = l->half = false;
	l->silent = true;
	l->started_ns = uv_hrtime();
	l->heard_ns = 0;
	buf_init(&l->out, OUT_MAX);
	rpc_client_init(&l->rpc, &p->rpc);
	l->stream.owner = l;
	tcp_stream_start(&l->stream, net, &tp);
}

bool kms_link_is_open(const struct kms_link *l)
{
	return l->bound && tcp_stream_is_open(&l->stream);
}

bool kms_link_has_unsent(const struct kms_link *l)
{
	return kms_link_is_open(l) && l->out.len > 0;
}

void kms_link_flush(struct kms_link *l)
{
	if (!kms_link_has_unsent(l))
		return;
	tcp_stream_write(&l->stream, l->out.data, l->out.len);
	if (l->out.cap > OUT_KEEP)
		buf_done(&l->out);
	else
		buf_clear(&l->out);
}

int kms_link_call(struct kms_link *l, void *tag, const uint8_t *stub, size_t len, bool be)
{
	int err;

	if (!kms_link_is_open(l))
		return ERR_CLOSED;
	err = rpc_client_request(&l->rpc, tag, KMS_OPNUM, stub, len, be, &l->out);
	if (err == ERR_LIMIT && l->out.len > 0) {
		kms_link_flush(l);
		err = rpc_client_request(&l->rpc, tag, KMS_OPNUM, stub, len, be, &l->out);
	}
	if (err == 0 && !(l->p.gathers && l->rpc.max_open > 1))
		kms_link_flush(l);
	return err;
}

void kms_link_drop(struct kms_link *l, const void *tag)
{
	rpc_client_drop(&l->rpc, tag);
}

void *kms_link_take(struct kms_link *l, bool *ret_begun)
{
	void *tag = rpc_client_take(&l->rpc, ret_begun);

	if (l->half)
		*ret_begun = true;
	return tag;
}

bool kms_link_has_begun(const struct kms_link *l, const void *tag)
{
	return l->half || rpc_client_has_begun(&l->rpc, tag);
}

void kms_link_finish(struct kms_link *l, int err)
{
	tcp_stream_finish(&l->stream, err);
}

void kms_link_result(const struct kms_link *l, int err, struct kms_client_result *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->err = err;
	ret->stage = l->bound       ? KMS_CLIENT_CALL
		     : l->connected ? KMS_CLIENT_BIND
				    : KMS_CLIENT_CONNECT;
	ret->rejected = l->rpc.rejected;
	ret->reason = l->rpc.reason;
	ret->fault_status = l->rpc.fault_status;
	ret->kin = l->rpc.kin;
	if (err != 0 && err == l->rpc.err)
		ret->why = l->rpc.why;
	if (l->heard_ns != 0)
		ret->rtt_ms = (double)(l->heard_ns - l->started_ns) / NS_PER_MS;
}
