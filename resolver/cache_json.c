/*
 * The file of the cache:
 *   {"version": 1, "caching": true,
 *    "host": {"name", "port", "address" (or null), "when", "source"} (or null),
 *    "products": [the same with "product"]}
 * "host" is that of the client as a whole.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json_memory.h"
#include "resolver/cache.h"

#define CACHE_VERSION 1

static bool source_parse(const char *text, enum rsv_source *ret)
{
	for (unsigned i = 0; i < RSV_SOURCE_COUNT_; i++) {
		if (strcmp(text, rsv_source_name((enum rsv_source)i)) == 0) {
			*ret = (enum rsv_source)i;
			return true;
		}
	}
	return false;
}

static bool host_from_json(json_t *o, struct rsv_cached_host *ret)
{
	const char *name, *when, *source;
	json_t *address;
	json_int_t port;
	size_t len;

	if (json_unpack(o, "{s:s%, s:I, s:o, s:s, s:s}", "name", &name, &len, "port", &port,
			"address", &address, "when", &when, "source", &source) != 0)
		return false;
	if (len == 0 || len >= sizeof(ret->host) || port < 1 || port > UINT16_MAX)
		return false;
	memcpy(ret->host, name, len + 1);
	ret->port = (uint16_t)port;
	if (json_is_string(address)) {
		if (addr_parse(json_string_value(address), ret->port, &ret->addr) != 0)
			return false;
		addr_set_port(&ret->addr, ret->port);
	} else if (!json_is_null(address)) {
		return false;
	}
	return clock_parse_rfc3339(when, &ret->when_ms) == 0 && source_parse(source, &ret->source);
}

/* A later version of this format: whatever else it holds, it is no damage. */
static bool is_newer(const json_t *root)
{
	const json_t *version = json_object_get(root, "version");

	return json_is_integer(version) && json_integer_value(version) > CACHE_VERSION;
}

static bool has_product(const struct rsv_cache *c, const char *product)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->entry[i].product, product) == 0)
			return true;
	return false;
}

static bool cache_from_json(json_t *root, struct rsv_cache *c)
{
	json_t *host = NULL, *products = NULL;
	int version, caching;
	json_t *o;
	size_t i;

	if (json_unpack(root, "{s:i, s:b, s?o, s?o}", "version", &version, "caching", &caching,
			"host", &host, "products", &products) != 0 ||
	    version != CACHE_VERSION || (products != NULL && !json_is_array(products)))
		return false;
	c->enabled = caching;
	if (host != NULL && !json_is_null(host) && !host_from_json(host, &c->entry[c->n++]))
		return false;
	json_array_foreach(products, i, o)
	{
		const char *product = json_string_value(json_object_get(o, "product"));

		if (c->n == RSV_CACHE_HOSTS || product == NULL || product[0] == '\0' ||
		    strlen(product) >= RSV_PRODUCT_MAX || has_product(c, product) ||
		    !host_from_json(o, &c->entry[c->n]))
			return false;
		memcpy(c->entry[c->n++].product, product, strlen(product) + 1);
	}
	return true;
}

int rsv_cache_load(struct rsv_cache *c, const char *path, struct err_info *info)
{
	json_t *root = NULL;
	struct rsv_cache read;
	struct buf text;
	int err;

	rsv_cache_init(c);
	rsv_cache_init(&read);
	buf_init(&text, RSV_CACHE_FILE_MAX);
	err = file_read(path, &text);
	if (err == -ENOENT) {
		err = 0;
		goto out;
	}
	if (err == 0) {
		root = json_memory_load(text.data, text.len, JSON_REJECT_DUPLICATES, NULL, &err);
		if (is_newer(root))
			err = ERR_STORE_VERSION;
		else if (err == 0 && !cache_from_json(root, &read))
			err = ERR_PARSE;
	}
	if (err == 0)
		*c = read;
	else if (err == ERR_STORE_VERSION)
		err_set(info, err,
			"%s: written by a newer kmsbeacon; it is left as it is, and the host found "
			"is not remembered",
			path);
	else if (err == ERR_PARSE || err == ERR_LIMIT)
		err_set(info, err, "%s: not a cache file of kmsbeacon", path);
	else
		err_set(info, err, "%s: %s", path, err_text(err));
	c->newer = err == ERR_STORE_VERSION;
out:
	json_decref(root);
	buf_done(&text);
	return err;
}

static json_t *host_to_json(const struct rsv_cached_host *h)
{
	char addr[ADDR_TEXT_MAX] = "", when[CLOCK_TEXT_MAX];

	if (addr_is_set(&h->addr))
		addr_format_host(&h->addr, addr);
	clock_format_rfc3339(h->when_ms, when);
	return json_pack("{s:s*, s:s, s:i, s:s?, s:s, s:s}", "product",
			 h->product[0] != '\0' ? h->product : NULL, "name", h->host, "port",
			 (int)h->port, "address", addr[0] != '\0' ? addr : NULL, "when", when,
			 "source", rsv_source_name(h->source));
}

static json_t *cache_to_json(const struct rsv_cache *c)
{
	json_t *products = json_array(), *host = json_null();

	for (size_t i = 0; i < c->n; i++) {
		json_t *o = host_to_json(&c->entry[i]);

		if (c->entry[i].product[0] == '\0')
			host = o;
		else if (json_array_append_new(products, o) != 0)
			host = NULL;
		if (host == NULL || o == NULL)
			break;
	}
	if (host == NULL) {
		json_decref(products);
		return NULL;
	}
	return json_pack("{s:i, s:b, s:o, s:o}", "version", CACHE_VERSION, "caching",
			 (int)c->enabled, "host", host, "products", products);
}

int rsv_cache_save(struct rsv_cache *c, const char *path, struct err_info *info)
{
	json_t *root;
	char *text = NULL;
	int err = ERR_NOMEM;

	if (!c->dirty || c->newer)
		return 0;
	root = cache_to_json(c);
	if (root != NULL)
		text = json_memory_text(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	if (text != NULL)
		err = file_replace(path, text, strlen(text));
	if (err == 0)
		c->dirty = false;
	else
		err_set(info, err, "%s: %s; the host found is not remembered", path, err_text(err));
	json_decref(root);
	free(text);
	return err;
}
