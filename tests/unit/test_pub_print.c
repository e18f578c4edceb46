/* What `publish --print` writes, byte for byte. */
#include "publisher/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static const char key_text[] =
	"key \"corp-key\" { algorithm hmac-sha256; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };";
static const char yaml[] =
	"service: { mode: \"off\" }\n"
	"keys: [ { name: corp, file: /etc/corp.key } ]\n"
	"hosts:\n"
	"  - { name: a, target: KMS1.corp.example, priority: 0, weight: 10 }\n"
	"  - { name: b, target: kms2.corp.example, port: 1689, priority: 10 }\n"
	"publish:\n"
	"  ttl: 1h\n"
	"  domains:\n"
	"    - { domain: corp.example, key: corp, server: [\"192.0.2.53\", "
	"\"[2001:db8::1]:5353\"],\n"
	"        source: 192.0.2.10, ttl: 25h }\n"
	"    - { domain: dept.example, hosts: [b] }\n"
	"    - { domain: dept.example, hosts: [b], view: inside, server: ns1.dept.example }\n";

/* @p domain NULL: all. */
static void expect(enum pub_print_as as, const char *domain, const char *wanted)
{
	struct pub_print_params p = { .as = as };
	struct config_errors errs = { 0 };
	struct pub_targets *targets = NULL;
	struct config *cfg = NULL;
	struct tsig_key *key = NULL;
	struct err_info info = { "" };
	struct dns_name name;
	struct buf out;

	assert_int_equal(tsig_key_parse(key_text, strlen(key_text), "k", &key, &info), 0);
	assert_int_equal(config_parse(yaml, strlen(yaml), "k.yaml", &cfg, &errs), 0);
	assert_int_equal(pub_targets_from_config(cfg, &key, CONFIG_KMS_PORT, &targets, &info), 0);
	buf_init(&out, 1u << 16);
	p.targets = targets;
	p.config = cfg;
	if (domain != NULL) {
		assert_int_equal(dns_name_parse(domain, &name), 0);
		p.domain = &name;
	}
	assert_int_equal(pub_print_write(&p, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal((const char *)out.data, wanted);
	buf_done(&out);
	pub_targets_unref(targets);
	tsig_key_unref(key);
	config_free(cfg);
	config_errors_done(&errs);
}

static void t_zone(void **state)
{
	(void)state;
	expect(PUB_PRINT_ZONE, NULL,
	       "; corp.example\n"
	       "_vlmcs._tcp.corp.example. 90000 IN SRV 0 10 1688 kms1.corp.example.\n"
	       "_vlmcs._tcp.corp.example. 90000 IN SRV 10 0 1689 kms2.corp.example.\n"
	       "; dept.example\n"
	       "_vlmcs._tcp.dept.example. 3600 IN SRV 10 0 1689 kms2.corp.example.\n"
	       "; dept.example (view inside)\n"
	       "_vlmcs._tcp.dept.example. 3600 IN SRV 10 0 1689 kms2.corp.example.\n");
	expect(PUB_PRINT_ZONE, "other.example", "");
}

static void t_nsupdate(void **state)
{
	(void)state;
	expect(PUB_PRINT_NSUPDATE, "corp.example",
	       "; corp.example\n"
	       "; signed: nsupdate -k /etc/corp.key FILE\n"
	       "server 192.0.2.53\n"
	       "; or: server 2001:db8::1 5353\n"
	       "local 192.0.2.10\n"
	       "; nsupdate finds the zone by itself; where it cannot, write here: zone "
	       "corp.example.\n"
	       "update add _vlmcs._tcp.corp.example. 90000 IN SRV 0 10 1688 kms1.corp.example.\n"
	       "update add _vlmcs._tcp.corp.example. 90000 IN SRV 10 0 1689 kms2.corp.example.\n"
	       "send\n");
}

static void t_powershell(void **state)
{
	(void)state;
	expect(PUB_PRINT_POWERSHELL, NULL,
	       "# corp.example\n"
	       "# Where the zone is another than corp.example, change -ZoneName, and -Name to what "
	       "is left of it.\n"
	       "Add-DnsServerResourceRecord -Srv -ComputerName '192.0.2.53' -ZoneName "
	       "'corp.example' -Name '_vlmcs._tcp' -DomainName 'kms1.corp.example' -Priority 0 "
	       "-Weight 10 -Port 1688 -TimeToLive 1.01:00:00\n"
	       "Add-DnsServerResourceRecord -Srv -ComputerName '192.0.2.53' -ZoneName "
	       "'corp.example' -Name '_vlmcs._tcp' -DomainName 'kms2.corp.example' -Priority 10 "
	       "-Weight 0 -Port 1689 -TimeToLive 1.01:00:00\n"
	       "# dept.example\n"
	       "# Where the zone is another than dept.example, change -ZoneName, and -Name to what "
	       "is left of it.\n"
	       "Add-DnsServerResourceRecord -Srv -ZoneName 'dept.example' -Name '_vlmcs._tcp' "
	       "-DomainName 'kms2.corp.example' -Priority 10 -Weight 0 -Port 1689 -TimeToLive "
	       "0.01:00:00\n"
	       "# dept.example (view inside)\n"
	       "# Where the zone is another than dept.example, change -ZoneName, and -Name to what "
	       "is left of it.\n"
	       "Add-DnsServerResourceRecord -Srv -ComputerName 'ns1.dept.example' -ZoneName "
	       "'dept.example' -Name '_vlmcs._tcp' -DomainName 'kms2.corp.example' -Priority 10 "
	       "-Weight 0 -Port 1689 -TimeToLive 0.01:00:00\n");
}

static void t_words(void **state)
{
	enum pub_print_as as;

	(void)state;
	assert_true(pub_print_as_parse("nsupdate", &as));
	assert_int_equal(as, PUB_PRINT_NSUPDATE);
	assert_false(pub_print_as_parse("bind", &as));
	assert_string_equal(pub_print_as_list(), "zone|nsupdate|powershell");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_zone),
		cmocka_unit_test(t_nsupdate),
		cmocka_unit_test(t_powershell),
		cmocka_unit_test(t_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
