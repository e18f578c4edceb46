/* A lab client as JSON, to and from. lab_clients.c has the file. */
#include <jansson.h>
#include <string.h>

#include "kmscore/lab_client.h"
#include "kmscore/utf16.h"

/** What is read, and the first thing that is wrong with it. */
struct reader {
	const json_t *root;
	const char *bad;
};

static void get_text(struct reader *r, const char *key, char *ret, size_t size)
{
	const json_t *v = json_object_get(r->root, key);
	size_t len = json_string_length(v);

	if (!json_is_string(v) || len >= size || strlen(json_string_value(v)) != len) {
		r->bad = key;
		return;
	}
	memset(ret, 0, size);
	memcpy(ret, json_string_value(v), len);
}

static int64_t get_int(struct reader *r, const char *key, int64_t min, int64_t max)
{
	const json_t *v = json_object_get(r->root, key);
	int64_t n = json_integer_value(v);

	if (json_is_integer(v) && n >= min && n <= max)
		return n;
	r->bad = key;
	return min;
}

static bool get_bool(struct reader *r, const char *key)
{
	const json_t *v = json_object_get(r->root, key);

	if (!json_is_boolean(v))
		r->bad = key;
	return json_is_true(v);
}

static void get_guid(struct reader *r, const char *key, struct guid *ret)
{
	char text[GUID_TEXT_MAX] = "";

	get_text(r, key, text, sizeof(text));
	if (guid_parse(text, ret) != 0)
		r->bad = key;
}

#define TIME_MAX (INT64_C(1) << 48) /* some 8900 years, in milliseconds */

static int64_t get_time(struct reader *r, const char *key)
{
	return get_int(r, key, 0, TIME_MAX);
}

static void get_cache(struct reader *r, struct lab_cached_host *ret)
{
	const json_t *v = json_object_get(r->root, "cached_host");
	struct reader in = { v, NULL };
	char text[ADDR_TEXT_MAX] = "";

	if (json_is_null(v))
		return;
	get_text(&in, "name", ret->name, sizeof(ret->name));
	get_text(&in, "address", text, sizeof(text));
	ret->port = (uint16_t)get_int(&in, "port", 1, UINT16_MAX);
	ret->when_ms = get_time(&in, "when_ms");
	if (in.bad != NULL || ret->name[0] == '\0' || addr_parse(text, ret->port, &ret->addr) != 0)
		r->bad = "cached_host";
}

/** The verbs check what a person types; the file may have been edited, so it is checked too. */
static void get_manual(struct reader *r, struct lab_client *c)
{
	char name[HOST_TEXT_MAX] = "", domain[HOST_TEXT_MAX] = "";

	get_text(r, "manual_name", name, sizeof(name));
	get_text(r, "lookup_domain", domain, sizeof(domain));
	if (name[0] != '\0' && lab_client_skms(c, name, NULL) != 0)
		r->bad = "manual_name";
	c->manual_port = (uint16_t)get_int(r, "manual_port", 0, UINT16_MAX);
	if (domain[0] != '\0' && lab_client_set_lookup_domain(c, domain, NULL) != 0)
		r->bad = "lookup_domain";
}

/** Only what a host sees as the same name: a client is found by it. */
static void get_machine(struct reader *r, char ret[LAB_MACHINE_TEXT_MAX])
{
	uint8_t units[2 * LAB_MACHINE_UNITS];
	char seen[LAB_MACHINE_TEXT_MAX];

	get_text(r, "machine", ret, LAB_MACHINE_TEXT_MAX);
	utf16_put(units, LAB_MACHINE_UNITS, ret);
	utf16_get(units, LAB_MACHINE_UNITS, seen);
	if (strcmp(seen, ret) != 0)
		r->bad = "machine";
}

static void get_state(struct reader *r, struct lab_client *c)
{
	char product[32] = "";

	get_text(r, "product", product, sizeof(product));
	c->product = lab_product_find(product);
	if (c->product == NULL)
		r->bad = "product";
	get_guid(r, "cmid", &c->cmid);
	get_guid(r, "previous_cmid", &c->previous_cmid);
	get_machine(r, c->machine);
	c->vm = get_bool(r, "vm");
	c->licence = (enum kms_licence)get_int(r, "licence_status", 0, KMS_LICENCE_COUNT_ - 1);
	c->since_ms = get_time(r, "since_ms");
	c->expires_ms = get_time(r, "expires_ms");
	c->notification_reason = (uint32_t)get_int(r, "notification_reason", 0, UINT32_MAX);
	c->activation_min =
		(uint32_t)get_int(r, "activation_interval_min", KMS_INTERVAL_MIN, KMS_INTERVAL_MAX);
	c->renewal_min =
		(uint32_t)get_int(r, "renewal_interval_min", KMS_INTERVAL_MIN, KMS_INTERVAL_MAX);
	c->next_attempt_ms = get_time(r, "next_attempt_ms");
	c->last_code = (uint32_t)get_int(r, "last_code", 0, UINT32_MAX);
	c->activated_ms = get_time(r, "activated_ms");
	get_text(r, "host_pid", c->host_pid, sizeof(c->host_pid));
	c->count = (uint32_t)get_int(r, "count", 0, UINT32_MAX);
	get_manual(r, c);
	c->caching = get_bool(r, "host_caching");
	get_cache(r, &c->cache);
}

const char *lab_client_from_json(const json_t *o, struct lab_client *ret)
{
	struct reader r = { o, NULL };

	memset(ret, 0, sizeof(*ret));
	get_state(&r, ret);
	return r.bad;
}

static json_t *cache_json(const struct lab_cached_host *h)
{
	char text[ADDR_TEXT_MAX];

	if (h->name[0] == '\0')
		return json_null();
	addr_format_host(&h->addr, text);
	return json_pack("{ss ss si sI}", "name", h->name, "address", text, "port", (int)h->port,
			 "when_ms", (json_int_t)h->when_ms);
}

/** @p v, or a note that memory is out in *bad. */
static void put(json_t *o, const char *key, json_t *v, bool *bad)
{
	if (json_object_set_new(o, key, v) != 0)
		*bad = true;
}

static void put_int(json_t *o, const char *key, int64_t v, bool *bad)
{
	put(o, key, json_integer(v), bad);
}

static void put_text(json_t *o, const char *key, const char *text, bool *bad)
{
	put(o, key, json_string(text), bad);
}

static void put_guid(json_t *o, const char *key, const struct guid *g, bool *bad)
{
	char text[GUID_TEXT_MAX];

	guid_format(g, text);
	put_text(o, key, text, bad);
}

json_t *lab_client_to_json(const struct lab_client *c)
{
	json_t *o = json_object();
	bool bad = false;

	put_text(o, "product", c->product->key, &bad);
	put_guid(o, "cmid", &c->cmid, &bad);
	put_guid(o, "previous_cmid", &c->previous_cmid, &bad);
	put_text(o, "machine", c->machine, &bad);
	put(o, "vm", json_boolean(c->vm), &bad);
	put_int(o, "licence_status", c->licence, &bad);
	put_int(o, "since_ms", c->since_ms, &bad);
	put_int(o, "expires_ms", c->expires_ms, &bad);
	put_int(o, "notification_reason", c->notification_reason, &bad);
	put_int(o, "activation_interval_min", c->activation_min, &bad);
	put_int(o, "renewal_interval_min", c->renewal_min, &bad);
	put_int(o, "next_attempt_ms", c->next_attempt_ms, &bad);
	put_int(o, "last_code", c->last_code, &bad);
	put_int(o, "activated_ms", c->activated_ms, &bad);
	put_text(o, "host_pid", c->host_pid, &bad);
	put_int(o, "count", c->count, &bad);
	put_text(o, "manual_name", c->manual_name, &bad);
	put_int(o, "manual_port", c->manual_port, &bad);
	put_text(o, "lookup_domain", c->lookup_domain, &bad);
	put(o, "host_caching", json_boolean(c->caching), &bad);
	put(o, "cached_host", cache_json(&c->cache), &bad);
	if (bad) {
		json_decref(o);
		return NULL;
	}
	return o;
}
