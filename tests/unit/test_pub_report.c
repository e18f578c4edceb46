/* Targets from the configuration, reports and policies: what people and programs read. */
#include "publisher/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "cli/publish_text.h"
#include "publisher/policy.h"
#include "tests/lib/fake_tsig.h"

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static struct addr addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, 53, &a), 0);
	return a;
}

/* ---- reports ---- */

static struct pub_change changes[2];
static struct pub_proof proof[2];
static char finding_text[] = "a CNAME leads to x";
static struct pub_finding findings[] = { { FINDING_ALIASED, finding_text } };

static struct pub_result result(void)
{
	struct pub_result r = { .view = "internal",
				.state = PUB_LAGGING,
				.err = ERR_TIMEOUT,
				.rcode = 0,
				.has_rcode = true,
				.hresult = 0x8007251D,
				.ttl_s = 3600,
				.changes = changes,
				.n_changes = 2,
				.proof = proof,
				.n_proof = 2,
				.findings = findings,
				.n_findings = 1 };

	r.domain = name("Corp.example");
	r.zone = name("corp.example");
	r.owner = name("_vlmcs._tcp.corp.example");
	snprintf(r.server, sizeof(r.server), "ns1.corp.example");
	snprintf(r.hint, sizeof(r.hint), "ns2 lags");
	r.addr = addr("192.0.2.53");
	changes[0] = (struct pub_change){ .op = PUB_DELETE, .ttl_s = 300, .host = "" };
	changes[0].srv = (struct dns_srv){
		.priority = 1, .weight = 2, .port = 1688, .target = name("old.corp.example")
	};
	changes[1] = (struct pub_change){ .op = PUB_ADD, .ttl_s = 3600, .host = "local" };
	changes[1].srv = (struct dns_srv){
		.priority = 0, .weight = 10, .port = 1688, .target = name("kms1.corp.example")
	};
	proof[0] = (struct pub_proof){ .name = name("ns1.corp.example"),
				       .addr = addr("192.0.2.53"),
				       .is_primary = true,
				       .is_ns = true,
				       .has_serial = true,
				       .serial = 4294967295u,
				       .state = PUB_PROOF_OK };
	proof[1] = (struct pub_proof){ .name = name("ns2.corp.example"),
				       .is_ns = true,
				       .state = PUB_PROOF_UNKNOWN,
				       .err = ERR_TIMEOUT };
	return r;
}

static void t_json(void **state)
{
	struct pub_result r = result();
	json_t *report = pub_report_json(&r, 1);
	char *text = json_dumps(report, JSON_COMPACT);

	(void)state;
	assert_string_equal(
		text,
		"{\"domains\":[{\"domain\":\"corp.example\",\"zone\":\"corp.example\","
		"\"view\":\"internal\",\"owner\":\"_vlmcs._tcp.corp.example\","
		"\"server\":\"ns1.corp.example\",\"address\":\"192.0.2.53:53\",\"changes\":["
		"{\"op\":\"delete\",\"rr\":\"_vlmcs._tcp.corp.example 300 IN SRV 1 2 1688 "
		"old.corp.example\",\"host\":null},"
		"{\"op\":\"add\",\"rr\":\"_vlmcs._tcp.corp.example 3600 IN SRV 0 10 1688 "
		"kms1.corp.example\",\"host\":\"local\"}],\"state\":\"lagging\","
		"\"rcode\":\"NOERROR\",\"hresult\":\"0x8007251D\",\"ttl\":3600,\"negative_ttl\":"
		"null,\"proof\":["
		"{\"server\":\"ns1.corp.example\",\"address\":\"192.0.2.53:53\","
		"\"serial\":4294967295,\"state\":\"ok\",\"primary\":true,\"error\":null},"
		"{\"server\":\"ns2.corp.example\",\"address\":null,\"serial\":null,"
		"\"state\":\"unknown\",\"primary\":false,\"error\":\"no answer in time\"}],"
		"\"hint\":\"ns2 lags\",\"findings\":[{\"id\":\"aliased\",\"severity\":\"info\","
		"\"text\":\"a CNAME leads to x\",\"hint\":\"nothing to do if that is meant; "
		"updates must go to the zone of the target\"}]}]}");
	assert_int_equal(pub_report_exit(report), 1);
	free(text);
	json_decref(report);
	r.state = PUB_PROVEN;
	report = pub_report_json(&r, 1);
	assert_int_equal(pub_report_exit(report), 0);
	json_decref(report);
	report = pub_report_json(NULL, 0);
	assert_int_equal(json_array_size(json_object_get(report, "domains")), 0);
	json_decref(report);
}

static void t_text_is_the_tree(void **state)
{
	struct pub_result r[2] = { result(), result() };
	json_t *tree = pub_report_json(r, 2);
	json_t *orphans = json_pack("[{s:s, s:s}]", "domain", "old.example", "view", "");
	struct buf text, small;
	json_t *read;

	(void)state;
	buf_init(&text, 1 << 20);
	buf_init(&small, 100);
	assert_int_equal(pub_report_write(&text, r, 2, orphans), 0);
	read = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	(void)json_object_set_new(tree, "orphans", orphans);
	assert_non_null(read);
	assert_true(json_equal(read, tree));
	assert_int_not_equal(pub_report_write(&small, r, 2, orphans), 0);
	json_decref(read);
	json_decref(tree);
	buf_done(&text);
	buf_done(&small);
}

static const char *as_text(const struct pub_result *r)
{
	json_t *report = pub_report_json(r, 1);
	static char *text;
	size_t len;
	FILE *out;

	free(text);
	out = open_memstream(&text, &len);
	assert_non_null(out);
	publish_print(out, report);
	(void)fclose(out);
	json_decref(report);
	return text;
}

static void t_text(void **state)
{
	struct pub_result r = result();
	const char *text;

	(void)state;
	assert_string_equal(
		as_text(&r),
		"corp.example (view internal)  lagging  NOERROR  0x8007251D\n"
		"  zone corp.example at ns1.corp.example (192.0.2.53:53)\n"
		"  - _vlmcs._tcp.corp.example 300 IN SRV 1 2 1688 old.corp.example\n"
		"  + _vlmcs._tcp.corp.example 3600 IN SRV 0 10 1688 kms1.corp.example\n"
		"  ns1.corp.example  192.0.2.53:53  serial 4294967295  ok\n"
		"  ns2.corp.example                 serial -           unknown (no answer in "
		"time)\n"
		"  info: aliased: a CNAME leads to x\n"
		"    nothing to do if that is meant; updates must go to the zone of the target\n"
		"  ns2 lags\n");
	r.negative_ttl_s = 900;
	memset(r.hint, 'w', 150);
	r.hint[75] = ' ';
	r.hint[150] = '\0';
	text = as_text(&r);
	assert_non_null(strstr(text, "\n  a resolver that was asked earlier may say for 900 s more "
				     "that there is no record (SOA minimum)\n"));
	for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 100);
}

/* ---- targets ---- */

static struct config *config(const char *yaml)
{
	struct config_errors errs = { 0 };
	struct config *cfg;

	if (config_parse(yaml, strlen(yaml), "test", &cfg, &errs) != 0)
		fail_msg("%s", errs.errors[0].text);
	config_errors_done(&errs);
	return cfg;
}

#define CONFIG                                                                                     \
	"node: { target: kms1.corp.example }\n"                                                    \
	"service: { mode: relay, listen: [\"127.0.0.1:1700\"] }\n"                                 \
	"relay: { upstreams: [{ name: u, address: 127.0.0.1, port: 1 }] }\n"                       \
	"keys: [{ name: corp, file: corp.key }]\n"                                                 \
	"hosts:\n"                                                                                 \
	"  - { name: local, priority: 1, weight: 10 }\n"                                           \
	"  - { name: office, target: Office.corp.example, priority: 10 }\n"                        \
	"publish:\n"                                                                               \
	"  ttl: 2h\n"                                                                              \
	"  ttl_policy: enforce\n"                                                                  \
	"  source: 127.0.0.7\n"                                                                    \
	"  domains:\n"                                                                             \
	"    - corp.example, 7, 100\n"                                                             \
	"    - { domain: dept.example, server: [\"192.0.2.53\", \"[2001:db8::53]:5353\"], key: "   \
	"corp,"                                                                                    \
	" view: internal, ttl: 30m, hosts: [office] }\n"

static void t_targets(void **state)
{
	struct config *cfg = config(CONFIG);
	struct tsig_key *key = fake_tsig_client_key();
	struct dns_name dept = name("dept.example");
	const struct pub_target *t;
	struct pub_targets *targets;
	struct err_info info;

	(void)state;
	assert_int_equal(pub_targets_from_config(cfg, &key, 1688, &targets, &info), 0);
	config_free(cfg); /* nothing of it is kept */
	tsig_key_unref(key);
	assert_int_equal(pub_targets_count(targets), 2);
	t = pub_targets_at(targets, 0);
	assert_int_equal(t->n_wanted, 2);
	assert_string_equal(t->wanted[0].host, "local");
	assert_int_equal(t->wanted[0].srv.priority, 7);
	assert_int_equal(t->wanted[0].srv.weight, 100);
	assert_int_equal(t->wanted[0].srv.port, 1700);
	assert_int_equal(t->wanted[1].srv.priority, 10);
	assert_int_equal(t->wanted[1].srv.port, 1688);
	assert_int_equal(t->ttl_s, 7200);
	assert_int_equal(t->ttl_policy, PUB_TTL_ENFORCE);
	assert_int_equal(t->n_servers, 0);
	assert_null(t->key);
	assert_true(addr_is_set(&t->source4));
	assert_false(addr_is_set(&t->source6));
	t = pub_targets_find(targets, &dept, "internal");
	assert_ptr_equal(t, pub_targets_at(targets, 1));
	assert_null(pub_targets_find(targets, &dept, ""));
	assert_int_equal(t->n_servers, 2);
	assert_string_equal(t->servers[1], "[2001:db8::53]:5353");
	assert_string_equal(t->key_handle, "corp");
	assert_non_null(t->key);
	assert_ptr_equal(pub_targets_key(targets, "corp"), t->key);
	assert_null(pub_targets_key(targets, "other"));
	assert_int_equal(t->ttl_s, 1800);
	assert_int_equal(t->n_wanted, 1);
	assert_true(pub_targets_has_domain(targets, &dept));
	assert_true(pub_targets_has_host(targets, "office"));
	assert_false(pub_targets_has_host(targets, "nobody"));
	pub_targets_unref(targets);
}

static void t_targets_need_a_port(void **state)
{
	struct config *cfg = config("node: { target: kms1.corp.example }\n"
				    "service: { mode: lab, listen: [\"127.0.0.1:0\"] }\n"
				    "publish: { domains: [{ domain: x.example, lab: true }] }\n");
	struct pub_targets *targets;
	struct err_info info;

	(void)state;
	assert_int_equal(pub_targets_from_config(cfg, NULL, 0, &targets, &info), ERR_CONFIG);
	assert_null(targets);
	assert_non_null(strstr(info.text, "port"));
	assert_int_equal(pub_targets_from_config(cfg, NULL, 4711, &targets, &info), 0);
	assert_int_equal(pub_targets_at(targets, 0)->wanted[0].srv.port, 4711);
	pub_targets_unref(targets);
	config_free(cfg);
}

/* ---- policy ---- */

static void t_policy(void **state)
{
	struct config *cfg = config(CONFIG);
	struct tsig_key *key = fake_tsig_client_key();
	struct dns_name dept = name("dept.example");
	struct pub_policy_params p = { .config = cfg, .domain = &dept, .server = PUB_POLICY_BIND };
	struct pub_targets *targets;
	struct err_info info;
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	assert_int_equal(pub_targets_from_config(cfg, &key, 1688, &targets, &info), 0);
	p.targets = targets;
	assert_int_equal(pub_policy_write(&p, &out, &info), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((const char *)out.data,
			       "\nupdate-policy {\n\tgrant \"fake-key\" name "
			       "_vlmcs._tcp.dept.example. SRV;\n};\n"));
	assert_non_null(strstr((const char *)out.data, "hmac-sha256"));
	assert_non_null(strstr((const char *)out.data, "allow-query"));
	assert_null(strstr((const char *)out.data, "AAECAwQFBgcICQ")); /* T14: no secret */
	buf_clear(&out);
	p.delegate = true;
	assert_int_equal(pub_policy_write(&p, &out, &info), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((const char *)out.data, "zone \"_vlmcs._tcp.dept.example\" {"));
	buf_clear(&out);
	p.domain = NULL; /* one of them has no key */
	assert_int_equal(pub_policy_write(&p, &out, &info), ERR_CONFIG);
	assert_non_null(strstr(info.text, "corp.example has no key"));
	buf_done(&out);
	pub_targets_unref(targets);
	tsig_key_unref(key);
	config_free(cfg);
}

static void t_policy_words(void **state)
{
	enum pub_policy_for f;

	(void)state;
	assert_true(pub_policy_for_parse("bind", &f));
	assert_int_equal(f, PUB_POLICY_BIND);
	assert_false(pub_policy_for_parse("windows", &f));
	assert_non_null(strstr(pub_policy_for_list(), "bind"));
}

/* What is said twice is said once, and no more is said than a person reads. */
static void t_findings_are_bounded(void **state)
{
	struct pub_findings f = { 0 };

	(void)state;
	for (unsigned i = 0; i < PUB_FINDINGS_MAX + 2; i++)
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(pub_findings_add(&f, FINDING_WILDCARD, "%u", i), 0);
	assert_int_equal(f.n, PUB_FINDINGS_MAX);
	assert_string_equal(f.list[0].text, "0");
	assert_string_equal(f.list[PUB_FINDINGS_MAX - 1].text, "63");
	pub_findings_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_json),
		cmocka_unit_test(t_text_is_the_tree),
		cmocka_unit_test(t_text),
		cmocka_unit_test(t_targets),
		cmocka_unit_test(t_targets_need_a_port),
		cmocka_unit_test(t_policy),
		cmocka_unit_test(t_policy_words),
		cmocka_unit_test(t_findings_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
