/* When a drained host is safe to stop: the rule of design §5, with the time passed in. */
#include "daemon/drain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define RESULTS_MAX 4

struct row {
	const char *name;
	struct {
		enum pub_state state;
		enum pub_proof_state proof;
		uint32_t deleted_ttl; /* 0: nothing was deleted */
		uint32_t ttl;         /* of what is left */
		bool would_empty;
		bool journal_failed;
	} results[RESULTS_MAX];
	size_t n;
	struct drain_look want;
};

static const struct row rows[] = {
	{ "no domain has the host", .want = { .gone = true } },
	{ "withdrawn everywhere",
	  { { .state = PUB_PROVEN, .proof = PUB_PROOF_OK, .deleted_ttl = 300, .ttl = 0 },
	    { .state = PUB_PROVEN, .proof = PUB_PROOF_OK, .deleted_ttl = 60, .ttl = 60 } },
	  2,
	  { .gone = true, .ttl_s = 300 } },
	{ "the TTL of what is left counts",
	  { { .state = PUB_PROVEN, .proof = PUB_PROOF_OK, .deleted_ttl = 300, .ttl = 600 } },
	  1,
	  { .gone = true, .ttl_s = 600 } },
	{ "it was not there any more",
	  { { .state = PUB_UNCHANGED, .proof = PUB_PROOF_OK, .deleted_ttl = 0, .ttl = 0 } },
	  1,
	  { .gone = true, .unseen = true } },
	{ "a secondary still shows it",
	  { { .state = PUB_LAGGING, .proof = PUB_PROOF_LAGGING, .deleted_ttl = 300, .ttl = 0 } },
	  1,
	  { .ttl_s = 300 } },
	{ "a server has its own copy",
	  { { .state = PUB_LAGGING, .proof = PUB_PROOF_DIFFERS, .deleted_ttl = 300, .ttl = 0 } },
	  1,
	  { .ttl_s = 300 } },
	{ "a secondary is dead, and not waited for",
	  { { .state = PUB_LAGGING, .proof = PUB_PROOF_UNKNOWN, .deleted_ttl = 300, .ttl = 0 } },
	  1,
	  { .gone = true, .ttl_s = 300 } },
	{ "one domain of two cannot be reached",
	  { { .state = PUB_PROVEN, .proof = PUB_PROOF_OK, .deleted_ttl = 300, .ttl = 0 },
	    { .state = PUB_UNREACHABLE, .proof = PUB_PROOF_UNKNOWN, .deleted_ttl = 0, .ttl = 0 } },
	  2,
	  { .failed = true, .unseen = true, .ttl_s = 300 } },
	{ "refused by the server",
	  { { .state = PUB_REFUSED, .proof = PUB_PROOF_UNKNOWN, .deleted_ttl = 0, .ttl = 0 } },
	  1,
	  { .failed = true, .unseen = true } },
	{ "the last one of a set",
	  { { .state = PUB_BLOCKED,
	      .proof = PUB_PROOF_UNKNOWN,
	      .deleted_ttl = 0,
	      .ttl = 0,
	      .would_empty = true } },
	  1,
	  { .failed = true, .unseen = true, .would_empty = true } },
	{ "planned",
	  { { .state = PUB_PLANNED, .proof = PUB_PROOF_UNKNOWN, .deleted_ttl = 300, .ttl = 0 } },
	  1,
	  { .gone = true, .ttl_s = 300 } },
	{ "without a journal nothing is deleted, whatever the proof says",
	  { { .state = PUB_UNCHANGED,
	      .proof = PUB_PROOF_OK,
	      .deleted_ttl = 0,
	      .ttl = 300,
	      .journal_failed = true } },
	  1,
	  { .unseen = true, .ttl_s = 300 } },
};

static void t_see(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pub_result results[RESULTS_MAX] = { 0 };
		struct pub_change changes[RESULTS_MAX][2] = { 0 };
		struct pub_proof proof[RESULTS_MAX] = { 0 };
		const struct pub_finding journal = { .id = FINDING_JOURNAL };
		struct drain_look got;

		for (size_t k = 0; k < rows[i].n; k++) {
			changes[k][0] =
				(struct pub_change){ .op = PUB_DELETE,
						     .ttl_s = rows[i].results[k].deleted_ttl };
			changes[k][1] = (struct pub_change){ .op = PUB_ADD, .ttl_s = 9999 };
			proof[k].state = rows[i].results[k].proof;
			results[k].state = rows[i].results[k].state;
			results[k].ttl_s = rows[i].results[k].ttl;
			results[k].would_empty = rows[i].results[k].would_empty;
			results[k].changes = changes[k];
			results[k].n_changes = rows[i].results[k].deleted_ttl > 0 ? 2 : 0;
			results[k].proof = &proof[k];
			results[k].n_proof = 1;
			results[k].findings = &journal;
			results[k].n_findings = rows[i].results[k].journal_failed;
		}
		drain_see(results, rows[i].n, &got);
		if (got.gone != rows[i].want.gone || got.failed != rows[i].want.failed ||
		    got.unseen != rows[i].want.unseen || got.ttl_s != rows[i].want.ttl_s ||
		    got.would_empty != rows[i].want.would_empty)
			fail_msg("%s: gone %d failed %d unseen %d ttl %u empty %d", rows[i].name,
				 got.gone, got.failed, got.unseen, got.ttl_s, got.would_empty);
	}
}

static void t_waits_for_the_ttl(void **state)
{
	struct drain_track t = { 0 };
	const struct drain_look l = { .gone = true, .ttl_s = 300 };

	(void)state;
	assert_false(drain_tick(&t, 1000000));
	drain_take(&t, &l, 3600, 1000);
	assert_int_equal(t.phase, DRAIN_WAITING);
	assert_int_equal(t.due_ms, 301000);
	assert_false(drain_tick(&t, 300999));
	assert_true(drain_tick(&t, 301000));
	assert_int_equal(t.phase, DRAIN_SAFE);
	assert_false(drain_tick(&t, 301001));
	drain_take(&t, &l, 3600, 400000); /* a late result changes nothing */
	assert_int_equal(t.phase, DRAIN_SAFE);
}

static void t_the_wait_starts_when_the_last_server_lost_it(void **state)
{
	struct drain_track t = { 0 };
	struct drain_look l = { .gone = false, .ttl_s = 600 };

	(void)state;
	drain_take(&t, &l, 3600, 1000);
	assert_int_equal(t.phase, DRAIN_WITHDRAWING);
	assert_int_equal(t.due_ms, 1000 + DRAIN_RETRY_MS);
	assert_false(drain_tick(&t, 1000 + DRAIN_RETRY_MS));
	/* gone from the primary, so nothing is deleted now: the TTL seen first counts */
	l = (struct drain_look){ .gone = true, .unseen = true };
	drain_take(&t, &l, 3600, 20000);
	assert_int_equal(t.phase, DRAIN_WAITING);
	assert_int_equal(t.ttl_s, 600);
	assert_int_equal(t.due_ms, 620000);
}

static void t_an_unknown_ttl_is_assumed(void **state)
{
	struct drain_track t = { 0 };
	struct drain_look l = { .gone = true, .unseen = true, .ttl_s = 60 };

	(void)state;
	drain_take(&t, &l, 3600, 0);
	assert_int_equal(t.due_ms, 3600000);
	t = (struct drain_track){ 0 };
	l = (struct drain_look){ .gone = true };
	drain_take(&t, &l, 3600, 5); /* published nowhere: nothing to wait for */
	assert_true(drain_tick(&t, 5));
}

static void t_the_wait_is_bounded(void **state)
{
	struct drain_track t = { 0 };
	const struct drain_look l = { .gone = true, .ttl_s = UINT32_MAX };

	(void)state;
	drain_take(&t, &l, 0, 0);
	assert_int_equal(t.due_ms, DRAIN_WAIT_MAX_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_see),
		cmocka_unit_test(t_waits_for_the_ttl),
		cmocka_unit_test(t_the_wait_starts_when_the_last_server_lost_it),
		cmocka_unit_test(t_an_unknown_ttl_is_assumed),
		cmocka_unit_test(t_the_wait_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
