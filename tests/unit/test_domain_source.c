#include "cli/domain_source.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
/* after the above, which it needs */
#include <cmocka.h>

#define N(a) (sizeof(a) / sizeof((a)[0]))

/* Everything of @p fd in one text: "corp.example@1 !bad..name@2". */
struct reading {
	uv_loop_t loop;
	struct domain_source *s;
	int readies;
	char seen[4096];
	bool ended;
};

static void read_on(struct reading *r)
{
	struct domain_item it;
	char name[DNSNAME_TEXT_MAX];

	for (;;) {
		size_t used = strlen(r->seen);

		switch (domain_source_next(r->s, &it)) {
		case DOMAIN_NAME:
			snprintf(r->seen + used, sizeof(r->seen) - used, "%s@%zu ",
				 dns_name_format(&it.name, name), it.line);
			break;
		case DOMAIN_BAD:
			assert_true(it.problem[0] != '\0');
			snprintf(r->seen + used, sizeof(r->seen) - used, "!%.20s@%zu ", it.text,
				 it.line);
			break;
		case DOMAIN_WAIT:
			return;
		case DOMAIN_END:
			r->ended = true;
			return;
		}
	}
}

static void on_ready(void *ctx)
{
	struct reading *r = ctx;

	r->readies++;
	read_on(r);
}

static void reading_start(struct reading *r, int fd)
{
	memset(r, 0, sizeof(*r));
	assert_int_equal(uv_loop_init(&r->loop), 0);
	r->s = domain_source_fd(&r->loop, fd, on_ready, r);
	assert_non_null(r->s);
	read_on(r);
}

static void reading_end(struct reading *r)
{
	domain_source_free(r->s);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
}

static int file_with(const char *data, size_t len)
{
	char path[] = "/tmp/kmsbeacon-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void t_lines(void **state)
{
	static const struct {
		const char *file, *seen;
	} rows[] = {
		{ "", "" },
		{ "corp.example", "corp.example@1 " },
		{ "corp.example\n", "corp.example@1 " },
		{ "a.test\r\nb.test.\r\n", "a.test@1 b.test@2 " },
		{ "# all\n\n \t\n  a.test  # one\nB.Test\n", "a.test@4 b.test@5 " },
		{ "\xef\xbb\xbf"
		  "a.test\n",
		  "a.test@1 " },
		{ "a.test\nbad..name\nb.test\n", "a.test@1 !bad..name@2 b.test@3 " },
		{ "two words\na.test\n", "!two words@1 a.test@2 " },
		{ "a.test,x\n.\n-\n", "!a.test,x@1 !.@2 -@3 " },
		{ "m\xc3\xbcnchen.test\nxn--mnchen-3ya.test\n",
		  "!m??nchen.test@1 xn--mnchen-3ya.test@2 " },
		{ "a\\,b.test\n", "a,b.test@1 " },
		{ "\xff\xfe"
		  "a",
		  "!??a@1 " },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct reading r;

		reading_start(&r, file_with(rows[i].file, strlen(rows[i].file)));
		assert_true(r.ended);
		assert_string_equal(r.seen, rows[i].seen);
		assert_int_equal(domain_source_error(r.s), 0);
		reading_end(&r);
	}
}

static void t_lines_too_long(void **state)
{
	static char file[300000];
	size_t n = 0;
	struct reading r;

	(void)state;
	memset(file, 'a', 200000);
	n = 200000;
	n += (size_t)snprintf(file + n, sizeof(file) - n, "\na.test\n# ");
	memset(file + n, 'b', 90000); /* a long comment is none of our business */
	n += 90000;
	n += (size_t)snprintf(file + n, sizeof(file) - n, "\n%500s%2000s\nb.test", "c", "d");
	reading_start(&r, file_with(file, n));
	assert_true(r.ended);
	assert_string_equal(r.seen, "!aaaaaaaaaaaaaaaaaaaa@1 a.test@2 !c@4 b.test@5 ");
	reading_end(&r);
}

/* 255 octets are a name, but none that _vlmcs._tcp goes before. */
static void t_name_too_long_for_the_record(void **state)
{
	char label[64], text[DOMAIN_LINE_MAX];
	struct domain_item it;

	(void)state;
	memset(label, 'a', 60);
	label[60] = '\0';
	snprintf(text, sizeof(text), "%s.%s.%s.%s", label, label, label, label);
	assert_int_equal(domain_item_parse(text, strlen(text), &it), DOMAIN_BAD);
	assert_non_null(strstr(it.problem, "_vlmcs"));
	text[strlen(text) - 20] = '\0';
	assert_int_equal(domain_item_parse(text, strlen(text), &it), DOMAIN_NAME);
}

/* What it says of a line can be printed, whatever octet is wrong with it. */
static void t_problem_has_no_control_character(void **state)
{
	struct domain_item it;
	char text[3] = "ax";

	(void)state;
	for (int c = 1; c < 0x100; c++) {
		text[1] = (char)c;
		if (domain_item_parse(text, 2, &it) != DOMAIN_BAD)
			continue;
		for (const char *p = it.problem; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p < 0x7f);
		for (const char *p = it.text; *p != '\0'; p++)
			assert_true(*p >= ' ' && *p < 0x7f);
	}
}

static void t_pipe_is_waited_for(void **state)
{
	struct reading r;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	reading_start(&r, fd[0]);
	assert_string_equal(r.seen, "");
	assert_false(r.ended);
	assert_int_equal(write(fd[1], "a.te", 4), 4);
	uv_run(&r.loop, UV_RUN_ONCE);
	assert_string_equal(r.seen, "");
	assert_int_equal(write(fd[1], "st\nb.test", 9), 9);
	uv_run(&r.loop, UV_RUN_ONCE);
	assert_string_equal(r.seen, "a.test@1 ");
	close(fd[1]);
	uv_run(&r.loop, UV_RUN_DEFAULT);
	assert_true(r.ended);
	assert_string_equal(r.seen, "a.test@1 b.test@2 ");
	assert_int_equal(r.readies, 3);
	reading_end(&r);
}

static void t_given_back_while_it_waits(void **state)
{
	struct reading r;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	reading_start(&r, fd[0]);
	reading_end(&r);
	close(fd[1]);
}

static void t_what_cannot_be_read_is_said(void **state)
{
	struct reading r;

	(void)state;
	reading_start(&r, open("/tmp", O_RDONLY | O_CLOEXEC));
	assert_true(r.ended);
	assert_int_equal(domain_source_error(r.s), UV_EISDIR);
	reading_end(&r);
}

static void t_dev_null_is_empty(void **state)
{
	struct reading r;

	(void)state;
	reading_start(&r, open("/dev/null", O_RDONLY | O_CLOEXEC));
	assert_true(r.ended);
	assert_string_equal(r.seen, "");
	reading_end(&r);
}

static void t_list(void **state)
{
	static const char *const list[] = { "corp.example", "bad..name" };
	struct domain_source *s = domain_source_list(list, 2);
	struct domain_item it;
	uint64_t done, all;

	(void)state;
	assert_int_equal(domain_source_next(s, &it), DOMAIN_NAME);
	assert_int_equal(it.line, 0);
	assert_true(domain_source_progress(s, &done, &all));
	assert_int_equal(done, 1);
	assert_int_equal(all, 2);
	assert_int_equal(domain_source_next(s, &it), DOMAIN_BAD);
	assert_int_equal(domain_source_next(s, &it), DOMAIN_END);
	domain_source_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_lines),
		cmocka_unit_test(t_lines_too_long),
		cmocka_unit_test(t_name_too_long_for_the_record),
		cmocka_unit_test(t_problem_has_no_control_character),
		cmocka_unit_test(t_pipe_is_waited_for),
		cmocka_unit_test(t_given_back_while_it_waits),
		cmocka_unit_test(t_what_cannot_be_read_is_said),
		cmocka_unit_test(t_dev_null_is_empty),
		cmocka_unit_test(t_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
