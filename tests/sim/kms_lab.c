/* A played lab host: the model of kmsbeacon's own one, over memory of the world. */
#include <string.h>

#include "common/err.h"
#include "kmscore/lab_host.h"
#include "tests/sim/kms_priv.h"

struct sim_lab {
	struct lab_key key;
	struct lab_rules rules;
	struct kms_count count; /* no more of the model has to outlive a life */
	int64_t clock_off_ms;
	struct clock clock;
};

static uint64_t mono_ms(void *ctx)
{
	(void)ctx;
	return sim_now();
}

static int64_t wall_ms(void *ctx)
{
	return sim_wall_ms() + ((struct sim_lab *)ctx)->clock_off_ms;
}

void sim_kms_lab(struct sim_kms_host *h, const char *key_file)
{
	struct sim_lab *lab = sim_alloc(sizeof(*lab));
	struct err_info info;

	if (lab_key_read(key_file, &lab->key, &info) != 0)
		sim_fail("%s: %s", h->name, info.text);
	lab->rules.activation_min = KMS_ACTIVATION_MIN;
	lab->rules.renewal_min = KMS_RENEWAL_MIN;
	lab->clock = (struct clock){ mono_ms, wall_ms, lab };
	kms_count_init(&lab->count);
	h->lab = lab;
}

static struct sim_lab *lab_of(const struct sim_kms_host *h)
{
	if (h->lab == NULL)
		sim_fail("%s is no lab host", h->name);
	return h->lab;
}

void sim_kms_lab_intervals(struct sim_kms_host *h, uint32_t activation, uint32_t renewal)
{
	lab_of(h)->rules.activation_min = activation;
	lab_of(h)->rules.renewal_min = renewal;
}

void sim_kms_lab_clock(struct sim_kms_host *h, int64_t off_ms)
{
	lab_of(h)->clock_off_ms = off_ms;
}

void sim_kms_lab_clients(struct sim_kms_host *h, size_t n)
{
	struct sim_lab *lab = lab_of(h);
	struct guid cmid;

	while (n-- > 0) {
		guid_random(sim_rng(), &cmid);
		(void)kms_count_add(&lab->count, &cmid, KMS_THRESHOLD_CLIENT, wall_ms(lab));
	}
}

uint32_t kms_lab_answer(struct sim_kms_host *h, const struct addr *peer,
			const struct kms_request *rq, uint8_t ret_body[KMS_BODY_MAX],
			size_t *ret_len)
{
	struct sim_lab *lab = h->lab;
	struct kms_memory memory;
	struct lab_host_params p = { .key = &lab->key,
				     .rules = lab->rules,
				     .clock = &lab->clock,
				     .rng = sim_rng(),
				     .memory = &memory };
	struct lab_answer answer;
	struct lab_host host;

	*ret_len = 0;
	if (h->hresult != 0)
		return h->hresult;
	kms_memory_init(&memory, KMS_CLIENT_CMID, sim_rng());
	memory.count = lab->count;
	lab_host_init(&host, &p);
	lab_host_request(&host, peer, rq->body, rq->body_len, &answer);
	lab_host_done(&host);
	lab->count = memory.count;
	kms_memory_done(&memory);
	memcpy(ret_body, answer.body, answer.body_len);
	*ret_len = answer.body_len;
	return answer.hresult;
}
