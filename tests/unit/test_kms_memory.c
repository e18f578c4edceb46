/* What a KMS host remembers, over the end of the process, and where the state file fails. */
#include "kmscore/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/log.h"
#include "kmscore/wire.h"
#include "tests/lib/test_net.h"

struct fixture {
	struct test_net t;
	char dir[64], path[96];
	struct store *store;
	uv_async_t wake;
	struct kms_memory m;
	enum kms_client_kind kind;
};

static void on_wake(uv_async_t *a)
{
	struct fixture *f = a->data;

	if (f->store != NULL)
		store_dispatch(f->store);
}

static void wake(void *ctx)
{
	struct fixture *f = ctx;

	(void)uv_async_send(&f->wake);
}

static void open_memory(struct fixture *f)
{
	static const struct store_schema *const schemas[] = { &kms_memory_schema };
	struct err_info info;
	bool damaged;

	assert_int_equal(store_new(f->path, schemas, 1, wake, f, &f->store, &damaged, &info), 0);
	kms_memory_init(&f->m, f->kind, &f->t.rng);
	assert_int_equal(kms_memory_keep(&f->m, &f->t.loop, &f->t.clock.clock, f->store), 0);
}

static void close_memory(struct fixture *f)
{
	kms_memory_stop(&f->m);
	store_free(f->store);
	f->store = NULL;
	test_net_step(&f->t); /* the timer is closed */
	kms_memory_done(&f->m);
}

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	assert_int_equal(uv_async_init(&f->t.loop, &f->wake, on_wake), 0);
	f->wake.data = f;
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kms_memory.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
	open_memory(f);
}

static void end(struct fixture *f)
{
	close_memory(f);
	uv_close((uv_handle_t *)&f->wake, NULL);
	test_net_done(&f->t);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(rmdir(f->dir), 0);
}

static int64_t now_ms(const struct fixture *f)
{
	return clock_wall_ms(&f->t.clock.clock);
}

static struct kms_clients_seen serve(struct fixture *f, uint32_t n, const char *name)
{
	struct kms_clients_seen seen;
	struct guid id = { { 0 } };

	wire_put_u32(id.b, n, true);
	assert_int_equal(kms_clients_add(&f->m.clients, &id, name, now_ms(f), &seen), 0);
	(void)kms_count_add(&f->m.count, &id, KMS_THRESHOLD_CLIENT, now_ms(f));
	f->m.totals.requests++;
	f->m.totals.by_licence[KMS_OOB_GRACE]++;
	kms_memory_changed(&f->m);
	return seen;
}

static void t_a_restart_forgets_nothing(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	for (uint32_t i = 1; i <= 60; i++)
		(void)serve(&f, i, i == 7 ? "it's; a \"name\"" : "pc");
	(void)serve(&f, 9, "clone");
	f.m.totals.failed = 3;
	close_memory(&f);

	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 60);
	assert_int_equal(kms_clients_duplicates(&f.m.clients), 1);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), KMS_COUNT_LARGE);
	assert_int_equal(f.m.totals.requests, 61);
	assert_int_equal(f.m.totals.failed, 3);
	assert_int_equal(f.m.totals.by_licence[KMS_OOB_GRACE], 61);
	assert_false(serve(&f, 7, "it's; a \"name\"").other_name);
	assert_true(serve(&f, 8, "moved").other_name);
	close_memory(&f);

	/* 30 days later only who came since is left. */
	f.t.clock.wall_ms += KMS_CMID_LIFE_MS - 1;
	open_memory(&f);
	(void)serve(&f, 100, "pc");
	f.t.clock.wall_ms += 1;
	close_memory(&f);
	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 1);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), 1);
	end(&f);
}

/* Clients known by address and those known by machine id do not mix. */
static void t_kinds_are_kept_apart(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	(void)serve(&f, 1, "pc");
	close_memory(&f);
	f.kind = KMS_CLIENT_ADDRESS;
	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 0);
	assert_int_equal(f.m.totals.requests, 0);
	(void)serve(&f, 2, "");
	(void)serve(&f, 3, "");
	close_memory(&f);
	f.kind = KMS_CLIENT_CMID;
	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 1);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), 1);
	end(&f);
}

struct sql {
	struct store_job job;
	const char *text;
	int64_t n;
	int err;
};

static int take_int(void *ctx, const struct store_row *row)
{
	((struct sql *)ctx)->n = store_row_int(row, 0);
	return 0;
}

static int run_sql(struct store_job *job, struct store_db *db)
{
	struct sql *s = (struct sql *)job;

	return store_exec(db, s->text, take_int, s, "");
}

static void sql_done(struct store_job *job, int err)
{
	((struct sql *)job)->err = err;
}

static int64_t sql(struct fixture *f, const char *text)
{
	struct sql s = { .job = { .run = run_sql, .done = sql_done }, .text = text };

	assert_int_equal(store_submit(f->store, &s.job), 0);
	store_flush(f->store);
	assert_int_equal(s.err, 0);
	return s.n;
}

static void on_time(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

/** Until the write that is due has been tried. */
static void wait_for_save(struct fixture *f)
{
	bool over = false;
	uv_timer_t timer;

	assert_int_equal(uv_timer_init(&f->t.loop, &timer), 0);
	timer.data = &over;
	assert_int_equal(uv_timer_start(&timer, on_time, KMS_SAVE_MS + 50, 0), 0);
	test_net_run_until(&f->t, &over);
	store_flush(f->store);
	uv_close((uv_handle_t *)&timer, NULL);
	test_net_step(&f->t);
}

/* Of a file that somebody else made: neither time overflows, and none lasts for ever. */
static void t_times_that_cannot_be(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	(void)sql(&f, "INSERT INTO kms_client VALUES "
		      "(0, CAST('aaaaaaaaaaaaaaaa' AS BLOB), -9223372036854775807, 'a', '', 0), "
		      "(0, CAST('bbbbbbbbbbbbbbbb' AS BLOB), 9223372036854775807, 'b', '', 0)");
	(void)sql(&f, "INSERT INTO kms_count VALUES "
		      "(1, CAST('aaaaaaaaaaaaaaaa' AS BLOB), -9223372036854775807), "
		      "(2, CAST('bbbbbbbbbbbbbbbb' AS BLOB), 9223372036854775807)");
	(void)sql(&f, "INSERT INTO kms_total VALUES (0, 'count_cap', 50)");
	close_memory(&f);
	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 1);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), 1);
	f.t.clock.wall_ms += KMS_CMID_LIFE_MS;
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 0);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), 0);
	end(&f);
}

/* Rows whose id is none are passed over, and are no reason to begin anew. */
static void t_ids_that_are_none(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	(void)serve(&f, 1, "pc");
	close_memory(&f);
	open_memory(&f);
	(void)sql(&f, "INSERT INTO kms_client SELECT kind, x'0102', seen_ms, name, before, "
		      "duplicate FROM kms_client");
	(void)sql(&f, "INSERT INTO kms_count SELECT 7, x'', seen_ms FROM kms_count");
	close_memory(&f);
	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 1);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), 1);
	end(&f);
}

/* A full table forgets who was seen first, and so does the file. */
static void t_no_more_rows_than_clients(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	kms_clients_done(&f.m.clients);
	kms_clients_init(&f.m.clients, 3, &f.t.rng);
	for (uint32_t i = 1; i <= 5; i++) {
		f.t.clock.wall_ms++;
		(void)serve(&f, i, "pc");
		if (i == 3)
			wait_for_save(&f);
	}
	close_memory(&f);
	open_memory(&f);
	assert_int_equal(sql(&f, "SELECT count(*) FROM kms_client"), 3);
	assert_false(serve(&f, 5, "pc").other_name);
	assert_true(serve(&f, 4, "moved").other_name);
	assert_false(serve(&f, 2, "moved").other_name); /* forgotten */
	end(&f);
}

static void t_one_duplicate_among_others(void **state)
{
	struct kms_duplicate d[4];
	struct fixture f;

	(void)state;
	begin(&f);
	for (uint32_t i = 1; i <= 3; i++)
		(void)serve(&f, i, "pc");
	(void)serve(&f, 2, "clone");
	(void)serve(&f, 3, "pc");
	assert_int_equal(kms_clients_list_duplicates(&f.m.clients, d, 4), 1);
	assert_string_equal(d[0].machine[0], "clone");
	assert_string_equal(d[0].machine[1], "pc");
	end(&f);
}

/* Nothing is lost by it, and what is not yet written goes with the next one. */
static void t_state_file_that_cannot_be_written(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	(void)serve(&f, 1, "pc");
	(void)serve(&f, 2, "pc");
	assert_int_equal(sql(&f, "SELECT count(*) FROM kms_client"), 0); /* not with each request */
	wait_for_save(&f);
	assert_int_equal(sql(&f, "SELECT count(*) FROM kms_client"), 2);
	assert_int_equal(kms_clients_changed(&f.m.clients), 0);

	(void)sql(&f, "ALTER TABLE kms_client RENAME TO gone");
	(void)serve(&f, 2, "pc");
	(void)serve(&f, 3, "pc");
	wait_for_save(&f);
	assert_int_equal(kms_clients_changed(&f.m.clients), 2);
	(void)serve(&f, 4, "pc");
	(void)sql(&f, "ALTER TABLE gone RENAME TO kms_client");
	close_memory(&f);

	open_memory(&f);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 4);
	assert_int_equal(kms_count_now(&f.m.count, now_ms(&f)), 4);
	end(&f);
}

static void t_state_file_that_is_being_closed(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	(void)serve(&f, 1, "pc");
	store_finish(f.store);
	wait_for_save(&f);
	assert_int_equal(kms_clients_changed(&f.m.clients), 1);
	assert_int_equal(kms_clients_count(&f.m.clients, now_ms(&f)), 1);
	end(&f);
}

static void t_without_a_state_file(void **state)
{
	struct test_net t;
	struct kms_memory m;

	(void)state;
	test_net_init(&t);
	kms_memory_init(&m, KMS_CLIENT_CMID, &t.rng);
	kms_memory_changed(&m);
	kms_memory_stop(&m);
	kms_memory_done(&m);
	test_net_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_a_restart_forgets_nothing),
		cmocka_unit_test(t_kinds_are_kept_apart),
		cmocka_unit_test(t_times_that_cannot_be),
		cmocka_unit_test(t_ids_that_are_none),
		cmocka_unit_test(t_no_more_rows_than_clients),
		cmocka_unit_test(t_one_duplicate_among_others),
		cmocka_unit_test(t_state_file_that_cannot_be_written),
		cmocka_unit_test(t_state_file_that_is_being_closed),
		cmocka_unit_test(t_without_a_state_file),
	};

	log_setup(LOG_ERROR, LOG_TEXT, 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
