/* Mode lab: requests are answered at once, by the lab host. */
#include "kmscore/session.h"

static struct lab_rules lab_defaults(const struct lab_rules *r)
{
	struct lab_rules full = *r;

	if (full.activation_min == 0)
		full.activation_min = KMS_ACTIVATION_MIN;
	if (full.renewal_min == 0)
		full.renewal_min = KMS_RENEWAL_MIN;
	return full;
}

void kms_service_set_lab(struct kms_service *s, const struct lab_rules *rules)
{
	struct lab_rules full = lab_defaults(rules);

	if (s->mode == KMS_MODE_LAB)
		lab_host_set_rules(&s->lab, &full);
}

static int init(struct kms_service *s, const struct kms_service_params *p, struct err_info *info)
{
	struct lab_host_params lp = { .clock = s->net->clock,
				      .rng = s->net->rng,
				      .memory = s->memory,
				      .rules = lab_defaults(&p->lab),
				      .on_event = p->on_event,
				      .ctx = p->ctx };
	struct lab_key key;
	int err;

	if (p->lab_key_file == NULL)
		return err_set(info, ERR_CONFIG,
			       "service.mode lab needs lab.key_file; make one with `kmsbeacon lab "
			       "keygen FILE`");
	err = lab_key_read(p->lab_key_file, &key, info);
	if (err != 0)
		return err;
	lp.key = &key;
	lab_host_init(&s->lab, &lp);
	lab_key_wipe(&key);
	s->lines = &s->lab.lines;
	return 0;
}

static int request(struct kms_service *s, struct session *e, const struct kms_request *rq)
{
	bool be = kms_assoc_call(&e->a)->be;
	struct kms_response rs = { 0 };
	struct lab_answer answer;
	struct buf stub;
	int err;

	lab_host_request(&s->lab, conn_peer(e->c), rq->body, rq->body_len, &answer);
	if (line_budget_holds(s->lines))
		kms_service_tell_later(s);
	rs.hresult = answer.hresult;
	if (answer.body_len > 0) {
		rs.body = answer.body;
		rs.body_len = answer.body_len;
	}
	buf_init(&stub, RPC_STUB_MAX);
	err = kms_response_encode(&stub, be, &rs);
	if (err == 0)
		err = kms_assoc_respond(&e->a, stub.data, stub.len, be, &s->out);
	buf_done(&stub);
	return err;
}

static void end(struct kms_service *s, void (*done)(struct kms_service *s))
{
	lab_host_done(&s->lab);
	done(s);
}

const struct answers kms_answers_lab = {
	.role = KMS_KIN_ROLE_LAB,
	.init = init,
	.request = request,
	.end = end,
};
