/* What is said of an outcome: state, RCODE, HRESULT, and a sentence with the next step. */
#include "publisher/explain.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "publisher/turns.h"

struct row {
	const char *name;
	struct pub_failure f;
	enum pub_state state;
	const char *rcode; /* NULL: none */
	uint32_t hresult;
	const char *says[3]; /* each is in the hint */
};

#define FACTS                                                                                      \
	.server = "192.0.2.53:53", .key = "corp", .mname = "ns1.corp.example",                     \
	.domain = "corp.example", .zone = "corp.example", .owner = "_vlmcs._tcp.corp.example",     \
	.other = "_tcp.corp.example"

static const struct row rows[] = {
	{ "U23 policy, static or frozen",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_RCODE_REFUSED, FACTS },
	  PUB_REFUSED,
	  "REFUSED",
	  0x8007232D,
	  { "not allowed to change SRV", "static, frozen", "kmsbeacon policy" } },
	{ "U23 after an earlier success",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_RCODE_REFUSED, .worked_before = true, FACTS },
	  PUB_REFUSED,
	  "REFUSED",
	  0x8007232D,
	  { "earlier", "frozen", "tried again" } },
	{ "Z01 a secondary",
	  { .stage = PUB_STAGE_UPDATE,
	    .err = ERR_RCODE_REFUSED,
	    .is_secondary = true,
	    .by_server = true,
	    FACTS },
	  PUB_REFUSED,
	  "REFUSED",
	  0x8007232D,
	  { "secondary", "ns1.corp.example", "`server:`" } },
	{ "no key",
	  { .stage = PUB_STAGE_UPDATE,
	    .err = ERR_RCODE_REFUSED,
	    .server = "ns",
	    .key = "",
	    .mname = "",
	    .domain = "corp.example",
	    .zone = "corp.example",
	    .owner = "o",
	    .other = "" },
	  PUB_REFUSED,
	  "REFUSED",
	  0x8007232D,
	  { "unsigned", "AD-integrated", "`key:`" } },
	{ "allow-query",
	  { .stage = PUB_STAGE_READ, .err = ERR_RCODE_REFUSED, FACTS },
	  PUB_REFUSED,
	  "REFUSED",
	  0x8007232D,
	  { "allow-query", "key corp", "192.0.2.53" } },
	{ "the resolver refuses",
	  { .stage = PUB_STAGE_WALK, .err = ERR_RCODE_REFUSED, FACTS },
	  PUB_REFUSED,
	  "REFUSED",
	  0x8007232D,
	  { "resolver", "allow-recursion" } },
	{ "T03 BADKEY",
	  { .stage = PUB_STAGE_CONFIRM, .err = ERR_TSIG_PEER_BADKEY, FACTS },
	  PUB_REFUSED,
	  "BADKEY",
	  0x80072339,
	  { "does not know key corp", "Knot" } },
	{ "T03 BADSIG",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_TSIG_PEER_BADSIG, FACTS },
	  PUB_REFUSED,
	  "BADSIG",
	  0x80072338,
	  { "another secret for key corp" } },
	{ "T01 BADTIME with the skew",
	  { .stage = PUB_STAGE_UPDATE,
	    .err = ERR_TSIG_PEER_BADTIME,
	    .tsig = { .has_skew = true, .skew_s = -612 },
	    FACTS },
	  PUB_REFUSED,
	  "BADTIME",
	  0x8007233A,
	  { "612 s behind", "NTP" } },
	{ "O13 BADTIME, and the clocks agree by now",
	  { .stage = PUB_STAGE_UPDATE,
	    .err = ERR_TSIG_PEER_BADTIME,
	    .tsig = { .has_skew = true, .skew_s = 1 },
	    FACTS },
	  PUB_REFUSED,
	  "BADTIME",
	  0x8007233A,
	  { "was set meanwhile", "try again" } },
	{ "T02 BADTIME without it",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_TSIG_PEER_BADTIME, FACTS },
	  PUB_REFUSED,
	  "BADTIME",
	  0x8007233A,
	  { "clocks", "NTP" } },
	{ "T04 NOTAUTH without a TSIG error",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_RCODE_NOTAUTH, FACTS },
	  PUB_REFUSED,
	  "NOTAUTH",
	  0x80072331,
	  { "not authoritative for zone corp.example" } },
	{ "U22 SERVFAIL",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_RCODE_SERVFAIL, FACTS },
	  PUB_REFUSED,
	  "SERVFAIL",
	  0x8007232A,
	  { "journal", "max-records-per-type" } },
	{ "U21 NOTIMP",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_RCODE_NOTIMP, FACTS },
	  PUB_REFUSED,
	  "NOTIMP",
	  0x8007232C,
	  { "no dynamic update" } },
	{ "an RCODE without a name",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_RCODE_OTHER, .hint_rcode = 23, FACTS },
	  PUB_REFUSED,
	  "RCODE23",
	  0x80072520,
	  { "RCODE23" } },
	{ "U01 CNAME",
	  { .stage = PUB_STAGE_PROOF, .block = PUB_BLOCK_CNAME, FACTS },
	  PUB_BLOCKED,
	  NULL,
	  0x8007251D,
	  { "not visible: CNAME present", "_vlmcs._tcp.corp.example" } },
	{ "U02 delegation",
	  { .stage = PUB_STAGE_PROOF, .block = PUB_BLOCK_DELEGATED, FACTS },
	  PUB_BLOCKED,
	  NULL,
	  0x8007251D,
	  { "child zone _tcp.corp.example", "`server:`" } },
	{ "NOERROR not proven",
	  { .stage = PUB_STAGE_PROOF, .block = PUB_BLOCK_NO_EFFECT, FACTS },
	  PUB_BLOCKED,
	  NULL,
	  0x8007251D,
	  { "does not show it" } },
	{ "Z05 nothing below the top",
	  { .stage = PUB_STAGE_WALK, .block = PUB_BLOCK_TOP, FACTS },
	  PUB_BLOCKED,
	  NULL,
	  0x80072520,
	  { "top-level zone" } },
	{ "silence",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_TIMEOUT, FACTS },
	  PUB_UNREACHABLE,
	  NULL,
	  0x800705B4,
	  { "no answer from 192.0.2.53:53", "hidden primary" } },
	{ "a closed port",
	  { .stage = PUB_STAGE_READ, .err = -ECONNREFUSED, .by_server = true, FACTS },
	  PUB_UNREACHABLE,
	  NULL,
	  0x800705B4,
	  { "no answer from", "port 53" } },
	{ "T06 unsigned",
	  { .stage = PUB_STAGE_UPDATE,
	    .err = ERR_TSIG_UNSIGNED,
	    .hint_rcode = DNS_RCODE_REFUSED,
	    FACTS },
	  PUB_UNREACHABLE,
	  NULL,
	  0x80072521,
	  { "unsigned with REFUSED", "key corp" } },
	{ "T10 stale reply",
	  { .stage = PUB_STAGE_UPDATE, .err = ERR_TSIG_TIME, FACTS },
	  PUB_UNREACHABLE,
	  NULL,
	  0x80072521,
	  { "cannot be verified" } },
	{ "malformed",
	  { .stage = PUB_STAGE_READ, .err = ERR_DNS_MALFORMED, FACTS },
	  PUB_UNREACHABLE,
	  NULL,
	  0x8007251E,
	  { "cannot be read" } },
	{ "Z02 the primary has no address",
	  { .stage = PUB_STAGE_HOST, .err = ERR_RCODE_NXDOMAIN, FACTS },
	  PUB_BLOCKED,
	  "NXDOMAIN",
	  0x8007232B,
	  { "ns1.corp.example", "MNAME", "`server:`" } },
	{ "NSD, which has no UPDATE",
	  { .stage = PUB_STAGE_UPDATE,
	    .err = ERR_TSIG_UNSIGNED,
	    .hint_rcode = DNS_RCODE_NOTIMP,
	    FACTS },
	  PUB_UNREACHABLE,
	  NULL,
	  0x80072521,
	  { "no dynamic update", "`server:`", "--print zone" } },
	{ "no zone",
	  { .stage = PUB_STAGE_WALK, .err = ERR_DNS_NO_ZONE, FACTS },
	  PUB_BLOCKED,
	  NULL,
	  0x80072520,
	  { "no zone was found" } },
};

static void t_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		struct pub_verdict v;

		pub_explain(&r->f, &v);
		if (v.state != r->state || v.hresult != r->hresult)
			fail_msg("%s: %s 0x%08X", r->name, pub_state_name(v.state), v.hresult);
		if (v.has_rcode != (r->rcode != NULL) ||
		    (v.has_rcode && strcmp(dns_rcode_name(v.rcode), r->rcode) != 0))
			fail_msg("%s: rcode %s", r->name, dns_rcode_name(v.rcode));
		for (size_t k = 0; k < 3 && r->says[k] != NULL; k++)
			if (strstr(v.hint, r->says[k]) == NULL)
				fail_msg("%s: '%s' is not in: %s", r->name, r->says[k], v.hint);
	}
}

/* No combination is without a sentence, or longer than its place. */
static void t_every_outcome_has_a_sentence(void **state)
{
	static const int errs[] = {
#define X(n, c, k, t) (c),
		ERR_MAP(X)
#undef X
	};

	(void)state;
	for (int stage = PUB_STAGE_WALK; stage <= PUB_STAGE_PROOF; stage++) {
		for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
			struct pub_failure f = { .stage = (enum pub_stage)stage,
						 .err = errs[i],
						 FACTS };
			struct pub_verdict v;

			pub_explain(&f, &v);
			assert_true(strlen(v.hint) > 20 && strlen(v.hint) < PUB_HINT_MAX);
			assert_int_not_equal(v.hresult, 0);
			assert_true(v.state == PUB_REFUSED || v.state == PUB_UNREACHABLE ||
				    v.state == PUB_BLOCKED);
		}
		for (int b = PUB_BLOCK_CNAME; b <= PUB_BLOCK_ALIAS_LOOP; b++) {
			struct pub_failure f = { .stage = (enum pub_stage)stage,
						 .block = (enum pub_block)b,
						 FACTS };
			struct pub_verdict v;

			pub_explain(&f, &v);
			assert_true(strlen(v.hint) > 20);
			assert_int_equal(v.state, PUB_BLOCKED);
		}
	}
}

static void t_lagging(void **state)
{
	struct pub_proof p[3] = { { .state = PUB_PROOF_OK },
				  { .state = PUB_PROOF_LAGGING, .serial = 41 },
				  { .state = PUB_PROOF_UNKNOWN } };
	char hint[PUB_HINT_MAX];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(dns_name_parse(i == 1 ? "ns2.test" : "ns9.test", &p[i].name), 0);
	pub_explain_lagging(p, 3, 60, hint);
	assert_non_null(strstr(hint, "ns2.test still serves an older version"));
	assert_non_null(strstr(hint, "41"));
	p[1].state = PUB_PROOF_UNKNOWN;
	pub_explain_lagging(p, 3, 60, hint);
	assert_non_null(strstr(hint, "2 of 3 servers cannot be asked"));
	p[1] = (struct pub_proof){ .state = PUB_PROOF_DIFFERS }; /* a primary without a name */
	assert_int_equal(addr_parse("192.0.2.7:53", 0, &p[1].addr), 0);
	pub_explain_lagging(p, 3, 60, hint);
	assert_non_null(strstr(hint, "192.0.2.7:53 shows other records"));
}

/* ---- turns ---- */

struct worker {
	struct pub_turn turn;
	unsigned went;
	bool give_at_once;
};

static void go(struct pub_turn *t)
{
	struct worker *w = t->owner;

	w->went++;
	if (w->give_at_once)
		pub_turn_give(t);
}

static void t_turns_are_bounded_and_in_order(void **state)
{
	struct worker w[5] = { 0 };
	struct pub_turns ts;

	(void)state;
	pub_turns_init(&ts, 2);
	for (int i = 0; i < 5; i++) {
		w[i].turn.owner = &w[i];
		pub_turn_take(&ts, &w[i].turn, go);
	}
	assert_int_equal(w[0].went + w[1].went, 2);
	assert_int_equal(w[2].went + w[3].went, 0);
	pub_turn_give(&w[3].turn); /* leaves the queue, between others */
	assert_ptr_equal(ts.first->next, &w[4].turn);
	pub_turn_take(&ts, &w[3].turn, go);
	pub_turn_give(&w[4].turn);
	pub_turn_give(&w[2].turn); /* at its begin */
	pub_turn_give(&w[0].turn);
	pub_turn_give(&w[0].turn); /* twice is fine */
	assert_int_equal(w[2].went, 0);
	assert_int_equal(w[3].went, 1);
	assert_int_equal(ts.taken, 2);
	pub_turn_give(&w[1].turn);
	pub_turn_give(&w[3].turn);
	assert_int_equal(ts.taken, 0);
	assert_null(ts.first);
}

static void t_turns_given_back_at_once_do_not_nest(void **state)
{
	static struct worker w[50000];
	struct worker first = { 0 };
	struct pub_turns ts;

	(void)state;
	pub_turns_init(&ts, 1);
	first.turn.owner = &first;
	pub_turn_take(&ts, &first.turn, go);
	for (size_t i = 0; i < 50000; i++) {
		w[i].turn.owner = &w[i];
		w[i].give_at_once = true;
		pub_turn_take(&ts, &w[i].turn, go);
	}
	pub_turn_give(&first.turn);
	for (size_t i = 0; i < 50000; i++)
		assert_int_equal(w[i].went, 1);
	assert_int_equal(ts.taken, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_table),
		cmocka_unit_test(t_every_outcome_has_a_sentence),
		cmocka_unit_test(t_lagging),
		cmocka_unit_test(t_turns_are_bounded_and_in_order),
		cmocka_unit_test(t_turns_given_back_at_once_do_not_nest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
