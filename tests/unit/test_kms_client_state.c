#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hresult.h"
#include "kmscore/lab_clients.h"
#include "kmscore/lab_events.h"
#include "kmscore/lab_host.h"
#include "tests/lib/lab_files.h"
#include "tests/lib/test_net.h"

#define T0   INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */
#define HOUR INT64_C(3600000)

struct fixture {
	struct lab_client c;
	struct lab_key key;
	struct rng rng;
	struct fake_clock clock;
	struct lab_host host;
	struct addr at;
	struct lab_verdict v;
};

static uint64_t fake_mono(void *ctx)
{
	return ((struct fake_clock *)ctx)->mono_ms;
}

static int64_t fake_wall(void *ctx)
{
	return ((struct fake_clock *)ctx)->wall_ms;
}

static void setup(struct fixture *f, const char *product)
{
	static const uint8_t raw[LAB_KEY_LEN] = { 1 };
	struct lab_host_params p = { .key = &f->key,
				     .rules = { .activation_min = 60, .renewal_min = 5000 },
				     .clock = &f->clock.clock,
				     .rng = &f->rng };

	memset(f, 0, sizeof(*f));
	f->clock.clock = (struct clock){ fake_mono, fake_wall, &f->clock };
	f->clock.wall_ms = T0;
	rng_init_seed(&f->rng, 7);
	assert_int_equal(lab_key_derive(raw, &f->key), 0);
	lab_host_init(&f->host, &p);
	f->at = test_addr("127.0.0.1:1688");
	lab_client_init(&f->c, lab_product_find(product), "pc1.corp.example", &f->rng, T0);
}

static void teardown(struct fixture *f)
{
	lab_host_done(&f->host);
}

static int64_t now(const struct fixture *f)
{
	return f->clock.wall_ms;
}

/** One attempt at the host of the fixture. */
static void ask(struct fixture *f)
{
	uint8_t body[LAB_REQUEST_LEN];
	struct lab_pending pending;
	struct lab_answer a;

	assert_int_equal(lab_client_request(&f->c, &f->key, &f->rng, now(f), &pending, body), 0);
	lab_host_request(&f->host, &f->at, body, sizeof(body), &a);
	lab_client_answer(&f->c, &f->key, &pending, 0, a.hresult, a.body_len > 0 ? a.body : NULL,
			  a.body_len, "kms1.corp.example", &f->at, now(f), &f->v);
	if (f->v.hresult != 0)
		lab_client_failed(&f->c, f->v.hresult, now(f));
}

/** Other machines that make the host's count. */
static void crowd(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct guid g;

		guid_random(&f->rng, &g);
		(void)kms_count_add(&f->host.memory->count, &g, 25, now(f));
	}
}

static void t_new_client(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "windows");
	assert_int_equal(f.c.licence, KMS_OOB_GRACE);
	assert_int_equal(lab_client_minutes_left(&f.c, T0), 43200);
	assert_int_equal(lab_client_minutes_left(&f.c, T0 + 1), 43200); /* rounded up */
	assert_int_equal(f.c.product->n_policy, 25);
	assert_int_equal(lab_product_find("server")->n_policy, 5);
	assert_int_equal(lab_product_find("office")->n_policy, 5);
	assert_null(lab_product_find("xp"));
	assert_true(f.c.caching);
	assert_false(guid_is_zero(&f.c.cmid));
	teardown(&f);
}

static void t_threshold(void **state)
{
	static const struct {
		const char *product;
		unsigned others;
		uint32_t hresult;
	} rows[] = {
		{ "windows", 0, 0xC004F038 }, { "windows", 23, 0xC004F038 },
		{ "windows", 24, 0 },         { "server", 3, 0xC004F038 },
		{ "server", 4, 0 },           { "office", 4, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fixture f;

		setup(&f, rows[i].product);
		crowd(&f, rows[i].others);
		ask(&f);
		assert_int_equal(f.v.hresult, rows[i].hresult);
		assert_true(f.v.answered && f.v.final && f.v.response);
		assert_int_equal(f.v.status, rows[i].hresult == 0 ? 0 : 0x04000000);
		assert_int_equal(f.c.licence, rows[i].hresult == 0 ? KMS_LICENSED : KMS_OOB_GRACE);
		assert_int_equal(f.c.count, rows[i].others + 1);
		assert_int_equal(f.c.activation_min, 60); /* the host's, from its first answer */
		assert_int_equal(f.c.renewal_min, 5000);
		assert_string_equal(f.c.cache.name, "kms1.corp.example"); /* even where too low */
		assert_int_equal(f.c.next_attempt_ms,
				 T0 + (rows[i].hresult == 0 ? 5000 : 60) * KMS_MINUTE_MS);
		assert_int_equal(f.c.last_code, rows[i].hresult);
		teardown(&f);
	}
}

/* Activated once, then no host any more. */
static void t_life_without_renewal(void **state)
{
	struct fixture f;

	(void)state;
	setup(&f, "server");
	crowd(&f, 9);
	ask(&f);
	assert_int_equal(f.c.licence, KMS_LICENSED);
	assert_int_equal(lab_client_minutes_left(&f.c, T0), 180 * 1440);
	assert_false(lab_client_advance(&f.c, T0 + KMS_VALIDITY_MS - 1));
	assert_true(lab_client_advance(&f.c, T0 + KMS_VALIDITY_MS));
	assert_int_equal(f.c.licence, KMS_OOT_GRACE);
	assert_int_equal(lab_client_minutes_left(&f.c, T0 + KMS_VALIDITY_MS), 43200);
	assert_true(lab_client_advance(&f.c, T0 + KMS_VALIDITY_MS + KMS_GRACE_MS));
	assert_int_equal(f.c.licence, KMS_NOTIFICATION);
	assert_int_equal(f.c.notification_reason, 0xC004F009);
	assert_int_equal(lab_client_minutes_left(&f.c, T0 + KMS_VALIDITY_MS + KMS_GRACE_MS), 0);
	assert_false(lab_client_advance(&f.c, INT64_MAX / 2));
	f.clock.wall_ms = T0 + 300 * KMS_DAY_MS; /* and it comes back */
	crowd(&f, 9);
	ask(&f);
	assert_int_equal(f.c.licence, KMS_LICENSED);
	assert_int_equal(f.c.notification_reason, 0);
	teardown(&f);
	setup(&f, "windows"); /* both ends may have passed at once */
	f.c.licence = KMS_LICENSED;
	f.c.expires_ms = T0;
	assert_true(lab_client_advance(&f.c, T0 + 365 * KMS_DAY_MS));
	assert_int_equal(f.c.licence, KMS_NOTIFICATION);
	assert_int_equal(f.c.since_ms, T0 + KMS_GRACE_MS);
	teardown(&f);
}

/* A year of one client: it renews, and rides out a month without a host. */
static void t_a_year(void **state)
{
	unsigned renewals = 0, failures = 0;
	struct fixture f;

	(void)state;
	setup(&f, "windows");
	while (now(&f) < T0 + 365 * KMS_DAY_MS) {
		bool down = now(&f) >= T0 + 100 * KMS_DAY_MS && now(&f) < T0 + 130 * KMS_DAY_MS;

		(void)lab_client_advance(&f.c, now(&f));
		if (now(&f) >= f.c.next_attempt_ms) {
			if (down) {
				lab_client_failed(&f.c, HR_BINDING_SERVICE_UNAVAILABLE, now(&f));
				failures++;
			} else {
				crowd(&f, 30);
				ask(&f);
				assert_int_equal(f.v.hresult, 0);
				renewals++;
			}
		}
		assert_int_equal(f.c.licence, KMS_LICENSED);
		f.clock.wall_ms += HOUR;
	}
	assert_in_range(renewals, 95, 100);  /* 335 days, every 5000 minutes */
	assert_in_range(failures, 600, 720); /* 30 days less the wait, every hour */
	teardown(&f);
}

static void t_failures_of_the_exchange(void **state)
{
	static const struct {
		int err;
		uint32_t rpc_hresult, hresult;
		bool final;
	} rows[] = {
		{ ERR_TIMEOUT, 0, 0x800706BA, false },
		{ -111, 0, 0x800706BA, false },
		{ ERR_RPC_NO_INTERFACE, 0, 0x800706B5, false },
		{ ERR_RPC_NAK, 0, 0x800706BE, false },
		{ ERR_RPC_SYNTAX, 0, 0x800706BE, false },
		{ ERR_RPC_FAULT, 0, 0x800706BE, false },
		{ ERR_RPC_MALFORMED, 0, 0x800706BE, false },
		{ 0, 0xC004F06C, 0xC004F06C, false },
		{ 0, 0xC004F041, 0xC004F041, false },
		{ 0, 0xC004F042, 0xC004F042, true },
		{ 0, 0xC004F038, 0xC004F038, true },
		{ 0, 0, 0x8007000D, false }, /* success, and no body */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t body[LAB_REQUEST_LEN];
		struct lab_pending pending;
		struct fixture f;

		setup(&f, "windows");
		assert_int_equal(lab_client_request(&f.c, &f.key, &f.rng, T0, &pending, body), 0);
		lab_client_answer(&f.c, &f.key, &pending, rows[i].err, rows[i].rpc_hresult, NULL, 0,
				  "h", &f.at, T0, &f.v);
		assert_int_equal(f.v.hresult, rows[i].hresult);
		assert_int_equal(f.v.final, rows[i].final);
		assert_false(f.v.answered);
		assert_int_equal(f.c.licence, KMS_OOB_GRACE);
		assert_int_equal(f.c.cache.name[0], '\0');
		teardown(&f);
	}
}

/* Authentic, but the answer to another question: replayed, or of a host that makes no sense. */
static void t_answers_that_do_not_fit(void **state)
{
	(void)state;
	for (int bad = 0; bad < 6; bad++) {
		uint8_t body[LAB_REQUEST_LEN], answer[LAB_RESPONSE_LEN];
		uint8_t nonce[LAB_NONCE_LEN] = { 9 };
		struct lab_response rs = { .count = 50,
					   .activation_min = 120,
					   .renewal_min = 10080 };
		struct lab_pending pending;
		struct fixture f;

		setup(&f, "windows");
		assert_int_equal(lab_client_request(&f.c, &f.key, &f.rng, T0, &pending, body), 0);
		rs.cmid = pending.rq.cmid;
		rs.client_time = pending.rq.client_time;
		memcpy(rs.request_nonce, pending.nonce, sizeof(nonce));
		rs.cmid.b[3] ^= bad == 1;
		rs.client_time += bad == 2;
		rs.request_nonce[11] ^= bad == 3;
		rs.activation_min = bad == 4 ? 14 : 120;
		rs.renewal_min = bad == 5 ? 43201 : 10080;
		assert_int_equal(lab_response_seal(&f.key, nonce, &rs, answer), 0);
		lab_client_answer(&f.c, &f.key, &pending, 0, 0, answer, sizeof(answer), "h", &f.at,
				  T0, &f.v);
		assert_int_equal(f.v.hresult, bad == 0 ? 0 : 0x8007000D);
		assert_int_equal(f.c.licence, bad == 0 ? KMS_LICENSED : KMS_OOB_GRACE);
		assert_int_equal(f.c.cache.name[0] != '\0', bad == 0);
		teardown(&f);
	}
}

static void t_skms(void **state)
{
	static const struct {
		const char *arg;
		int err;
		const char *name; /* afterwards; before: "old" and 99 */
		uint16_t port;
		const char *host; /* for connecting */
	} rows[] = {
		{ "kms1.corp.example", 0, "kms1.corp.example", 0, "kms1.corp.example" },
		{ "kms1:1689", 0, "kms1", 1689, "kms1" },
		{ "10.0.0.5:1", 0, "10.0.0.5", 1, "10.0.0.5" },
		{ "[::1]:1688", 0, "[::1]", 1688, "::1" },
		{ "[2001:db8::1]", 0, "[2001:db8::1]", 0, "2001:db8::1" },
		{ ":1700", 0, "old", 1700, "old" },
		{ "kms1:", 0, "kms1", 0, "kms1" },
		{ "[::1]:", 0, "[::1]", 0, "::1" },
		{ "[::1]x7", 0, "[::1]", 7, "::1" }, /* slmgr drops one character, whatever it is */
		{ "", ERR_USAGE, "old", 99, "old" },
		{ ":", ERR_USAGE, "old", 99, "old" },
		{ "kms1:0", ERR_USAGE, "old", 99, "old" },
		{ "kms1:65536", ERR_USAGE, "old", 99, "old" },
		{ "kms1:16a8", ERR_USAGE, "old", 99, "old" },
		{ "kms1:+5", ERR_USAGE, "old", 99, "old" },
		{ "::1", ERR_USAGE, "old", 99, "old" }, /* needs brackets */
		{ "fe80::1:1688", ERR_USAGE, "old", 99, "old" },
		{ "[not-an-address]:1", ERR_USAGE, "old", 99, "old" },
		{ "a b", ERR_USAGE, "old", 99, "old" },
		{ "a..b", ERR_USAGE, "old", 99, "old" },
		{ "[::1", ERR_USAGE, "old", 99, "old" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char host[HOST_TEXT_MAX];
		struct err_info info;
		struct fixture f;
		uint16_t port;

		setup(&f, "windows");
		assert_int_equal(lab_client_skms(&f.c, "old:99", &info), 0);
		(void)snprintf(f.c.cache.name, sizeof(f.c.cache.name), "cached");
		assert_int_equal(lab_client_skms(&f.c, rows[i].arg, &info), rows[i].err);
		assert_string_equal(f.c.manual_name, rows[i].name);
		assert_int_equal(f.c.manual_port, rows[i].port);
		assert_true(lab_client_manual_host(&f.c, host, &port));
		assert_string_equal(host, rows[i].host);
		assert_int_equal(port, rows[i].port == 0 ? 1688 : rows[i].port);
		assert_int_equal(f.c.cache.name[0] == '\0', strcmp(rows[i].name, "old") != 0);
		teardown(&f);
	}
}

static void t_other_verbs(void **state)
{
	char host[HOST_TEXT_MAX];
	struct err_info info;
	struct fixture f;
	uint16_t port;

	(void)state;
	setup(&f, "windows");
	assert_false(lab_client_manual_host(&f.c, host, &port));
	crowd(&f, 30);
	ask(&f);
	assert_true(f.c.cache.name[0] != '\0');
	lab_client_set_caching(&f.c, false);
	assert_int_equal(f.c.cache.name[0], '\0');
	ask(&f);
	assert_int_equal(f.c.cache.name[0], '\0');
	lab_client_set_caching(&f.c, true);
	assert_int_equal(lab_client_skms(&f.c, "kms1", &info), 0);
	ask(&f);
	assert_int_equal(f.c.cache.name[0], '\0'); /* a manual host is not cached */
	lab_client_ckms(&f.c);
	assert_false(lab_client_manual_host(&f.c, host, &port));
	assert_int_equal(lab_client_set_lookup_domain(&f.c, "corp.example.", &info), 0);
	assert_string_equal(f.c.lookup_domain, "corp.example");
	assert_int_equal(lab_client_set_lookup_domain(&f.c, "corp example", &info), ERR_USAGE);
	assert_string_equal(f.c.lookup_domain, "corp.example");
	assert_int_equal(lab_client_set_lookup_domain(&f.c, NULL, &info), 0);
	assert_string_equal(f.c.lookup_domain, "");
	teardown(&f);
}

/** A file with one client. */
static int load_one(const char *path, struct lab_client *ret, struct err_info *info)
{
	struct lab_clients all;
	int err = lab_clients_load(path, &all, info);

	if (err == 0) {
		assert_int_equal(all.n, 1);
		*ret = all.c[0];
	} else {
		assert_int_equal(all.n, 0);
	}
	lab_clients_done(&all);
	return err;
}

static void t_state_file(void **state)
{
	struct lab_files files;
	struct lab_client got;
	struct err_info info;
	struct fixture f;
	struct stat st;
	json_t *old;

	(void)state;
	setup(&f, "server");
	lab_files_make(&files);
	assert_int_equal(load_one(files.state_file, &got, &info), ERR_NOT_FOUND);
	crowd(&f, 9);
	ask(&f);
	f.at = test_addr("[::1]:1700");
	ask(&f);
	assert_int_equal(lab_client_set_lookup_domain(&f.c, "corp.example", &info), 0);
	assert_int_equal(lab_clients_save(files.state_file, &f.c, 1, NULL, &info), 0);
	assert_int_equal(stat(files.state_file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(load_one(files.state_file, &got, &info), 0);
	assert_ptr_equal(got.product, f.c.product);
	assert_true(guid_equal(&got.cmid, &f.c.cmid));
	assert_string_equal(got.machine, "pc1.corp.example");
	assert_int_equal(got.licence, KMS_LICENSED);
	assert_int_equal(got.expires_ms, T0 + KMS_VALIDITY_MS);
	assert_int_equal(got.renewal_min, 5000);
	assert_string_equal(got.host_pid, f.c.host_pid);
	assert_string_equal(got.cache.name, "kms1.corp.example");
	assert_true(addr_equal(&got.cache.addr, &f.at));
	old = lab_client_to_json(&f.c); /* format 1, one client alone, is still read */
	assert_int_equal(json_object_set_new(old, "format", json_integer(1)), 0);
	assert_int_equal(json_dump_file(old, files.state_file, 0), 0);
	json_decref(old);
	memset(&got, 0, sizeof(got));
	assert_int_equal(load_one(files.state_file, &got, &info), 0);
	assert_string_equal(got.cache.name, "kms1.corp.example");
	assert_string_equal(got.lookup_domain, "corp.example");
	assert_int_equal(lab_client_skms(&f.c, "[::1]:5", &info), 0);
	f.c.caching = false;
	assert_int_equal(lab_clients_save(files.state_file, &f.c, 1, NULL, &info),
			 0); /* replaces */
	assert_int_equal(load_one(files.state_file, &got, &info), 0);
	assert_string_equal(got.manual_name, "[::1]");
	assert_int_equal(got.manual_port, 5);
	assert_false(got.caching);
	assert_int_equal(got.cache.name[0], '\0');
	lab_files_remove(&files); /* fails where a temporary file is left */
	teardown(&f);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Commands that run side by side each write their own client, and keep the others'. */
static void t_several_clients_in_one_file(void **state)
{
	struct lab_client one, two, *got;
	struct lab_clients all, stale;
	struct lab_files files;
	struct err_info info;
	struct fixture f;

	(void)state;
	setup(&f, "server");
	lab_files_make(&files);
	one = two = f.c;
	(void)snprintf(two.machine, sizeof(two.machine), "pc2");
	assert_int_equal(lab_clients_save(files.state_file, &one, 1, NULL, &info), 0);
	assert_int_equal(lab_clients_load(files.state_file, &stale, &info), 0);
	assert_int_equal(lab_clients_save(files.state_file, &two, 1, NULL, &info), 0);
	one.count = 77; /* by who has read the file before pc2 was in it */
	assert_int_equal(lab_clients_save(files.state_file, &one, 1, NULL, &info), 0);
	assert_int_equal(lab_clients_load(files.state_file, &all, &info), 0);
	assert_int_equal(all.n, 2);
	assert_null(lab_clients_find(&all, "pc3"));
	got = lab_clients_find(&all, "pc1.corp.example");
	assert_non_null(got);
	assert_int_equal(got->count, 77);
	assert_non_null(lab_clients_find(&all, "pc2"));
	lab_clients_done(&all);
	lab_clients_done(&stale);

	write_file(files.state_file, "{"); /* damaged: it is not replaced by half of what it held */
	assert_int_equal(lab_clients_save(files.state_file, &one, 1, NULL, &info), ERR_PARSE);
	assert_non_null(strstr(info.text, "remove the file"));
	lab_files_remove(&files);
	teardown(&f);
}

/* What clients log stays in the file, whoever writes it next, and the oldest give way. */
static void t_events_of_clients(void **state)
{
	struct lab_attempt t = { .sent_ms = T0, .ended_ms = T0 + 5, .sent = "0x00000000, first" };
	json_t *mine = json_array(), *report;
	struct lab_files files;
	struct lab_clients all;
	struct err_info info;
	struct fixture f;

	(void)state;
	setup(&f, "server");
	lab_files_make(&files);
	lab_events_add(mine, "pc1", &t); /* not reached: 12288 alone */
	(void)snprintf(t.response, sizeof(t.response), "%s", "0xC004F06C, second");
	t.response_hresult = 0xC004F06C;
	lab_events_add(mine, "pc1", &t);
	assert_int_equal(json_array_size(mine), 3);
	assert_int_equal(lab_clients_save(files.state_file, &f.c, 1, mine, &info), 0);
	assert_int_equal(lab_clients_save(files.state_file, &f.c, 1, NULL, &info), 0);
	assert_int_equal(lab_clients_load(files.state_file, &all, &info), 0);
	assert_int_equal(json_array_size(all.events), 3);
	report = lab_event_report(json_array_get(all.events, 2));
	assert_string_equal(json_string_value(json_object_get(report, "level")), "warning");
	assert_string_equal(json_string_value(json_object_get(report, "hresult")), "0xC004F06C");
	assert_string_equal(json_string_value(json_object_get(report, "machine")), "pc1");
	assert_string_equal(json_string_value(json_object_get(report, "time")),
			    "2026-11-21T12:00:00Z");
	assert_int_equal(json_integer_value(json_object_get(report, "id")), 12289);
	json_decref(report);
	lab_clients_done(&all);

	for (int i = 0; i < LAB_EVENTS_MAX; i++)
		lab_events_add(mine, "pc2", &t);
	assert_int_equal(json_array_size(mine), LAB_EVENTS_MAX);
	assert_int_equal(lab_clients_save(files.state_file, &f.c, 1, mine, &info), 0);
	assert_int_equal(lab_clients_load(files.state_file, &all, &info), 0);
	assert_int_equal(json_array_size(all.events), LAB_EVENTS_MAX);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(all.events, 0), "machine")),
		"pc2");
	lab_clients_done(&all);
	json_decref(mine);
	lab_files_remove(&files);
	teardown(&f);
}

static void t_bad_state_files(void **state)
{
	static const struct {
		const char *text;
		int err;
		const char *says;
	} rows[] = {
		{ "", ERR_PARSE, "line 1" },
		{ "{", ERR_PARSE, "line 1" },
		{ "[]", ERR_PARSE, "missing" },
		{ "{}", ERR_PARSE, "missing" },
		{ "{\"format\": 1}", ERR_PARSE, "missing" },
		{ "{\"format\": 2}", ERR_PARSE, "'clients'" },
		{ "{\"format\": 2, \"clients\": [{}]}", ERR_PARSE, "missing" },
		{ "{\"format\": 2, \"clients\": [], \"events\": {}}", ERR_PARSE, "'events'" },
		{ "{\"format\": 2, \"clients\": [], \"events\": [{\"id\": 12288}]}", ERR_PARSE,
		  "'events'" },
		{ "{\"format\": 3}", ERR_STORE_VERSION, "newer" },
		{ "{\"format\": 1, \"format\": 1}", ERR_PARSE, "uplicate" },
		{ "{\"format\": \"1\"}", ERR_PARSE, "missing" },
	};
	struct lab_files files;
	struct lab_client got;
	struct err_info info;

	(void)state;
	lab_files_make(&files);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		write_file(files.state_file, rows[i].text);
		assert_int_equal(load_one(files.state_file, &got, &info), rows[i].err);
		assert_non_null(strstr(info.text, rows[i].says));
		assert_non_null(strstr(info.text, files.state_file));
	}
	lab_files_remove(&files);
}

/* Each value of a good file, replaced by one that cannot be. */
static void t_bad_values(void **state)
{
	static const struct {
		const char *from, *to;
	} rows[] = {
		{ "\"server\"", "\"xp\"" },
		{ "\"vm\": false", "\"vm\": 0" },
		{ "\"licence_status\": 1", "\"licence_status\": 7" },
		{ "\"activation_interval_min\": 60", "\"activation_interval_min\": 1" },
		{ "\"port\": 1688", "\"port\": 0" },
		{ "\"127.0.0.1\"", "\"localhost\"" },
		{ "\"manual_name\": \"\"", "\"manual_name\": \"a b\"" },
		{ "\"lookup_domain\": \"\"", "\"lookup_domain\": \"..\"" },
		{ "\"last_code\": 0", "\"last_code\": -1" },
		{ "\"pc1.corp.example\"", "null" },
		/* longer than a host sees: no client would be found by it */
		{ "\"pc1.corp.example\"",
		  "\"mmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmmm\"" },
	};
	struct lab_files files;
	struct lab_client got;
	struct err_info info;
	char text[4096];
	struct fixture f;
	size_t len;
	FILE *in;

	(void)state;
	setup(&f, "server");
	crowd(&f, 9);
	ask(&f);
	lab_files_make(&files);
	assert_int_equal(lab_clients_save(files.state_file, &f.c, 1, NULL, &info), 0);
	in = fopen(files.state_file, "re");
	assert_non_null(in);
	len = fread(text, 1, sizeof(text) - 1, in);
	text[len] = '\0';
	assert_int_equal(fclose(in), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *at = strstr(text, rows[i].from);
		char changed[4200];

		assert_non_null(at);
		(void)snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(at - text), text,
			       rows[i].to, at + strlen(rows[i].from));
		write_file(files.state_file, changed);
		assert_int_equal(load_one(files.state_file, &got, &info), ERR_PARSE);
		assert_non_null(strstr(info.text, "remove the file"));
	}
	write_file(files.state_file, text);
	assert_int_equal(load_one(files.state_file, &got, &info), 0);
	lab_files_remove(&files);
	teardown(&f);
}

static void t_dlv(void **state)
{
	static const char *const labels[] = {
		"Software licensing service version: ",
		"\nName: ",
		"\nDescription: ",
		"\nActivation ID: ",
		"\nApplication ID: ",
		"\nLicense Status: Licensed\n",
		"\nVolume activation expiration: 259200 minute(s) (180 day(s))\n",
		"\nTrusted time: 2026-11-21T12:00:00Z\n",
		"\nConfigured Activation Type: KMS\n",
		"\nMost recent activation information:\n",
		"\nKey Management Service client information\n",
		"    Client Machine ID (CMID): ",
		"    KMS machine name from DNS: kms1.corp.example:1688\n",
		"    KMS machine IP address: 127.0.0.1\n",
		"    KMS machine extended PID: kmsbeacon-lab-",
		"    Activation interval: 60 minutes\n",
		"    Renewal interval: 5000 minutes\n",
		"    KMS host caching is enabled\n",
	};
	const char *at;
	struct fixture f;
	struct buf out;
	json_t *j;

	(void)state;
	setup(&f, "windows");
	buf_init(&out, 65536);
	assert_int_equal(lab_client_dlv(&f.c, T0, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((char *)out.data, "License Status: Initial grace period\n"
						 "Time remaining: 43200 minute(s) (30 day(s))\n"));
	assert_non_null(strstr((char *)out.data, "client ato"));
	assert_null(strstr((char *)out.data, "CMID"));
	buf_clear(&out);
	crowd(&f, 30);
	ask(&f);
	assert_int_equal(lab_client_dlv(&f.c, T0, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	at = (char *)out.data;
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		at = strstr(at, labels[i]); /* each behind the one before */
		assert_non_null(at);
	}
	j = lab_client_dlv_json(&f.c, T0);
	assert_non_null(j);
	assert_int_equal(json_integer_value(json_object_get(j, "license_status")), 1);
	assert_string_equal(json_string_value(json_object_get(j, "last_code")), "0x00000000");
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(j, "kms_host"), "source")),
		"cache");
	json_decref(j);
	buf_done(&out);
	teardown(&f);
}

static void t_dlv_notification(void **state)
{
	struct err_info info;
	struct fixture f;
	struct buf out;

	(void)state;
	setup(&f, "windows");
	buf_init(&out, 65536);
	(void)lab_client_advance(&f.c, T0 + KMS_GRACE_MS);
	assert_int_equal(lab_client_dlv(&f.c, T0 + KMS_GRACE_MS, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((char *)out.data, "Notification Reason: 0xC004F009"));
	buf_clear(&out);
	f.clock.wall_ms = T0 + KMS_GRACE_MS;
	crowd(&f, 30);
	ask(&f);
	assert_int_equal(lab_client_skms(&f.c, "[::1]:5", &info), 0);
	assert_int_equal(lab_client_set_lookup_domain(&f.c, "corp.example", &info), 0);
	assert_int_equal(lab_client_dlv(&f.c, T0 + KMS_GRACE_MS, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_non_null(strstr((char *)out.data, "lookup domain: corp.example\n"));
	assert_non_null(strstr((char *)out.data, "Registered KMS machine name: [::1]:5\n"));
	assert_non_null(strstr((char *)out.data, "overrides the lookup domain"));
	buf_done(&out);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_new_client),
		cmocka_unit_test(t_threshold),
		cmocka_unit_test(t_life_without_renewal),
		cmocka_unit_test(t_a_year),
		cmocka_unit_test(t_failures_of_the_exchange),
		cmocka_unit_test(t_answers_that_do_not_fit),
		cmocka_unit_test(t_skms),
		cmocka_unit_test(t_other_verbs),
		cmocka_unit_test(t_state_file),
		cmocka_unit_test(t_several_clients_in_one_file),
		cmocka_unit_test(t_events_of_clients),
		cmocka_unit_test(t_bad_state_files),
		cmocka_unit_test(t_bad_values),
		cmocka_unit_test(t_dlv),
		cmocka_unit_test(t_dlv_notification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
