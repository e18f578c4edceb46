#include "kmscore/relay_judge.h"

#include <stdio.h>

#include "common/err.h"
#include "common/hresult.h"
#include "kmscore/kms_msg.h"

/** Of a host that has no key for the product, or is no host (yet), or whose clock and the client's
 * are apart: which of the two is wrong shows at the next host. */
static bool is_held(uint32_t hresult)
{
	return hresult == HR_HOST_MISMATCH || hresult == HR_HOST_NOT_ACTIVATED ||
	       hresult == HR_BINDING_SERVICE_NOT_ENABLED || hresult == HR_INVALID_TIMESTAMP;
}

static void judge_response(const struct kms_pool_outcome *o, bool holding,
			   struct relay_judgement *ret)
{
	struct kms_response rs;
	int err = kms_response_decode(o->stub, o->stub_len, o->be, &rs);

	ret->tells = true;
	if (err != 0) {
		ret->verdict = RELAY_FAIL;
		ret->err = err;
		ret->result = UPSTREAM_BROKEN;
		return;
	}
	ret->result = UPSTREAM_ANSWERED;
	ret->hresult = rs.hresult;
	if (holding)
		ret->verdict = (int32_t)rs.hresult >= 0 ? RELAY_GIVE : RELAY_HOLD;
	else
		ret->verdict = is_held(rs.hresult) ? RELAY_HOLD : RELAY_GIVE;
}

static void judge_failure(const struct kms_pool_outcome *o, struct relay_judgement *ret)
{
	bool sent = o->stage != KMS_POOL_WAITING;

	ret->verdict = RELAY_FAIL;
	ret->err = o->err;
	switch (o->err) {
	case ERR_RPC_FAULT:
		ret->tells = true;
		ret->result = o->fault_status == RPC_S_TOO_BUSY ? UPSTREAM_BUSY : UPSTREAM_FAULT;
		return;
	case ERR_CANCELED:
	case ERR_NOMEM:
		return;
	case ERR_TIMEOUT:
		ret->tells = sent;
		ret->result = UPSTREAM_LATE;
		return;
	default:
		/* Before it was sent: the queue is full, or a connection failed, which the pool has
		 * told already. Nobody had the request then, and no time was lost. */
		ret->tells = sent;
		ret->result = UPSTREAM_BROKEN;
		ret->free = !sent && o->err != ERR_LIMIT;
		return;
	}
}

void relay_judge(const struct kms_pool_outcome *o, bool holding, struct relay_judgement *ret)
{
	*ret = (struct relay_judgement){ 0 };
	if (o->err == 0)
		judge_response(o, holding, ret);
	else
		judge_failure(o, ret);
}

bool relay_may_ask_next(bool holding, uint32_t failures, uint32_t retry)
{
	return holding || failures <= retry;
}

void relay_error_text(const struct kms_pool_outcome *o, int err, char *text, size_t size)
{
	static const char *const stage[] = {
		[KMS_POOL_WAITING] = "not sent",
		[KMS_POOL_SENT] = "sent, no answer",
		[KMS_POOL_PARTIAL] = "half an answer",
	};

	if (err == ERR_RPC_FAULT)
		(void)snprintf(text, size, "fault 0x%08X: %s", o->fault_status,
			       rpc_fault_text(o->fault_status));
	else if (err == ERR_LIMIT && o->stage == KMS_POOL_WAITING)
		(void)snprintf(text, size, "not sent: the queue is full (relay.pool.queue)");
	else if (err == ERR_TIMEOUT && o->stage == KMS_POOL_WAITING)
		(void)snprintf(text, size, "not sent: no connection was free in time");
	else if (err == ERR_CANCELED)
		(void)snprintf(text, size, "given to another host: this one went down");
	else if (o->err == 0)
		(void)snprintf(text, size, "the answer is no KMS response");
	else
		(void)snprintf(text, size, "%s: %s", stage[o->stage], err_text(err));
}
