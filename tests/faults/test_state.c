/* Configuration and the state file. */
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

#include "common/config.h"
#include "common/err.h"
#include "daemon/upstream_memory.h"
#include "publisher/journal.h"
#include "publisher/report.h"
#include "publisher/targets.h"
#include "tests/faults/fault.h"
#include "tests/lib/fake_tsig.h"

/* ---- configuration ---- */

static const char text[] = "hosts:\n"
			   "  - { name: one, target: kms1.d0.test, port: 1688, weight: 10 }\n"
			   "publish:\n"
			   "  ttl: 1h\n"
			   "  domains:\n"
			   "    - { domain: d0.test, lab: true, hosts: [one] }\n"
			   "limits: { idle: 20s }\n";

/* An error is told in a sentence, or there was no memory for one. */
static int config_text(void)
{
	struct config_errors errs = { 0 };
	struct pub_targets *targets = NULL;
	struct err_info info = { "" };
	struct config *c = NULL;
	int err;

	fault_begin();
	err = config_parse(text, sizeof(text) - 1, "text", &c, &errs);
	if (err == 0)
		err = pub_targets_from_config(c, NULL, 1688, &targets, &info);
	fault_end();
	if (err == 0) {
		assert_int_equal(c->n_hosts, 1);
		assert_string_equal(c->hosts[0].name, "one");
		assert_int_equal(c->publish.n_domains, 1);
		assert_non_null(targets);
		assert_int_equal(errs.n_errors, 0);
	} else if (c == NULL) {
		assert_true(err == ERR_NOMEM || errs.n_errors > 0);
	} else {
		assert_true(err == ERR_NOMEM || info.text[0] != '\0');
	}
	pub_targets_unref(targets);
	config_errors_done(&errs);
	config_free(c);
	return err;
}

static int config_file(void)
{
	struct config_errors errs = { 0 };
	struct config *c = NULL;
	char path[] = "/tmp/test_faults.XXXXXX";
	int fd = mkstemp(path), err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	close(fd);
	fault_begin();
	err = config_load(path, &c, &errs);
	fault_end();
	if (err == 0)
		assert_int_equal(c->n_hosts, 1);
	else
		assert_true(err == ERR_NOMEM || errs.n_errors > 0);
	config_errors_done(&errs);
	config_free(c);
	assert_int_equal(unlink(path), 0);
	return err;
}

/* ---- state file ---- */

struct state {
	char dir[64], path[96];
	struct store *store;
	struct pub_journal *j;
	struct dns_name domain, owner;
	struct dns_srv srv;
};

static void no_wake(void *ctx)
{
	(void)ctx;
}

static int open_state(struct state *s)
{
	static const struct store_schema *const schemas[] = { &pub_journal_schema };
	struct err_info info = { "" };
	bool damaged = false;
	int err = store_new(s->path, schemas, 1, no_wake, NULL, &s->store, &damaged, &info);

	assert_false(damaged); /* a file that is well must not be put aside */
	if (err == 0) {
		err = pub_journal_new(s->store, &s->j, &info);
		if (err != 0) {
			store_free(s->store);
			s->store = NULL;
		}
	}
	if (err != 0)
		assert_string_not_equal(info.text, "");
	return err;
}

static void close_state(struct state *s)
{
	store_free(s->store);
	pub_journal_free(s->j);
	s->store = NULL;
	s->j = NULL;
}

struct waiter {
	struct pub_sync sync;
	int calls;
	int err;
};

static void on_sync(struct pub_sync *s, int err)
{
	struct waiter *w = s->owner;

	w->calls++;
	w->err = err;
}

static int write_state(struct state *s)
{
	struct waiter w = { .sync = { .owner = &w } };
	struct pub_set *set = pub_journal_need(s->j, &s->domain, &s->domain, "v", &s->owner);
	int err;

	if (set == NULL)
		return ERR_NOMEM;
	err = pub_journal_mark(s->j, set, &s->srv, "one", PUB_REC_PUBLISHED, 0, 1234);
	if (err == 0)
		err = pub_journal_set_way(s->j, set, "192.0.2.1", "corp");
	if (err == 0)
		err = pub_journal_sync(s->j, &w.sync, on_sync);
	if (err != 0) {
		assert_int_equal(w.calls, 0);
		return err;
	}
	assert_int_equal(w.calls, 0);
	store_flush(s->store);
	assert_int_equal(w.calls, 1);
	assert_int_equal(pub_journal_is_dirty(s->j), w.err != 0);
	return w.err;
}

static bool is_there(struct state *s)
{
	struct pub_set *set = pub_journal_find(s->j, &s->domain, "v", &s->owner);

	return set != NULL && set->n_recs == 1 && set->recs[0].state == PUB_REC_PUBLISHED &&
	       dns_srv_equal(&set->recs[0].srv, &s->srv);
}

static void begin(struct state *s)
{
	memset(s, 0, sizeof(*s));
	snprintf(s->dir, sizeof(s->dir), "%s/test_faults.XXXXXX", fault_folder());
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->path, sizeof(s->path), "%s/state.db", s->dir);
	assert_int_equal(dns_name_parse("corp.test", &s->domain), 0);
	assert_int_equal(dns_name_parse("_vlmcs._tcp.corp.test", &s->owner), 0);
	s->srv = (struct dns_srv){ .priority = 1, .weight = 1, .port = 1688 };
	assert_int_equal(dns_name_parse("kms1.test", &s->srv.target), 0);
}

/* The state file is well after whatever went wrong, and there is nothing beside it. */
static void end(struct state *s, bool must_be_there)
{
	assert_int_equal(open_state(s), 0);
	if (must_be_there)
		assert_true(is_there(s));
	assert_int_equal(write_state(s), 0);
	close_state(s);
	assert_int_equal(unlink(s->path), 0);
	assert_int_equal(rmdir(s->dir), 0);
}

static int state_new(void)
{
	struct state s;
	int err;

	begin(&s);
	fault_begin();
	err = open_state(&s);
	if (err == 0) {
		err = write_state(&s);
		close_state(&s);
	}
	fault_end();
	end(&s, err == 0);
	return err;
}

/* What was written once is not lost by a start that fails. */
static int state_again(void)
{
	struct state s;
	bool there = true;
	int err;

	begin(&s);
	assert_int_equal(open_state(&s), 0);
	assert_int_equal(write_state(&s), 0);
	close_state(&s);
	fault_begin();
	err = open_state(&s);
	if (err == 0) {
		there = is_there(&s);
		close_state(&s);
	}
	fault_end();
	assert_true(there);
	end(&s, true);
	return err;
}

/* A write that failed is written with the next one. */
static int state_write(void)
{
	struct state s;
	int err;

	begin(&s);
	assert_int_equal(open_state(&s), 0);
	fault_begin();
	err = write_state(&s);
	fault_end();
	assert_int_equal(write_state(&s), 0);
	assert_true(is_there(&s));
	close_state(&s);
	end(&s, true);
	return err;
}

static int state_read(void)
{
	struct pub_journal *j = NULL;
	struct state s;
	int err;

	begin(&s);
	assert_int_equal(open_state(&s), 0);
	assert_int_equal(write_state(&s), 0);
	close_state(&s);
	fault_begin();
	err = pub_journal_read(s.path, &j);
	fault_end();
	if (err == 0) {
		s.j = j;
		assert_true(is_there(&s));
		s.j = NULL;
	}
	pub_journal_free(err == 0 ? j : NULL);
	end(&s, true);
	return err;
}

/* ---- what is no longer configured ---- */

static const char others[] = "hosts: [ { name: one, target: kms1.d0.test } ]\n"
			     "keys: [ { name: corp, file: corp.key } ]\n"
			     "publish: { domains: [ { domain: d0.test, lab: true } ] }\n";

/* Each record of ours that nothing wants is among the orphans, with the way to it; or the lack of
 * memory is told. */
static int orphans(void)
{
	struct tsig_key *key = fake_tsig_client_key();
	struct pub_targets *base = NULL, *found = NULL;
	struct config_errors errs = { 0 };
	struct err_info info = { "" };
	struct config *c = NULL;
	json_t *report;
	struct pub_set *set;
	struct state s;
	int err, err_json;

	begin(&s);
	assert_int_equal(open_state(&s), 0);
	assert_int_equal(config_parse(others, sizeof(others) - 1, "text", &c, &errs), 0);
	fault_begin();
	err = pub_targets_from_config(c, &key, 1688, &base, &info);
	if (err == 0)
		err = write_state(&s);
	set = pub_journal_find(s.j, &s.domain, "v", &s.owner);
	if (err == 0)
		err = pub_journal_set_way(s.j, set, "127.0.0.2 ns.corp.test:5353", "corp");
	if (err == 0)
		err = pub_targets_from_orphans(base, s.j, &found);
	report = err == 0 ? pub_report_orphans(base, s.j) : NULL;
	fault_end();
	err_json = err == 0 && report == NULL ? ERR_NOMEM : err;
	if (err == 0) {
		assert_int_equal(pub_targets_count(found), 1);
		assert_int_equal(pub_targets_at(found, 0)->n_servers, 2);
		assert_string_equal(pub_targets_at(found, 0)->servers[1], "ns.corp.test:5353");
		assert_ptr_equal(pub_targets_at(found, 0)->key, key);
	}
	if (report != NULL)
		assert_int_equal(json_array_size(report), 1);
	json_decref(report);
	pub_targets_unref(found);
	pub_targets_unref(base);
	config_free(c);
	tsig_key_unref(key);
	close_state(&s);
	end(&s, false);
	return err_json;
}

/* A host is drained, or that it is not is told. */
static int drain(void)
{
	struct state s;
	int err;

	begin(&s);
	assert_int_equal(open_state(&s), 0);
	fault_begin();
	err = pub_journal_drain(s.j, "one", 1234, 0);
	fault_end();
	assert_int_equal(pub_journal_drained(s.j, "one", NULL), err == 0);
	close_state(&s);
	end(&s, false);
	return err;
}

/* ---- what is remembered of upstreams ---- */

struct memory {
	struct state s; /* for its folder */
	struct store *store;
	struct upstream_memory *m;
};

static void open_memory(struct memory *x)
{
	static const struct store_schema *const schemas[] = { &upstream_memory_schema };
	struct err_info info;
	bool damaged;

	assert_int_equal(
		store_new(x->s.path, schemas, 1, no_wake, NULL, &x->store, &damaged, &info), 0);
	assert_int_equal(upstream_memory_new(x->store, &x->m), 0);
}

static void close_memory(struct memory *x)
{
	store_free(x->store);
	upstream_memory_free(x->m);
}

/* A drain that was written once outlives writes that fail; what they were to write goes with the
 * next one. */
static int relay_memory(void)
{
	struct memory x;
	bool two;
	int err;

	begin(&x.s);
	open_memory(&x);
	assert_int_equal(upstream_memory_drain(x.m, "one", 1000), 0);
	store_flush(x.store);
	close_memory(&x);
	open_memory(&x);
	fault_begin();
	err = upstream_memory_drain(x.m, "two", 2000);
	store_flush(x.store);
	fault_end();
	close_memory(&x);
	open_memory(&x);
	assert_true(upstream_memory_drained(x.m, "one", NULL));
	two = upstream_memory_drained(x.m, "two", NULL);
	assert_int_equal(upstream_memory_drain(x.m, "three", 3000), 0);
	store_flush(x.store);
	close_memory(&x);
	open_memory(&x);
	assert_true(upstream_memory_drained(x.m, "one", NULL));
	assert_int_equal(upstream_memory_drained(x.m, "two", NULL), two);
	assert_true(upstream_memory_drained(x.m, "three", NULL));
	close_memory(&x);
	assert_int_equal(unlink(x.s.path), 0);
	assert_int_equal(rmdir(x.s.dir), 0);
	return err != 0 ? err : two ? 0 : ERR_STORE_FAILED;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "config_text", .run = config_text },
	{ .name = "config_file", .run = config_file },
	{ .name = "state_new", .run = state_new },
	{ .name = "state_again", .run = state_again },
	{ .name = "state_write", .run = state_write },
	{ .name = "state_read", .run = state_read },
	{ .name = "orphans", .run = orphans },
	{ .name = "drain", .run = drain },
	{ .name = "relay_memory", .run = relay_memory },
};

int main(void)
{
	return fault_run("fault_state", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
