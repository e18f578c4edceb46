/*
 * Lists of domains, as `verify` reads them: each line that says something is one item, a name that
 * reads back as the same or a line with what is wrong, and both can be printed.
 */
#include <fcntl.h>
#include <string.h>

#include "cli/domain_source.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tmp_input.h"

static void check_text(const char *text)
{
	for (const char *p = text; *p != '\0'; p++)
		FUZZ_CHECK(*p >= ' ' && *p < 0x7f);
}

static void check_item(const struct domain_item *it, bool is_name)
{
	char text[DNSNAME_TEXT_MAX];
	struct dns_name again;

	FUZZ_CHECK(strlen(it->text) <= DOMAIN_LINE_MAX);
	check_text(it->text);
	check_text(it->problem);
	FUZZ_CHECK(is_name == (it->problem[0] == '\0'));
	if (!is_name)
		return;
	FUZZ_CHECK(dns_name_is_set(&it->name));
	FUZZ_CHECK(dns_name_parse(dns_name_format(&it->name, text), &again) == 0);
	FUZZ_CHECK(dns_name_equal(&again, &it->name));
}

static void on_ready(void *ctx)
{
	(void)ctx;
}

static void check_file(uv_loop_t *loop, int fd, size_t size)
{
	struct domain_source *s = domain_source_fd(loop, fd, on_ready, NULL);
	static struct domain_item it;
	enum domain_next what;
	size_t line = 0;

	FUZZ_CHECK(s != NULL);
	while ((what = domain_source_next(s, &it)) != DOMAIN_END) {
		FUZZ_CHECK(what == DOMAIN_NAME ||
			   what == DOMAIN_BAD); /* a file makes nobody wait */
		FUZZ_CHECK(it.line > line && it.line <= size + 1);
		line = it.line;
		check_item(&it, what == DOMAIN_NAME);
	}
	FUZZ_CHECK(domain_source_error(s) == 0);
	domain_source_free(s);
	(void)uv_run(loop, UV_RUN_DEFAULT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct domain_item it;
	const char *path = tmp_input(data, size);
	enum domain_next what = domain_item_parse((const char *)data, size, &it);
	uv_loop_t loop;
	int fd;

	FUZZ_CHECK(what == DOMAIN_NAME || what == DOMAIN_BAD);
	check_item(&it, what == DOMAIN_NAME);
	FUZZ_CHECK(path != NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && uv_loop_init(&loop) == 0);
	check_file(&loop, fd, size);
	FUZZ_CHECK(uv_loop_close(&loop) == 0);
	return 0;
}
