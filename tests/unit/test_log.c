#include "common/log.h"

#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

static char last[8192];
static unsigned lines;
static const struct log_ctx ctx = { .module = "publisher", .id = 7 };

static void tap(void *arg, const char *line)
{
	(void)arg;
	(void)snprintf(last, sizeof(last), "%s", line);
	lines++;
}

static int null_fd = -1;

static int setup(void **state)
{
	(void)state;
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_set_tap(tap, NULL);
	return null_fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	log_set_tap(NULL, NULL);
	return close(null_fd);
}

/* The line behind its time. */
static const char *body(void)
{
	assert_true(strlen(last) > 21);
	assert_int_equal(last[19], 'Z');
	assert_int_equal(last[20], ' ');
	return last + 21;
}

static void t_text(void **state)
{
	const char *volatile nothing = NULL; /* gcc shall not know it */
	static const struct log_ctx plain = { .module = "daemon" };

	(void)state;
	log_setup(LOG_DEBUG, LOG_TEXT, null_fd);
	log_info(&ctx, "update.accepted", "zone=%s server=%s serial=%u took=%ums", "corp.example",
		 "192.0.2.1", 5u, 3u);
	assert_string_equal(body(), "info publisher#7 update.accepted zone=corp.example "
				    "server=192.0.2.1 serial=5 took=3ms");
	log_error(&plain, "x", "text=%s", "a sentence, with = and \"quotes\"");
	assert_string_equal(body(),
			    "error daemon x text=\"a sentence, with = and \\\"quotes\\\"\"");
	log_write(LOG_DEBUG, NULL, "e", "a=%s b=%s", "", nothing);
	assert_string_equal(body(), "debug - e a=\"\" b=-");
}

static void t_conversions(void **state)
{
	(void)state;
	log_setup(LOG_DEBUG, LOG_TEXT, null_fd);
	log_info(&ctx, "c",
		 "a=%d b=%ld c=%lld d=%zu e=%llu f=0x%08x g=%X h=%.2f i=%c j=%.*s k=%5s%%", -1,
		 LONG_MIN, LLONG_MIN, SIZE_MAX, ULLONG_MAX, 0xc004f074u, 0xabu, 1.005, 'q', 3,
		 "abcdef", "x");
	assert_string_equal(body(), "info publisher#7 c a=-1 b=-9223372036854775808 "
				    "c=-9223372036854775808 d=18446744073709551615 "
				    "e=18446744073709551615 f=0xc004f074 g=AB h=1.00 i=q j=abc "
				    "k=\"    x%\"");
	log_info(&ctx, "c", "w=%*d x=%i y=%-*s z=%.*s", 3, 7, 9, 4, "ab", -1, "whole");
	assert_string_equal(body(), "info publisher#7 c w=\"  7\" x=9 y=\"ab  \" z=whole");
}

/* Text from a peer can neither begin a line nor look like a field of its own. */
static void t_peer_text_cannot_forge(void **state)
{
	(void)state;
	log_setup(LOG_DEBUG, LOG_TEXT, null_fd);
	log_info(&ctx, "peer", "name=%s rcode=%d",
		 "a rcode=0\n2026-01-01T00:00:00Z error x\t\x1b[2J\\\xff\xc3\xa9\xc2\x85", 5);
	assert_string_equal(body(), "info publisher#7 peer name=\"a rcode=0\\n"
				    "2026-01-01T00:00:00Z error x\\t\\x1b[2J\\\\\\xff\xc3\xa9"
				    "\\xc2\\x85\" rcode=5");
	log_info(&ctx, "peer", "name=%s", "%s%n%d");
	assert_string_equal(body(), "info publisher#7 peer name=%s%n%d");
}

static const char *member(json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

static void t_json(void **state)
{
	json_t *o;

	(void)state;
	log_setup(LOG_DEBUG, LOG_JSON, null_fd);
	log_warning(&ctx, "peer", "name=%s n=%d f=%.1f u=%llu hex=%x took=%dms pad=%03d nan=%f",
		    "q\"\\\n\x01\xff\xc3\xa9", -5, 2.5, 9ull, 255u, 3, 7, NAN);
	o = json_loads(last, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(o);
	assert_string_equal(member(o, "level"), "warning");
	assert_string_equal(member(o, "module"), "publisher");
	assert_string_equal(member(o, "event"), "peer");
	assert_int_equal(json_integer_value(json_object_get(o, "id")), 7);
	assert_string_equal(member(o, "name"), "q\"\\\n\x01\xc3\xbf\xc3\xa9");
	assert_int_equal(json_integer_value(json_object_get(o, "n")), -5);
	assert_true(json_real_value(json_object_get(o, "f")) == 2.5);
	assert_int_equal(json_integer_value(json_object_get(o, "u")), 9);
	assert_string_equal(member(o, "hex"), "ff");
	assert_string_equal(member(o, "took"), "3ms");
	assert_string_equal(member(o, "pad"), "007"); /* no JSON number looks like this */
	assert_string_equal(member(o, "nan"), "nan");
	json_decref(o);
}

static void t_long_lines_end_well(void **state)
{
	static char big[20000];
	json_t *o;

	(void)state;
	memset(big, '"', sizeof(big) - 1);
	for (int at = 3900; at < 4100; at++) { /* every way to meet the end of the line */
		char pad[4200];

		memset(pad, 'p', sizeof(pad));
		pad[at % 2000] = '\0';
		log_setup(LOG_DEBUG, LOG_JSON, null_fd);
		log_info(&ctx, "long", "a=%s b=%s c=%s d=%d", pad, big, big, 1);
		o = json_loads(last, 0, NULL);
		assert_non_null(o);
		assert_string_equal(member(o, "a"), pad);
		json_decref(o);
		log_setup(LOG_DEBUG, LOG_TEXT, null_fd);
		log_info(&ctx, "long", "a=%s b=%s c=%s d=%d", pad, big, big, 1);
		assert_true(strlen(last) < 4200);
		assert_int_equal(strcmp(last + strlen(last) - 4, "...\""), 0);
	}
}

static unsigned evaluated;

/* Quotes are opened and closed, and what is escaped counts for one. */
static bool quotes_are_even(const char *line)
{
	bool quoted = false;

	for (; *line != '\0'; line++) {
		if (*line == '\\' && line[1] != '\0')
			line++;
		else if (*line == '"')
			quoted = !quoted;
	}
	return !quoted;
}

/* The limit falls on each octet of the end of a value and of the fields behind it. */
static void t_limit_at_every_octet(void **state)
{
	static char first[2048], second[2048], third[2048];

	(void)state;
	memset(first, 'a', sizeof(first) - 1);
	memset(third, 'c', sizeof(third) - 1);
	for (size_t n = 1900; n < sizeof(second); n++) {
		json_t *o;

		memset(second, 'b', n);
		second[0] = ' '; /* needs quotes */
		second[n] = '\0';
		log_setup(LOG_DEBUG, LOG_TEXT, null_fd);
		log_error(&ctx, "e", "a=%s b=%s d=%d c=%s e=%s", first, second, 12, " ", third);
		assert_true(quotes_are_even(last) && strlen(last) <= 4096 + 8);
		log_setup(LOG_DEBUG, LOG_JSON, null_fd);
		log_error(&ctx, "e", "a=%s b=%s d=%d c=%s e=%s", first, second, 12, " ", third);
		o = json_loads(last, JSON_REJECT_DUPLICATES, NULL);
		assert_non_null(o);
		assert_true(strlen(last) <= 4096 + 8);
		json_decref(o);
	}
}

static int count_evaluation(void)
{
	return (int)++evaluated;
}

static void t_levels(void **state)
{

	(void)state;
	log_setup(LOG_WARNING, LOG_TEXT, null_fd);
	lines = 0;
	log_info(&ctx, "off", "n=%d", count_evaluation());
	assert_int_equal(lines, 0);
	assert_int_equal(evaluated, 0);
	log_warning(&ctx, "on", "n=%d", count_evaluation());
	assert_int_equal(lines, 1);
	assert_string_equal(log_level_name(LOG_LEVEL_COUNT_), "unknown");
}

static void *many_lines(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info(&ctx, "thread", "name=%s n=%d", (const char *)arg, i);
	return NULL;
}

static void t_lines_of_threads_do_not_mix(void **state)
{
	char dir[] = "/tmp/test_log.XXXXXX", path[64], line[256];
	pthread_t a, b;
	static char name_a[] = "aaaa", name_b[] = "bbbb";
	unsigned n = 0;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/log", dir);
	f = fopen(path, "w+e");
	assert_non_null(f);
	log_setup(LOG_INFO, LOG_TEXT, fileno(f));
	assert_int_equal(pthread_create(&a, NULL, many_lines, name_a), 0);
	assert_int_equal(pthread_create(&b, NULL, many_lines, name_b), 0);
	assert_int_equal(pthread_join(a, NULL), 0);
	assert_int_equal(pthread_join(b, NULL), 0);
	log_setup(LOG_WARNING, LOG_TEXT, null_fd);
	rewind(f);
	for (; fgets(line, sizeof(line), f) != NULL; n++) {
		assert_int_equal(line[19], 'Z');
		assert_non_null(strstr(line, " info publisher#7 thread name="));
		assert_int_equal(line[strlen(line) - 1], '\n');
	}
	assert_int_equal(n, 400);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* A line of a file, behind its time. */
static const char *next_line(FILE *f)
{
	static char line[256];

	assert_non_null(fgets(line, sizeof(line), f));
	line[strcspn(line, "\n")] = '\0';
	return strlen(line) > 21 && line[19] == 'Z' ? line + 21 : line;
}

static void t_lines_that_are_lost_are_told(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	FILE *f = tmpfile();

	(void)state;
	assert_true(full >= 0);
	assert_non_null(f);
	log_setup(LOG_ERROR, LOG_TEXT, full);
	log_error(NULL, "first", "n=%d", 1);
	log_error(NULL, "second", "n=%d", 2);
	log_setup(LOG_ERROR, LOG_TEXT, fileno(f));
	log_error(NULL, "third", "n=%d", 3);
	log_error(NULL, "fourth", "n=%d", 4);
	log_setup(LOG_WARNING, LOG_TEXT, null_fd);
	rewind(f);
	assert_string_equal(next_line(f),
			    "warning log log.lost lines=2 text=\"No space left on device\"");
	assert_string_equal(next_line(f), "error - third n=3");
	assert_string_equal(next_line(f), "error - fourth n=4");
	assert_null(fgets(last, sizeof(last), f));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(close(full), 0);
}

/* As where the disk fills up within a line. */
static void t_half_of_a_line_stands_alone(void **state)
{
	struct rlimit was, small;
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = was;
	small.rlim_cur = 30;
	(void)signal(SIGXFSZ, SIG_IGN);
	log_setup(LOG_WARNING, LOG_TEXT, fileno(f));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	log_warning(NULL, "abcdefghijklmnopqrstuvwxyz", "n=%d", 1);
	log_warning(NULL, "second", "n=%d", 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	log_warning(NULL, "third", "n=%d", 3);
	log_setup(LOG_WARNING, LOG_TEXT, null_fd);
	(void)signal(SIGXFSZ, SIG_DFL);
	rewind(f);
	assert_string_equal(next_line(f), "warning -");
	assert_string_equal(next_line(f), "warning log log.lost lines=2 text=\"File too large\"");
	assert_string_equal(next_line(f), "warning - third n=3");
	assert_int_equal(fclose(f), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_text),
		cmocka_unit_test(t_conversions),
		cmocka_unit_test(t_peer_text_cannot_forge),
		cmocka_unit_test(t_json),
		cmocka_unit_test(t_long_lines_end_well),
		cmocka_unit_test(t_limit_at_every_octet),
		cmocka_unit_test(t_levels),
		cmocka_unit_test(t_lines_of_threads_do_not_mix),
		cmocka_unit_test(t_lines_that_are_lost_are_told),
		cmocka_unit_test(t_half_of_a_line_stands_alone),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
