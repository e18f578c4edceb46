#include "kmscore/lab_host.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/hresult.h"
#include "kmscore/kms_msg.h"
#include "kmscore/lab_product.h"

#define SENTENCE_MAX 640

void lab_host_init(struct lab_host *h, const struct lab_host_params *p)
{
	memset(h, 0, sizeof(*h));
	h->p = *p;
	h->key = *p->key;
	h->p.key = NULL; /* ours is the copy */
	h->log.module = "kms";
	h->lines.log = &h->log;
	h->lines.event = "kms.requests";
	h->lines.text = "more requests than have a line each; kmsbeacon events has them";
	kms_memory_init(&h->own, KMS_CLIENT_CMID, p->rng);
	h->memory = p->memory != NULL ? p->memory : &h->own;
	/* All hosts of one lab show the same: it comes from the key. */
	(void)snprintf(h->host_pid, sizeof(h->host_pid), "kmsbeacon-lab-%02x%02x%02x%02x",
		       h->key.id[0], h->key.id[1], h->key.id[2], h->key.id[3]);
}

void lab_host_done(struct lab_host *h)
{
	kms_memory_done(&h->own);
	lab_key_wipe(&h->key);
}

/** What has no number of Windows' own, and a line of its own in the log. */
__attribute__((format(printf, 4, 5))) static void tell(const struct lab_host *h, const char *name,
						       uint32_t hresult, const char *fmt, ...)
{
	char sentence[SENTENCE_MAX];
	const struct kms_event e = { 0, hresult, "", name, sentence };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	if (h->p.on_event != NULL)
		h->p.on_event(h->p.ctx, &e);
}

/** A request that no lab client of this lab has sent: counted, refused, and said once a minute. */
static void refuse(struct lab_host *h, const struct addr *peer, int err, const uint8_t *body,
		   size_t len, struct lab_answer *ret)
{
	struct kms_version v = { 0, 0 };
	char who[ADDR_TEXT_MAX], code[HRESULT_TEXT_MAX];
	const char *text;

	h->memory->totals.failed++;
	ret->hresult =
		err == ERR_LAB_NOT_LAB || err == ERR_LAB_KEY ? HR_HOST_MISMATCH : HR_INVALID_DATA;
	if (!log_limit_pass(&h->limit, peer, clock_mono_ms(h->p.clock), NULL))
		return;
	(void)kms_body_version(body, len, &v);
	if (err == ERR_LAB_NOT_LAB)
		text = "a KMS client reached this lab host, which activates nobody: point it to a "
		       "licensed KMS host, and publish no lab host in its domain";
	else if (err == ERR_LAB_KEY)
		text = "a lab client with another lab key: give it the key file of this host";
	else
		text = "a lab request that is damaged or was not made with the lab key it names";
	addr_format_host(peer, who);
	log_warning(&h->log, "lab.refused", "client=%s version=%u.%u bytes=%zu hresult=%s text=%s",
		    who, v.major, v.minor, len, hresult_format(ret->hresult, code), text);
	tell(h, "lab.refused", ret->hresult, "%s was refused: %s.", who, text);
}

static void event_12290(struct lab_host *h, const struct lab_request *rq, const struct addr *peer,
			uint32_t hresult, uint32_t count)
{
	struct kms_event_12290 fields = {
		.hresult = hresult,
		.n_policy = rq->n_policy,
		.machine = rq->machine,
		.cmid = rq->cmid,
		.client_ms = lab_filetime_ms(rq->client_time),
		.vm = rq->vm,
		.licence = rq->licence,
		.minutes_left = rq->minutes_left,
		.activation_id = rq->activation_id,
	};
	char text[KMS_EVENT_TEXT_MAX], who[ADDR_TEXT_MAX];
	const struct kms_event e = { KMS_EVENT_REQUEST_SERVED, hresult, text, "kms.request",
				     "An activation request has been processed." };

	kms_event_format_12290(&fields, text);
	if (log_enabled(LOG_INFO) &&
	    line_budget_pass(&h->lines, clock_mono_ms(h->p.clock), hresult != HR_OK)) {
		addr_format_host(peer, who);
		log_info(&h->log, "kms.request", "id=%u client=%s count=%u text=%s", e.id, who,
			 count, text);
	}
	if (h->p.on_event != NULL)
		h->p.on_event(h->p.ctx, &e);
}

static void remember(struct lab_host *h, const struct lab_request *rq, const struct addr *peer,
		     int64_t now_ms)
{
	char cmid[GUID_TEXT_MAX], who[ADDR_TEXT_MAX];
	struct kms_clients_seen seen;

	if (!kms_memory_client(h->memory, &rq->cmid, rq->machine, now_ms, &seen) ||
	    !seen.other_name || !log_limit_pass(&h->limit, peer, clock_mono_ms(h->p.clock), NULL))
		return;
	guid_format(&rq->cmid, cmid);
	addr_format_host(peer, who);
	log_warning(&h->log, "kms.duplicate_cmid", "client=%s cmid=%s machine=%s before=%s text=%s",
		    who, cmid, rq->machine, seen.last_name,
		    "two machines use one client machine id and count as one: generalize the image "
		    "they were made from (sysprep /generalize), or rearm them");
	tell(h, "kms.duplicate_cmid", HR_OK,
	     "%s and %s use one client machine id, %s, and count as one: generalize the image they "
	     "were made from (sysprep /generalize), or rearm them.",
	     seen.last_name, rq->machine, cmid);
}

static int answer(struct lab_host *h, const struct lab_request *rq, const uint8_t *request_nonce,
		  uint32_t count, struct lab_answer *ret)
{
	struct lab_response rs = {
		.cmid = rq->cmid,
		.client_time = rq->client_time,
		.count = count,
		.activation_min = h->p.rules.activation_min,
		.renewal_min = h->p.rules.renewal_min,
	};
	uint8_t nonce[LAB_NONCE_LEN];
	int err;

	memcpy(rs.request_nonce, request_nonce, sizeof(rs.request_nonce));
	memcpy(rs.host_pid, h->host_pid, sizeof(rs.host_pid));
	rng_bytes(h->p.rng, nonce, sizeof(nonce));
	err = lab_response_seal(&h->key, nonce, &rs, ret->body);
	ret->body_len = err == 0 ? sizeof(ret->body) : 0;
	return err;
}

void lab_host_set_rules(struct lab_host *h, const struct lab_rules *r)
{
	h->p.rules = *r;
}

/** 0, or why a valid lab request is not served. */
static uint32_t objection(const struct lab_host *h, const struct lab_request *rq, int64_t now_ms)
{
	int64_t skew_ms = lab_filetime_ms(rq->client_time) - now_ms;
	int product;

	if (h->p.rules.not_activated)
		return HR_HOST_NOT_ACTIVATED;
	if (h->p.rules.products != 0) {
		product = lab_product_of(&rq->kms_id);
		if (product < 0 || (h->p.rules.products & 1u << product) == 0)
			return HR_HOST_MISMATCH;
	}
	if (skew_ms > KMS_SKEW_MAX_MS || skew_ms < -KMS_SKEW_MAX_MS)
		return HR_INVALID_TIMESTAMP;
	return HR_OK;
}

static void serve(struct lab_host *h, const struct addr *peer, const uint8_t *body, size_t len,
		  struct lab_answer *ret)
{
	int64_t now_ms = clock_wall_ms(h->p.clock);
	uint8_t nonce[LAB_NONCE_LEN];
	struct lab_request rq;
	uint32_t count;
	int err;

	ret->body_len = 0;
	h->memory->totals.requests++;
	err = lab_request_open(&h->key, body, len, &rq, nonce);
	if (err != 0) {
		refuse(h, peer, err, body, len, ret);
		return;
	}
	ret->hresult = objection(h, &rq, now_ms);
	if (ret->hresult != HR_OK) {
		h->memory->totals.failed++;
		event_12290(h, &rq, peer, ret->hresult, kms_count_now(&h->memory->count, now_ms));
		return;
	}
	count = kms_count_add(&h->memory->count, &rq.cmid, rq.n_policy, now_ms);
	remember(h, &rq, peer, now_ms);
	if (answer(h, &rq, nonce, count, ret) != 0) {
		h->memory->totals.failed++;
		ret->hresult = HR_INVALID_DATA;
		log_error(&h->log, "lab.seal_failed", "text=%s",
			  "OpenSSL could not encrypt an answer; is AES-256-GCM disabled here?");
	} else {
		h->memory->totals.by_licence[rq.licence]++;
	}
	event_12290(h, &rq, peer, ret->hresult, count);
}

void lab_host_request(struct lab_host *h, const struct addr *peer, const uint8_t *body, size_t len,
		      struct lab_answer *ret)
{
	serve(h, peer, body, len, ret);
	kms_memory_changed(h->memory);
}
