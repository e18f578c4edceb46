/* What outlives a restart of the hosts behind the relay. */
#include "daemon/upstream_memory.h"

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

static const struct store_schema *const schemas[] = { &upstream_memory_schema };

struct fixture {
	char dir[64], path[96];
	struct store *store;
	struct upstream_memory *m;
};

/* Jobs are handed back by store_flush() and store_free(), in this thread. */
static void wake(void *ctx)
{
	(void)ctx;
}

static void begin(struct fixture *f)
{
	struct err_info info;
	bool damaged;

	assert_int_equal(store_new(f->path, schemas, 1, wake, f, &f->store, &damaged, &info), 0);
	assert_int_equal(upstream_memory_new(f->store, &f->m), 0);
}

static void end(struct fixture *f)
{
	store_flush(f->store);
	store_free(f->store);
	upstream_memory_free(f->m);
}

static void setup(struct fixture *f)
{
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kb-memory-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
	begin(f);
}

static void teardown(struct fixture *f)
{
	end(f);
	(void)unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
}

static void t_drains_last(void **state)
{
	struct fixture f;
	int64_t since;

	(void)state;
	setup(&f);
	assert_false(upstream_memory_drained(f.m, "winkms1", &since));
	assert_int_equal(upstream_memory_drain(f.m, "winkms1", 1000), 0);
	assert_int_equal(upstream_memory_drain(f.m, "a'b.example:1688", 2000), 0);
	end(&f);
	begin(&f);
	assert_true(upstream_memory_drained(f.m, "winkms1", &since));
	assert_int_equal(since, 1000);
	assert_true(upstream_memory_drained(f.m, "a'b.example:1688", NULL));
	assert_int_equal(upstream_memory_resume(f.m, "winkms1"), 1);
	assert_int_equal(upstream_memory_resume(f.m, "winkms1"), 0);
	end(&f);
	begin(&f);
	assert_false(upstream_memory_drained(f.m, "winkms1", NULL));
	assert_true(upstream_memory_drained(f.m, "a'b.example:1688", NULL));
	assert_int_equal(upstream_memory_resume(f.m, NULL), 1);
	assert_false(upstream_memory_drained(f.m, "a'b.example:1688", NULL));
	teardown(&f);
}

static void t_what_was_learned_lasts(void **state)
{
	struct fixture f;
	json_t *known = json_pack("{s:s, s:[s]}", "srv", "", "hosts", "x");

	(void)state;
	setup(&f);
	assert_null(upstream_memory_known(f.m));
	upstream_memory_learn(f.m, json_integer(1)); /* written while the next ones come */
	upstream_memory_learn(f.m, json_integer(2));
	upstream_memory_learn(f.m, json_deep_copy(known));
	end(&f);
	begin(&f);
	assert_true(json_equal(upstream_memory_known(f.m), known));
	teardown(&f);
	json_decref(known);
}

static int spoil_run(struct store_job *job, struct store_db *db)
{
	(void)job;
	return store_exec(db, "INSERT OR REPLACE INTO relay VALUES ('known', 'no JSON')", NULL,
			  NULL, "");
}

static void spoil_done(struct store_job *job, int err)
{
	(void)job;
	assert_int_equal(err, 0);
}

/* Whatever the file has: the relay begins, and what it learns is written again. */
static void t_what_cannot_be_read(void **state)
{
	struct store_job job = { .run = spoil_run, .done = spoil_done };
	struct fixture f;

	(void)state;
	setup(&f);
	assert_int_equal(store_submit(f.store, &job), 0);
	end(&f);
	begin(&f);
	assert_null(upstream_memory_known(f.m));
	assert_int_equal(upstream_memory_drain(f.m, "winkms1", 7), 0);
	end(&f);
	begin(&f);
	assert_true(upstream_memory_drained(f.m, "winkms1", NULL));
	teardown(&f);
}

static void t_limits(void **state)
{
	struct fixture f;
	struct upstream_memory *m;
	char name[32];

	(void)state;
	assert_int_equal(upstream_memory_new(NULL, &m), 0);
	assert_int_equal(upstream_memory_drain(m, "winkms1", 1), ERR_STORE_OPEN);
	upstream_memory_learn(m, json_integer(1)); /* for as long as this process lives */
	assert_int_equal(json_integer_value(upstream_memory_known(m)), 1);
	upstream_memory_free(m);
	upstream_memory_free(NULL);
	setup(&f);
	for (int i = 0; i < UPSTREAM_DRAINS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "host%d", i);
		assert_int_equal(upstream_memory_drain(f.m, name, 1), 0);
	}
	assert_int_equal(upstream_memory_drain(f.m, "one-more", 1), ERR_LIMIT);
	assert_int_equal(upstream_memory_drain(f.m, "host0", 2), 0);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_drains_last),
		cmocka_unit_test(t_what_was_learned_lasts),
		cmocka_unit_test(t_what_cannot_be_read),
		cmocka_unit_test(t_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
