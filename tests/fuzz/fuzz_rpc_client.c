/*
 * The client's side of an association: a stream means the same however it is cut; no more calls are
 * answered than were made, each once; nothing is held beyond its bound; and an end has a reason.
 *
 * First octet: how the stream is cut. Second: what we offered, how many calls are made at once,
 * whether some are dropped, and whether a good bind_ack goes before the stream.
 */
#include <string.h>

#include "common/err.h"
#include "kmscore/rpc_client.h"
#include "tests/fuzz/fuzz.h"

#define STREAM_MAX 40000u
#define OUT_MAX    (1u << 20)
#define CALLS_MAX  1000

struct outcome {
	int err;
	const char *why;
	enum kms_kin kin;
	unsigned n_answers, n_made;
	uint32_t sum; /* of all that the answers say */
};

static const struct guid own = { { 0xaa } };
static const uint8_t stub[] = "a request that is opaque";

static void add(struct outcome *o, uint32_t v)
{
	o->sum = (o->sum << 5 | o->sum >> 27) ^ v;
}

struct side {
	struct rpc_client c;
	struct outcome o;
	struct buf out;
	unsigned at_once;
	bool drop;
	bool open[CALLS_MAX + 1];
};

static void make_calls(struct side *s)
{
	while (s->c.n_open < s->at_once && s->o.n_made < CALLS_MAX) {
		bool *tag = &s->open[s->o.n_made];
		int err = rpc_client_request(&s->c, tag, 0, stub, sizeof(stub), s->o.n_made & 1,
					     &s->out);

		if (err == ERR_BUSY)
			break;
		FUZZ_CHECK(err == 0);
		buf_clear(&s->out);
		*tag = true;
		s->o.n_made++;
		if (s->drop && s->o.n_made % 3 == 0) {
			rpc_client_drop(&s->c, tag);
			*tag = false;
		}
	}
}

static void on_answer(struct side *s, const struct rpc_client_answer *a)
{
	bool *tag = a->tag;

	s->o.n_answers++;
	FUZZ_CHECK(s->o.n_answers <= s->o.n_made);
	FUZZ_CHECK(tag == NULL || *tag);
	if (tag == NULL) {
		add(&s->o, 1);
		return;
	}
	*tag = false;
	FUZZ_CHECK(a->err == 0 || a->err == ERR_RPC_FAULT);
	FUZZ_CHECK(a->stub_len <= RPC_STUB_MAX);
	add(&s->o, (uint32_t)(tag - s->open) << 1 | a->be);
	add(&s->o, a->fault_status);
	make_calls(s); /* before the stub is read: it stays until the next feed */
	for (size_t i = 0; i < a->stub_len; i++)
		add(&s->o, a->stub[i]);
}

static struct outcome run(const uint8_t *data, size_t size, size_t step, uint8_t how)
{
	static struct side s;
	struct rpc_client_params p = { .ctx = &rpc_client_kms_ctx,
				       .n_ctx = 1,
				       .ndr32 = true,
				       .multiplex = (how & 1) != 0,
				       .node_id = (how & 2) != 0 ? &own : NULL };
	enum rpc_client_event ev = RPC_CLIENT_MORE;
	size_t start = 0, have = 0, used;
	struct rpc_client_answer a;
	unsigned left = 0;
	bool begun, *tag;

	memset(&s, 0, sizeof(s));
	s.at_once = 1u + (how >> 4) * 3u;
	s.drop = (how & 4) != 0;
	buf_init(&s.out, OUT_MAX);
	rpc_client_init(&s.c, &p);
	FUZZ_CHECK(rpc_client_bind(&s.c, &s.out) == 0);
	buf_clear(&s.out);
	while (have < size && ev != RPC_CLIENT_END) {
		have = have + step < size ? have + step : size;
		do {
			ev = rpc_client_feed(&s.c, data + start, have - start, &used, &a);
			FUZZ_CHECK(used <= have - start);
			FUZZ_CHECK(s.c.held <= RPC_CLIENT_HELD_MAX);
			start += used;
			if (ev == RPC_CLIENT_BOUND)
				make_calls(&s);
			else if (ev == RPC_CLIENT_ANSWER)
				on_answer(&s, &a);
		} while (ev == RPC_CLIENT_BOUND || ev == RPC_CLIENT_ANSWER);
	}
	FUZZ_CHECK((ev == RPC_CLIENT_END) == (s.c.err != 0));
	FUZZ_CHECK(s.c.n_open == s.o.n_made - s.o.n_answers);
	while ((tag = rpc_client_take(&s.c, &begun)) != NULL) {
		FUZZ_CHECK(*tag);
		*tag = false;
		left++;
	}
	FUZZ_CHECK(s.c.n_open == s.c.n_dropped && left <= s.at_once);
	s.o.err = s.c.err;
	s.o.why = s.c.why;
	s.o.kin = s.c.kin;
	rpc_client_done(&s.c);
	buf_done(&s.out);
	return s.o;
}

/** A bind_ack to the bind that run() made. */
static void append_ack(struct buf *out, uint8_t how)
{
	struct rpc_hdr h = { .ptype = RPC_BIND_ACK,
			     .flags = (how & 1) != 0 ? RPC_FLAG_CONC_MPX : 0,
			     .call_id = 1 };
	struct rpc_bind_ack a = { .max_xmit = RPC_FRAG_MAX,
				  .max_recv = RPC_FRAG_MAX,
				  .n_results = (how & 2) != 0 ? 2 : 1 };

	a.result[0].transfer = rpc_syntax_ndr32;
	kms_kin_accept(&a.result[1], &own, KMS_KIN_ROLE_RELAY);
	FUZZ_CHECK(rpc_bind_ack_encode(out, &h, &a) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome whole, cut;
	struct buf stream;

	if (size < 2 || size > STREAM_MAX)
		return 0;
	buf_init(&stream, STREAM_MAX + RPC_FRAG_MAX);
	if ((data[1] & 8) != 0)
		append_ack(&stream, data[1]);
	FUZZ_CHECK(buf_append(&stream, data + 2, size - 2) == 0);
	if (stream.len > 0) {
		whole = run(stream.data, stream.len, stream.len, data[1]);
		cut = run(stream.data, stream.len, 1u + data[0], data[1]);
		FUZZ_CHECK(whole.err == cut.err && whole.why == cut.why && whole.kin == cut.kin);
		FUZZ_CHECK(whole.n_made == cut.n_made && whole.n_answers == cut.n_answers);
		FUZZ_CHECK(whole.sum == cut.sum);
	}
	buf_done(&stream);
	return 0;
}
