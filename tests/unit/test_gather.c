#include "net/gather.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "common/err.h"

/* A message is one byte of length and that many bytes. */
struct owner {
	struct buf got; /* what was used, in order */
	unsigned calls;
	unsigned stop_at; /* the call that ends it; 0: none */
	bool all;         /* uses all whole messages in one call */
};

static size_t use(void *ctx, const uint8_t *data, size_t len)
{
	struct owner *o = ctx;
	size_t used = 0;

	assert_true(len > 0);
	if (++o->calls == o->stop_at)
		return GATHER_STOP;
	while (used < len && len - used > data[used]) {
		size_t n = (size_t)data[used] + 1;

		assert_int_equal(buf_append(&o->got, data + used, n), 0);
		used += n;
		if (!o->all)
			break;
	}
	return used;
}

/** However the bytes are cut, the owner gets the same. */
static void t_every_cut(void **state)
{
	static const char text[] = "\3abc\0\1x\5hello\2yz\4mnop";
	const size_t len = sizeof(text) - 1;

	(void)state;
	for (size_t step = 1; step <= len; step++) {
		for (int all = 0; all < 2; all++) {
			struct owner o = { .all = all == 1 };
			struct buf held;

			buf_init(&o.got, 1000);
			buf_init(&held, 6);
			for (size_t at = 0; at < len; at += step) {
				size_t n = len - at < step ? len - at : step;

				assert_int_equal(
					gather_feed(&held, (const uint8_t *)text + at, n, use, &o),
					0);
			}
			assert_int_equal(held.len, 0);
			assert_int_equal(held.cap, 0); /* freed */
			assert_int_equal(o.got.len, len);
			assert_memory_equal(o.got.data, text, len);
			buf_done(&o.got);
		}
	}
}

static void t_limit_is_on_what_is_unused(void **state)
{
	static const uint8_t many[100] = { 0 }; /* 100 messages of one byte */
	struct owner o = { 0 };
	struct buf held;

	(void)state;
	buf_init(&o.got, 1000);
	buf_init(&held, 4);
	assert_int_equal(gather_feed(&held, many, sizeof(many), use, &o), 0);
	assert_int_equal(gather_feed(&held, (const uint8_t *)"\7abc", 4, use, &o), 0);
	assert_int_equal(gather_feed(&held, (const uint8_t *)"d", 1, use, &o), ERR_LIMIT);
	buf_done(&held);
	assert_int_equal(gather_feed(&held, (const uint8_t *)"\7abcd", 5, use, &o), ERR_LIMIT);
	assert_int_equal(o.got.len, 100);
	buf_done(&held);
	buf_done(&o.got);
}

static void t_stop(void **state)
{
	struct owner o = { .stop_at = 2 };
	struct buf held;

	(void)state;
	buf_init(&o.got, 1000);
	buf_init(&held, 100);
	assert_int_equal(gather_feed(&held, (const uint8_t *)"\1a\1b\1c", 6, use, &o), 0);
	assert_int_equal(o.calls, 2);
	assert_int_equal(o.got.len, 2);
	o.stop_at = 4;
	assert_int_equal(gather_feed(&held, (const uint8_t *)"\1", 1, use, &o), 0);
	assert_int_equal(gather_feed(&held, (const uint8_t *)"a\1b", 3, use, &o), 0);
	assert_int_equal(o.calls, 4);
	buf_done(&held);
	buf_done(&o.got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_every_cut),
		cmocka_unit_test(t_limit_is_on_what_is_unused),
		cmocka_unit_test(t_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
