#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>

#include "common/err.h"
#include "kmscore/upstream_health.h"

#define T0 UINT64_C(100000)

static const struct upstream_rules rules = {
	.interval_ms = 10000, .rise = 2, .fall = 3, .request_ms = 5000
};

static void connect_is(struct upstream_health *h, int err, enum kms_client_stage stage,
		       enum kms_kin kin, bool alone, uint64_t now)
{
	struct kms_client_result r = { .err = err, .stage = stage, .reason = 1 };

	upstream_health_connect(h, &rules, &r, kin, alone, now);
}

static void request_is(struct upstream_health *h, enum upstream_result result, char who,
		       bool proven, uint64_t now)
{
	const uint8_t ip[4] = { 192, 0, 2, (uint8_t)who };
	struct addr client;

	addr_from_v4(&client, ip, 40000);
	upstream_health_request(h, &rules, result,
				result == UPSTREAM_BUSY ? RPC_S_TOO_BUSY : RPC_S_PROTO_ERROR,
				&client, proven, now);
}

/* One letter of a story. Capitals are requests. */
static void tell(struct upstream_health *h, char c, uint64_t now)
{
	static const struct {
		char c;
		int err;
		enum kms_client_stage stage;
	} connects[] = {
		{ 'b', 0, KMS_CLIENT_DONE },
		{ 't', ERR_TIMEOUT, KMS_CLIENT_CONNECT },
		{ 'm', ERR_TIMEOUT, KMS_CLIENT_BIND }, /* mute */
		{ 'r', -ECONNREFUSED, KMS_CLIENT_CONNECT },
		{ 'c', ERR_CLOSED, KMS_CLIENT_BIND },
		{ 'n', ERR_RPC_NAK, KMS_CLIENT_BIND },
		{ 'i', ERR_RPC_NO_INTERFACE, KMS_CLIENT_BIND },
		{ 'y', ERR_RPC_SYNTAX, KMS_CLIENT_BIND },
		{ 'h', ERR_RPC_NOT_RPC, KMS_CLIENT_BIND },
		{ 'x', -EMFILE, KMS_CLIENT_CONNECT },
		{ 'u', -EHOSTUNREACH, KMS_CLIENT_CONNECT },
	};

	for (size_t i = 0; i < sizeof(connects) / sizeof(connects[0]); i++)
		if (connects[i].c == c) {
			connect_is(h, connects[i].err, connects[i].stage, KMS_KIN_NONE, false, now);
			return;
		}
	switch (c) {
	case 'a': /* bound, and no other host is up */
		connect_is(h, 0, KMS_CLIENT_DONE, KMS_KIN_NONE, true, now);
		break;
	case 's':
		connect_is(h, 0, KMS_CLIENT_DONE, KMS_KIN_SELF, false, now);
		break;
	case 'k':
		connect_is(h, 0, KMS_CLIENT_DONE, KMS_KIN_RELAY, false, now);
		break;
	case 'A':
		request_is(h, UPSTREAM_ANSWERED, c, false, now);
		break;
	case 'P':
		request_is(h, UPSTREAM_FAULT, c, true, now);
		break;
	case 'F': /* two clients */
	case 'G':
		request_is(h, UPSTREAM_FAULT, c, false, now);
		break;
	case 'B':
		request_is(h, UPSTREAM_BUSY, c, false, now);
		break;
	case 'L':
		request_is(h, UPSTREAM_LATE, c, false, now);
		break;
	case 'X':
		request_is(h, UPSTREAM_BROKEN, c, false, now);
		break;
	default:
		fail_msg("no such letter: %c", c);
	}
}

static const struct {
	const char *story;
	enum relay_state state;
	enum upstream_class class;
	const char *detail;
} stories[] = {
	{ "", RELAY_UNKNOWN, UPSTREAM_DOUBTFUL, "not asked" },
	{ "b", RELAY_UP, UPSTREAM_GOOD, "accepts binds (NDR32)" },
	{ "A", RELAY_UP, UPSTREAM_GOOD, "answers" },
	/* the first news of a host is believed */
	{ "m", RELAY_TIMEOUT, UPSTREAM_NO, "connected, but no answer" },
	{ "t", RELAY_TIMEOUT, UPSTREAM_NO, "no connection in time" },
	{ "r", RELAY_REFUSED, UPSTREAM_NO, "nothing listens" },
	{ "x", RELAY_UNKNOWN, UPSTREAM_DOUBTFUL, "" },
	/* down at once */
	{ "br", RELAY_REFUSED, UPSTREAM_NO, "connection refused" },
	{ "bn", RELAY_RPC_REFUSED, UPSTREAM_NO, "bind was refused" },
	{ "bi", RELAY_NO_INTERFACE, UPSTREAM_NO, "without the KMS interface" },
	{ "by", RELAY_RPC_REFUSED, UPSTREAM_NO, "does not take NDR32" },
	{ "bh", RELAY_NOT_RPC, UPSTREAM_NO, "not in DCE/RPC" },
	{ "bs", RELAY_LOOP, UPSTREAM_NO, "this relay itself" },
	{ "bss", RELAY_LOOP, UPSTREAM_NO, "" },
	/* after fall in a row */
	{ "bm", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bmm", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bmmm", RELAY_TIMEOUT, UPSTREAM_NO, "connected, but no answer" },
	{ "bmmbmm", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bmmAmm", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bmmA", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "bccc", RELAY_REFUSED, UPSTREAM_NO, "closed the connection" },
	{ "buuu", RELAY_TIMEOUT, UPSTREAM_NO, "no route" },
	{ "bxxxx", RELAY_UP, UPSTREAM_GOOD, "" },
	/* both kinds of evidence: one is enough */
	{ "bLm", RELAY_TIMEOUT, UPSTREAM_NO, "" },
	{ "bXc", RELAY_REFUSED, UPSTREAM_NO, "" },
	{ "bLAm", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bL", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bLb", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "bX", RELAY_UP, UPSTREAM_GOOD, "" },
	/* a burst of late answers says nothing before a bind was tried */
	{ "bLLLLL", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bLLLLLb", RELAY_SLOW, UPSTREAM_NO, "last 5 requests within 5s" },
	{ "bLLLLLm", RELAY_TIMEOUT, UPSTREAM_NO, "connected" },
	{ "bLbLL", RELAY_SLOW, UPSTREAM_NO, "answered none of the last 3" },
	{ "bLbLAL", RELAY_UP, UPSTREAM_DOUBTFUL, "" },
	{ "bXbXX", RELAY_FAULTS, UPSTREAM_NO, "broke off the last 3 requests" },
	{ "bBbBB", RELAY_FAULTS, UPSTREAM_NO, "faults: 0x1C010014" },
	{ "bFbGF", RELAY_FAULTS, UPSTREAM_NO, "last 3 requests with faults: 0x1C01000B" },
	/* one client's bad requests */
	{ "bFbFFFFF", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "bFbFFFFGF", RELAY_FAULTS, UPSTREAM_NO, "last 3" },
	{ "bPbPP", RELAY_FAULTS, UPSTREAM_NO, "" },
	/* only an answer clears it, or a new life */
	{ "bXbXXbbb", RELAY_FAULTS, UPSTREAM_NO, "" },
	{ "bXbXXA", RELAY_UP, UPSTREAM_GOOD, "answers requests" },
	{ "bXbXXr", RELAY_REFUSED, UPSTREAM_NO, "" },
	{ "bXbXXm", RELAY_TIMEOUT, UPSTREAM_NO, "" },
	{ "bXbXXrbb", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "bXbXXrbbX", RELAY_UP, UPSTREAM_GOOD, "" },
	/* up again after rise in a row; an old connection's answer is no news of the door
	 */
	{ "brb", RELAY_REFUSED, UPSTREAM_NO, "" },
	{ "brbb", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "brbrb", RELAY_REFUSED, UPSTREAM_NO, "" },
	{ "brAAA", RELAY_REFUSED, UPSTREAM_NO, "" },
	{ "bra", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "bsb", RELAY_LOOP, UPSTREAM_NO, "" },
	{ "bsbb", RELAY_UP, UPSTREAM_GOOD, "" },
	{ "brm", RELAY_TIMEOUT, UPSTREAM_NO, "" },
};

static void t_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct upstream_health h = { 0 };
		uint64_t now = T0;

		upstream_health_init(&h, 1, now);
		for (const char *c = stories[i].story; *c != '\0'; c++)
			tell(&h, *c, now += 1000);
		if (h.state != stories[i].state ||
		    upstream_health_class(&h, now) != stories[i].class ||
		    strstr(h.detail, stories[i].detail) == NULL)
			fail_msg("'%s': %s, class %d, %s", stories[i].story,
				 relay_state_name(h.state), (int)upstream_health_class(&h, now),
				 h.detail);
	}
}

/* All that are made at once are turned away by a host that has as many as it takes. */
static void t_turned_away_together(void **state)
{
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 1, T0);
	tell(&h, 'b', T0);
	for (unsigned i = 0; i < 100; i++)
		tell(&h, 'c', T0 + 1);
	assert_int_equal(h.state, RELAY_UP);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 1);
	tell(&h, 'c', T0 + 1001);
	assert_int_equal(h.state, RELAY_UP);
	tell(&h, 'c', T0 + 2001);
	assert_int_equal(h.state, RELAY_REFUSED);
}

static void t_several_addresses(void **state)
{
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 2, T0);
	tell(&h, 'b', T0);
	tell(&h, 'r', T0);
	assert_int_equal(h.state, RELAY_UP); /* the other one may do */
	assert_int_equal(upstream_health_class(&h, T0), UPSTREAM_DOUBTFUL);
	tell(&h, 'b', T0);
	tell(&h, 'r', T0);
	assert_int_equal(h.state, RELAY_UP);
	tell(&h, 'r', T0);
	assert_int_equal(h.state, RELAY_REFUSED);
}

static void t_addresses_come_and_go(void **state)
{
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 0, T0);
	assert_int_equal(h.state, RELAY_UNRESOLVED);
	assert_true(upstream_health_probe_at(&h, &rules) == UPSTREAM_PROBE_NEVER);
	assert_int_equal(upstream_health_class(&h, T0), UPSTREAM_NO);
	upstream_health_set_addrs(&h, 1, T0 + 5);
	assert_int_equal(h.state, RELAY_UNKNOWN);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 5);
	tell(&h, 'b', T0 + 6);
	upstream_health_set_addrs(&h, 2, T0 + 7);
	assert_int_equal(h.state, RELAY_UP);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 7);
	upstream_health_set_addrs(&h, 0, T0 + 8);
	assert_int_equal(h.state, RELAY_UNRESOLVED);
	tell(&h, 'b', T0 + 9); /* late news of an address it had */
	assert_int_equal(h.state, RELAY_UNRESOLVED);
}

static void probe(struct upstream_health *h, char c, uint64_t now)
{
	upstream_health_probing(h, &rules, now);
	tell(h, c, now);
}

static void t_when_to_probe(void **state)
{
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 1, T0);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0);
	probe(&h, 'b', T0);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 10000);
	tell(&h, 'A', T0 + 4000); /* any good news */
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 14000);
	tell(&h, 'b', T0 + 5000);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 15000);
	tell(&h, 'L', T0 + 6000); /* the first bad news: at once */
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 6000);
	probe(&h, 'b', T0 + 6000);
	tell(&h, 'X', T0 + 6001); /* but clients cannot make us probe all the time */
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 7000);
	probe(&h, 'b', T0 + 7000);
	tell(&h, 'F', T0 + 8000); /* two are not enough, three are */
	assert_int_equal(h.state, RELAY_FAULTS);
	tell(&h, 'b', T0 + 9000); /* that it binds is watched */
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 19000);
	tell(&h, 'r', T0 + 10000);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 11000);
	probe(&h, 'b', T0 + 11000);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 12000);
	probe(&h, 'b', T0 + 12000);
	assert_int_equal(h.state, RELAY_UP);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 22000);
	/* a probe that could not be made tells nothing and is repeated */
	probe(&h, 'x', T0 + 22000);
	assert_int_equal(h.state, RELAY_UP);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 32000);
	/* a bind that gets no answer: the next one at once, that is after the gap */
	upstream_health_probing(&h, &rules, T0 + 32000);
	tell(&h, 'm', T0 + 35000);
	assert_int_equal(upstream_health_probe_at(&h, &rules), T0 + 35000);
}

static void t_trials(void **state)
{
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 1, T0);
	for (const char *c = "bXbXX"; *c != '\0'; c++)
		tell(&h, *c, T0);
	assert_int_equal(upstream_health_class(&h, T0 + 9999), UPSTREAM_NO);
	assert_int_equal(upstream_health_class(&h, T0 + 10000), UPSTREAM_TRIAL);
	upstream_health_trial(&h, &rules, T0 + 10000);
	assert_int_equal(upstream_health_class(&h, T0 + 10001), UPSTREAM_NO);
	tell(&h, 'X', T0 + 10002);
	assert_int_equal(upstream_health_class(&h, T0 + 20000), UPSTREAM_TRIAL);
	tell(&h, 'A', T0 + 20001);
	assert_int_equal(upstream_health_class(&h, T0 + 20001), UPSTREAM_GOOD);
}

static void t_new_rules(void **state)
{
	const struct upstream_rules longer = { .interval_ms = 60000, .rise = 2, .fall = 3 };
	const struct upstream_rules shorter = { .interval_ms = 2000, .rise = 2, .fall = 3 };
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 1, T0);
	for (const char *c = "bXbXX"; *c != '\0'; c++)
		tell(&h, *c, T0);
	tell(&h, 'b', T0);
	upstream_health_new_rules(&h, &longer, T0 + 1000);
	assert_int_equal(upstream_health_probe_at(&h, &longer), T0 + 10000);
	assert_int_equal(upstream_health_class(&h, T0 + 10000), UPSTREAM_TRIAL);
	upstream_health_new_rules(&h, &shorter, T0 + 1000);
	assert_int_equal(upstream_health_probe_at(&h, &shorter), T0 + 3000);
	assert_int_equal(upstream_health_class(&h, T0 + 2999), UPSTREAM_NO);
	assert_int_equal(upstream_health_class(&h, T0 + 3000), UPSTREAM_TRIAL);
}

static void t_kin(void **state)
{
	struct upstream_health h = { 0 };

	(void)state;
	upstream_health_init(&h, 1, T0);
	assert_false(h.kin_known);
	tell(&h, 'k', T0);
	assert_true(h.kin_known);
	assert_int_equal(h.kin, KMS_KIN_RELAY);
	tell(&h, 'r', T0);
	assert_int_equal(h.kin, KMS_KIN_RELAY); /* not forgotten while it is down */
}

static void t_names(void **state)
{
	(void)state;
	for (int s = 0; s < RELAY_STATE_COUNT_; s++)
		assert_true(strlen(relay_state_name((enum relay_state)s)) > 0);
	assert_string_equal(relay_state_name(RELAY_NO_INTERFACE), "no-kms-interface");
	assert_string_equal(relay_state_name(RELAY_LOOP), "loop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_stories),
		cmocka_unit_test(t_turned_away_together),
		cmocka_unit_test(t_several_addresses),
		cmocka_unit_test(t_addresses_come_and_go),
		cmocka_unit_test(t_when_to_probe),
		cmocka_unit_test(t_trials),
		cmocka_unit_test(t_new_rules),
		cmocka_unit_test(t_kin),
		cmocka_unit_test(t_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
