#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "kmscore/kin.h"

static const struct guid own = { { 0xaa, 1 } };
static const struct guid other = { { 0xbb, 2 } };

static void t_offer(void **state)
{
	char text[GUID_TEXT_MAX];
	struct rpc_ctx_item item;

	(void)state;
	guid_format(&kms_kin_syntax.uuid, text);
	assert_string_equal(text, "ed9ec1e3-6a0d-4c2a-9c5f-0a36b7f0d6c1");
	kms_kin_offer(&item, 7, &own);
	assert_int_equal(item.id, 7);
	assert_int_equal(item.n_transfer, 1);
	assert_true(guid_equal(&item.transfer[0].uuid, &own));
	assert_int_equal(item.transfer[0].major, 0);
	assert_true(kms_kin_is_offer(&item));
	item.n_transfer = 2;
	assert_false(kms_kin_is_offer(&item));
	item.n_transfer = 1;
	item.abstract = rpc_syntax_kms;
	assert_false(kms_kin_is_offer(&item));
}

static void t_judge(void **state)
{
	static const struct {
		uint16_t result;
		struct rpc_syntax transfer;
		enum kms_kin kin;
	} rows[] = {
		{ RPC_CTX_ACCEPT, { { { 0xbb, 2 } }, KMS_KIN_ROLE_LAB, 0 }, KMS_KIN_LAB },
		{ RPC_CTX_ACCEPT, { { { 0xbb, 2 } }, KMS_KIN_ROLE_RELAY, 0 }, KMS_KIN_RELAY },
		{ RPC_CTX_ACCEPT, { { { 0xbb, 2 } }, 77, 0 }, KMS_KIN_RELAY },
		{ RPC_CTX_ACCEPT, { { { 0xaa, 1 } }, KMS_KIN_ROLE_RELAY, 0 }, KMS_KIN_SELF },
		{ RPC_CTX_ACCEPT, { { { 0xaa, 1 } }, KMS_KIN_ROLE_LAB, 0 }, KMS_KIN_SELF },
		{ RPC_CTX_ACCEPT, { { { 0xaa, 1 } }, 0, 0 }, KMS_KIN_NONE }, /* an echo */
		{ RPC_CTX_USER_REJECT, { { { 0xaa, 1 } }, 2, 0 }, KMS_KIN_NONE },
		{ RPC_CTX_PROVIDER_REJECT, { { { 0 } }, 0, 0 }, KMS_KIN_NONE },
		{ RPC_CTX_NEGOTIATE_ACK, { { { 0xbb, 2 } }, 2, 0 }, KMS_KIN_NONE },
	};
	struct rpc_ctx_answer a;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&a, 0, sizeof(a));
		a.result = rows[i].result;
		a.transfer = rows[i].transfer;
		assert_int_equal(kms_kin_judge(&a, &own), rows[i].kin);
	}
	a.result = RPC_CTX_ACCEPT;
	a.transfer = rpc_syntax_ndr32; /* major version 2 */
	assert_int_equal(kms_kin_judge(&a, &own), KMS_KIN_NONE);
	a.transfer = rpc_syntax_ndr64;
	assert_int_equal(kms_kin_judge(&a, &own), KMS_KIN_NONE);
}

static void t_accept(void **state)
{
	struct rpc_ctx_answer a;

	(void)state;
	kms_kin_accept(&a, &other, KMS_KIN_ROLE_LAB);
	assert_int_equal(kms_kin_judge(&a, &own), KMS_KIN_LAB);
	assert_int_equal(kms_kin_judge(&a, &other), KMS_KIN_SELF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_offer),
		cmocka_unit_test(t_judge),
		cmocka_unit_test(t_accept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
