/* What the service tells of a relay and its requests. */
#include "tests/lib/played_relay.h"

/* Records */

static void record(const struct relay_record *r)
{
	fake->p.record(fake->p.ctx, r);
}

static void t_records(void **state)
{
	struct addr one = test_addr("192.0.2.1:50001"), two = test_addr("[2001:db8::2]:50002");
	struct relay_record r = { .client = &one,
				  .upstream = "winkms1",
				  .version = { 6, 0 },
				  .attempts = 1,
				  .bytes_in = 268,
				  .bytes_out = 292,
				  .ms = 1.25 };
	struct fixture f;

	(void)state;
	setup(&f);
	record(&r);
	assert_non_null(strstr(f.line, "info kms relay.request client=192.0.2.1:50001 version=6.0 "
				       "upstream=winkms1 attempts=1 hresult=0x00000000 "
				       "bytes_in=268 bytes_out=292 ms=1.2"));
	assert_string_equal(f.sentence, "192.0.2.1 was served by winkms1.");
	assert_string_equal(f.fields,
			    "client=192.0.2.1:50001 version=6.0 upstream=winkms1 attempts=1 "
			    "hresult=0x00000000 bytes_in=268 bytes_out=292 ms=1.2");
	assert_string_equal(f.event.name, "relay.request");
	assert_int_equal(f.event.id, 0);
	assert_int_equal(f.event.hresult, 0);
	assert_int_equal(status(&f).requests, 1);
	assert_int_equal(status(&f).failed, 0);

	r.client = &two;
	r.hresult = 0xC004F042;
	record(&r);
	assert_non_null(strstr(f.line, "client=[2001:db8::2]:50002"));
	assert_non_null(strstr(f.line, "hresult=0xC004F042"));
	assert_string_equal(f.sentence, "2001:db8::2 was refused by winkms1 (0xC004F042).");
	assert_int_equal(f.event.hresult, 0xC004F042);
	assert_int_equal(status(&f).failed, 1);

	r.err = ERR_RPC_FAULT;
	r.fault_status = 0x1C010002;
	record(&r);
	assert_non_null(strstr(f.line, "attempts=1 fault=0x1C010002"));
	assert_int_equal(status(&f).failed, 2);

	r.err = ERR_TIMEOUT;
	r.upstream = NULL;
	record(&r);
	assert_non_null(strstr(f.line, "upstream=- attempts=1 err=TIMEOUT"));
	assert_string_equal(f.sentence, "No upstream answered 2001:db8::2 (TIMEOUT).");
	assert_int_equal(status(&f).failed, 3);

	r.err = ERR_CANCELED;
	record(&r);
	assert_non_null(strstr(f.line, "err=CANCELED"));
	assert_int_equal(status(&f).failed, 3); /* nobody waited for it */
	assert_int_equal(status(&f).requests, 5);

	r.err = 0; /* refused by the relay itself */
	record(&r);
	assert_non_null(strstr(f.sentence, "no upstream is a lab host"));
	assert_int_equal(f.events, 6);
	teardown(&f);
}

/* Clients are told apart by their addresses. */
static void t_clients_are_counted(void **state)
{
	struct addr who[3] = { test_addr("192.0.2.1:50001"), test_addr("192.0.2.2:50001"),
			       test_addr("[2001:db8::2]:50002") };
	struct relay_record r = { .upstream = "winkms1" };
	struct fixture f;

	(void)state;
	setup(&f);
	for (int i = 0; i < 9; i++) {
		r.client = &who[i % 3];
		addr_set_port(&who[i % 3], (uint16_t)(60000 + i));
		record(&r);
	}
	assert_int_equal(status(&f).clients_30d, 3);
	assert_int_equal(status(&f).clients_7d, 3);
	assert_int_equal(status(&f).duplicates, 0);
	f.t.clock.wall_ms += INT64_C(8) * 86400 * 1000;
	r.client = &who[0];
	record(&r);
	who[1] = test_addr("192.0.2.9:1");
	r.client = &who[1];
	r.err = ERR_TIMEOUT; /* no client of this service yet */
	record(&r);
	assert_int_equal(status(&f).clients_30d, 3);
	assert_int_equal(status(&f).clients_7d, 1);
	assert_int_equal(status(&f).requests, 11);
	teardown(&f);
}

static void t_lines_are_bounded_the_file_has_all(void **state)
{
	struct addr one = test_addr("192.0.2.1:50001");
	struct relay_record r = { .client = &one, .upstream = "win kms\n1" };
	unsigned n = 0;
	struct fixture f;
	struct buf b;

	(void)state;
	setup_params(&f);
	f.p.request_log = f.file;
	start(&f);
	log_set_tap(NULL, NULL);
	log_setup(LOG_INFO, LOG_TEXT, open("/dev/null", O_WRONLY | O_CLOEXEC));
	log_set_tap(on_line, &f);
	f.t.clock.mono_ms += 5000;
	for (unsigned i = 0; i < 250; i++) {
		r.hresult = i >= 240 ? 0xC004F042 : 0;
		record(&r);
	}
	assert_int_equal(f.lines, LINE_BUDGET);
	while (f.lines == LINE_BUDGET) /* when the second is over */
		(void)uv_run(&f.t.loop, UV_RUN_ONCE);
	assert_non_null(strstr(f.line, "relay.requests requests=150 failed=10 text="));
	kms_service_free(f.s, on_freed, &f);
	f.s = NULL;
	test_net_run_until(&f.t, &f.freed);
	buf_init(&b, 1 << 20);
	assert_int_equal(file_read(f.file, &b), 0);
	for (size_t i = 0; i < b.len; i++)
		n += b.data[i] == '\n';
	assert_int_equal(n, 250);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_non_null(strstr((char *)b.data,
			       "Z client=192.0.2.1:50001 version=0.0 upstream=win?kms?1 attempts=0 "
			       "hresult=0xC004F042"));
	buf_done(&b);
	teardown(&f);
}

static void t_the_file_comes_and_goes(void **state)
{
	struct addr one = test_addr("192.0.2.1:50001");
	struct relay_record r = { .client = &one, .upstream = "winkms1" };
	struct fixture f;
	struct buf b;

	(void)state;
	setup_params(&f);
	f.p.request_log = "/nowhere/at/all"; /* is no reason not to serve */
	start(&f);
	assert_int_equal(f.lines, 1);
	assert_non_null(strstr(f.line, "request_log.failed file=/nowhere/at/all err=ENOENT"));
	record(&r);
	kms_service_set_request_log(f.s, f.file);
	record(&r);
	kms_service_set_request_log(f.s, f.file);
	record(&r);
	kms_service_set_request_log(f.s, NULL); /* what was recorded is written */
	kms_service_set_request_log(f.s, NULL);
	record(&r);
	kms_service_free(f.s, on_freed, &f); /* while it is being closed */
	f.s = NULL;
	test_net_run_until(&f.t, &f.freed);
	buf_init(&b, 4096);
	assert_int_equal(file_read(f.file, &b), 0);
	assert_int_equal(b.data[b.len - 1], '\n');
	assert_ptr_equal(memchr(memchr(b.data, '\n', b.len) + 1, '\n', b.len),
			 b.data + b.len - 1); /* two lines */
	buf_done(&b);
	teardown(&f);
}

static void t_R11_clocks_apart_are_named(void **state)
{
	struct addr one = test_addr("192.0.2.1:50001"), two = test_addr("192.0.2.2:50001");
	struct relay_record r = { .client = &one, .upstream = "winkms1", .hresult = 0xC004F06C };
	struct fixture f;

	(void)state;
	setup(&f);
	record(&r);
	assert_int_equal(f.lines, 2); /* its own line, and this one */
	assert_non_null(strstr(f.line, "warning kms relay.clock_skew client=192.0.2.1 "
				       "upstream=winkms1 hresult=0xC004F06C"));
	assert_non_null(strstr(f.line, "w32tm /resync"));
	record(&r);
	assert_int_equal(f.lines, 3); /* within the minute */
	r.client = &two;
	record(&r);
	assert_int_equal(f.lines, 5);
	r.client = &one;
	f.t.clock.mono_ms += 60000;
	record(&r);
	assert_non_null(strstr(f.line, "held_back=1"));
	/* another host has served the client: then it is known whose clock it is */
	r.upstream = "winkms2";
	r.wrong_clock = "winkms1";
	r.hresult = 0;
	record(&r);
	assert_int_equal(f.lines, 9); /* 7, and two */
	assert_non_null(strstr(f.line, "warning kms relay.wrong_clock upstream=winkms1 "
				       "client=192.0.2.1 served_by=winkms2 hresult=0xC004F06C"));
	record(&r);
	assert_int_equal(f.lines, 10); /* within the minute */
	f.t.clock.mono_ms += 60000;
	record(&r);
	assert_int_equal(f.lines, 12);
	teardown(&f);
}

static void t_a_line_without_an_event(void **state)
{
	struct addr one = test_addr("192.0.2.1:50001");
	struct relay_record r = { .client = &one, .upstream = "winkms1", .version = { 6, 0 } };
	struct fixture f;
	struct buf b;

	(void)state;
	setup_params(&f);
	f.p.on_event = NULL;
	f.p.request_log = f.file;
	start(&f);
	record(&r);
	assert_int_equal(f.events, 0);
	kms_service_set_request_log(f.s, NULL); /* and it ends while the service does */
	kms_service_free(f.s, on_freed, &f);
	test_net_run_until(&f.t, &f.freed);
	f.s = NULL;
	buf_init(&b, 65536);
	assert_int_equal(file_read(f.file, &b), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_non_null(strstr((const char *)b.data, "upstream=winkms1"));
	buf_done(&b);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_records),
		cmocka_unit_test(t_clients_are_counted),
		cmocka_unit_test(t_lines_are_bounded_the_file_has_all),
		cmocka_unit_test(t_the_file_comes_and_goes),
		cmocka_unit_test(t_R11_clocks_apart_are_named),
		cmocka_unit_test(t_a_line_without_an_event),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
