#include "resolver/cache.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

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

void rsv_cache_use(struct rsv_cache *c, const char *product)
{
	(void)snprintf(c->product, sizeof(c->product), "%s", product);
}

/** Its place; c->n where there is none. */
static size_t find(const struct rsv_cache *c)
{
	size_t i = 0;

	while (i < c->n && strcasecmp(c->entry[i].product, c->product) != 0)
		i++;
	return i;
}

const struct rsv_cached_host *rsv_cache_get(const struct rsv_cache *c)
{
	size_t at = find(c);

	return c->enabled && at < c->n ? &c->entry[at] : NULL;
}

static void forget(struct rsv_cache *c, size_t i)
{
	memmove(&c->entry[i], &c->entry[i + 1], (c->n - i - 1) * sizeof(c->entry[0]));
	memset(&c->entry[--c->n], 0, sizeof(c->entry[0]));
	c->dirty = true;
}

void rsv_cache_put(struct rsv_cache *c, const struct rsv_cached_host *h)
{
	size_t at = find(c), oldest = 0;

	if (!c->enabled)
		return;
	if (at == RSV_CACHE_HOSTS) {
		for (size_t i = 1; i < c->n; i++)
			if (c->entry[i].when_ms < c->entry[oldest].when_ms)
				oldest = i;
		forget(c, oldest);
	}
	if (at >= c->n)
		at = c->n++;
	c->entry[at] = *h;
	memcpy(c->entry[at].product, c->product, sizeof(c->product));
	c->dirty = true;
}

void rsv_cache_flush(struct rsv_cache *c)
{
	for (size_t i = c->n; i > 0; i--)
		if (c->product[0] == '\0' || strcasecmp(c->entry[i - 1].product, c->product) == 0)
			forget(c, i - 1);
}

void rsv_cache_set_enabled(struct rsv_cache *c, bool on)
{
	while (!on && c->n > 0)
		forget(c, c->n - 1);
	if (c->enabled == on)
		return;
	c->enabled = on;
	c->dirty = true;
}
