/*
 * What is typed or read as a word: times, durations, names, ids, expected records, codes. What is
 * taken reads back as the same from its own text form.
 */
#include <string.h>

#include "cli/explain.h"
#include "common/clock.h"
#include "kmscore/guid.h"
#include "net/dnsname.h"
#include "resolver/audit.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 1200
#define CODE_MAX 24

static void check_duration(const char *text)
{
	char again[CLOCK_TEXT_MAX];
	uint64_t ms = 7, ms_again;

	if (duration_parse(text, &ms) != 0) {
		FUZZ_CHECK(ms == 7);
		return;
	}
	duration_format(ms, again);
	FUZZ_CHECK(strlen(again) <= strlen(text) || strspn(text, "0") > 0);
	FUZZ_CHECK(duration_parse(again, &ms_again) == 0 && ms_again == ms);
}

static void check_time(const char *text)
{
	char again[CLOCK_TEXT_MAX], third[CLOCK_TEXT_MAX];
	int64_t ms = 7, ms_again;

	if (clock_parse_rfc3339(text, &ms) != 0) {
		FUZZ_CHECK(ms == 7);
		return;
	}
	/* four digits of a year, less or more than that by an offset */
	FUZZ_CHECK(ms > INT64_C(-62200000000000) && ms < INT64_C(253500000000000));
	clock_format_rfc3339(ms, again);
	if (clock_parse_rfc3339(again, &ms_again) != 0)
		return; /* an offset led out of the years that have four digits */
	FUZZ_CHECK(ms_again <= ms && ms - ms_again < 1000);
	clock_format_rfc3339(ms_again, third);
	FUZZ_CHECK(strcmp(again, third) == 0);
}

static void check_name(const char *text)
{
	char whole[DNSNAME_TEXT_MAX], second[DNSNAME_TEXT_MAX];
	struct dns_name name, again, longer;

	if (dns_name_parse(text, &name) != 0)
		return;
	FUZZ_CHECK(dns_name_is_set(&name));
	dns_name_format(&name, whole);
	for (const char *p = whole; *p != '\0'; p++)
		FUZZ_CHECK(*p > ' ' && *p < 0x7f);
	FUZZ_CHECK(dns_name_parse(whole, &again) == 0 && dns_name_equal(&again, &name));
	FUZZ_CHECK(strcmp(dns_name_format(&again, second), whole) == 0);
	FUZZ_CHECK(dns_name_from_wire(name.wire, name.len, &again) == 0);
	if (dns_name_prefix("_vlmcs._tcp", &name, &longer) == 0) {
		FUZZ_CHECK(dns_name_is_within(&longer, &name));
		FUZZ_CHECK(dns_name_labels(&longer) == dns_name_labels(&name) + 2);
	}
}

static void check_guid(const char *text)
{
	char whole[GUID_TEXT_MAX];
	struct guid g, again;

	if (guid_parse(text, &g) != 0)
		return;
	guid_format(&g, whole);
	FUZZ_CHECK(strcasecmp(whole, text) == 0);
	FUZZ_CHECK(guid_parse(whole, &again) == 0 && guid_equal(&g, &again));
}

static void check_expect(const char *text)
{
	char name[DNSNAME_TEXT_MAX], whole[DNSNAME_TEXT_MAX + 32];
	struct rsv_expect e, again;
	struct err_info info = { "" };
	int err = rsv_expect_parse(text, &e, &info);

	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	if (err != 0)
		return;
	FUZZ_CHECK(e.port != 0 && (e.has_priority || !e.has_weight));
	dns_name_format(&e.target, name);
	if (strchr(name, ':') != NULL)
		return; /* written as \058, which comes back as it is */
	(void)snprintf(whole, sizeof(whole), e.has_weight ? "%s:%u:%u:%u" : "%s:%u", name, e.port,
		       e.priority, e.weight);
	FUZZ_CHECK(rsv_expect_parse(whole, &again, NULL) == 0);
	FUZZ_CHECK(dns_name_equal(&e.target, &again.target) && e.port == again.port);
	FUZZ_CHECK(!e.has_weight || (e.priority == again.priority && e.weight == again.weight));
}

static void check_codes(const char *text)
{
	static struct explain_row rows[EXPLAIN_MATCHES_MAX];
	size_t n = explain_find(text, rows);

	FUZZ_CHECK(n <= EXPLAIN_MATCHES_MAX);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(rows[i].kind != NULL && rows[i].meaning[0] != '\0');
	n = explain_near(text, rows);
	FUZZ_CHECK(n <= EXPLAIN_MATCHES_MAX);
	for (size_t i = 0; i < n; i++)
		FUZZ_CHECK(rows[i].name[0] != '\0' || rows[i].code[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1];

	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_duration(text);
	check_time(text);
	check_name(text);
	check_guid(text);
	check_expect(text);
	if (size <= CODE_MAX) /* each known code is compared with it */
		check_codes(text);
	return 0;
}
