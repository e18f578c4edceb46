/**
 * A service in mode relay, and the relay behind it, which the test plays: what relay.h declares is
 * defined here, so that the one in the library is not linked. For one file of a program.
 */
#ifndef KMSBEACON_TESTS_LIB_PLAYED_RELAY_H
#define KMSBEACON_TESTS_LIB_PLAYED_RELAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/err.h"
#include "common/file.h"
#include "common/log.h"
#include "kmscore/relay.h"
#include "kmscore/session.h"
#include "kmscore/wire.h"
#include "net/listener_priv.h"
#include "tests/lib/raw_client.h"

#define CALLS_MAX 16

/* The relay */

struct fake_call {
	struct relay_call *c; /* NULL: ended */
	relay_done_fn *done;
	struct relay_call_params p;
	struct addr client;
	bool canceled;
};

struct relay {
	struct relay_params p;
	uv_timer_t timer;
	struct fake_call calls[CALLS_MAX];
	unsigned started, canceled;
	bool available, available_to_relays, up, known;
	size_t n_upstreams;
	bool freeing;
	void (*freed)(void *ctx);
	void *freed_ctx;
};

static struct relay *fake;
static int new_fails, list_fails;

int relay_new(const struct relay_params *p, struct relay **ret)
{
	if (new_fails != 0)
		return new_fails;
	fake = calloc(1, sizeof(*fake));
	assert_non_null(fake);
	fake->p = *p;
	fake->available = fake->available_to_relays = fake->up = fake->known = true;
	assert_int_equal(uv_timer_init(p->net->loop, &fake->timer), 0);
	fake->timer.data = fake;
	*ret = fake;
	return 0;
}

void relay_set_rules(struct relay *r, const struct relay_rules *rules)
{
	r->p.rules = *rules;
}

int relay_set_upstreams(struct relay *r, const struct relay_upstream *list, size_t n)
{
	(void)list;
	if (list_fails != 0)
		return list_fails;
	r->n_upstreams = n;
	return 0;
}

static inline void on_fake_closed(uv_handle_t *h)
{
	struct relay *r = h->data;

	fake = NULL;
	r->freed(r->freed_ctx);
	free(r);
}

static inline void on_fake_timer(uv_timer_t *t)
{
	const struct relay_answer gone = { .err = ERR_CANCELED };
	struct relay *r = t->data;

	for (size_t i = 0; i < CALLS_MAX; i++) {
		struct fake_call *k = &r->calls[i];
		struct relay_call *c = k->c;

		if (c == NULL || (!k->canceled && !r->freeing))
			continue;
		k->c = NULL;
		r->canceled++;
		k->done(c, &gone);
	}
	if (r->freeing)
		uv_close((uv_handle_t *)&r->timer, on_fake_closed);
}

void relay_free(struct relay *r, void (*done)(void *ctx), void *ctx)
{
	r->freeing = true;
	r->freed = done;
	r->freed_ctx = ctx;
	assert_int_equal(uv_timer_start(&r->timer, on_fake_timer, 0, 0), 0);
}

bool relay_available(const struct relay *r, bool from_relay)
{
	return from_relay ? r->available_to_relays : r->available;
}

bool relay_is_up(const struct relay *r, bool *ret_known)
{
	*ret_known = r->known;
	return r->up;
}

void relay_call_start(struct relay *r, struct relay_call *c, const struct relay_call_params *p,
		      relay_done_fn *done)
{
	struct fake_call *k = &r->calls[r->started++ % CALLS_MAX];

	assert_null(k->c);
	*k = (struct fake_call){ .c = c, .done = done, .p = *p, .client = *p->client };
}

void relay_call_cancel(struct relay_call *c)
{
	for (size_t i = 0; i < CALLS_MAX; i++)
		if (fake->calls[i].c == c)
			fake->calls[i].canceled = true;
	assert_int_equal(uv_timer_start(&fake->timer, on_fake_timer, 0, 0), 0);
}

uint32_t relay_call_ms(const struct relay *r)
{
	return (r->p.rules.retry + 2) * r->p.rules.pool.timeout_ms;
}

/** Call @p i (from 0) is answered with @p stub; NULL: with a fault. */
static inline void fake_answer(unsigned i, const char *stub, bool be)
{
	struct fake_call *k = &fake->calls[i % CALLS_MAX];
	struct relay_call *c = k->c;
	struct relay_answer a = { .be = be };

	assert_non_null(c);
	k->c = NULL;
	if (stub != NULL) {
		a.stub = (const uint8_t *)stub;
		a.stub_len = strlen(stub);
	} else {
		a.err = ERR_TIMEOUT;
		a.fault_status = RPC_S_TOO_BUSY;
	}
	k->done(c, &a);
}

/* The service */

struct fixture {
	struct test_net t;
	struct kms_service_params p;
	struct addr listen;
	struct kms_service *s;
	struct raw_client raw;
	char dir[64], file[96];
	unsigned lines, events, changes;
	char line[1024];
	struct kms_event event; /* the last one; its texts are below */
	char sentence[512], fields[512];
	bool freed, drained;
};

static inline void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	f->lines++;
	(void)snprintf(f->line, sizeof(f->line), "%s", line);
}

static inline void on_event(void *ctx, const struct kms_event *e)
{
	struct fixture *f = ctx;

	f->events++;
	f->event = *e;
	(void)snprintf(f->sentence, sizeof(f->sentence), "%s", e->sentence);
	(void)snprintf(f->fields, sizeof(f->fields), "%s", e->text);
}

static inline void on_changed(void *ctx)
{
	((struct fixture *)ctx)->changes++;
}

static inline void setup_params(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kmsbeacon-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->file, sizeof(f->file), "%s/requests", f->dir);
	f->listen = test_addr("127.0.0.1:0");
	f->p.mode = KMS_MODE_RELAY;
	f->p.listen = &f->listen;
	f->p.n_listen = 1;
	f->p.limits.idle_ms = 300000; /* longer than any test may take */
	f->p.relay.pool.timeout_ms = 5000;
	memset(&f->p.node_id, 0x77, sizeof(f->p.node_id));
	f->p.on_event = on_event;
	f->p.relay_changed = on_changed;
	f->p.ctx = f;
	log_setup(LOG_INFO, LOG_TEXT, STDERR_FILENO);
	log_set_tap(on_line, f);
}

static inline void start(struct fixture *f)
{
	struct err_info info;

	assert_int_equal(kms_service_new(&f->t.net, &f->p, &f->s, &info), 0);
	f->listen = *kms_service_addr(f->s, 0);
}

static inline void setup(struct fixture *f)
{
	setup_params(f);
	start(f);
}

static inline void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static inline void teardown(struct fixture *f)
{
	if (f->s != NULL) {
		kms_service_free(f->s, on_freed, f);
		assert_false(f->freed);
		test_net_run_until(&f->t, &f->freed);
		assert_null(fake);
	}
	log_set_tap(NULL, NULL);
	log_setup(LOG_WARNING, LOG_TEXT, STDERR_FILENO);
	(void)unlink(f->file);
	assert_int_equal(rmdir(f->dir), 0);
	test_net_done(&f->t);
}

static inline struct kms_service_status status(struct fixture *f)
{
	struct kms_service_status st;

	kms_service_status(f->s, &st);
	return st;
}

static inline struct bytes request(uint32_t call_id)
{
	struct bytes rq = vec("0500000310000000 2400 0000 00000000 00000000 0000 0000 "
			      "04000000 04000000 00000600");

	wire_put_u32(rq.b + 12, call_id, false);
	return rq;
}

static inline void bind_raw(struct fixture *f)
{
	struct bytes bind = vec(VEC_BIND3);

	raw_connect(&f->raw, &f->t, &f->listen);
	raw_send(&f->raw, bind.b, bind.len, 108);
}

static inline void until_started(struct fixture *f, unsigned n)
{
	while (fake->started < n)
		(void)uv_run(&f->t.loop, UV_RUN_ONCE);
	assert_int_equal(fake->started, n);
}

static inline void steps(struct fixture *f, int n)
{
	while (n-- > 0)
		test_net_step(&f->t);
}

#endif
