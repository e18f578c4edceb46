/* The whole path in one process: lab client, relay, lab host; and relays that meet each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdlib.h>

#include "common/err.h"
#include "kmscore/kms_client.h"
#include "kmscore/service.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/test_net.h"

#define RELAYS 2
#define LABS   2

struct fixture {
	struct test_net t;
	struct lab_files files;
	struct kms_service *lab[LABS], *relay[RELAYS];
	struct kms_client_result r;
	uint8_t body[KMS_BODY_MAX];
	bool done, freed;
	uint8_t last_client;
};

static void on_freed(void *ctx)
{
	((struct fixture *)ctx)->freed = true;
}

static void end(struct fixture *f, struct kms_service **s)
{
	if (*s == NULL)
		return;
	f->freed = false;
	kms_service_free(*s, on_freed, f);
	*s = NULL;
	test_net_run_until(&f->t, &f->freed);
}

static struct kms_service *start(struct fixture *f, struct kms_service_params *p)
{
	struct addr listen = test_addr("127.0.0.1:0");
	struct kms_service *s = NULL;
	struct err_info info;

	p->listen = &listen;
	p->n_listen = 1;
	assert_int_equal(kms_service_new(&f->t.net, p, &s, &info), 0);
	return s;
}

static struct kms_service *start_lab(struct fixture *f)
{
	return start(f, &(struct kms_service_params){ .mode = KMS_MODE_LAB,
						      .lab_key_file = f->files.key_file });
}

/** A relay that has the services @p to as its upstreams, the first one as the best. */
static struct kms_service *start_relay(struct fixture *f, struct kms_service *const *to, size_t n,
				       bool lab)
{
	static const char *const names[] = { "one", "two", "three", "four" };
	struct relay_upstream list[4];
	struct kms_service_params p = {
		.mode = KMS_MODE_RELAY,
		.relay = { .pool = { .min = 1,
				     .max = 4,
				     .idle_ms = 60000,
				     .queue = 16,
				     .timeout_ms = 5000 },
			   .retry = 1,
			   .interval_ms = 200,
			   .probe_ms = 2000,
			   .rise = 1,
			   .fall = 2 },
		.upstreams = list,
		.n_upstreams = n,
	};

	for (size_t i = 0; i < n; i++)
		list[i] = (struct relay_upstream){ .name = names[i],
						   .addrs = kms_service_addr(to[i], 0),
						   .n_addrs = 1,
						   .priority = (uint32_t)i,
						   .lab = lab };
	return start(f, &p);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	lab_files_make(&f->files);
	for (size_t i = 0; i < LABS; i++)
		f->lab[i] = start_lab(f);
}

static void teardown(struct fixture *f)
{
	for (size_t i = 0; i < RELAYS; i++)
		end(f, &f->relay[i]);
	for (size_t i = 0; i < LABS; i++)
		end(f, &f->lab[i]);
	lab_files_remove(&f->files);
	test_net_done(&f->t);
}

static void on_done(struct kms_client *c, const struct kms_client_result *r)
{
	struct fixture *f = c->owner;

	f->r = *r;
	if (r->body != NULL)
		memcpy(f->body, r->body, r->body_len);
	f->done = true;
	free(c);
}

static void exchange(struct fixture *f, struct kms_service *with, const uint8_t *body, size_t len)
{
	struct kms_client_params p = { .peer = *kms_service_addr(with, 0),
				       .timeout_ms = 20000,
				       .body = body,
				       .body_len = len,
				       .done = on_done };
	struct kms_client *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->owner = f;
	f->done = false;
	kms_client_start(c, &f->t.net, &p);
	test_net_run_until(&f->t, &f->done);
}

/** One activation of a client that was not there before. @return the count the host told it. */
static uint32_t activate(struct fixture *f, struct kms_service *with)
{
	uint8_t body[LAB_REQUEST_LEN], nonce[LAB_NONCE_LEN] = { 1 };
	struct lab_request rq = { .n_policy = 25, .machine = "pc" };
	struct lab_response rs;

	rq.client_time = lab_filetime(f->t.clock.wall_ms);
	rq.cmid.b[0] = ++f->last_client;
	assert_int_equal(lab_request_seal(&f->files.key, nonce, &rq, body), 0);
	exchange(f, with, body, sizeof(body));
	assert_int_equal(f->r.err, 0);
	assert_int_equal(f->r.hresult, 0);
	assert_int_equal(lab_response_open(&f->files.key, f->body, f->r.body_len, &rs), 0);
	return rs.count;
}

static struct relay_upstream_status upstream(const struct kms_service *s, size_t i)
{
	struct relay_upstream_status st;

	relay_upstream_status(kms_service_relay(s), i, &st);
	return st;
}

static void until_state(struct fixture *f, const struct kms_service *s, size_t i,
			enum relay_state state)
{
	while (upstream(s, i).state != state)
		(void)uv_run(&f->t.loop, UV_RUN_ONCE);
}

static struct kms_service_status status(struct kms_service *s)
{
	struct kms_service_status st;

	kms_service_status(s, &st);
	return st;
}

static void t_lab_clients_through_a_relay(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.relay[0] = start_relay(&f, f.lab, LABS, true);
	for (uint32_t i = 1; i <= 5; i++)
		assert_int_equal(activate(&f, f.relay[0]), i); /* all at the first host */
	assert_int_equal(status(f.relay[0]).requests, 5);
	assert_int_equal(status(f.relay[0]).failed, 0);
	assert_int_equal(status(f.relay[0]).clients_30d, 1); /* one address */
	assert_int_equal(status(f.lab[0]).count, 5);
	assert_int_equal(upstream(f.relay[0], 0).requests, 5);
	assert_int_equal(upstream(f.relay[0], 0).state, RELAY_UP);

	/* the host goes: the next one answers, and nobody is told */
	end(&f, &f.lab[0]);
	assert_int_equal(activate(&f, f.relay[0]), 1);
	assert_int_equal(activate(&f, f.relay[0]), 2);
	assert_int_equal(status(f.relay[0]).failed, 0);

	/* the other one, too: the client gets its next host to ask, by a refused bind */
	end(&f, &f.lab[1]);
	until_state(&f, f.relay[0], 0, RELAY_REFUSED);
	until_state(&f, f.relay[0], 1, RELAY_REFUSED);
	exchange(&f, f.relay[0], NULL, 0);
	assert_int_equal(f.r.err, ERR_RPC_NAK);
	assert_int_equal(f.r.reason, RPC_NAK_CONGESTION);
	teardown(&f);
}

/* What is no lab message reaches no lab host. */
static void t_windows_clients_reach_no_lab_host(void **state)
{
	const uint8_t body[260] = { 0, 0, 6, 0 };
	struct fixture f;

	(void)state;
	setup(&f);
	f.relay[0] = start_relay(&f, f.lab, LABS, true);
	activate(&f, f.relay[0]);
	exchange(&f, f.relay[0], body, sizeof(body));
	assert_true(f.r.err != 0 || f.r.hresult != 0);
	assert_null(f.r.body);
	assert_int_equal(status(f.lab[0]).requests, 1);
	assert_int_equal(status(f.lab[1]).requests, 0);
	assert_int_equal(status(f.relay[0]).failed, 1);
	teardown(&f);
}

/* A request goes through two relays, but no further. */
static void t_R08_relay_behind_a_relay(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	f.relay[0] = start_relay(&f, f.lab, LABS, true);
	until_state(&f, f.relay[0], 0, RELAY_UP);
	f.relay[1] = start_relay(&f, f.relay, 1, true);
	assert_int_equal(activate(&f, f.relay[1]), 1);
	assert_true(upstream(f.relay[1], 0).is_relay);
	assert_false(upstream(f.relay[0], 0).is_relay);
	assert_int_equal(status(f.relay[0]).requests, 1);
	teardown(&f);
}

static void t_R08_relay_that_is_its_own_upstream(void **state)
{
	struct relay_upstream self = { .name = "self", .n_addrs = 1, .lab = true };
	struct fixture f;

	(void)state;
	setup(&f);
	f.relay[0] = start_relay(&f, f.lab, 1, true);
	self.addrs = kms_service_addr(f.relay[0], 0);
	assert_int_equal(kms_service_set_upstreams(f.relay[0], &self, 1), 0);
	until_state(&f, f.relay[0], 0, RELAY_LOOP);
	exchange(&f, f.relay[0], NULL, 0);
	assert_int_equal(f.r.err, ERR_RPC_NAK); /* at once, and not in a circle */
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_lab_clients_through_a_relay),
		cmocka_unit_test(t_windows_clients_reach_no_lab_host),
		cmocka_unit_test(t_R08_relay_behind_a_relay),
		cmocka_unit_test(t_R08_relay_that_is_its_own_upstream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
