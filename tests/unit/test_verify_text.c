#include "cli/verify_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "cli/table.h"

#define LABEL "a-label-that-is-quite-long"
#define LONG  LABEL "." LABEL "." LABEL ".example"

struct text {
	char *all;
	size_t len;
};

static void print_report(struct text *t, const char *json)
{
	json_t *report = json_loads(json, 0, NULL);
	FILE *out = open_memstream(&t->all, &t->len);

	assert_non_null(report);
	verify_print_domain(out, report);
	(void)fclose(out);
	json_decref(report);
}

/* Every line fits the page and has no octet that a terminal would take for more than text. */
static void assert_clean(const struct text *t)
{
	size_t column = 0;

	for (size_t i = 0; i < t->len; i++) {
		if (t->all[i] == '\n') {
			column = 0;
			continue;
		}
		assert_true(t->all[i] >= ' ' && t->all[i] < 0x7f);
		assert_true(++column <= TABLE_WIDTH);
	}
	assert_int_equal(column, 0);
}

static void t_long_names_fit_the_page(void **state)
{
	struct text t;

	(void)state;
	print_report(
		&t,
		"{\"domain\":\"corp.example\",\"status\":\"critical\",\"zone\":\"example\","
		"\"servers\":[{\"name\":\"" LONG "\",\"role\":\"ns\",\"serial\":4294967295,"
		"\"address\":\"[2001:db8:1111:2222:3333:4444:5555:6666]:53\","
		"\"state\":\"unreachable\",\"records\":[]},"
		"{\"name\":null,\"role\":\"resolver\",\"address\":\"192.0.2.1:53\",\"serial\":null,"
		"\"state\":\"ok\",\"records\":[{},{}]}],"
		"\"records\":[{\"target\":\"" LONG "\",\"port\":65535,\"priority\":65535,"
		"\"weight\":65535,\"ttl\":2147483647,\"probability\":1.0,"
		"\"class\":\"foreign-unknown\",\"probe\":{\"state\":\"no-kms-interface\"}},"
		"{\"target\":\"kms.example\",\"port\":1688,\"priority\":0,\"weight\":0,\"ttl\":60,"
		"\"probability\":0.0,\"class\":\"expected\",\"probe\":{\"state\":\"up\"}}],"
		"\"findings\":[{\"severity\":\"critical\",\"id\":\"server-unreachable\","
		"\"text\":\"server " LONG " (" LABEL ") gives no answer: no answer in time\","
		"\"hint\":\"one two three four five six seven eight nine ten eleven twelve "
		"thirteen fourteen fifteen sixteen seventeen eighteen nineteen\"}]}");
	assert_clean(&t);
	assert_true(strstr(t.all,
			   "critical  corp.example (zone example): 2 records, 1 of 2 up; "
			   "1 of 2 servers ok\n  critical  server-unreachable: server\n") == t.all);
	/* what does not fit its column has a line of its own, and nothing is cut */
	assert_non_null(strstr(t.all, "\n  " LONG "\n      "));
	assert_non_null(strstr(t.all, "resolver"));
	assert_non_null(strstr(t.all, "nineteen\n"));
	free(t.all);
}

static void t_octets_of_a_peer(void **state)
{
	struct text t;

	(void)state;
	print_report(&t, "{\"domain\":\"corp.example\",\"status\":\"warning\",\"servers\":[],"
			 "\"records\":[{\"target\":\"k\\u001b[2Jms\",\"class\":\"expected\"}],"
			 "\"findings\":[{\"severity\":\"warning\",\"id\":\"no-rpc\",\"text\":"
			 "\"says \\u001b]0;x\\u0007 and\\nmore\",\"hint\":\"\\t\"}]}");
	assert_clean(&t);
	assert_non_null(strstr(t.all, "\\x1b]0;x\\x07 and\\x0amore"));
	free(t.all);
}

static void t_addresses_where_nothing_was_probed(void **state)
{
	struct text t;

	(void)state;
	print_report(
		&t,
		"{\"domain\":\"corp.example\",\"status\":\"ok\",\"zone\":null,\"servers\":[],"
		"\"records\":[{\"target\":\"kms.example\",\"probe\":null,\"class\":\"expected\","
		"\"addresses\":[\"192.0.2.1\",\"2001:db8::1\"]}],\"findings\":[]}");
	assert_clean(&t);
	assert_non_null(strstr(t.all, "ok  corp.example: 1 record\n"));
	assert_non_null(strstr(t.all, "ADDRESS\n"));
	assert_non_null(strstr(t.all, "192.0.2.1 and 1 more\n"));
	free(t.all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_long_names_fit_the_page),
		cmocka_unit_test(t_octets_of_a_peer),
		cmocka_unit_test(t_addresses_where_nothing_was_probed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
