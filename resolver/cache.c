#include "resolver/cache.h"

#include <string.h>

const char *rsv_source_name(enum rsv_source s)
{
	static const char *const names[RSV_SOURCE_COUNT_] = {
		[RSV_FROM_MANUAL] = "manual",
		[RSV_FROM_CACHE] = "cache",
		[RSV_FROM_DNS] = "dns",
	};

	return s < RSV_SOURCE_COUNT_ ? names[s] : "unknown";
}

void rsv_cache_init(struct rsv_cache *c)
{
	memset(c, 0, sizeof(*c));
	c->enabled = true;
}

const struct rsv_cached_host *rsv_cache_get(const struct rsv_cache *c)
{
	return c->enabled && c->has ? &c->entry : NULL;
}

void rsv_cache_put(struct rsv_cache *c, const struct rsv_cached_host *h)
{
	if (!c->enabled)
		return;
	c->entry = *h;
	c->has = true;
	c->dirty = true;
}

void rsv_cache_flush(struct rsv_cache *c)
{
	if (!c->has)
		return;
	memset(&c->entry, 0, sizeof(c->entry));
	c->has = false;
	c->dirty = true;
}

void rsv_cache_set_enabled(struct rsv_cache *c, bool on)
{
	if (!on)
		rsv_cache_flush(c);
	if (c->enabled == on)
		return;
	c->enabled = on;
	c->dirty = true;
}
