/*
 * The file of the cache:
 *   {"version": 1, "caching": true,
 *    "host": {"name", "port", "address" (or null), "when", "source"} (or null)}
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
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

static bool cache_from_json(json_t *root, struct rsv_cache *c)
{
	json_t *host = NULL;
	int version, caching;

	if (json_unpack(root, "{s:i, s:b, s?o}", "version", &version, "caching", &caching, "host",
			&host) != 0 ||
	    version != CACHE_VERSION)
		return false;
	c->enabled = caching;
	if (host == NULL || json_is_null(host))
		return true;
	c->has = host_from_json(host, &c->entry);
	return c->has;
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
		root = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
		if (root == NULL || !cache_from_json(root, &read))
			err = ERR_PARSE;
	}
	if (err == 0)
		*c = read;
	else if (err == ERR_PARSE || err == ERR_LIMIT)
		err_set(info, err,
			"%s: not a cache file of kmsbeacon, ignored; the next host found "
			"replaces it",
			path);
	else
		err_set(info, err, "%s: %s; going on without the cached host", path, err_text(err));
out:
	json_decref(root);
	buf_done(&text);
	return err;
}

static json_t *cache_to_json(const struct rsv_cache *c)
{
	char addr[ADDR_TEXT_MAX] = "", when[CLOCK_TEXT_MAX];
	json_t *host = NULL;

	if (c->has) {
		if (addr_is_set(&c->entry.addr))
			addr_format_host(&c->entry.addr, addr);
		clock_format_rfc3339(c->entry.when_ms, when);
		host = json_pack("{s:s, s:i, s:s?, s:s, s:s}", "name", c->entry.host, "port",
				 (int)c->entry.port, "address", addr[0] != '\0' ? addr : NULL,
				 "when", when, "source", rsv_source_name(c->entry.source));
		if (host == NULL)
			return NULL;
	}
	return json_pack("{s:i, s:b, s:o?}", "version", CACHE_VERSION, "caching", (int)c->enabled,
			 "host", host);
}

int rsv_cache_save(struct rsv_cache *c, const char *path, struct err_info *info)
{
	json_t *root;
	char *text = NULL;
	int err = ERR_NOMEM;

	if (!c->dirty)
		return 0;
	root = cache_to_json(c);
	if (root != NULL)
		text = json_dumps(root, JSON_INDENT(2) | JSON_ENSURE_ASCII);
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
