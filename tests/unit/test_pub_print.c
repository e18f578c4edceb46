/* What `publish --print` writes, byte for byte. */
#include "publisher/print.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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

struct fixture {
	struct pub_print_params p;
	struct pub_targets *targets;
	struct config *cfg;
	struct tsig_key *key;
	char dir[32], path[48];
	struct store *store;
};

static void set_up(struct fixture *f, const char *text)
{
	struct config_errors errs = { 0 };
	struct err_info info = { "" };

	memset(f, 0, sizeof(*f));
	assert_int_equal(tsig_key_parse(key_text, strlen(key_text), "k", &f->key, &info), 0);
	assert_int_equal(config_parse(text, strlen(text), "k.yaml", &f->cfg, &errs), 0);
	assert_int_equal(
		pub_targets_from_config(f->cfg, &f->key, CONFIG_KMS_PORT, &f->targets, &info), 0);
	f->p.targets = f->targets;
	f->p.config = f->cfg;
	config_errors_done(&errs);
}

static void no_wake(void *ctx)
{
	(void)ctx;
}

static struct dns_name name_of(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

/* A record that was published, and is no longer wanted. */
static void remember(struct fixture *f, const char *domain, const char *owner, const char *target)
{
	static const struct store_schema *const schemas[] = { &pub_journal_schema };
	struct dns_srv srv = { .priority = 7, .weight = 3, .port = 1688, name_of(target) };
	struct dns_name d = name_of(domain), o = name_of(owner);
	struct err_info info;
	struct pub_set *set;
	bool damaged;

	if (f->store == NULL) {
		(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_pub_print.XXXXXX");
		assert_non_null(mkdtemp(f->dir));
		(void)snprintf(f->path, sizeof(f->path), "%s/state.db", f->dir);
		assert_int_equal(
			store_new(f->path, schemas, 1, no_wake, NULL, &f->store, &damaged, &info),
			0);
		assert_int_equal(pub_journal_new(f->store, &f->p.journal, &info), 0);
	}
	set = pub_journal_need(f->p.journal, &d, &d, "", &o);
	assert_non_null(set);
	assert_int_equal(pub_journal_mark(f->p.journal, set, &srv, "gone", PUB_REC_PUBLISHED, 0, 1),
			 0);
}

static void tear_down(struct fixture *f)
{
	if (f->store != NULL) {
		store_free(f->store);
		assert_int_equal(unlink(f->path), 0);
		assert_int_equal(rmdir(f->dir), 0);
	}
	pub_journal_free(f->p.journal);
	pub_targets_unref(f->targets);
	tsig_key_unref(f->key);
	config_free(f->cfg);
}

static void expect_of(struct fixture *f, const char *wanted)
{
	struct buf out;

	buf_init(&out, 1u << 16);
	assert_int_equal(pub_print_write(&f->p, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal((const char *)out.data, wanted);
	buf_done(&out);
}

/* @p domain NULL: all. */
static void expect(enum pub_print_as as, const char *domain, const char *wanted)
{
	struct dns_name name;
	struct fixture f;

	set_up(&f, yaml);
	f.p.as = as;
	if (domain != NULL) {
		name = name_of(domain);
		f.p.domain = &name;
	}
	expect_of(&f, wanted);
	tear_down(&f);
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

#define BARE                                                                                       \
	"service: { mode: \"off\" }\n"                                                             \
	"hosts: [ { name: a, target: kms1.corp.example } ]\n"
#define FROM_V6 BARE "publish: { domains: [ { domain: corp.example, source: \"2001:db8::7\" } ] }\n"

static void t_nsupdate_from_an_ipv6_address(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, FROM_V6);
	f.p.as = PUB_PRINT_NSUPDATE;
	expect_of(&f, "; corp.example\n"
		      "local 2001:db8::7\n"
		      "; nsupdate finds the zone by itself; where it cannot, write here: zone "
		      "corp.example.\n"
		      "update add _vlmcs._tcp.corp.example. 3600 IN SRV 0 0 1688 "
		      "kms1.corp.example.\n"
		      "send\n");
	tear_down(&f);
}

/* What was ours goes; a set of another domain, or where a CNAME led, is no matter of a cmdlet. */
static void t_old_records(void **state)
{
	struct fixture f;

	(void)state;
	set_up(&f, FROM_V6);
	remember(&f, "other.example", "_vlmcs._tcp.other.example", "x.example");
	remember(&f, "corp.example", "_vlmcs._tcp.corp.example", "old.example");
	remember(&f, "corp.example", "kms.cloud.example", "led.example");
	expect_of(&f, "; corp.example\n"
		      "; remove: _vlmcs._tcp.corp.example. IN SRV 7 3 1688 old.example.\n"
		      "; remove: kms.cloud.example. IN SRV 7 3 1688 led.example.\n"
		      "_vlmcs._tcp.corp.example. 3600 IN SRV 0 0 1688 kms1.corp.example.\n");
	f.p.as = PUB_PRINT_POWERSHELL;
	expect_of(&f,
		  "# corp.example\n"
		  "# Where the zone is another than corp.example, change -ZoneName, and -Name to "
		  "what is left of it.\n"
		  "Get-DnsServerResourceRecord -RRType Srv -ZoneName 'corp.example' -Name "
		  "'_vlmcs._tcp' | Where-Object { $_.RecordData.Priority -eq 7 -and "
		  "$_.RecordData.Weight -eq 3 -and $_.RecordData.Port -eq 1688 -and "
		  "$_.RecordData.DomainName.TrimEnd('.') -eq 'old.example' } | "
		  "Remove-DnsServerResourceRecord -Force -ZoneName 'corp.example'\n"
		  "# remove: kms.cloud.example. IN SRV 7 3 1688 led.example.\n"
		  "Add-DnsServerResourceRecord -Srv -ZoneName 'corp.example' -Name '_vlmcs._tcp' "
		  "-DomainName 'kms1.corp.example' -Priority 0 -Weight 0 -Port 1688 -TimeToLive "
		  "0.01:00:00\n");
	tear_down(&f);
}

/* Where it has no room it says so, and never that a part is the whole. */
static void t_room(void **state)
{
	struct buf out, small;
	struct fixture f;

	(void)state;
	set_up(&f, yaml);
	remember(&f, "corp.example", "_vlmcs._tcp.corp.example", "old.example");
	for (unsigned as = 0; as < PUB_PRINT_COUNT_; as++) {
		f.p.as = (enum pub_print_as)as;
		buf_init(&out, 1u << 16);
		assert_int_equal(pub_print_write(&f.p, &out), 0);
		for (size_t room = 1; room <= out.len; room++) {
			buf_init(&small, room);
			assert_int_equal(pub_print_write(&f.p, &small),
					 room < out.len ? ERR_LIMIT : 0);
			buf_done(&small);
		}
		buf_done(&out);
	}
	tear_down(&f);
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
		cmocka_unit_test(t_zone),        cmocka_unit_test(t_nsupdate),
		cmocka_unit_test(t_powershell),  cmocka_unit_test(t_nsupdate_from_an_ipv6_address),
		cmocka_unit_test(t_old_records), cmocka_unit_test(t_room),
		cmocka_unit_test(t_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
