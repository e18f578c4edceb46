#include "kmscore/lab_client.h"

#include <string.h>

#include "common/hresult.h"
#include "kmscore/utf16.h"

const char *lab_source_name(enum lab_source s)
{
	static const char *const names[LAB_SOURCE_COUNT_] = {
		[LAB_SOURCE_MANUAL] = "manual",
		[LAB_SOURCE_CACHE] = "cache",
		[LAB_SOURCE_DNS] = "dns",
	};

	return s < LAB_SOURCE_COUNT_ ? names[s] : "unknown";
}

void lab_client_init(struct lab_client *c, const struct lab_product *product, const char *machine,
		     struct rng *rng, int64_t now_ms)
{
	uint8_t name[2 * LAB_MACHINE_UNITS];

	memset(c, 0, sizeof(*c));
	c->product = product;
	guid_random(rng, &c->cmid);
	utf16_put(name, LAB_MACHINE_UNITS, machine); /* as a host will see it */
	utf16_get(name, LAB_MACHINE_UNITS, c->machine);
	c->licence = KMS_OOB_GRACE;
	c->since_ms = now_ms;
	c->expires_ms = now_ms + KMS_GRACE_MS;
	c->activation_min = KMS_ACTIVATION_MIN;
	c->renewal_min = KMS_RENEWAL_MIN;
	c->next_attempt_ms = now_ms;
	c->caching = true;
}

bool lab_client_advance(struct lab_client *c, int64_t now_ms)
{
	bool changed = false;

	/* More than one end may have passed while nobody looked. */
	while (c->expires_ms != 0 && now_ms >= c->expires_ms) {
		c->since_ms = c->expires_ms;
		changed = true;
		if (c->licence == KMS_LICENSED) {
			c->licence = KMS_OOT_GRACE;
			c->expires_ms += KMS_GRACE_MS;
		} else {
			c->licence = KMS_NOTIFICATION;
			c->notification_reason = HR_GRACE_EXPIRED;
			c->expires_ms = 0;
		}
	}
	return changed;
}

uint32_t lab_client_minutes_left(const struct lab_client *c, int64_t now_ms)
{
	int64_t left = c->expires_ms - now_ms;

	if (c->expires_ms == 0 || left <= 0)
		return 0;
	left = (left + KMS_MINUTE_MS - 1) / KMS_MINUTE_MS;
	return left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
}

int lab_client_request(const struct lab_client *c, const struct lab_key *key, struct rng *rng,
		       int64_t now_ms, struct lab_pending *ret_pending,
		       uint8_t ret_body[LAB_REQUEST_LEN])
{
	struct lab_request *rq = &ret_pending->rq;

	memset(ret_pending, 0, sizeof(*ret_pending));
	rq->cmid = c->cmid;
	rq->previous_cmid = c->previous_cmid;
	if (guid_parse(c->product->application_id, &rq->application_id) != 0 ||
	    guid_parse(c->product->activation_id, &rq->activation_id) != 0 ||
	    guid_parse(c->product->kms_id, &rq->kms_id) != 0)
		return ERR_INTERNAL;
	rq->client_time = lab_filetime(now_ms);
	rq->licence = c->licence;
	rq->minutes_left = lab_client_minutes_left(c, now_ms);
	rq->n_policy = c->product->n_policy;
	rq->vm = c->vm;
	memcpy(rq->machine, c->machine, sizeof(rq->machine));
	rng_bytes(rng, ret_pending->nonce, sizeof(ret_pending->nonce));
	return lab_request_seal(key, ret_pending->nonce, rq, ret_body);
}

/** What event 12288 shows for an exchange that failed below the KMS message. */
static uint32_t hresult_of_exchange(int err)
{
	switch (err) {
	case ERR_RPC_NO_INTERFACE:
		return HR_RPC_UNKNOWN_IF;
	case ERR_RPC_NAK:
	case ERR_RPC_SYNTAX:
	case ERR_RPC_FAULT:
	case ERR_RPC_NOT_RPC:
	case ERR_RPC_MALFORMED:
	case ERR_LIMIT:
		return HR_RPC_CALL_FAILED;
	default:
		return HR_RPC_UNAVAILABLE;
	}
}

/** Is @p rs, authentic as it is, the answer to what was asked, and sane? */
static bool answer_fits(const struct lab_pending *p, const struct lab_response *rs)
{
	return guid_equal(&rs->cmid, &p->rq.cmid) && rs->client_time == p->rq.client_time &&
	       memcmp(rs->request_nonce, p->nonce, sizeof(p->nonce)) == 0 &&
	       rs->activation_min >= KMS_INTERVAL_MIN && rs->activation_min <= KMS_INTERVAL_MAX &&
	       rs->renewal_min >= KMS_INTERVAL_MIN && rs->renewal_min <= KMS_INTERVAL_MAX;
}

static void remember_host(struct lab_client *c, const char *host, const struct addr *at,
			  int64_t now_ms)
{
	size_t len = strnlen(host, sizeof(c->cache.name) - 1);

	if (!c->caching || c->manual_name[0] != '\0')
		return;
	memset(&c->cache, 0, sizeof(c->cache));
	memcpy(c->cache.name, host, len);
	c->cache.port = addr_port(at);
	c->cache.addr = *at;
	c->cache.when_ms = now_ms;
}

static void accept_answer(struct lab_client *c, const struct lab_response *rs, int64_t now_ms,
			  struct lab_verdict *ret)
{
	c->activation_min = rs->activation_min;
	c->renewal_min = rs->renewal_min;
	c->count = rs->count;
	memcpy(c->host_pid, rs->host_pid, sizeof(c->host_pid));
	if (rs->count < c->product->n_policy) {
		ret->hresult = HR_NOT_ENOUGH_COUNT;
		ret->status = KMS_STATUS_NOT_ENOUGH_COUNT;
		return;
	}
	c->licence = KMS_LICENSED;
	c->since_ms = now_ms;
	c->expires_ms = now_ms + KMS_VALIDITY_MS;
	c->notification_reason = 0;
	c->activated_ms = now_ms;
	c->last_code = HR_OK;
	c->next_attempt_ms = now_ms + c->renewal_min * KMS_MINUTE_MS;
}

void lab_client_answer(struct lab_client *c, const struct lab_key *key,
		       const struct lab_pending *pending, int rpc_err, uint32_t rpc_hresult,
		       const uint8_t *body, size_t len, const char *host, const struct addr *at,
		       int64_t now_ms, struct lab_verdict *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (rpc_err != 0) {
		ret->hresult = hresult_of_exchange(rpc_err);
		return;
	}
	if (rpc_hresult != 0) {
		ret->hresult = rpc_hresult;
		ret->final = rpc_hresult == HR_HOST_MISMATCH || rpc_hresult == HR_NOT_ENOUGH_COUNT;
		return;
	}
	ret->response = true;
	if (body == NULL || lab_response_open(key, body, len, &ret->rs) != 0 ||
	    !answer_fits(pending, &ret->rs)) {
		memset(&ret->rs, 0, sizeof(ret->rs));
		ret->hresult = HR_INVALID_DATA;
		return;
	}
	ret->answered = true;
	ret->final = true;
	accept_answer(c, &ret->rs, now_ms, ret);
	if (ret->hresult == HR_OK || !c->cache_activated_only)
		remember_host(c, host, at, now_ms); /* too low a count is an answer too */
}

void lab_client_failed(struct lab_client *c, uint32_t code, int64_t now_ms)
{
	c->last_code = code;
	/* Whether a first activation or a renewal failed: the shorter interval. */
	c->next_attempt_ms = now_ms + c->activation_min * KMS_MINUTE_MS;
}
