#include "tests/lib/dns_client_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

static void on_done(struct dns_client *c, const struct dns_outcome *o)
{
	struct dcx *f = c->owner;

	f->calls++;
	f->done = true;
	f->o = *o;
	assert_null(c->impl);
	if (o->msg != NULL)
		(void)dnsmsg_section(o->msg, DNS_ANSWER, &f->n_answers);
	memset(c, 0xa5, sizeof(*c));
	free(c);
	for (size_t i = 0; i < DCX_SERVERS; i++)
		if (f->server[i] != NULL)
			fake_dns_free(f->server[i]);
}

void dcx_init(struct dcx *f)
{
	memset(f, 0, sizeof(*f));
	test_net_init(&f->t);
	assert_int_equal(dns_name_parse(DCX_OWNER, &f->question.name), 0);
	f->question.type = DNS_TYPE_SRV;
	f->question.rd = true;
	f->p.servers = f->list;
	f->p.question = &f->question;
	f->p.attempt_ms = DCX_PATIENT_MS;
	f->p.total_ms = 2 * DCX_PATIENT_MS;
}

struct fake_dns *dcx_add_full(struct dcx *f, const struct fake_dns_params *p)
{
	struct fake_dns_params params = *p;
	size_t i = f->p.n_servers++;

	params.ctx = f;
	f->server[i] = fake_dns_new(&f->t, &params);
	f->list[i].addr = *fake_dns_addr(f->server[i]);
	f->list[i].key = f->key;
	return f->server[i];
}

struct fake_dns *dcx_add(struct dcx *f, fake_dns_fn *serve)
{
	return dcx_add_full(f, &(struct fake_dns_params){ .on_message = serve });
}

/** From here on servers have the key that the client has. */
void dcx_use_key(struct dcx *f)
{
	f->key = fake_tsig_client_key();
}

void dcx_use_update(struct dcx *f)
{
	assert_int_equal(dns_name_parse("corp.example", &f->update.zone), 0);
	f->change.op = DNS_ADD;
	assert_int_equal(dns_name_parse(DCX_OWNER, &f->change.rr.owner), 0);
	f->change.rr.type = DNS_TYPE_SRV;
	f->change.rr.rclass = DNS_CLASS_IN;
	f->change.rr.ttl = 3600;
	f->change.rr.data.srv.port = 1688;
	assert_int_equal(dns_name_parse("kms1.corp.example", &f->change.rr.data.srv.target), 0);
	f->update.changes = &f->change;
	f->update.n_changes = 1;
	f->p.question = NULL;
	f->p.update = &f->update;
}

void dcx_start(struct dcx *f)
{
	f->c = calloc(1, sizeof(*f->c));
	assert_non_null(f->c);
	f->c->owner = f;
	dns_client_start(f->c, &f->t.net, &f->p, on_done);
	memset(f->list, 0xee, sizeof(f->list)); /* start has copied what it needs */
	memset(&f->question, 0xee, sizeof(f->question));
	memset(&f->update, 0xee, sizeof(f->update));
	memset(&f->change, 0xee, sizeof(f->change));
	tsig_key_unref(f->key);
	assert_int_equal(f->calls, 0);
}

void dcx_finish(struct dcx *f)
{
	test_net_run_until(&f->t, &f->done);
	test_net_done(&f->t);
	assert_int_equal(f->calls, 1);
}

void dcx_run(struct dcx *f)
{
	dcx_start(f);
	dcx_finish(f);
}

/* Servers */

void dcx_answer(struct fake_reply *r, const struct fake_dns_request *rq)
{
	fake_reply_begin(r, rq, DNS_RCODE_NOERROR, FAKE_AA);
	if (rq->msg != NULL && rq->msg->opcode == DNS_OPCODE_QUERY)
		fake_reply_srv(r, DNS_ANSWER, DCX_OWNER, 3600, 0, 0, 1688, "kms1.corp.example");
}

void dcx_serve(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	dcx_answer(&r, rq);
	fake_dns_send_reply(&rq->from, &r);
}

void dcx_serve_silence(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;

	(void)s;
	(void)rq;
	f->seen++;
}

void dcx_serve_rcode(const struct fake_dns_request *rq, unsigned rcode)
{
	struct fake_reply r;

	fake_reply_begin(&r, rq, rcode, FAKE_AA);
	fake_dns_send_reply(&rq->from, &r);
}

void dcx_serve_signed(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	struct fake_reply r;

	(void)s;
	f->seen++;
	assert_true(fake_tsig_check(rq).valid);
	dcx_answer(&r, rq);
	fake_tsig_sign(&r, rq, &(struct fake_tsig_flaws){ 0 });
	fake_dns_send_reply(&rq->from, &r);
}

void dcx_serve_arg(struct fake_dns *s, const struct fake_dns_request *rq, void *ctx)
{
	struct dcx *f = ctx;
	unsigned rcode = *(const unsigned *)f->arg;

	(void)s;
	f->seen++;
	dcx_serve_rcode(rq, rcode);
}
