#include "kmscore/count.h"

#include <string.h>

void kms_count_init(struct kms_count *c)
{
	memset(c, 0, sizeof(*c));
}

static void drop(struct kms_count *c, size_t i)
{
	c->n--;
	memmove(&c->e[i], &c->e[i + 1], (c->n - i) * sizeof(c->e[0]));
}

uint32_t kms_count_now(struct kms_count *c, int64_t now_ms)
{
	/* Every entry is looked at, not only the oldest: a clock that was set back and forth again
	 * leaves them out of order. */
	for (size_t i = 0; i < c->n;)
		if (now_ms - c->e[i].seen_ms >= KMS_CMID_LIFE_MS)
			drop(c, i);
		else
			i++;
	return (uint32_t)c->n;
}

void kms_count_restore(struct kms_count *c, size_t cap, const struct kms_count_entry *e, size_t n)
{
	kms_count_init(c);
	if (cap != KMS_COUNT_SMALL && cap != KMS_COUNT_LARGE)
		return;
	c->cap = cap;
	c->n = n < cap ? n : cap;
	memcpy(c->e, e + (n - c->n), c->n * sizeof(*e));
}

uint32_t kms_count_add(struct kms_count *c, const struct guid *cmid, uint32_t n_policy,
		       int64_t now_ms)
{
	size_t cap = n_policy > KMS_THRESHOLD_SERVER ? KMS_COUNT_LARGE : KMS_COUNT_SMALL;

	if (c->cap < cap)
		c->cap = cap;
	(void)kms_count_now(c, now_ms);
	for (size_t i = 0; i < c->n; i++)
		if (guid_equal(&c->e[i].cmid, cmid)) {
			drop(c, i); /* a renewal takes its old place away */
			break;
		}
	if (c->n == c->cap)
		drop(c, 0);
	c->e[c->n].cmid = *cmid;
	c->e[c->n].seen_ms = now_ms;
	c->n++;
	return (uint32_t)c->n;
}
