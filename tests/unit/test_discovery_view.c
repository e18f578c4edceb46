/* What counts as news of what clients see, and when to look again. */
#include "daemon/discovery_view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct config_health rule = {
	.interval_ms = 10000, .rise = 2, .fall = 3, .min_stay_ms = 60000
};

/* "0 10 1688 a u;10 0 1688 b d": as discovery_view_text, with the state as a letter u, d or ?. */
static struct discovery_view view(const char *text)
{
	struct discovery_view v = { .host = calloc(8, sizeof(*v.host)) };
	char copy[256], *save, *at;

	assert_non_null(v.host);
	(void)snprintf(copy, sizeof(copy), "%s", text);
	for (at = strtok_r(copy, ";", &save); at != NULL; at = strtok_r(NULL, ";", &save)) {
		struct discovery_host *h = &v.host[v.n++];
		char *end, *name;

		h->rec.srv.priority = (uint16_t)strtoul(at, &end, 10);
		h->rec.srv.weight = (uint16_t)strtoul(end, &end, 10);
		h->rec.srv.port = (uint16_t)strtoul(end, &end, 10);
		name = end + 1;
		end = strchr(name, ' ');
		assert_non_null(end);
		*end = '\0';
		assert_int_equal(dns_name_parse(name, &h->rec.srv.target), 0);
		h->state = end[1] == 'u'   ? PUB_HEALTH_UP
			   : end[1] == 'd' ? PUB_HEALTH_DOWN
					   : PUB_HEALTH_UNKNOWN;
	}
	v.n_records = v.n;
	v.code = discovery_view_code(&v);
	return v;
}

static struct discovery_view failed(uint32_t code)
{
	return (struct discovery_view){ .code = code };
}

static void t_text(void **state)
{
	struct discovery_view v = view("0 10 1688 kms1.corp.example u;10 0 1689 kms2.corp.example "
				       "d;10 1 1 x ?");
	char text[DISCOVERY_TEXT_MAX];

	(void)state;
	discovery_view_text(&v, text);
	assert_string_equal(text, "0 10 1688 kms1.corp.example up, 10 0 1689 kms2.corp.example "
				  "down, 10 1 1 x unknown");
	v.n_records = 9;
	discovery_view_text(&v, text);
	assert_non_null(strstr(text, "x unknown, 6 more"));
	discovery_view_done(&v);
	discovery_view_text(&v, text);
	assert_string_equal(text, "none");
}

/* However long the names are, the text ends whole, and says how many are left out. */
static void t_text_is_cut_between_hosts(void **state)
{
	struct discovery_view v = { .host = calloc(DISCOVERY_HOSTS_MAX, sizeof(*v.host)) };
	char name[256], text[DISCOVERY_TEXT_MAX];

	(void)state;
	assert_non_null(v.host);
	memset(name, 'a', sizeof(name));
	for (size_t i = 63; i < 255; i += 64)
		name[i] = '.';
	name[253] = '\0';
	for (size_t i = 0; i < DISCOVERY_HOSTS_MAX; i++)
		assert_int_equal(dns_name_parse(name, &v.host[i].rec.srv.target), 0);
	v.n = DISCOVERY_HOSTS_MAX;
	v.n_records = 1000;
	discovery_view_text(&v, text);
	assert_true(strlen(text) < sizeof(text));
	assert_non_null(strstr(text, " unknown, 999 more"));
	assert_string_equal(text + strlen(text) - 5, " more");
	discovery_view_done(&v);
}

static void t_what_differs(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{ "0 0 1688 a u", "0 0 1688 A u", true },
		{ "0 0 1688 a u", "0 0 1688 a d", false },
		{ "0 0 1688 a u", "0 0 1689 a u", false },
		{ "0 0 1688 a u", "1 0 1688 a u", false },
		{ "0 0 1688 a u", "0 1 1688 a u", false },
		{ "0 0 1688 a u", "0 0 1688 b u", false },
		{ "0 0 1688 a u", "0 0 1688 a u;1 0 1688 b d", false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct discovery_view a = view(rows[i].a), b = view(rows[i].b);

		b.host[0].probability = 0.5; /* follows from the rest, and so does not count */
		b.host[0].rec.ttl = 7;
		if (discovery_view_equal(&a, &b) != rows[i].equal)
			fail_msg("row %zu", i);
		discovery_view_done(&a);
		discovery_view_done(&b);
	}
}

static void t_code(void **state)
{
	struct discovery_view v = view("0 0 1 a d;0 0 1 b u");

	(void)state;
	assert_int_equal(v.code, HR_OK);
	discovery_view_done(&v);
	v = view("0 0 1 a d;0 0 1 b ?");
	assert_int_equal(v.code, HR_BINDING_SERVICE_UNAVAILABLE);
	assert_false(discovery_view_settled(&v));
	discovery_view_done(&v);
	assert_false(discovery_code_passes(HR_DNS_NXDOMAIN));
	assert_false(discovery_code_passes(HR_DNS_NO_RECORDS));
	assert_true(discovery_code_passes(HR_DNS_SERVFAIL));
	assert_true(discovery_code_passes(HR_DNS_REFUSED));
	assert_true(discovery_code_passes(HR_DNS_NO_SERVERS));
}

/* One look a row: seconds, what is seen ("" with the code), and what comes of it. */
struct look {
	unsigned at_s;
	const char *seen;
	uint32_t code;
	enum discovery_news news;
};

static void play(const char *name, const struct look *looks, size_t n)
{
	struct discovery_track t = { 0 };

	for (size_t i = 0; i < n; i++) {
		struct discovery_view seen =
			looks[i].seen[0] != '\0' ? view(looks[i].seen) : failed(looks[i].code);
		struct discovery_view was = { 0 };
		enum discovery_news news =
			discovery_judge(&t, &seen, &rule, looks[i].at_s * 1000u, &was);

		if (news != looks[i].news)
			fail_msg("%s, look %zu: %d, not %d", name, i, (int)news,
				 (int)looks[i].news);
		discovery_view_done(&seen);
		discovery_view_done(&was);
	}
	discovery_view_done(&t.view);
}

static void t_news(void **state)
{
	static const struct look change[] = {
		{ 0, "0 0 1688 a ?", 0, DISCOVERY_DOUBT },
		{ 10, "0 0 1688 a u", 0, DISCOVERY_FIRST },
		{ 20, "0 0 1688 a u", 0, DISCOVERY_SAME },
		{ 320, "0 0 1688 a u;0 0 1688 b ?", 0, DISCOVERY_DOUBT },
		{ 330, "0 0 1688 a u;0 0 1688 b u", 0, DISCOVERY_CHANGED },
		{ 340, "0 0 1688 a u;0 0 1688 b u", 0, DISCOVERY_SAME },
	};
	/* a change stands for a minute; what is back by then is no news at all */
	static const struct look stay[] = {
		{ 0, "0 0 1688 a u", 0, DISCOVERY_FIRST },
		{ 1, "0 0 1688 b u", 0, DISCOVERY_CHANGED },
		{ 60, "0 0 1688 c u", 0, DISCOVERY_DOUBT },
		{ 61, "0 0 1688 b u", 0, DISCOVERY_SAME },
		{ 62, "0 0 1688 c u", 0, DISCOVERY_CHANGED },
		{ 121, "0 0 1688 b u", 0, DISCOVERY_DOUBT },
		{ 122, "0 0 1688 b u", 0, DISCOVERY_CHANGED },
		{ 130, "0 0 1688 a u", 0, DISCOVERY_DOUBT },
		{ 140, "0 0 1688 b u", 0, DISCOVERY_SAME },
		{ 190, "0 0 1688 a u", 0, DISCOVERY_CHANGED },
	};
	/* S08: a server that fails says nothing of the zone; a name that does not exist does */
	static const struct look fail[] = {
		{ 0, "0 0 1688 a u", 0, DISCOVERY_FIRST },
		{ 100, "", HR_DNS_SERVFAIL, DISCOVERY_DOUBT },
		{ 110, "", HR_DNS_SERVFAIL, DISCOVERY_DOUBT },
		{ 120, "0 0 1688 a u", 0, DISCOVERY_SAME },
		{ 130, "", HR_DNS_SERVFAIL, DISCOVERY_DOUBT },
		{ 140, "", HR_DNS_REFUSED, DISCOVERY_DOUBT },
		{ 150, "", HR_DNS_REFUSED, DISCOVERY_CHANGED },
		{ 160, "", HR_DNS_REFUSED, DISCOVERY_SAME },
		{ 300, "", HR_DNS_NXDOMAIN, DISCOVERY_CHANGED },
		{ 400, "0 0 1688 a u", 0, DISCOVERY_CHANGED },
	};
	/* flapping every 10 s: one line a minute at most */
	static const struct look flap[] = {
		{ 0, "0 0 1688 a u", 0, DISCOVERY_FIRST },
		{ 10, "0 0 1688 a d", 0, DISCOVERY_CHANGED },
		{ 20, "0 0 1688 a u", 0, DISCOVERY_DOUBT },
		{ 30, "0 0 1688 a d", 0, DISCOVERY_SAME },
		{ 40, "0 0 1688 a u", 0, DISCOVERY_DOUBT },
		{ 70, "0 0 1688 a u", 0, DISCOVERY_CHANGED },
		{ 80, "0 0 1688 a d", 0, DISCOVERY_DOUBT },
		{ 120, "0 0 1688 a d", 0, DISCOVERY_DOUBT },
	};

	(void)state;
	play("change", change, N(change));
	play("stay", stay, N(stay));
	play("fail", fail, N(fail));
	play("flap", flap, N(flap));
}

static void t_was_and_now(void **state)
{
	struct discovery_view seen = view("0 0 1688 a u"), was = { 0 };
	struct discovery_track t = { 0 };
	char text[DISCOVERY_TEXT_MAX];

	(void)state;
	assert_int_equal(discovery_judge(&t, &seen, &rule, 0, &was), DISCOVERY_FIRST);
	assert_null(seen.host);
	assert_null(was.host);
	seen = view("0 0 1688 b u");
	assert_int_equal(discovery_judge(&t, &seen, &rule, 60000, &was), DISCOVERY_CHANGED);
	discovery_view_text(&was, text);
	assert_string_equal(text, "0 0 1688 a up");
	discovery_view_text(&t.view, text);
	assert_string_equal(text, "0 0 1688 b up");
	discovery_view_done(&was);
	discovery_view_done(&t.view);
}

/* S10, S11 */
static void t_S10_S11_where_a_cached_host_stands(void **state)
{
	static const struct {
		const char *set;
		enum rsv_profile profile;
		enum discovery_standing standing;
	} rows[] = {
		{ "0 0 1688 old u;10 0 1688 b u", RSV_MODERN, DISCOVERY_CACHED_BEST },
		{ "0 0 1688 a u;10 0 1688 OLD u", RSV_MODERN, DISCOVERY_CACHED_LOWER },
		{ "0 0 1688 a u;10 0 1688 old u", RSV_VISTA, DISCOVERY_CACHED_BEST },
		{ "0 0 1688 a d;10 0 1688 old u", RSV_MODERN, DISCOVERY_CACHED_BEST },
		{ "0 0 1688 a u", RSV_MODERN, DISCOVERY_CACHED_GONE },
		{ "0 0 1689 old u", RSV_MODERN, DISCOVERY_CACHED_GONE },
		{ "", RSV_MODERN, DISCOVERY_CACHED_GONE },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct discovery_view v = view(rows[i].set);

		if (discovery_standing(&v, rows[i].profile, "Old", 1688) != rows[i].standing)
			fail_msg("row %zu", i);
		discovery_view_done(&v);
	}
}

static void t_when(void **state)
{
	const uint32_t interval = 300000, quick = 10000;
	unsigned used = 0;

	(void)state;
	assert_int_equal(discovery_next_ms(5, interval, quick, false, &used, 0), 300005);
	assert_int_equal(discovery_next_ms(5, interval, quick, false, &used, UINT32_MAX), 330005);
	for (unsigned i = 0; i < DISCOVERY_QUICK_MAX; i++)
		assert_int_equal(discovery_next_ms(0, interval, quick, true, &used, 0), quick);
	/* a doubt that does not end costs no more than peace */
	assert_int_equal(discovery_next_ms(0, interval, quick, true, &used, 0), interval);
	assert_int_equal(discovery_next_ms(0, interval, quick, true, &used, 0), interval);
	assert_int_equal(discovery_next_ms(0, interval, quick, false, &used, 0), interval);
	assert_int_equal(discovery_next_ms(0, interval, quick, true, &used, 0), quick);
	/* never more often than the interval */
	assert_int_equal(discovery_next_ms(0, 1000, quick, true, &used, 0), 1000);
}

/* S12: TTL 0, and one of 68 years. */
static void t_S12_answers_are_kept_for_their_ttl(void **state)
{
	(void)state;
	assert_int_equal(discovery_keep_until_ms(7, 0), 7);
	assert_int_equal(discovery_keep_until_ms(7, 60), 60007);
	assert_int_equal(discovery_keep_until_ms(7, 0x7fffffff), 3600007);
	assert_int_equal(discovery_keep_until_ms(7, UINT32_MAX), 3600007);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_text),
		cmocka_unit_test(t_text_is_cut_between_hosts),
		cmocka_unit_test(t_what_differs),
		cmocka_unit_test(t_code),
		cmocka_unit_test(t_news),
		cmocka_unit_test(t_was_and_now),
		cmocka_unit_test(t_S10_S11_where_a_cached_host_stands),
		cmocka_unit_test(t_when),
		cmocka_unit_test(t_S12_answers_are_kept_for_their_ttl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
