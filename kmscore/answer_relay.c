/* Mode relay: requests are answered by the hosts behind the relay. What is told of each is in
 * relay_records.c. */
#include "kmscore/relay_records.h"
#include "kmscore/session.h"

static void on_changed(void *ctx)
{
	struct kms_service *s = ctx;

	if (s->relay.changed != NULL)
		s->relay.changed(s->ctx);
}

static void on_upstream_changed(void *ctx, const char *name, enum relay_state from,
				enum relay_state to, const char *detail)
{
	struct kms_service *s = ctx;

	if (s->relay.upstream_changed != NULL)
		s->relay.upstream_changed(s->ctx, name, from, to, detail);
}

static void on_record(void *ctx, const struct relay_record *r)
{
	relay_records_add(ctx, r);
}

static bool congested(void *ctx, bool from_relay)
{
	const struct kms_service *s = ctx;

	return !relay_available(s->relay.relay, from_relay);
}

/* Requests */

static void on_answer(struct relay_call *c, const struct relay_answer *a)
{
	struct session *e = c->owner;
	struct buf *out = &e->s->out;
	int err;

	if (a->err == 0)
		err = kms_assoc_respond(&e->a, a->stub, a->stub_len, a->be, out);
	else
		err = kms_assoc_fault(&e->a, a->fault_status, out);
	session_answered(e, err);
}

static int request(struct kms_service *s, struct session *e, const struct kms_request *rq)
{
	const struct kms_call *call = kms_assoc_call(&e->a);
	const struct relay_call_params p = {
		.client = conn_peer(e->c),
		.from_relay = kms_assoc_kin(&e->a) != KMS_KIN_NONE,
		.stub = call->stub,
		.stub_len = call->stub_len,
		.be = call->be,
	};

	(void)rq;
	e->call.owner = e;
	e->waiting = true;
	relay_call_start(s->relay.relay, &e->call, &p, on_answer);
	return 0;
}

static void cancel(struct session *e)
{
	relay_call_cancel(&e->call);
}

static uint32_t wait_ms(const struct kms_service *s)
{
	return relay_call_ms(s->relay.relay);
}

/* Life */

static int init(struct kms_service *s, const struct kms_service_params *p, struct err_info *info)
{
	const struct relay_params rp = {
		.net = s->net,
		.rules = p->relay,
		.node_id = s->host.node_id,
		.changed = on_changed,
		.upstream_changed = on_upstream_changed,
		.record = on_record,
		.ctx = s,
	};
	struct relay_side *r = &s->relay;
	int err;

	r->changed = p->relay_changed;
	r->upstream_changed = p->upstream_changed;
	relay_records_init(s);
	err = relay_new(&rp, &r->relay);
	if (err == 0)
		err = relay_set_upstreams(r->relay, p->upstreams, p->n_upstreams);
	if (err == ERR_LIMIT)
		return err_set(info, err, "more than %d upstreams", RELAY_UPSTREAMS_MAX);
	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	kms_service_set_request_log(s, p->request_log);
	return 0;
}

static void part_ended(void *ctx)
{
	struct kms_service *s = ctx;

	/* While the service lives, that of an old log is no end. */
	if (--s->relay.ending == 0 && s->relay.ended != NULL)
		s->relay.ended(s);
}

static void on_relay_ended(void *ctx)
{
	struct kms_service *s = ctx;

	/* The last records have been made. */
	s->relay.relay = NULL;
	if (s->relay.log != NULL) {
		s->relay.ending++;
		request_log_free(s->relay.log, part_ended, s);
	}
	part_ended(s);
}

static void end(struct kms_service *s, void (*done)(struct kms_service *s))
{
	s->relay.ended = done;
	s->relay.ending++; /* beside old logs that are being closed */
	if (s->relay.relay != NULL)
		relay_free(s->relay.relay, on_relay_ended, s);
	else
		on_relay_ended(s);
}

void kms_service_set_relay(struct kms_service *s, const struct relay_rules *rules)
{
	if (s->relay.relay != NULL)
		relay_set_rules(s->relay.relay, rules);
}

int kms_service_set_upstreams(struct kms_service *s, const struct relay_upstream *list, size_t n)
{
	return s->relay.relay != NULL ? relay_set_upstreams(s->relay.relay, list, n) : ERR_USAGE;
}

const struct relay *kms_service_relay(const struct kms_service *s)
{
	return s->relay.relay;
}

void kms_service_set_request_log(struct kms_service *s, const char *path)
{
	struct relay_side *r = &s->relay;
	struct err_info info;
	int err = 0;

	if (r->relay == NULL)
		return;
	if (path == NULL && r->log != NULL) {
		r->ending++;
		request_log_free(r->log, part_ended, s);
		r->log = NULL;
	} else if (path != NULL && r->log != NULL) {
		err = request_log_reopen(r->log, path, &info);
	} else if (path != NULL) {
		err = request_log_new(s->net->loop, &s->log, path, &r->log, &info);
	}
	if (err != 0)
		log_warning(&s->log, "request_log.failed", "file=%s err=%s text=%s", path,
			    err_name(err), info.text);
}

const struct answers kms_answers_relay = {
	.role = KMS_KIN_ROLE_RELAY,
	.init = init,
	.request = request,
	.cancel = cancel,
	.wait_ms = wait_ms,
	.congested = congested,
	.end = end,
};
