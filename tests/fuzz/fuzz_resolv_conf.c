/* resolv.conf: any bytes give at least one server to ask, and suffixes that are names. */
#include <string.h>

#include "net/resolv_conf.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct resolv_conf *rc)
{
	FUZZ_CHECK(rc->n_servers >= 1 && rc->n_servers <= NET_RESOLVERS_MAX);
	FUZZ_CHECK(rc->n_suffixes <= RESOLV_SUFFIXES_MAX);
	for (size_t i = 0; i < rc->n_servers; i++) {
		FUZZ_CHECK(addr_is_set(&rc->servers[i]));
		FUZZ_CHECK(addr_port(&rc->servers[i]) == 53);
	}
	for (size_t i = 0; i < rc->n_suffixes; i++) {
		char text[DNSNAME_TEXT_MAX];
		struct dns_name again;

		FUZZ_CHECK(dns_name_is_set(&rc->suffixes[i]));
		FUZZ_CHECK(dns_name_parse(dns_name_format(&rc->suffixes[i], text), &again) == 0);
		FUZZ_CHECK(dns_name_equal(&again, &rc->suffixes[i]));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resolv_conf rc;

	resolv_conf_parse((const char *)data, size, &rc);
	check(&rc);
	return 0;
}
