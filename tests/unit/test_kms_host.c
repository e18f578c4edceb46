#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/hresult.h"
#include "common/log.h"
#include "kmscore/lab_host.h"

#define T0 INT64_C(1795262400000) /* 2026-11-21T12:00:00Z */

struct fixture {
	struct lab_host h;
	struct lab_key key;
	struct clock clock;
	struct rng rng;
	struct addr peer;
	int64_t wall_ms;
	uint64_t mono_ms;
	unsigned told; /* events */
	char event[KMS_EVENT_TEXT_MAX];
	unsigned lines;
	char line[1024]; /* the last one logged */
	struct lab_answer a;
};

static uint64_t fake_mono(void *ctx)
{
	return ((struct fixture *)ctx)->mono_ms;
}

static int64_t fake_wall(void *ctx)
{
	return ((struct fixture *)ctx)->wall_ms;
}

static void on_event(void *ctx, const struct kms_event *e)
{
	struct fixture *f = ctx;

	if (e->id == 0) { /* not of one request: its line in the log says the same */
		assert_non_null(strstr(f->line, e->name));
		assert_true(strlen(e->sentence) > 40);
		return;
	}
	assert_int_equal(e->id, KMS_EVENT_REQUEST_SERVED);
	(void)snprintf(f->event, sizeof(f->event), "%s", e->text);
	f->told++;
}

static void on_line(void *ctx, const char *line)
{
	struct fixture *f = ctx;

	f->lines++;
	(void)snprintf(f->line, sizeof(f->line), "%s", line);
}

static void setup(struct fixture *f)
{
	static const uint8_t raw[LAB_KEY_LEN] = { 1, 2, 3 };
	struct lab_host_params p = { .key = &f->key,
				     .rules = { .activation_min = 120, .renewal_min = 10080 },
				     .clock = &f->clock,
				     .rng = &f->rng,
				     .on_event = on_event,
				     .ctx = f };

	memset(f, 0, sizeof(*f));
	f->wall_ms = T0;
	f->clock = (struct clock){ fake_mono, fake_wall, f };
	rng_init_seed(&f->rng, 1);
	assert_int_equal(lab_key_derive(raw, &f->key), 0);
	assert_int_equal(addr_parse("127.0.0.7", 1, &f->peer), 0);
	lab_host_init(&f->h, &p);
	log_set_tap(on_line, f);
}

static void teardown(struct fixture *f)
{
	log_set_tap(NULL, NULL);
	lab_host_done(&f->h);
}

static struct lab_request request_of(const struct fixture *f, uint8_t n, const char *name)
{
	struct lab_request rq = { .client_time = lab_filetime(f->wall_ms),
				  .licence = KMS_OOB_GRACE,
				  .minutes_left = 43200,
				  .n_policy = 25 };

	rq.cmid.b[0] = n;
	(void)snprintf(rq.machine, sizeof(rq.machine), "%s", name);
	return rq;
}

static void ask(struct fixture *f, const struct lab_request *rq)
{
	uint8_t body[LAB_REQUEST_LEN], nonce[LAB_NONCE_LEN] = { 5 };

	assert_int_equal(lab_request_seal(&f->key, nonce, rq, body), 0);
	lab_host_request(&f->h, &f->peer, body, sizeof(body), &f->a);
}

static void t_answers_echo_and_count(void **state)
{
	static const uint8_t nonce[LAB_NONCE_LEN] = { 5 };
	struct lab_response rs;
	struct fixture f;

	(void)state;
	setup(&f);
	for (uint8_t i = 1; i <= 3; i++) {
		struct lab_request rq = request_of(&f, i, "pc");

		ask(&f, &rq);
		assert_int_equal(f.a.hresult, 0);
		assert_int_equal(lab_response_open(&f.key, f.a.body, f.a.body_len, &rs), 0);
		assert_true(guid_equal(&rs.cmid, &rq.cmid));
		assert_true(rs.client_time == rq.client_time);
		assert_memory_equal(rs.request_nonce, nonce, sizeof(nonce));
		assert_int_equal(rs.count, i);
		assert_int_equal(rs.activation_min, 120);
		assert_int_equal(rs.renewal_min, 10080);
		assert_true(rs.host_pid[0] != '\0');
	}
	assert_int_equal(f.h.memory->totals.requests, 3);
	assert_int_equal(f.h.memory->totals.failed, 0);
	assert_int_equal(f.h.memory->totals.by_licence[KMS_OOB_GRACE], 3);
	assert_int_equal(f.told, 3);
	teardown(&f);
}

/* What a Windows client sends: version 6.0 and bytes that nobody here can read. R12, design §1. */
static void t_windows_client_is_refused(void **state)
{
	static const uint16_t versions[] = { 4, 5, 6 };
	struct fixture f;

	(void)state;
	setup(&f);
	for (size_t i = 0; i < 3; i++) {
		uint8_t body[260];

		memset(body, 0xc3, sizeof(body));
		body[0] = body[1] = body[3] = 0;
		body[2] = (uint8_t)versions[i];
		f.mono_ms += LOG_LIMIT_MS;
		lab_host_request(&f.h, &f.peer, body, sizeof(body), &f.a);
		assert_int_equal(f.a.hresult, 0xC004F042);
		assert_int_equal(f.a.body_len, 0);
		assert_non_null(strstr(f.line, "lab.refused"));
		assert_non_null(strstr(f.line, "127.0.0.7"));
		assert_non_null(strstr(f.line, "licensed KMS host"));
	}
	assert_non_null(strstr(f.line, "version=6.0"));
	assert_int_equal(f.lines, 3);
	lab_host_request(&f.h, &f.peer, (const uint8_t *)"ab", 2, &f.a); /* within the minute */
	assert_int_equal(f.a.hresult, 0xC004F042);
	assert_int_equal(f.lines, 3);
	assert_int_equal(f.h.memory->totals.failed, 4);
	assert_int_equal(f.told, 0);
	assert_int_equal(kms_count_now(&f.h.memory->count, T0), 0);
	teardown(&f);
}

static void t_other_key_and_damage(void **state)
{
	static const uint8_t raw[LAB_KEY_LEN] = { 9 };
	struct lab_request rq;
	uint8_t body[LAB_REQUEST_LEN], nonce[LAB_NONCE_LEN] = { 5 };
	struct lab_key other;
	struct fixture f;

	(void)state;
	setup(&f);
	rq = request_of(&f, 1, "pc");
	assert_int_equal(lab_key_derive(raw, &other), 0);
	assert_int_equal(lab_request_seal(&other, nonce, &rq, body), 0);
	lab_host_request(&f.h, &f.peer, body, sizeof(body), &f.a);
	assert_int_equal(f.a.hresult, HR_HOST_MISMATCH);
	assert_non_null(strstr(f.line, "another lab key"));
	assert_int_equal(lab_request_seal(&f.key, nonce, &rq, body), 0);
	body[40] ^= 1;
	f.mono_ms += LOG_LIMIT_MS;
	lab_host_request(&f.h, &f.peer, body, sizeof(body), &f.a);
	assert_int_equal(f.a.hresult, HR_INVALID_DATA);
	assert_int_equal(f.a.body_len, 0);
	assert_non_null(strstr(f.line, "damaged"));
	teardown(&f);
}

static void t_clock_skew(void **state)
{
	static const struct {
		int64_t skew_ms;
		uint32_t hresult;
	} rows[] = {
		{ 0, 0 },
		{ KMS_SKEW_MAX_MS, 0 },
		{ -KMS_SKEW_MAX_MS, 0 },
		{ KMS_SKEW_MAX_MS + 1, 0xC004F06C },
		{ -KMS_SKEW_MAX_MS - 1, 0xC004F06C },
		{ INT64_MAX / 4, 0xC004F06C },
	};
	struct fixture f;

	(void)state;
	setup(&f);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lab_request rq = request_of(&f, 1, "pc");

		rq.client_time = lab_filetime(T0 + rows[i].skew_ms);
		ask(&f, &rq);
		assert_int_equal(f.a.hresult, rows[i].hresult);
		assert_int_equal(f.a.body_len > 0, rows[i].hresult == 0);
	}
	assert_int_equal(f.h.memory->totals.failed, 3);
	assert_int_equal(f.told, 6); /* a host logs these too */
	assert_int_equal(kms_count_now(&f.h.memory->count, T0), 1);
	teardown(&f);
}

static void t_cloned_image_is_reported_once(void **state)
{
	struct lab_request a, b;
	struct fixture f;

	(void)state;
	setup(&f);
	a = request_of(&f, 1, "pc1");
	b = request_of(&f, 1, "pc2");
	ask(&f, &a);
	assert_int_equal(f.lines, 0);
	ask(&f, &b);
	assert_int_equal(f.lines, 1);
	assert_non_null(strstr(f.line, "kms.duplicate_cmid"));
	assert_non_null(strstr(f.line, "pc1"));
	assert_non_null(strstr(f.line, "pc2"));
	ask(&f, &a);
	assert_int_equal(f.lines, 1);
	assert_int_equal(kms_clients_duplicates(&f.h.memory->clients), 1);
	teardown(&f);
}

static void t_event_12290(void **state)
{
	struct lab_request rq;
	struct fixture f;

	(void)state;
	setup(&f);
	rq = request_of(&f, 0xab, "pc,1\n0x0,25");
	rq.vm = true;
	ask(&f, &rq);
	assert_int_equal(f.told, 1);
	assert_string_equal(f.event, "0x0,25,pc?1?0x0?25,ab000000-0000-0000-0000-000000000000,"
				     "2026/11/21 12:00,1,2,43200,"
				     "00000000-0000-0000-0000-000000000000");
	teardown(&f);
}

/* The samples of behaviour §4.1 and §4.2. */
/* A hundred lines a second, then one for the rest of it: a busy host does not fill the disk. */
static void t_lines_of_requests_are_bounded(void **state)
{
	int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct lab_request rq;
	struct fixture f;

	(void)state;
	setup(&f);
	log_setup(LOG_INFO, LOG_TEXT, quiet);
	f.mono_ms = 5000;
	for (unsigned second = 0; second < 2; second++) {
		f.lines = 0;
		for (unsigned i = 0; i < 250; i++) {
			rq = request_of(&f, (uint8_t)i, "pc");
			ask(&f, &rq);
		}
		assert_int_equal(f.lines, LINE_BUDGET + (second > 0)); /* and the sum of before */
		assert_true(line_budget_holds(&f.h.lines));
		f.mono_ms += 1000;
	}
	assert_int_equal(f.told, 500); /* no event is lost by that */
	f.lines = 0;
	line_budget_tell(&f.h.lines);
	assert_int_equal(f.lines, 1);
	assert_non_null(strstr(f.line, "kms.requests requests=150"));
	assert_false(line_budget_holds(&f.h.lines));
	line_budget_tell(&f.h.lines);
	assert_int_equal(f.lines, 1);
	log_setup(LOG_WARNING, LOG_TEXT, STDERR_FILENO);
	assert_int_equal(close(quiet), 0);
	teardown(&f);
}

static void t_client_lines(void **state)
{
	struct kms_event_12288 s = { .hresult = 0xC004F06C,
				     .server = "host:1688",
				     .client_ms = INT64_C(1285782720000),
				     .licence = 2,
				     .minutes_left = 41760,
				     .n_policy = 5 };
	struct kms_event_12289 r = { .bound = 1,
				     .count = 10,
				     .activation_min = 120,
				     .renewal_min = 10080,
				     .client_ms = INT64_C(1354604760000) };
	char text[KMS_EVENT_TEXT_MAX];

	(void)state;
	assert_int_equal(guid_parse("36f27b39-2fd5-440b-be67-a09996d27a38", &s.cmid), 0);
	assert_int_equal(guid_parse("68531fb9-5511-4989-97be-d11a0f55633f", &s.activation_id), 0);
	kms_event_format_12288(&s, text);
	assert_string_equal(text,
			    "0xC004F06C, 0x00000000, host:1688, "
			    "36f27b39-2fd5-440b-be67-a09996d27a38, 2010/09/29 17:52, 0, 2, 41760, "
			    "68531fb9-5511-4989-97be-d11a0f55633f, 5");
	kms_event_format_12289(&r, text);
	assert_string_equal(text, "0x00000000, 0x00000000, 1, 0, 10, 120, 10080, 2012/12/04 07:06");
}

static void t_log_limit(void **state)
{
	struct log_limit l = { 0 };
	struct addr a;
	uint32_t held;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", 1, &a), 0);
	assert_true(log_limit_pass(&l, &a, 5, &held));
	addr_set_port(&a, 99); /* the same client */
	assert_false(log_limit_pass(&l, &a, 5 + LOG_LIMIT_MS - 1, &held));
	assert_false(log_limit_pass(&l, &a, 5 + LOG_LIMIT_MS - 1, NULL));
	assert_true(log_limit_pass(&l, &a, 5 + LOG_LIMIT_MS, &held));
	assert_int_equal(held, 2);
	for (unsigned i = 2; i < 250; i++) { /* more addresses than it holds */
		struct addr b;
		char text[32];

		(void)snprintf(text, sizeof(text), "127.0.0.%u", i);
		assert_int_equal(addr_parse(text, 1, &b), 0);
		assert_true(log_limit_pass(&l, &b, 100000 + i, &held));
	}
	assert_int_equal(l.n, LOG_LIMIT_ADDRS);
	assert_true(log_limit_pass(&l, &a, 100300, &held)); /* forgotten: quiet longest */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_answers_echo_and_count),
		cmocka_unit_test(t_windows_client_is_refused),
		cmocka_unit_test(t_other_key_and_damage),
		cmocka_unit_test(t_clock_skew),
		cmocka_unit_test(t_cloned_image_is_reported_once),
		cmocka_unit_test(t_event_12290),
		cmocka_unit_test(t_lines_of_requests_are_bounded),
		cmocka_unit_test(t_client_lines),
		cmocka_unit_test(t_log_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
