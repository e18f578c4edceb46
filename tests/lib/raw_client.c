#include "tests/lib/raw_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static void on_open(struct tcp_stream *s)
{
	((struct raw_client *)s->owner)->opened = true;
}

static size_t on_data(struct tcp_stream *s, const uint8_t *data, size_t len)
{
	struct raw_client *c = s->owner;

	assert_true(c->got.len + len <= sizeof(c->got.b));
	memcpy(c->got.b + c->got.len, data, len);
	c->got.len += len;
	c->enough = c->got.len >= c->want;
	return len;
}

static void on_done(struct tcp_stream *s, int err)
{
	struct raw_client *c = s->owner;

	c->err = err;
	c->done = true;
}

void raw_connect(struct raw_client *c, struct test_net *t, const struct addr *to)
{
	struct tcp_stream_params p = { .peer = *to,
				       .timeout_ms = 20000,
				       .max_in = 65536,
				       .on_open = on_open,
				       .on_data = on_data,
				       .done = on_done };

	memset(c, 0, sizeof(*c));
	c->t = t;
	c->s.owner = c;
	tcp_stream_start(&c->s, &t->net, &p);
	test_net_run_until(t, &c->opened);
}

void raw_write(struct raw_client *c, const void *data, size_t len)
{
	tcp_stream_write(&c->s, data, len);
}

void raw_forget(struct raw_client *c)
{
	c->got.len = 0;
	c->enough = false;
}

void raw_expect(struct raw_client *c, size_t want)
{
	c->want = want;
	c->enough = c->got.len >= want;
	test_net_run_until(c->t, &c->enough);
}

void raw_send(struct raw_client *c, const void *data, size_t len, size_t want)
{
	raw_forget(c);
	c->want = want;
	raw_write(c, data, len);
	raw_expect(c, want);
}

void raw_close(struct raw_client *c)
{
	tcp_stream_finish(&c->s, 0);
	test_net_run_until(c->t, &c->done);
}
