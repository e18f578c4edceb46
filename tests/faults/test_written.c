/* What the publisher writes for people and programs: whatever fails is told, and what is not told
 * to have failed is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/json_memory.h"
#include "publisher/policy.h"
#include "publisher/print.h"
#include "publisher/reg_import.h"
#include "publisher/report.h"
#include "tests/faults/fault.h"
#include "tests/lib/fake_tsig.h"
#include "tests/lib/plan_rows.h"

static const char yaml[] = "service: { mode: \"off\" }\n"
			   "keys: [ { name: corp, file: /etc/corp.key } ]\n"
			   "hosts: [ { name: a, target: kms1.corp.example } ]\n"
			   "publish:\n"
			   "  domains:\n"
			   "    - { domain: corp.example, key: corp, server: [192.0.2.1] }\n"
			   "    - { domain: dept.example, key: corp }\n";

static struct config *cfg;
static struct pub_targets *targets;
static struct tsig_key *key;

static void set_up(void)
{
	struct config_errors errs = { 0 };
	struct err_info info;

	key = fake_tsig_client_key();
	assert_int_equal(config_parse(yaml, strlen(yaml), "yaml", &cfg, &errs), 0);
	assert_int_equal(pub_targets_from_config(cfg, &key, 1688, &targets, &info), 0);
}

static void tear_down(void)
{
	pub_targets_unref(targets);
	config_free(cfg);
	tsig_key_unref(key);
}

/* The first run of each scenario has no fault: what it writes is what is wanted of the others. */
struct whole {
	void *data;
	size_t len;
};

static void check_whole(struct whole *w, int err, struct buf *out)
{
	if (err == 0 && w->data == NULL) {
		w->len = out->len;
		w->data = malloc(out->len);
		assert_non_null(w->data);
		memcpy(w->data, out->data, out->len);
	} else if (err == 0) {
		assert_int_equal(out->len, w->len);
		assert_memory_equal(out->data, w->data, w->len);
	} else {
		assert_int_equal(err, ERR_NOMEM);
	}
	buf_done(out);
}

/* ---- what all of it is made of ---- */

static int targets_of_config(void)
{
	struct err_info info = { "" };
	struct pub_targets *t = NULL;
	int err;

	set_up();
	fault_begin();
	err = pub_targets_from_config(cfg, &key, 1688, &t, &info);
	fault_end();
	assert_true((err == 0) == (t != NULL));
	if (t != NULL)
		assert_int_equal(pub_targets_count(t), 2);
	pub_targets_unref(t);
	tear_down();
	return err;
}

/* ---- policy, print ---- */

static int policy(void)
{
	static struct whole whole[2 * PUB_POLICY_COUNT_];
	int first = 0;

	set_up();
	for (unsigned k = 0; k < 2 * PUB_POLICY_COUNT_; k++) {
		struct pub_policy_params p = { .targets = targets,
					       .config = cfg,
					       .server = (enum pub_policy_for)(k / 2),
					       .delegate = k % 2 != 0 };
		struct err_info info = { "" };
		struct buf out;
		int err;

		buf_init(&out, 1u << 16);
		fault_begin();
		err = pub_policy_write(&p, &out, &info);
		fault_end();
		check_whole(&whole[k], err, &out);
		first = first != 0 ? first : err;
	}
	tear_down();
	return first;
}

static int print(void)
{
	static struct whole whole[PUB_PRINT_COUNT_];
	int first = 0;

	set_up();
	for (unsigned k = 0; k < PUB_PRINT_COUNT_; k++) {
		struct pub_print_params p = { .targets = targets, .config = cfg, .as = k };
		struct buf out;
		int err;

		buf_init(&out, 1u << 16);
		fault_begin();
		err = pub_print_write(&p, &out);
		fault_end();
		check_whole(&whole[k], err, &out);
		first = first != 0 ? first : err;
	}
	tear_down();
	return first;
}

/* ---- reports ---- */

static struct dns_name name(const char *text)
{
	struct dns_name n;

	assert_int_equal(dns_name_parse(text, &n), 0);
	return n;
}

static int report(void)
{
	static struct whole tree, written;
	static char finding_text[] = "a CNAME leads to x";
	static struct pub_finding findings[] = { { FINDING_ALIASED, finding_text } };
	struct pub_change changes[] = { { .op = PUB_DELETE, .host = "" },
					{ .op = PUB_ADD, .ttl_s = 3600, .host = "a" } };
	struct pub_proof proof[] = { { .is_primary = true, .has_serial = true, .serial = 7 },
				     { .state = PUB_PROOF_UNKNOWN, .err = ERR_TIMEOUT } };
	struct pub_result r[2] = { { .view = "v",
				     .state = PUB_LAGGING,
				     .changes = changes,
				     .n_changes = 2,
				     .proof = proof,
				     .n_proof = 2,
				     .findings = findings,
				     .n_findings = 1 },
				   { .view = "", .state = PUB_UNCHANGED } };
	struct buf out;
	json_t *list;
	json_t *orphans = json_pack("[{s:s, s:s}]", "domain", "old.example", "view", "");
	int err, err_written;

	r[0].domain = name("corp.example");
	r[1].domain = name("dept.example");
	r[0].owner = name("_vlmcs._tcp.corp.example");
	changes[0].srv.target = changes[1].srv.target = name("kms1.corp.example");
	buf_init(&out, 1u << 16);
	fault_begin();
	list = pub_report_json(r, 2);
	fault_end();
	err = list != NULL ? 0 : ERR_NOMEM;
	if (list != NULL) {
		char *text = json_memory_text(list, JSON_COMPACT);

		assert_int_equal(buf_append(&out, text, strlen(text)), 0);
		free(text);
	}
	check_whole(&tree, err, &out);
	json_decref(list);
	buf_init(&out, 1u << 16);
	fault_begin();
	err_written = pub_report_write(&out, r, 2, orphans);
	fault_end();
	check_whole(&written, err_written, &out);
	json_decref(orphans);
	return err != 0 ? err : err_written;
}

/* ---- import ---- */

static const char reg[] =
	"Windows Registry Editor Version 5.00\r\n\r\n"
	"[HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\"
	"SoftwareProtectionPlatform]\r\n"
	"\"KeyManagementServiceListeningPort\"=dword:00000699\r\n"
	"\"KeyManagementServiceName\"=\"kms7.corp.example\"\r\n"
	"\"DnsDomainPublishList\"=hex(7):61,00,2e,00,62,00,2c,00,31,00,2c,00,32,00,00,00,63,00,2e,"
	"00,64,00,00,00,00,00\r\n";

static int import(void)
{
	static struct whole whole[2];
	struct err_info info = { "" };
	struct buf out, notes;
	int err;

	buf_init(&out, 1u << 16);
	buf_init(&notes, 1u << 16);
	fault_begin();
	err = pub_reg_import((const uint8_t *)reg, sizeof(reg) - 1, NULL, &out, &notes, &info);
	fault_end();
	check_whole(&whole[0], err, &out);
	check_whole(&whole[1], err, &notes);
	return err;
}

/* ---- the plan, which tells what it found ---- */

static const struct plan_row rows[] = {
	{ .name = "others' records and a dot",
	  .wanted = "local " K1 " | office " K2,
	  .seen = "300 0 0 1688 . | 300 " F1 " | 300 1 1 1688 kms1.corp.test",
	  .findings = "host-self-publishes ttl-adopted absent-by-dot" },
	{ .name = "a change of ours",
	  .wanted = "local " K1,
	  .ours = "pub local 5 5 1688 kms1.corp.test",
	  .seen = "3600 5 5 1688 kms1.corp.test",
	  .findings = "" },
};

static int plan(void)
{
	int first = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[128] = "";
		struct plan_input x;
		struct pub_plan p;
		int err;

		plan_row_read(&rows[i], &x);
		fault_begin();
		err = pub_plan_make(&x.in, &p);
		fault_end();
		for (size_t k = 0; err == 0 && k < p.findings.n; k++) {
			if (k > 0)
				(void)strncat(text, " ", sizeof(text) - strlen(text) - 1);
			(void)strncat(text, finding_info(p.findings.list[k].id)->id,
				      sizeof(text) - strlen(text) - 1);
		}
		if (err == 0)
			assert_string_equal(text, rows[i].findings);
		else
			assert_int_equal(err, ERR_NOMEM);
		pub_plan_done(&p);
		first = first != 0 ? first : err;
	}
	return first;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "targets", .run = targets_of_config },
	{ .name = "policy", .run = policy },
	{ .name = "print", .run = print },
	{ .name = "report", .run = report },
	{ .name = "import", .run = import },
	{ .name = "plan", .run = plan },
};

int main(void)
{
	return fault_run("fault_written", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
