/* What the daemon remembers: ring, state file, pages, waiting, a full disk, a restart. */
#include "daemon/events.h"

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

#include "tests/lib/test_net.h"

#define DAY_S 86400

static const struct store_schema *const schemas[] = { &events_schema };

struct fixture {
	struct test_net t;
	char dir[64], path[96];
	struct store *store;
	uv_async_t wake;
	struct events *e;
	struct events_params p;
	json_t *page;
	bool answered, closed;
	unsigned warnings;
};

static void wake_loop(void *ctx)
{
	struct fixture *f = ctx;

	(void)uv_async_send(&f->wake);
}

static void on_wake(uv_async_t *a)
{
	struct fixture *f = a->data;

	if (f->store != NULL)
		store_dispatch(f->store);
}

static void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	f->warnings += strstr(line, "events.not_saved") != NULL;
}

static void open_events(struct fixture *f)
{
	struct err_info info;
	bool damaged;

	assert_int_equal(uv_async_init(&f->t.loop, &f->wake, on_wake), 0);
	f->wake.data = f;
	assert_int_equal(store_new(f->path, schemas, 1, wake_loop, f, &f->store, &damaged, &info),
			 0);
	f->p.store = f->store;
	assert_int_equal(events_new(&f->p, &f->e), 0);
}

static void on_wake_closed(uv_handle_t *h)
{
	((struct fixture *)h->data)->closed = true;
}

static void close_events(struct fixture *f)
{
	events_stop(f->e);
	store_free(f->store);
	f->store = NULL;
	events_free(f->e);
	f->e = NULL;
	f->closed = false;
	uv_close((uv_handle_t *)&f->wake, on_wake_closed);
	test_net_run_until(&f->t, &f->closed);
}

static void setup(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/kmsbeacon-events-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
	f->p = (struct events_params){
		.loop = &f->t.loop, .clock = f->t.net.clock, .keep_s = 90 * DAY_S, .keep_max = 10000
	};
	log_set_tap(on_line, f);
	open_events(f);
}

static void teardown(struct fixture *f)
{
	close_events(f);
	log_set_tap(NULL, NULL);
	test_net_done(&f->t); /* the last pages come in here */
	json_decref(f->page);
	(void)unlink(f->path);
	(void)rmdir(f->dir);
}

static void on_page(void *ctx, json_t *page)
{
	struct fixture *f = ctx;

	json_decref(f->page);
	f->page = page;
	f->answered = true;
}

static void ask(struct fixture *f, uint64_t after, int64_t since_ms, uint32_t wait_ms)
{
	const struct events_query q = { after, since_ms, wait_ms };

	f->answered = false;
	assert_int_equal(events_read(f->e, &q, on_page, f), 0);
	assert_false(f->answered); /* never from inside */
}

/* The sequence numbers of a page, as text. */
static const char *read_page(struct fixture *f, uint64_t after, int64_t since_ms)
{
	static char text[EVENTS_PAGE * 8];
	const json_t *ev;
	size_t i, n = 0;

	ask(f, after, since_ms, 0);
	test_net_run_until(&f->t, &f->answered);
	text[0] = '\0';
	json_array_foreach(json_object_get(f->page, "events"), i, ev)
	{
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%lld", i > 0 ? " " : "",
				      (long long)json_integer_value(json_object_get(ev, "seq")));
	}
	return text;
}

static const char *member(const struct fixture *f, size_t i, const char *key)
{
	return json_string_value(
		json_object_get(json_array_get(json_object_get(f->page, "events"), i), key));
}

static void add_request(struct fixture *f)
{
	const struct event ev = { .id = 12290,
				  .name = "kms.request",
				  .level = LOG_INFO,
				  .text = "served",
				  .info = "0x0,25,pc1" };

	events_add(f->e, &ev);
}

static void t_kept_events_outlive_the_process(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	events_note(f.e, LOG_WARNING, "host.down", "%s is down", "kms1");
	add_request(&f);
	events_note(f.e, LOG_INFO, "host.up", "%s is up", "kms1");
	assert_string_equal(read_page(&f, 0, 0), "1 2 3");
	assert_string_equal(member(&f, 0, "name"), "host.down");
	assert_string_equal(member(&f, 0, "level"), "warning");
	assert_string_equal(member(&f, 0, "text"), "kms1 is down");
	assert_null(member(&f, 0, "id"));
	assert_string_equal(member(&f, 1, "info"), "0x0,25,pc1");
	assert_string_equal(read_page(&f, 2, 0), "3");
	assert_string_equal(read_page(&f, 3, 0), "");
	close_events(&f);
	open_events(&f);
	assert_string_equal(read_page(&f, 0, 0), "1 3"); /* a request is not kept */
	events_note(f.e, LOG_INFO, "daemon.ready", "again");
	assert_string_equal(read_page(&f, 0, 0), "1 3 4");
	teardown(&f);
}

static void t_pages_and_the_ring(void **state)
{
	const unsigned total = EVENTS_RING + 2 * EVENTS_PAGE;
	uint64_t after = 0;
	unsigned seen = 0;
	struct fixture f;

	(void)state;
	setup(&f);
	events_note(f.e, LOG_INFO, "first", "kept, and long gone from the ring");
	for (unsigned i = 1; i < total; i++)
		add_request(&f);
	do {
		(void)read_page(&f, after, 0);
		seen += (unsigned)json_array_size(json_object_get(f.page, "events"));
		after = (uint64_t)json_integer_value(json_object_get(f.page, "last"));
	} while (json_is_true(json_object_get(f.page, "more")));
	assert_int_equal(seen, EVENTS_RING + 1);
	assert_int_equal(after, total);
	teardown(&f);
}

static void t_since_and_retention(void **state)
{
	struct fixture f;
	int64_t t0;

	(void)state;
	setup(&f);
	t0 = f.t.clock.wall_ms;
	events_note(f.e, LOG_INFO, "old", "x");
	f.t.clock.wall_ms += INT64_C(60) * DAY_S * 1000;
	events_note(f.e, LOG_INFO, "newer", "x");
	assert_string_equal(read_page(&f, 0, t0 + 1), "2");
	f.t.clock.wall_ms += INT64_C(60) * DAY_S * 1000;
	events_note(f.e, LOG_INFO, "new", "x");
	close_events(&f);
	open_events(&f);
	assert_string_equal(read_page(&f, 0, 0), "2 3"); /* 120 days are more than 90 */
	events_configure(f.e, 90 * DAY_S, 1);
	events_note(f.e, LOG_INFO, "one", "x");
	close_events(&f);
	open_events(&f);
	assert_string_equal(read_page(&f, 0, 0), "4");
	teardown(&f);
}

static void t_waiting_ends_with_news_time_or_stop(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	ask(&f, 0, 0, 60000);
	test_net_step(&f.t);
	assert_false(f.answered);
	events_note(f.e, LOG_INFO, "news", "x");
	test_net_run_until(&f.t, &f.answered);
	assert_int_equal(json_array_size(json_object_get(f.page, "events")), 1);
	ask(&f, 1, 0, 1);
	test_net_run_until(&f.t, &f.answered);
	assert_int_equal(json_array_size(json_object_get(f.page, "events")), 0);
	assert_int_equal(json_integer_value(json_object_get(f.page, "last")), 1);
	ask(&f, 1, 0, 60000);
	events_stop(f.e);
	assert_false(f.answered);
	test_net_run_until(&f.t, &f.answered);
	teardown(&f);
}

static void t_followers_are_bounded(void **state)
{
	const struct events_query q = { .wait_ms = 60000 };
	struct fixture f;

	(void)state;
	setup(&f);
	for (int i = 0; i < EVENTS_WAITERS_MAX; i++)
		assert_int_equal(events_read(f.e, &q, on_page, &f), 0);
	assert_int_equal(events_read(f.e, &q, on_page, &f), ERR_LIMIT);
	teardown(&f);
}

/* Readers that are out when all ends are answered, whatever they wait for. */
static void t_end_while_reading(void **state)
{
	for (int steps = 0; steps < 4; steps++) {
		struct fixture f;

		(void)state;
		setup(&f);
		events_note(f.e, LOG_INFO, "x", "x");
		close_events(&f);
		open_events(&f); /* what is asked for is in the file only */
		ask(&f, 0, 0, 0);
		for (int i = 0; i < steps; i++)
			test_net_step(&f.t);
		close_events(&f);
		if (!f.answered)
			test_net_run_until(&f.t, &f.answered);
		open_events(&f);
		teardown(&f);
	}
}

struct pragma {
	struct store_job job;
	const char *sql;
};

static int ignore_row(void *ctx, const struct store_row *row)
{
	(void)ctx;
	(void)row;
	return 0;
}

static int run_pragma(struct store_job *job, struct store_db *db)
{
	return store_exec(db, ((struct pragma *)job)->sql, ignore_row, NULL, "");
}

static void pragma_done(struct store_job *job, int err)
{
	(void)job;
	assert_int_equal(err, 0);
}

static void limit_pages(struct fixture *f, const char *sql)
{
	struct pragma p = { .job = { .run = run_pragma, .done = pragma_done }, .sql = sql };

	assert_int_equal(store_submit(f->store, &p.job), 0);
	store_flush(f->store);
}

/* JSON takes whole characters alone: an event whose text was cut within one was shown to nobody. */
static void t_text_is_cut_between_letters(void **state)
{
	static const char euro[] = "\xe2\x82\xac";
	struct event ev = { .name = "fuzz.seen", .level = LOG_INFO, .kept = true };
	char text[2 * EVENTS_TEXT_MAX];
	struct fixture f;

	(void)state;
	setup(&f);
	for (size_t i = 0; i + 3 < sizeof(text); i += 3)
		memcpy(text + i, euro, sizeof(euro));
	ev.text = text + 2; /* what is left of a letter, at its beginning too */
	ev.info = text;
	events_add(f.e, &ev);
	assert_string_equal(read_page(&f, 0, 0), "1");
	assert_memory_equal(member(&f, 0, "text"), "?\xe2\x82\xac", 4);
	teardown(&f);
}

/* A file that somebody else made: numbers go on where ours ended. */
static void t_numbers_beyond_all_counting(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f);
	add_request(&f);
	limit_pages(&f, "INSERT INTO event VALUES "
			"(9223372036854775807, 9000000000000000, 1, 'x', 1, 0, 't', 'i'), "
			"(-9, 9000000000000000, 1, 'x', 1, 0, 't', 'i'), "
			"(7, 9000000000000000, 1, 'x', 1, 0, 't', 'i')");
	close_events(&f);
	open_events(&f);
	assert_string_equal(read_page(&f, 0, 0), "7");
	events_note(f.e, LOG_INFO, "fuzz.seen", "a sentence");
	assert_string_equal(read_page(&f, 0, 0), "7 8");
	close_events(&f);
	open_events(&f);
	assert_string_equal(read_page(&f, 0, 0), "7 8");
	teardown(&f);
}

static void t_full_disk_is_said_once_and_passes(void **state)
{
	char text[EVENTS_TEXT_MAX];
	uint64_t lost;
	size_t pending;
	struct fixture f;

	(void)state;
	setup(&f);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	limit_pages(&f, "PRAGMA max_page_count = 8");
	for (int i = 0; i < EVENTS_PENDING_MAX + 100; i++) {
		events_note(f.e, LOG_INFO, "x", "%s", text);
		store_flush(f.store);
		if (i % 100 == 0)
			f.t.clock.mono_ms += EVENTS_SAVE_RETRY_MS; /* tried again, in vain */
	}
	events_counts(f.e, &lost, &pending);
	assert_int_equal(pending, EVENTS_PENDING_MAX);
	assert_in_range(lost, 1, 100);
	assert_int_equal(f.warnings, 1);
	limit_pages(&f, "PRAGMA max_page_count = 100000");
	events_note(f.e, LOG_INFO, "x", "too early");
	store_flush(f.store);
	events_counts(f.e, &lost, &pending);
	assert_int_equal(pending, EVENTS_PENDING_MAX);
	f.t.clock.mono_ms += EVENTS_SAVE_RETRY_MS;
	events_note(f.e, LOG_INFO, "x", "later");
	store_flush(f.store);
	events_counts(f.e, &lost, &pending);
	assert_int_equal(pending, 0);
	teardown(&f);
}

static void t_without_a_state_file(void **state)
{
	uint64_t lost;
	size_t pending;
	struct events *on_disk;
	struct fixture f;

	(void)state;
	setup(&f);
	on_disk = f.e;
	f.p.store = NULL;
	assert_int_equal(events_new(&f.p, &f.e), 0);
	events_note(f.e, LOG_INFO, "x", "x");
	assert_string_equal(read_page(&f, 0, 0), "1");
	events_counts(f.e, &lost, &pending);
	assert_int_equal(lost + pending, 0);
	events_stop(f.e);
	events_free(f.e);
	f.e = on_disk;
	events_note(NULL, LOG_INFO, "x", "nobody keeps them");
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_kept_events_outlive_the_process),
		cmocka_unit_test(t_pages_and_the_ring),
		cmocka_unit_test(t_since_and_retention),
		cmocka_unit_test(t_waiting_ends_with_news_time_or_stop),
		cmocka_unit_test(t_followers_are_bounded),
		cmocka_unit_test(t_end_while_reading),
		cmocka_unit_test(t_text_is_cut_between_letters),
		cmocka_unit_test(t_numbers_beyond_all_counting),
		cmocka_unit_test(t_full_disk_is_said_once_and_passes),
		cmocka_unit_test(t_without_a_state_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
