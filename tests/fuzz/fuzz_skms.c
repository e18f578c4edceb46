/*
 * Hosts as they are typed, for slmgr's verbs and for settings: what is taken is a name or an
 * address and reads back as the same.
 */
#include <string.h>

#include "common/skms.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 600

static void check_skms(const char *text)
{
	struct skms s = { .host = "untouched" }, again;
	struct err_info info = { "" };
	char bare[HOST_TEXT_MAX], whole[HOST_TEXT_MAX + 8];
	int err = skms_parse(text, &s, &info);

	FUZZ_CHECK(err == 0 || err == ERR_USAGE);
	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	if (err != 0) {
		FUZZ_CHECK(strcmp(s.host, "untouched") == 0);
		return;
	}
	FUZZ_CHECK(s.host[0] != '\0' || s.port != 0);
	for (const char *p = s.host; *p != '\0'; p++)
		FUZZ_CHECK(*p > ' ' && *p < 0x7f);
	skms_bare_host(s.host, bare);
	FUZZ_CHECK(strchr(bare, '[') == NULL && strchr(bare, ']') == NULL);
	(void)snprintf(whole, sizeof(whole), s.port != 0 ? "%s:%u" : "%s", s.host, s.port);
	FUZZ_CHECK(skms_parse(whole, &again, NULL) == 0);
	FUZZ_CHECK(strcmp(again.host, s.host) == 0 && again.port == s.port);
}

static void check_hostport(const char *text)
{
	char host[HOST_TEXT_MAX], again[HOST_TEXT_MAX], whole[HOST_TEXT_MAX + 16];
	uint16_t port = 0, port_again = 0;

	if (hostport_parse(text, 53, host, &port) != 0)
		return;
	FUZZ_CHECK(host[0] != '\0');
	(void)hostport_format(host, port, whole, sizeof(whole));
	FUZZ_CHECK(hostport_parse(whole, 1, again, &port_again) == 0);
	FUZZ_CHECK(strcmp(host, again) == 0 && port == port_again);
}

static void check_addr(const char *text)
{
	char whole[ADDR_TEXT_MAX];
	struct addr a, again;
	struct cidr c, c_again;

	if (addr_parse(text, 7, &a) == 0) {
		addr_format(&a, whole);
		FUZZ_CHECK(addr_parse(whole, 1, &again) == 0);
		FUZZ_CHECK(addr_equal(&a, &again));
	}
	if (cidr_parse(text, &c) == 0) {
		char second[ADDR_TEXT_MAX];

		cidr_format(&c, whole);
		FUZZ_CHECK(cidr_parse(whole, &c_again) == 0);
		cidr_format(&c_again, second);
		FUZZ_CHECK(strcmp(whole, second) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1];

	if (size > TEXT_MAX)
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	check_skms(text);
	check_hostport(text);
	check_addr(text);
	(void)skms_is_domain(text);
	return 0;
}
