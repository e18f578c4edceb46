/* What is said of RPC's numbers, and which errors are our own machine's. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/bind_judge.h"
#include "kmscore/events.h"
#include "kmscore/rpc.h"

struct row {
	uint32_t number;
	const char *text;
};

#define N(a) (sizeof(a) / sizeof((a)[0]))

static void t_pdu_types(void **state)
{
	static const struct row rows[] = {
		{ 0, "request" },        { 2, "response" },
		{ 3, "fault" },          { 11, "bind" },
		{ 12, "bind_ack" },      { 13, "bind_nak" },
		{ 14, "alter_context" }, { 15, "alter_context_resp" },
		{ 16, "auth3" },         { 17, "shutdown" },
		{ 18, "co_cancel" },     { 19, "orphaned" },
		{ 1, "unknown" },        { 20, "unknown" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_string_equal(rpc_ptype_name(rows[i].number), rows[i].text);
}

/* C706 12.6.4.5 and [MS-RPCE] 2.2.2.5: reasons of a bind_nak. */
static void t_reasons_of_a_nak(void **state)
{
	static const struct row rows[] = {
		{ 0, "reason not specified" },
		{ 1, "temporary congestion" },
		{ 2, "local limit exceeded" },
		{ 4, "protocol version not supported" },
		{ 8, "authentication type not recognized" },
		{ 9, "invalid checksum" },
		{ 3, "unknown reason" },
		{ 65535, "unknown reason" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_string_equal(rpc_nak_text((uint16_t)rows[i].number), rows[i].text);
}

/* C706 12.6.3.1: of a context that was rejected. */
static void t_reasons_of_a_rejection(void **state)
{
	static const struct row rows[] = {
		{ 0, "reason not specified" },
		{ 1, "abstract syntax not supported" },
		{ 2, "proposed transfer syntaxes not supported" },
		{ 3, "local limit exceeded" },
		{ 4, "unknown reason" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_string_equal(rpc_reason_text((uint16_t)rows[i].number), rows[i].text);
}

static void t_faults(void **state)
{
	static const struct row rows[] = {
		{ 0x1C010002, "nca_s_op_rng_error: no such operation" },
		{ 0x1C010003, "nca_s_unk_if: unknown interface" },
		{ 0x1C01000B, "nca_s_proto_error: protocol error" },
		{ 0x000006F7, "nca_s_fault_ndr: arguments cannot be decoded" },
		{ 5, "access denied" },
		{ 0xFFFFFFFF, "fault" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_string_equal(rpc_fault_text(rows[i].number), rows[i].text);
}

static void t_errors_of_our_own_machine(void **state)
{
	static const struct {
		int err;
		bool local;
	} rows[] = {
		{ ERR_CANCELED, true },   { ERR_NOMEM, true },      { -ENOMEM, true },
		{ -ENOBUFS, true },       { -EMFILE, true },        { -ENFILE, true },
		{ -EADDRNOTAVAIL, true }, { ERR_TIMEOUT, false },   { ERR_CLOSED, false },
		{ -ECONNREFUSED, false }, { -EHOSTUNREACH, false }, { 0, false },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++)
		assert_int_equal(kms_connect_is_local(rows[i].err), rows[i].local);
}

/* Of a connection: a state, and a clause for a person. */
static void t_connections_that_failed(void **state)
{
	static const struct {
		int err;
		bool connected;
		enum probe_state state;
		const char *says;
	} rows[] = {
		{ ERR_CANCELED, false, PROBE_TIMEOUT, "canceled" },
		{ ERR_TIMEOUT, false, PROBE_TIMEOUT, "no connection in time" },
		{ ERR_TIMEOUT, true, PROBE_TIMEOUT, "connected, but no answer in time" },
		{ -ETIMEDOUT, false, PROBE_TIMEOUT, "no connection in time" },
		{ ERR_CLOSED, true, PROBE_REFUSED, "closed the connection" },
		{ -ECONNRESET, true, PROBE_REFUSED, "closed the connection" },
		{ -EPIPE, true, PROBE_REFUSED, "closed the connection" },
		{ -ECONNREFUSED, false, PROBE_REFUSED, "connection refused" },
		{ -EHOSTUNREACH, false, PROBE_TIMEOUT, "no route" },
		{ -ENETUNREACH, false, PROBE_TIMEOUT, "no route" },
		{ ERR_NOMEM, false, PROBE_TIMEOUT, "not probed" },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		char detail[PROBE_DETAIL_MAX];

		assert_int_equal(
			kms_connect_judge(rows[i].err, rows[i].connected, detail, sizeof(detail)),
			rows[i].state);
		assert_non_null(strstr(detail, rows[i].says));
	}
}

/* A client's clock may say anything. */
static void t_times_of_any_year(void **state)
{
	struct kms_event_12289 e = { .client_ms = INT64_MAX, .count = 1 };
	char text[KMS_EVENT_TEXT_MAX];

	(void)state;
	kms_event_format_12289(&e, text);
	assert_non_null(strstr(text, ", 292278994/08/17 07:12"));
	e.client_ms = 0;
	kms_event_format_12289(&e, text);
	assert_non_null(strstr(text, "1970/01/01 00:00"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_pdu_types),
		cmocka_unit_test(t_reasons_of_a_nak),
		cmocka_unit_test(t_reasons_of_a_rejection),
		cmocka_unit_test(t_faults),
		cmocka_unit_test(t_errors_of_our_own_machine),
		cmocka_unit_test(t_connections_that_failed),
		cmocka_unit_test(t_times_of_any_year),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
