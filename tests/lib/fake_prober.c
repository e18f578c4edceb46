#include "tests/lib/fake_prober.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct running {
	uv_timer_t timer;
	struct probe_op *op;
	struct probe_result result;
};

static void on_closed(uv_handle_t *h)
{
	struct running *r = h->data;
	struct probe_op *op = r->op;
	struct probe_result result = r->result;

	free(r);
	op->impl = NULL;
	op->done(op, &result);
}

static void on_timer(uv_timer_t *t)
{
	uv_close((uv_handle_t *)t, on_closed);
}

static bool matches(const char *rule, const char *addr)
{
	return rule == NULL || strcmp(rule, addr) == 0;
}

static void decide(const struct fake_prober *f, const char *addr, struct probe_result *ret)
{
	ret->state = PROBE_UP;
	for (size_t i = f->n_rules; i > 0; i--)
		if (matches(f->rules[i - 1].addr, addr))
			ret->state = f->rules[i - 1].state;
	for (size_t i = f->n_activations; i > 0; i--) {
		if (!matches(f->activations[i - 1].addr, addr))
			continue;
		ret->activation = true;
		ret->hresult = f->activations[i - 1].hresult;
		ret->final = f->activations[i - 1].final;
	}
}

static void start(const struct prober *p, struct probe_op *op, struct net *net,
		  const struct addr *addr, uint32_t timeout_ms, probe_done_fn *done)
{
	struct fake_prober *f = p->ctx;
	struct running *r = calloc(1, sizeof(*r));
	char text[ADDR_TEXT_MAX];
	size_t used = strlen(f->order);

	(void)timeout_ms;
	if (r == NULL)
		abort();
	f->started++;
	addr_format(addr, text);
	snprintf(f->order + used, sizeof(f->order) - used, "%s%s", used > 0 ? " " : "", text);
	r->op = op;
	decide(f, text, &r->result);
	r->result.addr = *addr;
	r->result.rtt_ms = 1.5;
	snprintf(r->result.detail, sizeof(r->result.detail), "so the test says");
	op->done = done;
	op->impl = r;
	uv_timer_init(net->loop, &r->timer);
	r->timer.data = r;
	if (!f->silent)
		uv_timer_start(&r->timer, on_timer, 0, 0);
}

static void cancel(struct probe_op *op)
{
	struct running *r = op->impl;

	if (r != NULL && !uv_is_closing((uv_handle_t *)&r->timer))
		uv_close((uv_handle_t *)&r->timer, on_closed);
}

void fake_prober_init(struct fake_prober *f)
{
	memset(f, 0, sizeof(*f));
	f->prober = (struct prober){ .start = start, .cancel = cancel, .ctx = f };
}
