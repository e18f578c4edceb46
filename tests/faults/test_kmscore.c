/* Files of the KMS core, its probes, and requests whose first answer is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "common/file.h"
#include "common/hresult.h"
#include "common/json_memory.h"
#include "common/log.h"
#include "kmscore/kms_msg.h"
#include "kmscore/lab_clients.h"
#include "kmscore/memory.h"
#include "kmscore/probe.h"
#include "kmscore/relay.h"
#include "kmscore/request_log.h"
#include "tests/faults/fault.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/pool_fixture.h"

#define T0 INT64_C(1790000000000)

struct folder {
	char dir[64], path[96];
};

static void make_folder(struct folder *f, const char *name)
{
	(void)snprintf(f->dir, sizeof(f->dir), "%s/test_kmscore.XXXXXX", fault_folder());
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
}

static void remove_folder(const struct folder *f)
{
	(void)unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0); /* and nothing beside it */
}

/* ---- lab clients ---- */

static size_t clients_in(const char *path)
{
	struct err_info info = { "" };
	struct lab_clients t;
	size_t n;

	if (lab_clients_load(path, &t, &info) != 0)
		fail_msg("%s", info.text);
	n = t.n;
	lab_clients_done(&t);
	return n;
}

/* The file has all of it or is as it was; it is never called damaged. */
static int lab_clients_file(void)
{
	struct err_info info = { "" };
	struct lab_client c[5];
	struct folder f;
	json_t *events;
	struct rng rng;
	int err;

	make_folder(&f, "clients.json");
	rng_init_seed(&rng, 1);
	for (size_t i = 0; i < 5; i++)
		lab_client_init(&c[i], lab_product_find("windows"),
				(char[]){ 'p', 'c', (char)('0' + i), '\0' }, &rng, T0);
	events = json_pack("[{s:I, s:s, s:i, s:i, s:s}]", "time_ms", (json_int_t)T0, "machine",
			   "pc0", "id", 12288, "hresult", 0, "info", "");
	assert_non_null(events);
	assert_int_equal(lab_clients_save(f.path, c, 2, NULL, &info), 0);
	fault_begin();
	err = lab_clients_save(f.path, c + 2, 3, events, &info);
	fault_end();
	if (err != 0) {
		assert_int_not_equal(err, ERR_PARSE);
		assert_string_not_equal(info.text, "");
		assert_true(clients_in(f.path) == 2 || clients_in(f.path) == 5);
	} else {
		assert_int_equal(clients_in(f.path), 5);
	}
	assert_int_equal(lab_clients_save(f.path, c + 2, 3, events, &info), 0);
	assert_int_equal(clients_in(f.path), 5);
	json_decref(events);
	remove_folder(&f);
	return err;
}

static int lab_client_report(void)
{
	struct lab_client c;
	struct rng rng;
	json_t *j;
	bool whole;

	rng_init_seed(&rng, 1);
	lab_client_init(&c, lab_product_find("windows"), "pc1", &rng, T0);
	fault_begin();
	j = lab_client_dlv_json(&c, T0);
	fault_end();
	whole = j != NULL;
	json_decref(j);
	return whole ? 0 : ERR_NOMEM;
}

static int lab_key_file(void)
{
	struct err_info info = { "" };
	struct lab_key key;
	struct folder f;
	struct rng rng;
	int err;

	make_folder(&f, "lab.key");
	rng_init_seed(&rng, 1);
	fault_begin();
	err = lab_keygen(f.path, &rng, &info);
	if (err == 0)
		err = lab_key_read(f.path, &key, &info);
	fault_end();
	if (err != 0)
		assert_string_not_equal(info.text, "");
	if (access(f.path, F_OK) != 0) /* a half of one is not left behind */
		assert_int_equal(lab_keygen(f.path, &rng, &info), 0);
	assert_int_equal(lab_key_read(f.path, &key, &info), 0);
	remove_folder(&f);
	return err;
}

/* ---- what a host remembers ---- */

struct memory {
	struct test_net t;
	struct folder f;
	struct store *store;
	struct kms_memory m;
};

static void no_wake(void *ctx)
{
	(void)ctx;
}

static int open_memory(struct memory *s)
{
	static const struct store_schema *const schemas[] = { &kms_memory_schema };
	struct err_info info = { "" };
	bool damaged = false;
	int err = store_new(s->f.path, schemas, 1, no_wake, NULL, &s->store, &damaged, &info);

	assert_false(damaged);
	kms_memory_init(&s->m, KMS_CLIENT_CMID, &s->t.rng);
	if (err == 0)
		err = kms_memory_keep(&s->m, &s->t.loop, &s->t.clock.clock, s->store);
	return err;
}

static void close_memory(struct memory *s)
{
	kms_memory_stop(&s->m);
	if (s->store != NULL)
		store_free(s->store);
	s->store = NULL;
	test_net_step(&s->t); /* the timer is closed */
	kms_memory_done(&s->m);
}

/** @return whether it is among the clients that are remembered. */
static bool serve(struct memory *s, uint8_t id)
{
	struct kms_clients_seen seen;
	struct guid cmid = { { id } };
	bool listed =
		kms_memory_client(&s->m, &cmid, "pc", clock_wall_ms(&s->t.clock.clock), &seen);

	(void)kms_count_add(&s->m.count, &cmid, KMS_THRESHOLD_CLIENT,
			    clock_wall_ms(&s->t.clock.clock));
	s->m.totals.requests++;
	kms_memory_changed(&s->m);
	return listed;
}

static void on_line(void *ctx, const char *line)
{
	bool *told = ctx;

	*told = *told || strstr(line, " warning kms ") != NULL;
}

/* A client that there was no room for is served, told of, and listed when it asks again. */
static int client_list(void)
{
	struct memory s = { 0 };
	bool told = false, listed;

	test_net_init(&s.t);
	kms_memory_init(&s.m, KMS_CLIENT_ADDRESS, &s.t.rng);
	log_set_tap(on_line, &told);
	fault_begin();
	listed = serve(&s, 1);
	fault_end();
	log_set_tap(NULL, NULL);
	assert_int_equal(told, !listed);
	assert_true(serve(&s, 1));
	assert_int_equal(kms_clients_count(&s.m.clients, s.t.clock.wall_ms), 1);
	kms_memory_done(&s.m);
	test_net_done(&s.t);
	return listed ? 0 : ERR_NOMEM;
}

/* What was in the file is still there; without it everything goes on in memory. What is not
 * saved is told. */
static int memory_file(void)
{
	struct memory s = { 0 };
	bool told = false;
	int err;

	test_net_init(&s.t);
	make_folder(&s.f, "state.db");
	assert_int_equal(open_memory(&s), 0);
	(void)serve(&s, 1);
	(void)serve(&s, 2);
	close_memory(&s);
	log_set_tap(on_line, &told);
	fault_begin();
	err = open_memory(&s);
	(void)serve(&s, 3);
	close_memory(&s);
	fault_end();
	log_set_tap(NULL, NULL);
	if (fault_site_has("calloc", "save"))
		assert_true(told);
	assert_int_equal(open_memory(&s), 0);
	assert_true(kms_clients_count(&s.m.clients, s.t.clock.wall_ms) >= 2);
	assert_true(s.m.totals.requests >= 2);
	close_memory(&s);
	remove_folder(&s.f);
	test_net_done(&s.t);
	return err;
}

/* ---- a line for each request ---- */

static void on_freed(void *ctx)
{
	*(bool *)ctx = true;
}

static const struct log_ctx log_test = { .module = "kms" };

static int request_lines(void)
{
	struct err_info info = { "" };
	struct request_log *l = NULL;
	struct test_net t;
	struct folder f;
	bool freed = false;
	int err;

	test_net_init(&t);
	make_folder(&f, "requests");
	fault_begin();
	err = request_log_new(&t.loop, &log_test, f.path, &l, &info);
	if (err == 0) {
		request_log_add(l, "one", 3);
		err = request_log_reopen(l, f.path, &info);
		request_log_add(l, "two", 3);
	}
	if (err != 0)
		assert_string_not_equal(info.text, "");
	if (l != NULL) {
		request_log_free(l, on_freed, &freed);
		test_net_run_until(&t, &freed);
	}
	fault_end();
	remove_folder(&f);
	test_net_done(&t);
	return err;
}

/* ---- probes ---- */

struct probing {
	struct probe_op op;
	struct probe_result r;
	int calls;
	bool done;
};

static void on_probed(struct probe_op *op, const struct probe_result *r)
{
	struct probing *p = op->owner;

	p->r = *r;
	p->calls++;
	p->done = true;
}

static void probe(struct test_net *t, struct probing *p, const struct prober *by,
		  const struct addr *at, bool cancel)
{
	memset(p, 0, sizeof(*p));
	p->op.owner = p;
	by->start(by, &p->op, &t->net, at, 300, on_probed);
	if (cancel)
		by->cancel(&p->op);
	assert_int_equal(p->calls, 0);
	test_net_run_until(t, &p->done);
	assert_int_equal(p->calls, 1);
	assert_string_not_equal(p->r.detail, "");
}

static int probe_by(const struct prober *by)
{
	static struct fake_host h; /* large */
	struct probing p;
	struct test_net t;
	bool up;

	memset(&h, 0, sizeof(h));
	test_net_init(&t);
	fake_host_start(&h, &t.loop);
	fault_begin();
	probe(&t, &p, by, &h.addr, true);
	probe(&t, &p, by, &h.addr, false);
	up = p.r.state == PROBE_UP;
	fault_end();
	probe(&t, &p, by, &h.addr, false);
	assert_int_equal(p.r.state, PROBE_UP);
	fake_host_stop(&h);
	test_net_done(&t);
	return up ? 0 : ERR_TIMEOUT;
}

static int probe_rpc(void)
{
	return probe_by(kms_prober_rpc());
}

static int probe_tcp(void)
{
	return probe_by(kms_prober_tcp());
}

static const struct fault_scenario scenarios[] = {
	{ .name = "lab_clients_file", .run = lab_clients_file, .begin = json_memory_count },
	{ .name = "lab_client_report", .run = lab_client_report },
	{ .name = "lab_key_file", .run = lab_key_file },
	{ .name = "client_list", .run = client_list },
	{ .name = "memory_file", .run = memory_file },
	{ .name = "request_lines", .run = request_lines },
	{ .name = "probe_rpc", .run = probe_rpc },
	{ .name = "probe_tcp", .run = probe_tcp },
};

int main(void)
{
	return fault_run("fault_kmscore", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
