#include "publisher/ad_cache.h"

#include <stdlib.h>

#include "common/err.h"
#include "publisher/index.h"

struct entry {
	struct entry *next;
	struct dns_name domain;
	uint64_t learned_ms;
};

struct pub_ad_cache {
	struct pub_index index;
	struct entry *all;
};

struct pub_ad_cache *pub_ad_cache_new(void)
{
	return calloc(1, sizeof(struct pub_ad_cache));
}

void pub_ad_cache_free(struct pub_ad_cache *c)
{
	struct entry *next;

	if (c == NULL)
		return;
	for (struct entry *e = c->all; e != NULL; e = next) {
		next = e->next;
		free(e);
	}
	pub_index_done(&c->index);
	free(c);
}

static struct pub_key key_of(const struct dns_name *zone, const struct dns_name *mname)
{
	struct pub_key k = { 0 };

	pub_key_name(&k, zone);
	pub_key_name(&k, mname);
	return k;
}

bool pub_ad_cache_get(struct pub_ad_cache *c, const struct dns_name *zone,
		      const struct dns_name *mname, uint64_t now_ms, struct dns_name *ret_domain)
{
	struct pub_key k = key_of(zone, mname);
	const struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL || now_ms - e->learned_ms >= PUB_AD_KEEP_MS)
		return false;
	*ret_domain = e->domain;
	return true;
}

void pub_ad_cache_put(struct pub_ad_cache *c, const struct dns_name *zone,
		      const struct dns_name *mname, uint64_t now_ms, const struct dns_name *domain)
{
	struct pub_key k = key_of(zone, mname);
	struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL) {
		e = c->index.n < PUB_AD_ENTRIES_MAX ? calloc(1, sizeof(*e)) : NULL;
		if (e == NULL || pub_index_put(&c->index, &k, e) != ERR_OK) {
			free(e);
			return;
		}
		e->next = c->all;
		c->all = e;
	}
	e->domain = *domain;
	e->learned_ms = now_ms;
}
