/**
 * A relay over pools and probes that a test owns: what it defines takes the place of kmscore/pool.c
 * and kms_client.c in the program that includes it. Hosts are called "a", "b" ... with priorities
 * 0, 1 ..., so that they are asked in this order.
 */
#ifndef KMSBEACON_TESTS_LIB_RELAY_WORLD_H
#define KMSBEACON_TESTS_LIB_RELAY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/err.h"
#include "common/hresult.h"
#include "kmscore/lab.h"
#include "kmscore/relay.h"
#include "tests/lib/test_net.h"

#define POOLS 70
#define CALLS 64

struct kms_pool {
	struct kms_pool_params p;
	struct addr addrs[KMS_POOL_ADDRS_MAX];
	size_t n_addrs;
	bool warm;
	struct kms_pool_call *call[CALLS]; /* at the host, in order */
	size_t n_calls;
	size_t n_started;
	bool freeing;
	void (*freed)(void *ctx);
	void *freed_ctx;
};

/** A call that a test made. */
struct want {
	struct relay_call c;
	uint8_t stub[64];
	unsigned ended;
	int err;
	uint32_t fault;
	uint8_t got[64];
	size_t got_len;
	bool be;
};

static struct world {
	struct test_net t;
	struct relay *r;
	struct relay_rules rules;
	struct relay_upstream up[POOLS];
	struct addr addr[POOLS];
	char name[POOLS][8];
	size_t n;
	struct kms_pool *pool[POOLS]; /* in the order they were made */
	size_t n_pools;
	size_t pools_alive;
	size_t pools_max; /* then memory is out; 0: never */
	bool no_more_pools;
	struct kms_client *probe[POOLS];
	size_t n_probes; /* begun */
	/* canceled, and not told yet */
	struct kms_pool_call *canceled[CALLS];
	size_t n_canceled;
	struct kms_client *probe_canceled[POOLS];
	size_t n_probe_canceled;
	bool inside; /* start or cancel of the relay: no callback may run */
	/* what the relay told */
	unsigned n_changed;
	unsigned n_state;
	char state_of[8];
	enum relay_state state;
	unsigned n_records;
	struct relay_record record;
	char record_upstream[16];
	bool named_wrong_clock; /* a's */
	bool freed;
} w;

int kms_pool_new(const struct kms_pool_params *p, struct kms_pool **ret)
{
	struct kms_pool *pool;

	if (w.no_more_pools)
		return ERR_NOMEM;
	pool = calloc(1, sizeof(*pool));
	assert_non_null(pool);
	pool->p = *p;
	w.pool[w.n_pools++] = pool;
	w.no_more_pools = w.n_pools == w.pools_max;
	w.pools_alive++;
	*ret = pool;
	return 0;
}

void kms_pool_set_rules(struct kms_pool *p, const struct kms_pool_rules *rules)
{
	p->p.rules = *rules;
}

void kms_pool_set_addrs(struct kms_pool *p, const struct addr *addrs, size_t n)
{
	if (n > 0)
		memcpy(p->addrs, addrs, n * sizeof(*addrs));
	p->n_addrs = n;
}

void kms_pool_keep_warm(struct kms_pool *p, bool warm)
{
	p->warm = warm;
}

void kms_pool_make_room(struct kms_pool *p)
{
	(void)p;
}

void kms_pool_free(struct kms_pool *p, void (*done)(void *ctx), void *ctx)
{
	assert_int_equal(p->n_calls, 0);
	assert_false(p->freeing);
	p->freeing = true;
	p->freed = done;
	p->freed_ctx = ctx;
}

void kms_pool_call_start(struct kms_pool *p, struct kms_pool_call *c, const uint8_t *stub,
			 size_t stub_len, bool be, kms_pool_done_fn *done)
{
	c->pool = p;
	c->done = done;
	c->stub = stub;
	c->stub_len = stub_len;
	c->be = be;
	assert_true(p->n_calls < CALLS);
	p->call[p->n_calls++] = c;
	p->n_started++;
}

static inline void take(struct kms_pool *p, struct kms_pool_call *c)
{
	size_t i = 0;

	while (i < p->n_calls && p->call[i] != c)
		i++;
	assert_true(i < p->n_calls);
	memmove(&p->call[i], &p->call[i + 1], (p->n_calls - i - 1) * sizeof(p->call[0]));
	p->n_calls--;
}

void kms_pool_call_cancel(struct kms_pool_call *c)
{
	take(c->pool, c);
	w.canceled[w.n_canceled++] = c;
}

void kms_pool_status(const struct kms_pool *p, struct kms_pool_status *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->outstanding = p->n_calls;
}

void kms_client_start(struct kms_client *c, struct net *net, const struct kms_client_params *p)
{
	(void)net;
	c->p = *p;
	w.probe[w.n_probes++ % POOLS] = c;
}

void kms_client_cancel(struct kms_client *c)
{
	for (size_t i = 0; i < POOLS; i++)
		if (w.probe[i] == c) {
			w.probe[i] = NULL;
			w.probe_canceled[w.n_probe_canceled++] = c;
		}
}

/** What the loop would do: callbacks that are due. */
static inline void settle(void)
{
	static const struct kms_pool_outcome canceled = { .err = ERR_CANCELED,
							  .stage = KMS_POOL_SENT };
	static const struct kms_client_result probe = { .err = ERR_CANCELED };

	for (int turn = 0; turn < 8; turn++) {
		test_net_step(&w.t);
		while (w.n_canceled > 0) {
			struct kms_pool_call *c = w.canceled[0];

			/* no memmove: valgrind takes the fortified one for memcpy, and complains */
			w.n_canceled--;
			for (size_t i = 0; i < w.n_canceled; i++)
				w.canceled[i] = w.canceled[i + 1];
			c->done(c, &canceled);
		}
		while (w.n_probe_canceled > 0) {
			struct kms_client *c = w.probe_canceled[--w.n_probe_canceled];

			c->p.done(c, &probe);
		}
		for (size_t i = 0; i < w.n_pools; i++)
			if (w.pool[i] != NULL && w.pool[i]->freeing) {
				struct kms_pool *p = w.pool[i];

				w.pool[i] = NULL;
				w.pools_alive--;
				p->freed(p->freed_ctx);
				free(p);
			}
	}
}

static inline void on_changed(void *ctx)
{
	(void)ctx;
	assert_false(w.inside);
	w.n_changed++;
}

static inline void on_upstream(void *ctx, const char *name, enum relay_state from,
			       enum relay_state to, const char *detail)
{
	(void)ctx;
	assert_true(from != to);
	assert_true(strlen(detail) > 0);
	w.n_state++;
	w.state = to;
	w.state_of[0] = name[0];
}

static inline void on_record(void *ctx, const struct relay_record *r)
{
	(void)ctx;
	assert_false(w.inside);
	w.n_records++;
	w.record = *r;
	w.named_wrong_clock = r->wrong_clock != NULL && strcmp(r->wrong_clock, "a") == 0;
	w.record.wrong_clock = NULL; /* borrowed */
	memset(w.record_upstream, 0, sizeof(w.record_upstream));
	if (r->upstream != NULL)
		strncpy(w.record_upstream, r->upstream, sizeof(w.record_upstream) - 1);
}

/** The world; change w.rules and w.up before begin(). */
static inline void setup(size_t n)
{
	memset(&w, 0, sizeof(w));
	test_net_init(&w.t);
	w.n = n;
	for (size_t i = 0; i < POOLS; i++) {
		const uint8_t ip[4] = { 127, 1, 0, (uint8_t)(i + 1) };

		addr_from_v4(&w.addr[i], ip, 1688);
		w.name[i][0] = (char)('a' + (int)(i % 26));
		w.name[i][1] = i < 26 ? '\0' : (char)('0' + (int)(i / 26));
		w.up[i] = (struct relay_upstream){ .name = w.name[i],
						   .addrs = &w.addr[i],
						   .n_addrs = 1,
						   .priority = (uint32_t)i };
	}
	w.rules = (struct relay_rules){ .pool = { .min = 2, .max = 8, .timeout_ms = 5000 },
					.retry = 1,
					.interval_ms = 10000,
					.probe_ms = 3000,
					.rise = 2,
					.fall = 3 };
}

static inline void begin_unknown(void)
{
	struct relay_params p = { .net = &w.t.net,
				  .rules = w.rules,
				  .changed = on_changed,
				  .upstream_changed = on_upstream,
				  .record = on_record };

	assert_int_equal(relay_new(&p, &w.r), 0);
	assert_int_equal(relay_set_upstreams(w.r, w.up, w.n), 0);
	settle();
}

/** A new connection of this host came to this. */
static inline void bound_as(size_t host, int err, enum kms_kin kin)
{
	struct kms_pool_bound b = { .r = { .err = err, .stage = KMS_CLIENT_BIND }, .kin = kin };

	w.pool[host]->p.bound(w.pool[host]->p.ctx, &b);
	settle();
}

static inline void bound(size_t host, int err)
{
	bound_as(host, err, KMS_KIN_NONE);
}

/** All hosts up. */
static inline void begin(void)
{
	begin_unknown();
	for (size_t i = 0; i < w.n; i++)
		bound(i, 0);
}

static inline void on_freed(void *ctx)
{
	(void)ctx;
	w.freed = true;
}

static inline void end(void)
{
	relay_free(w.r, on_freed, NULL);
	assert_false(w.freed);
	settle();
	assert_true(w.freed);
	assert_int_equal(w.pools_alive, 0);
	test_net_done(&w.t);
}

static inline void on_answer(struct relay_call *c, const struct relay_answer *a)
{
	struct want *x = c->owner;

	assert_false(w.inside);
	x->ended++;
	x->err = a->err;
	x->fault = a->fault_status;
	x->be = a->be;
	assert_true(a->stub_len <= sizeof(x->got));
	if (a->stub_len > 0)
		memcpy(x->got, a->stub, a->stub_len);
	x->got_len = a->stub_len;
	memset(c, 0xa5, sizeof(*c)); /* any later touch is seen */
}

static inline void request_of(struct want *x, const char *client, bool from_relay, uint16_t major,
			      size_t len)
{
	struct addr a = test_addr(client);
	struct relay_call_params p = {
		.client = &a, .from_relay = from_relay, .stub = x->stub, .stub_len = len
	};

	memset(x, 0, sizeof(*x));
	x->stub[0] = x->stub[4] = 8; /* n, max_count; then the body: minor, major, 4 octets */
	x->stub[10] = (uint8_t)major;
	x->stub[11] = (uint8_t)(major >> 8);
	x->c.owner = x;
	w.inside = true;
	relay_call_start(w.r, &x->c, &p, on_answer);
	w.inside = false;
}

static inline void request(struct want *x, const char *client)
{
	request_of(x, client, false, 6, 16);
	settle();
}

static inline void cancel(struct want *x)
{
	w.inside = true;
	relay_call_cancel(&x->c);
	relay_call_cancel(&x->c);
	w.inside = false;
}

/** The oldest call at this host comes to this. */
static inline void outcome(size_t host, const struct kms_pool_outcome *o)
{
	struct kms_pool *p = w.pool[host];
	struct kms_pool_call *c;

	if (p->n_calls == 0)
		fail_msg("no call at host %zu", host);
	c = p->call[0];
	take(p, c);
	c->done(c, o);
	settle();
}

static inline void fails(size_t host, int err, enum kms_pool_stage stage)
{
	const struct kms_pool_outcome o = { .err = err, .stage = stage };

	outcome(host, &o);
}

static inline void faults(size_t host, uint32_t status)
{
	const struct kms_pool_outcome o = { .err = ERR_RPC_FAULT,
					    .stage = KMS_POOL_SENT,
					    .fault_status = status };

	outcome(host, &o);
}

/** A response with this result, and a body of four octets that name the host. */
static inline void answers(size_t host, uint32_t hresult)
{
	uint8_t stub[] = { 4, 0, 0, 0, 0, 0, 2, 0, 4, 0, 0, 0, 'h', 'o', 's', 0, 0, 0, 0, 0 };
	const struct kms_pool_outcome o = { .stage = KMS_POOL_SENT,
					    .stub = stub,
					    .stub_len = sizeof(stub) };

	stub[15] = (uint8_t)('a' + (int)host);
	for (unsigned i = 0; i < 4; i++)
		stub[16 + i] = (uint8_t)(hresult >> 8 * i);
	outcome(host, &o);
	memset(stub, 0xa5, sizeof(stub)); /* it was borrowed */
}

/** The call ended with an answer of this host, whole and unchanged. */
static inline void assert_answer(const struct want *x, char host, uint32_t hresult)
{
	assert_int_equal(x->ended, 1);
	assert_int_equal(x->err, 0);
	assert_int_equal(x->got_len, 20);
	assert_int_equal(x->got[15], host);
	assert_memory_equal(x->got, "\4\0\0\0\0\0\2\0\4\0\0\0hos", 15);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(x->got[16 + i], (uint8_t)(hresult >> 8 * i));
}

static inline void assert_fault(const struct want *x, int err, uint32_t status)
{
	assert_int_equal(x->ended, 1);
	assert_int_equal(x->err, err);
	assert_int_equal(x->fault, status);
	assert_int_equal(x->got_len, 0);
}

static inline enum relay_state state_of(size_t i)
{
	struct relay_upstream_status s;

	relay_upstream_status(w.r, i, &s);
	return s.state;
}

#endif
