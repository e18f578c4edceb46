/* Zones learned, by (domain, view). */
#include <stdlib.h>

#include "publisher/index.h"
#include "publisher/zone.h"

struct entry {
	struct entry *next;
	struct pub_zone *zone; /* NULL: dropped */
	uint64_t learned_ms;
};

struct pub_zone_cache {
	struct pub_index index;
	struct entry *all;
	struct pub_ad_cache *ad;
};

void pub_zone_free(struct pub_zone *z)
{
	if (z == NULL)
		return;
	free(z->ns);
	free(z);
}

struct pub_zone_cache *pub_zone_cache_new(void)
{
	struct pub_zone_cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ad = pub_ad_cache_new();
	if (c->ad == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

struct pub_ad_cache *pub_zone_cache_ad(struct pub_zone_cache *c)
{
	return c->ad;
}

void pub_zone_cache_clear(struct pub_zone_cache *c)
{
	struct entry *next;

	for (struct entry *e = c->all; e != NULL; e = next) {
		next = e->next;
		pub_zone_free(e->zone);
		free(e);
	}
	c->all = NULL;
	pub_index_done(&c->index);
}

void pub_zone_cache_free(struct pub_zone_cache *c)
{
	if (c == NULL)
		return;
	pub_zone_cache_clear(c);
	pub_ad_cache_free(c->ad);
	free(c);
}

static struct pub_key key_of(const struct pub_target *t)
{
	struct pub_key k = { 0 };

	pub_key_name(&k, &t->domain);
	pub_key_text(&k, t->view);
	return k;
}

const struct pub_zone *pub_zone_cache_get(struct pub_zone_cache *c, const struct pub_target *t,
					  uint64_t now_ms)
{
	struct pub_key k = key_of(t);
	struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL || now_ms - e->learned_ms >= PUB_ZONE_KEEP_MS)
		return NULL;
	return e->zone;
}

void pub_zone_cache_put(struct pub_zone_cache *c, const struct pub_target *t, struct pub_zone *z,
			uint64_t now_ms)
{
	struct pub_key k = key_of(t);
	struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL) {
		e = calloc(1, sizeof(*e));
		if (e == NULL || pub_index_put(&c->index, &k, e) != ERR_OK) {
			free(e);
			pub_zone_free(z);
			return; /* it is learned again next time */
		}
		e->next = c->all;
		c->all = e;
	}
	pub_zone_free(e->zone);
	e->zone = z;
	e->learned_ms = now_ms;
}

void pub_zone_cache_drop(struct pub_zone_cache *c, const struct pub_target *t)
{
	struct pub_key k = key_of(t);
	struct entry *e = pub_index_get(&c->index, &k);

	if (e == NULL)
		return;
	pub_zone_free(e->zone);
	e->zone = NULL;
}
