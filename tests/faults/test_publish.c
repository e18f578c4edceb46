/* The publisher against a small DNS world: whatever fails, the next run puts it right. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"
#include "tests/faults/fault.h"
#include "tests/lib/pub_site.h"

static struct pub_site site; /* large */
static struct pub_site_run first, next;

/* 0 where the run says that everything is as it should be, which is looked at then. */
static int outcome(const struct pub_site_run *run, const char *records)
{
	if (run->err != 0)
		return run->err;
	assert_int_equal(run->n, 1);
	if (strstr(run->results[0].findings, "journal-failed") != NULL)
		return ERR_STORE_FULL;
	switch (run->results[0].state) {
	case PUB_PROVEN:
	case PUB_UNCHANGED:
		assert_string_equal(pub_site_show(&site, 0), records);
		return 0;
	default:
		assert_string_not_equal(run->results[0].hint, "");
		return ERR_INTERNAL;
	}
}

static int publish(void)
{
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, D0);
	site.check_journal = false; /* records are added all the same where it cannot be written */
	fault_begin();
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	fault_end();
	err = outcome(&first, K1);
	pub_site_run(&site, &next, &pub_site_publish, NULL, NULL);
	assert_int_equal(outcome(&next, K1), 0);
	pub_site_restart(&site);
	assert_int_equal(pub_site_journaled(&site, 0, "kms1.d0.test"), PUB_REC_PUBLISHED);
	pub_site_done(&site);
	return err;
}

/* What is ours is found again, and nothing of others is touched. */
static int withdraw(void)
{
	int err;

	pub_site_init(&site);
	pub_site_configure(&site, D0);
	pub_site_add(&site, 0, 0, 0, 1688, "other.d0.test", 3600);
	pub_site_run(&site, &first, &pub_site_publish, NULL, NULL);
	assert_int_equal(outcome(&first, F1 " | " K1), 0);
	fault_begin();
	pub_site_run(&site, &first, &pub_site_withdraw, NULL, NULL);
	fault_end();
	err = outcome(&first, F1);
	pub_site_run(&site, &next, &pub_site_withdraw, NULL, NULL);
	assert_int_equal(outcome(&next, F1), 0);
	pub_site_done(&site);
	return err;
}

static const struct fault_scenario scenarios[] = {
	{ .name = "publish", .run = publish },
	{ .name = "withdraw", .run = withdraw },
};

int main(void)
{
	return fault_run("fault_publish", scenarios, sizeof(scenarios) / sizeof(scenarios[0]));
}
