#include "cli/verify_watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define REC(prio, state)                                                                           \
	"{\"target\":\"k.test\",\"port\":1688,\"priority\":" prio                                  \
	",\"weight\":0,\"ttl\":60,\"probe\":{\"state\":\"" state "\"}}"
#define FIND(id, text) "{\"id\":\"" id "\",\"severity\":\"warning\",\"text\":\"" text "\"}"
#define REPORT(status, records, findings)                                                          \
	"{\"status\":\"" status "\",\"records\":[" records "],\"findings\":[" findings "]}"

/* Changes as "what:word", in their order. */
static void changes_between(const char *a, const char *b, char *ret, size_t size)
{
	json_t *ra = json_loads(a, 0, NULL), *rb = json_loads(b, 0, NULL);
	json_t *sa = watch_state(ra), *sb = watch_state(rb), *list = watch_changes(sa, sb), *c;
	size_t i, used = 0;

	assert_non_null(list);
	ret[0] = '\0';
	json_array_foreach(list, i, c)
	{
		const char *change = json_string_value(json_object_get(c, "change"));
		const char *word = json_string_value(json_object_get(c, "to"));

		if (word == NULL)
			word = json_string_value(json_object_get(c, "id"));
		if (word == NULL)
			word = json_string_value(json_object_get(c, "target"));
		used += (size_t)snprintf(ret + used, size - used, "%s:%s ", change, word);
	}
	json_decref(list);
	json_decref(sa);
	json_decref(sb);
	json_decref(ra);
	json_decref(rb);
}

static void t_changes(void **state)
{
	static const struct {
		const char *a, *b, *want;
	} rows[] = {
		{ REPORT("ok", REC("0", "up"), ""), REPORT("ok", REC("0", "up"), ""), "" },
		{ REPORT("ok", "", ""), REPORT("critical", "", FIND("no-records", "none")),
		  "status:critical finding-appeared:no-records " },
		{ REPORT("ok", REC("0", "up"), ""), REPORT("ok", REC("5", "up"), ""),
		  "record-added:k.test record-removed:k.test " },
		{ REPORT("ok", REC("0", "up"), ""),
		  REPORT("warning", REC("0", "refused"), FIND("dead-target", "k.test")),
		  "status:warning host-state:refused finding-appeared:dead-target " },
		/* numbers that stand alone run on by themselves; those in names and addresses do
		   not */
		{ REPORT("ok", "", FIND("lag", "ns1 (127.0.0.1:53) has serial 5, still 290 s")),
		  REPORT("ok", "", FIND("lag", "ns1 (127.0.0.1:53) has serial 6, still 9 s")), "" },
		{ REPORT("ok", "", FIND("lag", "ns1 (127.0.0.1:53) has serial 5")),
		  REPORT("ok", "", FIND("lag", "ns1 (127.0.0.2:53) has serial 5")),
		  "finding-appeared:lag finding-cleared:lag " },
		/* twice the same is not once */
		{ REPORT("ok", "", FIND("lag", "a") "," FIND("lag", "a")),
		  REPORT("ok", "", FIND("lag", "a")), "finding-cleared:lag " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char got[512];

		changes_between(rows[i].a, rows[i].b, got, sizeof(got));
		assert_string_equal(got, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
