/* What `client dlv` says: each status, hosts that are not known, and no room for the text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "kmscore/lab_client.h"

#define T0 INT64_C(1795262400000)

static void client(struct lab_client *c)
{
	struct rng rng;

	rng_init_seed(&rng, 7);
	lab_client_init(c, lab_product_find("windows"), "pc1", &rng, T0);
}

/** The whole text, with its NUL. */
static const char *dlv(const struct lab_client *c, int64_t now_ms, struct buf *out)
{
	buf_init(out, 65536);
	assert_int_equal(lab_client_dlv(c, now_ms, out), 0);
	assert_int_equal(buf_append(out, "", 1), 0);
	return (const char *)out->data;
}

static void t_each_status(void **state)
{
	static const struct {
		enum kms_licence licence;
		const char *text;
	} rows[] = {
		{ KMS_UNLICENSED, "License Status: Unlicensed\n" },
		{ KMS_LICENSED, "License Status: Licensed\n" },
		{ KMS_OOB_GRACE, "License Status: Initial grace period\n" },
		{ KMS_OOT_GRACE, "License Status: Additional grace period (KMS license expired or "
				 "hardware out of tolerance)\n" },
		{ KMS_NON_GENUINE_GRACE, "License Status: Non-genuine grace period.\n" },
		{ KMS_NOTIFICATION, "License Status: Notification\n" },
		{ KMS_EXTENDED_GRACE, "License Status: Extended grace period\n" },
		{ KMS_LICENCE_COUNT_, "License Status: Unknown\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lab_client c;
		struct buf out;

		client(&c);
		c.licence = rows[i].licence;
		assert_non_null(strstr(dlv(&c, T0, &out), rows[i].text));
		buf_done(&out);
	}
}

static void t_time_that_is_left(void **state)
{
	struct lab_client c;
	struct buf out;

	(void)state;
	client(&c);
	c.expires_ms = T0 + 1;
	assert_non_null(strstr(dlv(&c, T0, &out), "Time remaining: 1 minute(s) (1 day(s))\n"));
	buf_done(&out);
	assert_null(strstr(dlv(&c, T0 + 1, &out), "Time remaining"));
	buf_done(&out);
	c.expires_ms = 0; /* without end */
	assert_null(strstr(dlv(&c, T0, &out), "Time remaining"));
	buf_done(&out);
}

static void t_host_that_is_not_known(void **state)
{
	struct lab_client c;
	struct buf out;

	(void)state;
	client(&c);
	c.licence = KMS_LICENSED;
	assert_non_null(strstr(dlv(&c, T0, &out), "    DNS auto-discovery: KMS name not available\n"
						  "    KMS machine IP address: not available\n"));
	buf_done(&out);
}

/* Whichever line has no room: the error is told, and nothing is written past the bound. */
static void t_no_room(void **state)
{
	static const enum kms_licence statuses[] = { KMS_OOB_GRACE, KMS_NOTIFICATION,
						     KMS_LICENSED };

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct lab_client c;
		struct buf out;
		size_t whole;

		client(&c);
		c.licence = statuses[i];
		(void)lab_client_skms(&c, "kms1.test", NULL);
		(void)lab_client_set_lookup_domain(&c, "corp.test", NULL);
		whole = strlen(dlv(&c, T0, &out));
		buf_done(&out);
		for (size_t room = 1; room < whole; room++) {
			buf_init(&out, room);
			assert_int_equal(lab_client_dlv(&c, T0, &out), ERR_LIMIT);
			assert_true(out.len <= room);
			buf_done(&out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_each_status),
		cmocka_unit_test(t_time_that_is_left),
		cmocka_unit_test(t_host_that_is_not_known),
		cmocka_unit_test(t_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
