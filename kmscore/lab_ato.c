#include "kmscore/lab_ato.h"

#include <string.h>

#include "common/addr.h"
#include "common/hresult.h"

static void deliver(struct lab_ato *a)
{
	a->state = LA_DONE;
	a->p.done(a); /* may free a */
}

static void event_lines(const struct lab_ato *a, const struct lab_verdict *v, int err,
			struct lab_attempt *t)
{
	const struct lab_request *rq = &a->pending.rq;
	char server[HOST_TEXT_MAX + 16];
	struct kms_event_12288 sent = {
		/* With an answer that was processed, sending it has succeeded. */
		.hresult = v->response ? HR_OK : v->hresult,
		.server = server,
		.cmid = rq->cmid,
		.client_ms = a->sent_ms,
		.vm = rq->vm,
		.licence = rq->licence,
		.minutes_left = rq->minutes_left,
		.activation_id = rq->activation_id,
		.n_policy = rq->n_policy,
	};
	struct kms_event_12289 response = {
		/* Too low a count is a status of a valid answer, not an error of it. */
		.hresult = v->answered ? HR_OK : v->hresult,
		.status = v->status,
		.bound = v->hresult == HR_OK,
		.count = v->rs.count,
		.activation_min = v->rs.activation_min,
		.renewal_min = v->rs.renewal_min,
		.client_ms = a->sent_ms,
	};

	(void)hostport_format(t->at.host, addr_port(&t->at.addr), server, sizeof(server));
	t->sent_hresult = sent.hresult;
	t->response_hresult = response.hresult;
	kms_event_format_12288(&sent, t->sent);
	if (err == 0 && v->response)
		kms_event_format_12289(&response, t->response);
}

static void try_next(struct lab_ato *a);

static void on_rpc_done(struct kms_client *c, const struct kms_client_result *r)
{
	struct lab_ato *a = c->owner;
	int64_t now_ms = clock_wall_ms(a->net->clock);
	struct lab_attempt *t;
	struct lab_verdict v;

	if (a->state == LA_CANCELING)
		a->err = ERR_CANCELED;
	if (a->err != 0) {
		deliver(a);
		return;
	}
	t = &a->attempt[a->n_attempts];
	t->at = a->host[a->n_attempts++];
	t->rtt_ms = r->rtt_ms;
	t->err = r->err;
	lab_client_answer(a->p.client, a->p.key, &a->pending, r->err, r->hresult, r->body,
			  r->body_len, t->at.host, &t->at.addr, now_ms, &v);
	t->hresult = v.hresult;
	t->sent_ms = a->sent_ms;
	t->ended_ms = now_ms;
	event_lines(a, &v, r->err, t);
	a->answered = v.answered;
	if (!v.final && a->n_attempts < a->p.n_hosts) {
		try_next(a);
		return;
	}
	a->code = v.final ? v.hresult : HR_BINDING_SERVICE_UNAVAILABLE;
	if (a->code != HR_OK)
		lab_client_failed(a->p.client, a->code, now_ms);
	deliver(a);
}

/**
 * Ask the next host. With a->err set there is none to ask; the operation is started all the same,
 * to an address that is none, because its end is what brings done() out of the loop.
 */
static void try_next(struct lab_ato *a)
{
	struct kms_client_params p = { .timeout_ms = a->p.host_timeout_ms, .done = on_rpc_done };
	uint8_t body[LAB_REQUEST_LEN];

	if (a->err == 0) {
		a->sent_ms = clock_wall_ms(a->net->clock);
		(void)lab_client_advance(a->p.client, a->sent_ms);
		a->err = lab_client_request(a->p.client, a->p.key, a->net->rng, a->sent_ms,
					    &a->pending, body);
	}
	if (a->err == 0) {
		p.peer = a->host[a->n_attempts].addr;
		p.body = body;
		p.body_len = sizeof(body);
	}
	memset(&a->rpc, 0, sizeof(a->rpc));
	a->rpc.owner = a;
	kms_client_start(&a->rpc, a->net, &p);
}

void lab_ato_start(struct lab_ato *a, struct net *net, const struct lab_ato_params *p)
{
	a->p = *p;
	a->net = net;
	a->state = LA_ASKING;
	a->err = p->n_hosts > 0 ? 0 : ERR_NO_SERVER;
	a->code = HR_BINDING_SERVICE_UNAVAILABLE;
	a->answered = false;
	a->n_attempts = 0;
	memset(a->attempt, 0, sizeof(a->attempt));
	if (a->p.n_hosts > LAB_ATO_HOSTS_MAX)
		a->p.n_hosts = LAB_ATO_HOSTS_MAX;
	if (a->p.n_hosts > 0)
		memcpy(a->host, p->hosts, a->p.n_hosts * sizeof(a->host[0]));
	a->p.hosts = NULL; /* only the copy is looked at from here on */
	try_next(a);
}

void lab_ato_cancel(struct lab_ato *a)
{
	if (a->state != LA_ASKING)
		return;
	a->state = LA_CANCELING;
	kms_client_cancel(&a->rpc);
}
