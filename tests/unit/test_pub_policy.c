/* What `kmsbeacon policy` writes: the parts, and names and paths that want quoting. What servers
 * make of it is in tests/itest/test_policy.py. */
#include "publisher/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static const char key_text[] =
	"key \"Corp-Key\" { algorithm hmac-sha512; secret \"MDEyMzQ1Njc4OWFiY2RlZg==\"; };";
static const char yaml[] = "service: { mode: \"off\" }\n"
			   "keys: [ { name: corp, file: \"/etc/it's.key\" } ]\n"
			   "hosts: [ { name: a, target: kms1.corp.example } ]\n"
			   "publish:\n"
			   "  domains:\n"
			   "    - { domain: corp.example, key: corp, server: [192.0.2.1, "
			   "\"NS7.corp.example:5353\"] }\n"
			   "    - { domain: dept.example, key: corp, view: inside }\n"
			   "    - { domain: open.example }\n";

struct fixture {
	struct config *config;
	struct tsig_key *key;
	struct pub_targets *targets;
	struct pub_policy_params p;
	struct dns_name domain;
	struct buf out;
	struct err_info info;
};

static const char one_key[] = "service: { mode: \"off\" }\n"
			      "keys: [ { name: corp, file: /etc/corp.key } ]\n"
			      "hosts: [ { name: a, target: kms1.corp.example } ]\n"
			      "publish:\n"
			      "  domains:\n"
			      "    - { domain: corp.example, key: corp }\n"
			      "    - { domain: dept.example, key: corp }\n";

static void set_up_with(struct fixture *f, const char *text, enum pub_policy_for server,
			bool delegate)
{
	struct config_errors errs = { 0 };

	*f = (struct fixture){ .p = { .server = server, .delegate = delegate } };
	assert_int_equal(tsig_key_parse(key_text, strlen(key_text), "k", &f->key, &f->info), 0);
	assert_int_equal(config_parse(text, strlen(text), "k.yaml", &f->config, &errs), 0);
	assert_int_equal(
		pub_targets_from_config(f->config, &f->key, CONFIG_KMS_PORT, &f->targets, &f->info),
		0);
	buf_init(&f->out, 1u << 16);
	f->p.targets = f->targets;
	f->p.config = f->config;
	config_errors_done(&errs);
}

static void set_up(struct fixture *f, enum pub_policy_for server, bool delegate)
{
	set_up_with(f, yaml, server, delegate);
}

static void tear_down(struct fixture *f)
{
	buf_done(&f->out);
	pub_targets_unref(f->targets);
	tsig_key_unref(f->key);
	config_free(f->config);
}

static const char *written(struct fixture *f, const char *domain)
{
	f->p.domain = NULL;
	if (domain != NULL) {
		assert_int_equal(dns_name_parse(domain, &f->domain), 0);
		f->p.domain = &f->domain;
	}
	buf_clear(&f->out);
	assert_int_equal(pub_policy_write(&f->p, &f->out, &f->info), 0);
	assert_int_equal(buf_append(&f->out, "", 1), 0);
	return (const char *)f->out.data;
}

static void has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no '%s' in:\n%s", part, text);
}

static void t_bind(void **state)
{
	struct fixture f;
	const char *text;

	(void)state;
	set_up(&f, PUB_POLICY_BIND, false);
	text = written(&f, "dept.example");
	has(text, "// dept.example (view inside): ");
	has(text,
	    "\nupdate-policy {\n\tgrant \"corp-key\" name _vlmcs._tcp.dept.example. SRV;\n};\n");
	assert_null(strstr(text, "corp.example"));
	assert_null(strstr(text, "MDEy"));
	tear_down(&f);
}

static void t_knot(void **state)
{
	struct fixture f;
	const char *text;

	(void)state;
	set_up(&f, PUB_POLICY_KNOT, false);
	text = written(&f, "dept.example");
	has(text, "  - id: \"kmsbeacon_dept_example_inside\"\n    key: [\"corp-key\"]\n");
	has(text, "    update-owner-name: [\"_vlmcs._tcp.dept.example.\"]\n");
	has(text, "    acl: [\"kmsbeacon_dept_example_inside\"]\n");
	tear_down(&f);
}

static void t_delegation(void **state)
{
	struct fixture f;
	struct dns_name ns[2];
	const char *text;

	(void)state;
	set_up(&f, PUB_POLICY_KNOT, true);
	/* a name under `server:` is a name server, an address is not */
	text = written(&f, "corp.example");
	has(text, "_vlmcs._tcp.corp.example. IN SOA ns7.corp.example. hostmaster.corp.example. 1 ");
	assert_null(strstr(text, "192.0.2.1"));
	assert_null(strstr(text, "; replace"));
	text = written(&f, "dept.example");
	has(text, "; replace ns1.dept.example. ");
	assert_int_equal(dns_name_parse("x.example", &ns[0]), 0);
	assert_int_equal(dns_name_parse("y.example", &ns[1]), 0);
	f.p.ns = ns;
	f.p.n_ns = 2;
	text = written(&f, "dept.example");
	has(text, "_vlmcs._tcp.dept.example. 3600 IN NS x.example.\n"
		  "_vlmcs._tcp.dept.example. 3600 IN NS y.example.\n");
	tear_down(&f);
}

static void t_pdns(void **state)
{
	struct fixture f;
	const char *text;

	(void)state;
	set_up(&f, PUB_POLICY_PDNS, false);
	text = written(&f, "corp.example");
	has(text, "\t{ \"corp-key.\", \"_vlmcs._tcp.corp.example.\" },\n}\n");
	has(text, "pdnsutil import-tsig-key 'corp-key' hmac-sha512 \"$(sed ");
	has(text, " '/etc/it'\\''s.key')\"\n");
	assert_null(strstr(text, "dept.example"));
	tear_down(&f);
}

static void t_pdns_imports_a_key_once(void **state)
{
	struct fixture f;
	const char *text, *at;

	(void)state;
	set_up_with(&f, one_key, PUB_POLICY_PDNS, false);
	text = written(&f, NULL);
	at = strstr(text, "import-tsig-key");
	assert_non_null(at);
	assert_null(strstr(at + 1, "import-tsig-key"));
	has(text, "{ \"corp-key.\", \"_vlmcs._tcp.corp.example.\" },");
	has(text, "{ \"corp-key.\", \"_vlmcs._tcp.dept.example.\" },");
	tear_down(&f);
}

/* Where it has no room it says so, and never that a part is the whole. */
static void t_room(void **state)
{
	struct fixture f;
	struct buf small;
	size_t whole;

	(void)state;
	for (unsigned k = 0; k < 2 * PUB_POLICY_COUNT_; k++) {
		set_up_with(&f, one_key, (enum pub_policy_for)(k / 2), k % 2 != 0);
		assert_int_equal(pub_policy_write(&f.p, &f.out, &f.info), 0);
		whole = f.out.len;
		for (size_t room = 1; room <= whole; room++) {
			buf_init(&small, room);
			assert_int_equal(pub_policy_write(&f.p, &small, &f.info),
					 room < whole ? ERR_LIMIT : 0);
			buf_done(&small);
		}
		tear_down(&f);
	}
}

static void t_no_key(void **state)
{
	struct fixture f;

	(void)state;
	for (int s = 0; s < PUB_POLICY_COUNT_; s++) {
		set_up(&f, (enum pub_policy_for)s, false);
		assert_int_equal(pub_policy_write(&f.p, &f.out, &f.info), ERR_CONFIG);
		has(f.info.text, "open.example has no key");
		tear_down(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_bind),       cmocka_unit_test(t_knot),
		cmocka_unit_test(t_delegation), cmocka_unit_test(t_pdns),
		cmocka_unit_test(t_no_key),     cmocka_unit_test(t_pdns_imports_a_key_once),
		cmocka_unit_test(t_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
