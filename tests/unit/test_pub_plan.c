/* The rules of design §5 for publishing, each as one row; those for withdrawing and the health gate
 * are in test_pub_plan_withdraw.c. */
#include "publisher/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/lib/plan_rows.h"

static const struct plan_row rows[] = {
	{ .name = "first publish",
	  .wanted = "local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600,
	  .marks = "intent:add " K1 " | proven:pub " K1 " | revert:none " K1 },
	{ .name = "steady state writes nothing",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "an add that happened before a crash is ours",
	  .settles = true,
	  .wanted = "local " K1,
	  .ours = "add local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .marks = "now:pub " K1,
	  .ttl = 3600 },
	{ .name = "an add that did not happen is made again",
	  .wanted = "local " K1,
	  .ours = "add local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600,
	  .marks = "intent:add " K1 " | proven:pub " K1 " | revert:add " K1 },
	{ .name = "an add that did not happen and is not wanted is forgotten",
	  .ours = "add local " K1,
	  .marks = "now:none " K1,
	  .ttl = 3600 },
	{ .name = "a delete that did not happen is made again",
	  .ours = "del local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1,
	  .ttl = 3600,
	  .marks = "intent:del " K1 " | taken:deleted " K1 " | proven:none " K1
		   " | revert:del " K1 },
	{ .name = "a delete that did not happen and is wanted again",
	  .wanted = "local " K1,
	  .ours = "del local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .marks = "now:pub " K1,
	  .ttl = 3600 },
	{ .name = "what vanished is added again",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "U07 P06 priority changed: one message",
	  .wanted = "local 5 10 1688 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +5 10 1688 kms1.corp.test @3600",
	  .ttl = 3600,
	  .marks = "intent:del " K1 " | taken:deleted " K1 " | proven:none " K1 " | revert:pub " K1
		   " | intent:add 5 10 1688 kms1.corp.test | proven:pub 5 10 1688 kms1.corp.test"
		   " | revert:none 5 10 1688 kms1.corp.test" },
	{ .name = "P06 weight",
	  .wanted = "local 0 7 1688 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +0 7 1688 kms1.corp.test @3600",
	  .ttl = 3600 },
	{ .name = "P06 port",
	  .wanted = "local 0 10 1689 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +0 10 1689 kms1.corp.test @3600",
	  .ttl = 3600 },
	{ .name = "P06 target",
	  .wanted = "local 0 10 1688 new.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +0 10 1688 new.corp.test @3600",
	  .ttl = 3600 },
	{ .name = "a host left the configuration",
	  .wanted = "local " K1,
	  .ours = "pub local " K1 " | pub office " K2,
	  .seen = "3600 " K1 " | 3600 " K2,
	  .classes = "OO",
	  .changes = "-" K2,
	  .ttl = 3600 },
	{ .name = "U06 case is no difference",
	  .wanted = "local 0 10 1688 KMS1.Corp.TEST",
	  .ours = "pub local " K1,
	  .seen = "3600 0 10 1688 Kms1.CORP.test",
	  .classes = "O",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "found already there: adopted",
	  .wanted = "local " K1,
	  .seen = "3600 " K1,
	  .classes = "A",
	  .marks = "now:adopted " K1,
	  .ttl = 3600 },
	{ .name = "adopted and no longer wanted: stays",
	  .ours = "adopted local " K1,
	  .seen = "3600 " K1,
	  .classes = "A",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "adopted and gone: ours from now on",
	  .wanted = "local " K1,
	  .ours = "adopted local " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "P03 foreign is left alone",
	  .wanted = "local " K1,
	  .seen = "3600 " F1,
	  .classes = "F",
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "P07 a host publishes itself",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1 " | 3600 0 0 1688 kms1.corp.test",
	  .classes = "OK",
	  .findings = "host-self-publishes",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "U03 foreign TTL is adopted",
	  .wanted = "local " K1,
	  .seen = "300 " F1,
	  .classes = "F",
	  .changes = "+" K1 " @300",
	  .findings = "ttl-adopted",
	  .ttl = 300 },
	{ .name = "foreign TTL is kept in the steady state",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " F1 " | 300 " K1,
	  .classes = "FO",
	  .findings = "ttl-adopted",
	  .ttl = 300 },
	{ .name = "an adopted record is not given another TTL",
	  .wanted = "local " K1,
	  .ours = "adopted local " K1,
	  .seen = "300 " K1,
	  .classes = "A",
	  .findings = "ttl-adopted",
	  .ttl = 300 },
	{ .name = "enforced: TTL by one of ours",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " F1 " | 300 " K1,
	  .classes = "FO",
	  .enforce = true,
	  .changes = "-" K1 " | +" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "enforced: TTL by one that was there before us",
	  .wanted = "local " K1,
	  .seen = "300 " F1 " | 300 " K1,
	  .classes = "FA",
	  .enforce = true,
	  .changes = "-" K1 " | +" K1 " @3600",
	  .marks = "now:adopted " K1,
	  .ttl = 3600 },
	{ .name = "enforced: TTL by the add",
	  .wanted = "local " K1,
	  .seen = "300 " F1,
	  .classes = "F",
	  .enforce = true,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "enforced, but nothing of ours",
	  .wanted = "local- " K1,
	  .seen = "300 " F1,
	  .classes = "F",
	  .enforce = true,
	  .ttl = 300 },
	{ .name = "TTL of ours: delete and add in one message",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "300 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +" K1 " @3600",
	  .marks = "",
	  .ttl = 3600 },
	{ .name = "TTL and a new record",
	  .wanted = "local " K1 " | office " K2,
	  .ours = "pub local " K1,
	  .seen = "300 " K1,
	  .classes = "O",
	  .changes = "-" K1 " | +" K1 " @3600 | +" K2 " @3600",
	  .ttl = 3600 },
	{ .name = "U04 the server's limit is known",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "100 " K1,
	  .classes = "O",
	  .limit_asked = 3600,
	  .limit_got = 100,
	  .ttl = 100 },
	{ .name = "U04 the limit was for another wish",
	  .wanted = "local " K1,
	  .ours = "pub local " K1,
	  .seen = "100 " K1,
	  .classes = "O",
	  .limit_asked = 7200,
	  .limit_got = 100,
	  .changes = "-" K1 " | +" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "S04 nothing joins a dot",
	  .wanted = "local " K1,
	  .seen = "3600 0 0 0 .",
	  .classes = "D",
	  .findings = "absent-by-dot",
	  .ttl = 3600 },
	{ .name = "a dot: what is ours stays",
	  .wanted = "local 5 5 1688 kms1.corp.test",
	  .ours = "pub local " K1,
	  .seen = "300 0 0 0 . | 300 " K1,
	  .classes = "DO",
	  .findings = "ttl-adopted absent-by-dot",
	  .ttl = 300 },
	{ .name = "two hosts, one record",
	  .wanted = "local " K1 " | twin " K1,
	  .changes = "+" K1 " @3600",
	  .ttl = 3600 },
	{ .name = "a bad target is not added",
	  .wanted = "local! " K1 " | office " K2,
	  .changes = "+" K2 " @3600",
	  .ttl = 3600 },
	{ .name = "a bad target that is there stays",
	  .wanted = "local! " K1,
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .ttl = 3600 },
	{ .name = "a rename waits for its new target",
	  .wanted = "local! 0 10 1688 new.corp.test",
	  .ours = "pub local " K1,
	  .seen = "3600 " K1,
	  .classes = "O",
	  .ttl = 3600 },
};

static void t_rules(void **st)
{
	(void)st;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		plan_row_check(&rows[i]);
}

static void t_second_plan_is_empty(void **st)
{
	(void)st;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		plan_row_check_again(&rows[i]);
}

static void t_journal_failed(void **st)
{
	static const struct plan_row r = {
		.name = "journal",
		.wanted = "local 5 10 1688 kms1.corp.test | office " K2,
		.ours = "pub local " K1 " | pub office " K2,
		.seen = "300 " K1 " | 300 " K2,
		.changes = "-" K2 " | +" K2 " @3600 | +5 10 1688 kms1.corp.test @3600",
	};
	struct pub_plan plan;
	struct plan_input x;

	(void)st;
	plan_row_read(&r, &x);
	assert_int_equal(pub_plan_make(&x.in, &plan), 0);
	assert_int_equal(plan.n_changes, 4);
	pub_plan_drop_deletes(&plan);
	plan_row_check_changes(&r, &plan); /* the TTL's delete is no removal */
	assert_int_equal(plan.n_absent, 0);
	pub_plan_done(&plan);
}

static void t_limits(void **st)
{
	struct pub_seen *seen = calloc(PUB_SEEN_MAX + 1, sizeof(*seen));
	struct pub_rec *recs = calloc(PUB_SEEN_MAX, sizeof(*recs));
	char host[] = "local";
	struct pub_set set = { .recs = recs, .n_recs = PUB_CHANGES_MAX + 1 };
	struct pub_plan_in in = {
		.seen = seen, .n_seen = PUB_SEEN_MAX + 1, .ttl_s = 60, .ours = &set
	};
	struct pub_plan plan;

	(void)st;
	assert_non_null(seen);
	assert_non_null(recs);
	for (size_t i = 0; i < PUB_SEEN_MAX; i++) {
		seen[i].srv.port = (uint16_t)i;
		assert_int_equal(dns_name_parse("a.test", &seen[i].srv.target), 0);
		recs[i] = (struct pub_rec){ .srv = seen[i].srv,
					    .state = PUB_REC_PUBLISHED,
					    .host = host };
	}
	assert_int_equal(pub_plan_make(&in, &plan), ERR_LIMIT);
	pub_plan_done(&plan);
	in.n_seen = PUB_SEEN_MAX; /* more to delete than one message holds */
	assert_int_equal(pub_plan_make(&in, &plan), ERR_LIMIT);
	pub_plan_done(&plan);
	set.n_recs = PUB_CHANGES_MAX;
	assert_int_equal(pub_plan_make(&in, &plan), 0);
	assert_int_equal(plan.n_changes, PUB_CHANGES_MAX);
	pub_plan_done(&plan);
	free(seen);
	free(recs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_rules),
		cmocka_unit_test(t_second_plan_is_empty),
		cmocka_unit_test(t_journal_failed),
		cmocka_unit_test(t_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
