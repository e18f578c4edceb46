#include "resolver/totals.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static void add(struct rsv_verify_totals *t, size_t index, const char *domain,
		enum rsv_status status, enum finding_id id, const char *text)
{
	struct rsv_finding f = { .id = id };
	struct rsv_audit_result r = {
		.status = status,
		.findings = &f,
		.n_findings = status == RSV_OK_ ? 0 : 1,
	};

	assert_int_equal(dns_name_parse(domain, &r.domain), 0);
	snprintf(f.text, sizeof(f.text), "%s", text);
	rsv_verify_totals_add(t, index, &r);
}

static void t_ok(void **state)
{
	struct rsv_verify_totals t = { 0 };
	char line[RSV_NAGIOS_MAX];

	(void)state;
	add(&t, 0, "a.test", RSV_OK_, FINDING_LAG, "");
	assert_string_equal(rsv_verify_nagios(&t, 1007, line),
			    "KMS OK - 1 of 1 domain ok, 0 records | domains=1;;;0 "
			    "domains_ok=1;;;0;1 domains_warning=0;0;;0;1 domains_critical=0;;0;0;1 "
			    "domains_unknown=0;;;0;1 records=0;;;0 up=0;;;0 down=0;;;0 "
			    "warnings=0;0;;0 criticals=0;;0;0 time=1.007s;;;0");
}

/* Whatever order audits end in, the first of the worst in the input is the one that is told. */
static void t_the_first_of_the_worst(void **state)
{
	static const size_t orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 2, 3, 0, 1 } };

	(void)state;
	for (size_t o = 0; o < 3; o++) {
		struct rsv_verify_totals t = { 0 };
		char line[RSV_NAGIOS_MAX];

		for (size_t k = 0; k < 4; k++) {
			static const char *const names[] = { "a.test", "b.test", "c.test",
							     "d.test" };
			size_t i = orders[o][k];

			if (i == 3)
				add(&t, i, names[i], RSV_OK_, FINDING_LAG, "");
			else
				add(&t, i, names[i], i == 0 ? RSV_WARN_ : RSV_CRIT_,
				    i == 0 ? FINDING_LAG : FINDING_NO_RECORDS, "x");
		}
		assert_int_equal(t.status, RSV_CRIT_);
		assert_string_equal(t.worst, "b.test: x");
		assert_int_equal(t.by_id[FINDING_NO_RECORDS], 2);
		rsv_verify_nagios(&t, 0, line);
		assert_non_null(strstr(line, "KMS CRITICAL - 1 of 4 domains ok, 2 critical, 1 "
					     "warning, 0 records; b.test: x | "));
	}
}

/* A peer's words can neither begin the performance data nor a second line, nor push it out. */
static void t_peer_cannot_break_the_line(void **state)
{
	char text[RSV_FINDING_TEXT_MAX], line[RSV_NAGIOS_MAX];

	(void)state;
	for (int c = 1; c < 256; c++) {
		struct rsv_verify_totals t = { 0 };
		const char *bar;

		memset(text, c, sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		add(&t, 0, "a.test", RSV_CRIT_, FINDING_NO_RPC, text);
		rsv_verify_nagios(&t, 0, line);
		bar = strchr(line, '|');
		assert_non_null(bar);
		assert_null(strchr(bar + 1, '|'));
		assert_null(strpbrk(line, "\n\r\t\x1b\x7f"));
		assert_int_equal(strncmp(bar, "| domains=1;;;0 ", 16), 0);
		assert_string_equal(line + strlen(line) - 15, "time=0.000s;;;0");
	}
}

static void t_what_is_no_domain(void **state)
{
	struct rsv_verify_totals t = { 0 };
	char line[RSV_NAGIOS_MAX];

	(void)state;
	assert_non_null(strstr(rsv_verify_nagios(&t, 0, line), "KMS UNKNOWN - no domain was"));
	rsv_verify_totals_add_unknown(&t, 0, "'a|b' is no domain name");
	assert_non_null(
		strstr(rsv_verify_nagios(&t, 0, line), "KMS UNKNOWN - 'a/b' is no domain name |"));
	add(&t, 1, "a.test", RSV_WARN_, FINDING_LAG, "late");
	assert_int_equal(t.status, RSV_UNKNOWN_);
	add(&t, 2, "b.test", RSV_CRIT_, FINDING_NO_RECORDS, "none");
	assert_string_equal(t.worst, "b.test: none");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_ok),
		cmocka_unit_test(t_the_first_of_the_worst),
		cmocka_unit_test(t_peer_cannot_break_the_line),
		cmocka_unit_test(t_what_is_no_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
