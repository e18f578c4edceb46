#include "publisher/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "publisher/index.h"

struct fixture {
	char dir[64];
	char path[96];
	struct store *store;
	struct pub_journal *j;
	struct dns_name domain, zone, owner;
};

static void no_wake(void *ctx)
{
	(void)ctx;
}

static void open_all(struct fixture *f)
{
	static const struct store_schema *const schemas[] = { &pub_journal_schema };
	struct err_info info;
	bool damaged;

	assert_int_equal(store_new(f->path, schemas, 1, no_wake, NULL, &f->store, &damaged, &info),
			 0);
	assert_false(damaged);
	assert_int_equal(pub_journal_new(f->store, &f->j, &info), 0);
}

static void close_all(struct fixture *f)
{
	store_free(f->store);
	pub_journal_free(f->j);
}

static void begin(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	strncpy(f->dir, "/tmp/test_pub_journal.XXXXXX", sizeof(f->dir) - 1);
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
	assert_int_equal(dns_name_parse("corp.test", &f->domain), 0);
	assert_int_equal(dns_name_parse("test", &f->zone), 0);
	assert_int_equal(dns_name_parse("_vlmcs._tcp.corp.test", &f->owner), 0);
	open_all(f);
}

static void end(struct fixture *f)
{
	close_all(f);
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(rmdir(f->dir), 0);
}

static struct dns_srv srv(uint16_t priority, const char *target)
{
	struct dns_srv s = { .priority = priority, .weight = 1, .port = 1688 };

	assert_int_equal(dns_name_parse(target, &s.target), 0);
	return s;
}

static struct pub_set *need(struct fixture *f)
{
	struct pub_set *set = pub_journal_need(f->j, &f->domain, &f->zone, "v", &f->owner);

	assert_non_null(set);
	return set;
}

static void mark(struct fixture *f, const struct dns_srv *s, enum pub_rec_state state,
		 unsigned returns)
{
	assert_int_equal(pub_journal_mark(f->j, need(f), s, "local", state, returns, 1234), 0);
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

static int sync_now(struct fixture *f)
{
	struct waiter w = { .sync = { .owner = &w } };

	assert_int_equal(pub_journal_sync(f->j, &w.sync, on_sync), 0);
	assert_int_equal(w.calls, 0);
	store_flush(f->store);
	assert_int_equal(w.calls, 1);
	return w.err;
}

static enum pub_rec_state state_of(struct fixture *f, const struct dns_srv *s)
{
	struct pub_set *set = pub_journal_find(f->j, &f->zone, "v", &f->owner);

	for (size_t i = 0; set != NULL && i < set->n_recs; i++)
		if (dns_srv_equal(&set->recs[i].srv, s))
			return set->recs[i].state;
	return PUB_REC_NONE;
}

static void t_rows_survive(void **state)
{
	struct dns_srv a = srv(1, "a.test"), b = srv(2, "b.test"), c = srv(3, "c.test");
	struct fixture f;
	struct pub_set *set;

	(void)state;
	begin(&f);
	assert_false(pub_journal_is_dirty(f.j));
	mark(&f, &a, PUB_REC_INTENT_ADD, 0);
	mark(&f, &b, PUB_REC_WITHDRAWN, 2);
	mark(&f, &c, PUB_REC_PUBLISHED, 0);
	assert_int_equal(pub_journal_set_way(f.j, need(&f), "192.0.2.1 [2001:db8::1]:53", "corp"),
			 0);
	pub_journal_set_ttl(f.j, need(&f), 3600, 100);
	assert_true(pub_journal_is_dirty(f.j));
	assert_int_equal(sync_now(&f), 0);
	assert_false(pub_journal_is_dirty(f.j));
	close_all(&f);
	open_all(&f);
	assert_false(pub_journal_is_dirty(f.j));
	assert_int_equal(pub_journal_count(f.j), 1);
	set = pub_journal_at(f.j, 0);
	assert_true(dns_name_equal(&set->domain, &f.domain));
	assert_true(dns_name_equal(&set->zone, &f.zone));
	assert_string_equal(set->view, "v");
	assert_string_equal(set->servers, "192.0.2.1 [2001:db8::1]:53");
	assert_string_equal(set->key_handle, "corp");
	assert_int_equal(set->ttl_asked, 3600);
	assert_int_equal(set->ttl_got, 100);
	assert_int_equal(set->n_recs, 3);
	assert_int_equal(state_of(&f, &a), PUB_REC_INTENT_ADD);
	assert_int_equal(state_of(&f, &b), PUB_REC_WITHDRAWN);
	assert_int_equal(state_of(&f, &c), PUB_REC_PUBLISHED);
	assert_true(pub_set_is_live(set));
	for (size_t i = 0; i < set->n_recs; i++) {
		assert_string_equal(set->recs[i].host, "local");
		assert_int_equal(set->recs[i].since_ms, 1234);
		assert_int_equal(set->recs[i].returns,
				 set->recs[i].state == PUB_REC_WITHDRAWN ? 2 : 0);
	}
	end(&f);
}

/* Another process looks into the file while ours has it open; it makes and changes nothing. */
static void t_read_by_another(void **state)
{
	struct dns_srv a = srv(1, "a.test"), b = srv(2, "b.test");
	struct pub_journal *other;
	struct fixture f;
	char path[128];

	(void)state;
	begin(&f);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	assert_int_equal(sync_now(&f), 0);
	mark(&f, &b, PUB_REC_PUBLISHED, 0); /* not in the file yet */
	assert_int_equal(pub_journal_read(f.path, &other), 0);
	assert_int_equal(pub_journal_count(other), 1);
	assert_int_equal(pub_journal_at(other, 0)->n_recs, 1);
	assert_int_equal(pub_journal_at(other, 0)->recs[0].state, PUB_REC_PUBLISHED);
	pub_journal_free(other);
	assert_int_equal(sync_now(&f), 0);
	assert_int_equal(pub_journal_read(f.path, &other), 0);
	assert_int_equal(pub_journal_at(other, 0)->n_recs, 2);
	pub_journal_free(other);

	snprintf(path, sizeof(path), "%s/none.db", f.dir);
	assert_int_not_equal(pub_journal_read(path, &other), 0);
	assert_null(other);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_not_equal(pub_journal_read(f.dir, &other), 0);
	end(&f);
}

/* Without a sync nothing is in the file: what is marked counts for this process only. */
static void t_unsynced_marks_are_lost_with_the_process(void **state)
{
	struct dns_srv a = srv(1, "a.test");
	struct fixture f;

	(void)state;
	begin(&f);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	close_all(&f);
	open_all(&f);
	assert_int_equal(pub_journal_count(f.j), 0);
	end(&f);
}

static void t_dropped_rows_are_gone(void **state)
{
	struct dns_srv a = srv(1, "a.test"), b = srv(2, "b.test");
	struct fixture f;

	(void)state;
	begin(&f);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	mark(&f, &b, PUB_REC_PUBLISHED, 0);
	assert_int_equal(sync_now(&f), 0);
	mark(&f, &a, PUB_REC_NONE, 0);
	assert_int_equal(state_of(&f, &a), PUB_REC_NONE);
	assert_int_equal(sync_now(&f), 0);
	assert_int_equal(need(&f)->n_recs, 1);
	mark(&f, &b, PUB_REC_NONE, 0);
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_int_equal(pub_journal_count(f.j), 0); /* no row is left of the set either */
	end(&f);
}

static void t_a_mark_during_a_write_is_kept(void **state)
{
	struct dns_srv a = srv(1, "a.test");
	struct waiter w = { .sync = { .owner = &w } };
	struct fixture f;

	(void)state;
	begin(&f);
	mark(&f, &a, PUB_REC_INTENT_ADD, 0);
	assert_int_equal(pub_journal_sync(f.j, &w.sync, on_sync), 0);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	store_flush(f.store);
	assert_int_equal(w.err, 0);
	assert_true(pub_journal_is_dirty(f.j));
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_int_equal(state_of(&f, &a), PUB_REC_PUBLISHED);
	end(&f);
}

static void t_a_hold_during_a_write_is_kept(void **state)
{
	struct waiter w = { .sync = { .owner = &w } };
	struct dns_srv a = srv(1, "a.test");
	struct fixture f;
	struct dns_name d;

	(void)state;
	assert_int_equal(dns_name_parse("corp.test", &d), 0);
	begin(&f);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	assert_int_equal(pub_journal_sync(f.j, &w.sync, on_sync), 0);
	assert_int_equal(pub_journal_hold(f.j, &d, "", "one", 5), 0);
	store_flush(f.store);
	assert_int_equal(w.err, 0);
	assert_true(pub_journal_is_dirty(f.j));
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_true(pub_journal_held(f.j, &d, "", "one"));
	end(&f);
}

struct sql_job {
	struct store_job job;
	const char *sql;
};

static int run_sql(struct store_job *job, struct store_db *db)
{
	return store_exec(db, ((struct sql_job *)job)->sql, NULL, NULL, "");
}

static void sql_done(struct store_job *job, int err)
{
	(void)job;
	assert_int_equal(err, 0);
}

static void sql(struct fixture *f, const char *text)
{
	struct sql_job job = { { .run = run_sql, .done = sql_done }, text };

	assert_int_equal(store_submit(f->store, &job.job), 0);
	store_flush(f->store);
}

/* P05: a write that fails loses nothing; the next one brings all. */
static void t_failed_write_is_made_up_for(void **state)
{
	struct dns_srv a = srv(1, "a.test"), b = srv(2, "b.test");
	struct fixture f;

	(void)state;
	begin(&f);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	sql(&f, "ALTER TABLE pub_record RENAME TO gone");
	assert_int_not_equal(sync_now(&f), 0);
	assert_true(pub_journal_is_dirty(f.j));
	assert_int_equal(state_of(&f, &a), PUB_REC_PUBLISHED);
	sql(&f, "ALTER TABLE gone RENAME TO pub_record");
	mark(&f, &b, PUB_REC_ADOPTED, 0);
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_int_equal(state_of(&f, &a), PUB_REC_PUBLISHED);
	assert_int_equal(state_of(&f, &b), PUB_REC_ADOPTED);
	end(&f);
}

/* What cannot be read is not ours, so it is never deleted. */
static void t_unreadable_rows_are_passed_over(void **state)
{
	struct dns_srv a = srv(1, "a.test");
	struct fixture f;

	(void)state;
	begin(&f);
	mark(&f, &a, PUB_REC_PUBLISHED, 0);
	assert_int_equal(sync_now(&f), 0);
	sql(&f, "INSERT INTO pub_record SELECT zone, view, owner, 70000, 0, 0, 'x.test', '', "
		"'published', 0, 0 FROM pub_record");
	sql(&f, "INSERT INTO pub_record SELECT zone, view, owner, 1, 1, 1, 'y..test', '', "
		"'published', 0, 0 FROM pub_record LIMIT 1");
	sql(&f, "INSERT INTO pub_record SELECT zone, view, owner, 1, 1, 1, 'z.test', '', "
		"'strange', 0, 0 FROM pub_record LIMIT 1");
	sql(&f, "INSERT INTO pub_hold VALUES ('a..test', '', 'kms1', 5, 6)");
	sql(&f, "UPDATE pub_set SET owner = 'b..test'");
	close_all(&f);
	open_all(&f);
	assert_int_equal(pub_journal_count(f.j), 0);
	sql(&f, "UPDATE pub_set SET owner = (SELECT owner FROM pub_record LIMIT 1)");
	sql(&f, "INSERT INTO pub_record SELECT 'other', view, owner, 1, 1, 1, 'z.test', '', "
		"'published', 0, 0 FROM pub_record LIMIT 1");
	close_all(&f);
	open_all(&f);
	assert_int_equal(pub_journal_count(f.j), 1);
	assert_int_equal(pub_journal_at(f.j, 0)->n_recs, 1);
	end(&f);
}

/* A set larger than any that we make is not ours. */
static void t_records_of_a_set_are_bounded(void **state)
{
	struct fixture f;
	struct dns_srv s;

	(void)state;
	begin(&f);
	for (unsigned i = 0; i <= PUB_JOURNAL_RECS_MAX; i++) {
		s = srv((uint16_t)i, "a.test");
		assert_int_equal(pub_journal_mark(f.j, need(&f), &s, "a", PUB_REC_PUBLISHED, 0, 1),
				 i < PUB_JOURNAL_RECS_MAX ? 0 : ERR_LIMIT);
	}
	assert_int_equal(need(&f)->n_recs, PUB_JOURNAL_RECS_MAX);
	end(&f);
}

static void t_holds(void **state)
{
	struct dns_name other;
	struct fixture f;

	(void)state;
	begin(&f);
	assert_int_equal(dns_name_parse("other.test", &other), 0);
	assert_false(pub_journal_held(f.j, &f.domain, "", "local"));
	assert_int_equal(pub_journal_hold(f.j, &f.domain, "", "local", 1), 0);
	assert_int_equal(pub_journal_hold(f.j, &f.domain, "", "local", 2), 0);
	assert_int_equal(pub_journal_hold(f.j, &other, "v", "", 3), 0);
	assert_true(pub_journal_held(f.j, &f.domain, "", "local"));
	assert_false(pub_journal_held(f.j, &f.domain, "", "office"));
	assert_false(pub_journal_held(f.j, &f.domain, "v", "local"));
	assert_true(pub_journal_held(f.j, &other, "v", "anything"));
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_true(pub_journal_held(f.j, &f.domain, "", "local"));
	assert_true(pub_journal_held(f.j, &other, "v", "anything"));
	assert_int_equal(pub_journal_release(f.j, NULL, NULL, "local"), 1);
	assert_false(pub_journal_held(f.j, &f.domain, "", "local"));
	assert_int_equal(pub_journal_release(f.j, &other, "v", NULL), 1);
	assert_int_equal(pub_journal_release(f.j, NULL, NULL, NULL), 0);
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_false(pub_journal_held(f.j, &f.domain, "", "local"));
	assert_false(pub_journal_held(f.j, &other, "v", "anything"));
	end(&f);
}

/* One name written in two ways, which no file of ours has: the second is no news of another hold.
 */
static void t_a_hold_twice_in_the_file(void **state)
{
	struct pub_drain drain;
	struct fixture f;

	(void)state;
	begin(&f);
	sql(&f, "INSERT INTO pub_hold VALUES ('-A.test', '', 'x', 1, 0), ('.', '', 'kms1', 5, 6), "
		"('\\045a.test', '', 'x', 1, 99)");
	close_all(&f);
	open_all(&f);
	assert_true(pub_journal_drained(f.j, "kms1", &drain));
	assert_int_equal(drain.clear_ms, 6);
	assert_int_equal(pub_journal_release(f.j, NULL, NULL, NULL), 2);
	end(&f);
}

/* What a drain promises: every domain, restarts, `publish`, and its end. */
static void t_drains(void **state)
{
	struct fixture f;
	struct dns_name later;
	struct pub_drain d;

	(void)state;
	begin(&f);
	assert_int_equal(dns_name_parse("later.test", &later), 0);
	assert_false(pub_journal_drained(f.j, "local", &d));
	assert_int_equal(pub_journal_drain(f.j, "local", 5, 0), 0);
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_true(pub_journal_drained(f.j, "local", &d));
	assert_true(d.since_ms == 5 && d.clear_ms == 0);
	assert_int_equal(pub_journal_drain(f.j, "local", 9, 77), 0);
	assert_int_equal(sync_now(&f), 0);
	close_all(&f);
	open_all(&f);
	assert_true(pub_journal_drained(f.j, "local", &d));
	assert_true(d.since_ms == 5 && d.clear_ms == 77);
	assert_false(pub_journal_is_dirty(f.j));
	assert_true(pub_journal_held(f.j, &later, "v", "local"));
	assert_false(pub_journal_held(f.j, &later, "v", "office"));
	assert_int_equal(pub_journal_release(f.j, &later, "v", NULL), 0);
	assert_true(pub_journal_held(f.j, &later, "v", "local"));
	assert_int_equal(pub_journal_release(f.j, NULL, NULL, "local"), 1);
	assert_false(pub_journal_drained(f.j, "local", NULL));
	assert_int_equal(pub_journal_drain(f.j, "local", 20, 0), 0);
	assert_true(pub_journal_drained(f.j, "local", &d));
	assert_true(d.since_ms == 20 && d.clear_ms == 0);
	end(&f);
}

static void t_index(void **state)
{
	static int values[1000];
	struct pub_index ix = { 0 };
	char text[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct pub_key k = { 0 };

		snprintf(text, sizeof(text), "%d", i);
		pub_key_text(&k, text);
		assert_null(pub_index_get(&ix, &k));
		assert_int_equal(pub_index_put(&ix, &k, &values[i]), 0);
	}
	for (int i = 0; i < 1000; i++) {
		struct pub_key k = { 0 };

		snprintf(text, sizeof(text), "%d", i);
		pub_key_text(&k, text);
		assert_ptr_equal(pub_index_get(&ix, &k), &values[i]);
	}
	assert_int_equal(ix.n, 1000);
	pub_index_done(&ix);
}

/* "ab" "c" and "a" "bc" are different keys; a key that was cut is none. */
static void t_index_keys(void **state)
{
	struct pub_key a = { 0 }, b = { 0 }, cut = { 0 };
	struct pub_index ix = { 0 };
	char big[PUB_KEY_MAX];
	int value;

	(void)state;
	pub_key_text(&a, "ab");
	pub_key_text(&a, "c");
	pub_key_text(&b, "a");
	pub_key_text(&b, "bc");
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	pub_key_text(&cut, big);
	assert_int_equal(pub_index_put(&ix, &a, &value), 0);
	assert_null(pub_index_get(&ix, &b));
	assert_int_equal(pub_index_put(&ix, &cut, &value), ERR_LIMIT);
	assert_null(pub_index_get(&ix, &cut));
	pub_index_done(&ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_rows_survive),
		cmocka_unit_test(t_read_by_another),
		cmocka_unit_test(t_unsynced_marks_are_lost_with_the_process),
		cmocka_unit_test(t_dropped_rows_are_gone),
		cmocka_unit_test(t_a_mark_during_a_write_is_kept),
		cmocka_unit_test(t_a_hold_during_a_write_is_kept),
		cmocka_unit_test(t_failed_write_is_made_up_for),
		cmocka_unit_test(t_unreadable_rows_are_passed_over),
		cmocka_unit_test(t_records_of_a_set_are_bounded),
		cmocka_unit_test(t_holds),
		cmocka_unit_test(t_a_hold_twice_in_the_file),
		cmocka_unit_test(t_drains),
		cmocka_unit_test(t_index),
		cmocka_unit_test(t_index_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
