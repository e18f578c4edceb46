#include "common/hresult.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

static void t_codes_are_distinct_and_complete(void **state)
{
	(void)state;
	for (size_t i = 0; i < hresult_count(); i++) {
		const struct hresult_info *a = hresult_at(i);

		assert_ptr_equal(hresult_find(a->code), a);
		assert_true(strlen(a->meaning) > 0 && strlen(a->cause) > 0);
		assert_true(strlen(a->next_step) > 0);
	}
	assert_null(hresult_at(hresult_count()));
	assert_null(hresult_find(0xDEADBEEFu));
	assert_string_equal(hresult_text(0xDEADBEEFu), "unknown code");
}

static void t_format(void **state)
{
	char buf[HRESULT_TEXT_MAX];

	(void)state;
	assert_string_equal(hresult_format(HR_BINDING_SERVICE_UNAVAILABLE, buf), "0xC004F074");
	assert_string_equal(hresult_format(HR_OK, buf), "0x00000000");
}

/* The codes of behaviour §1.6, which administrators know by heart. */
static void t_rcodes(void **state)
{
	static const struct {
		unsigned rcode;
		uint32_t code;
	} t[] = {
		{ 0, 0 },
		{ 1, 0x80072329u },
		{ 2, 0x8007232Au },
		{ 3, 0x8007232Bu },
		{ 4, 0x8007232Cu },
		{ 5, 0x8007232Du },
		{ 6, 0x8007232Eu },
		{ 7, 0x8007232Fu },
		{ 8, 0x80072330u },
		{ 9, 0x80072331u },
		{ 10, 0x80072332u },
		{ 11, 0x80072520u },
		{ 15, 0x80072520u },
		{ 16, 0x80072338u },
		{ 17, 0x80072339u },
		{ 18, 0x8007233Au },
		{ 19, 0x80072520u },
		{ 4095, 0x80072520u },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(hresult_from_rcode(t[i].rcode), t[i].code);
}

static void t_errors(void **state)
{
	static const struct {
		int err;
		uint32_t code;
	} t[] = {
		{ ERR_OK, HR_OK },
		{ ERR_RCODE_FORMERR, 0x80072329u },
		{ ERR_RCODE_SERVFAIL, 0x8007232Au },
		{ ERR_RCODE_NOTZONE, 0x80072332u },
		{ ERR_RCODE_OTHER, 0x80072520u },
		{ ERR_TIMEOUT, 0x800705B4u },
		{ -ECONNREFUSED, 0x800705B4u },
		{ ERR_TSIG_UNSIGNED, 0x80072521u },
		{ ERR_TSIG_PEER_BADTIME, 0x8007233Au },
		{ ERR_DNS_MALFORMED, 0x8007251Eu },
		{ ERR_DNS_NODATA, 0x8007251Du },
		{ ERR_INTERNAL, 0x80072520u },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(hresult_from_err(t[i].err), t[i].code);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_codes_are_distinct_and_complete),
		cmocka_unit_test(t_format),
		cmocka_unit_test(t_rcodes),
		cmocka_unit_test(t_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
