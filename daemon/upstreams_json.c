/* The hosts that are known, for the next process. */
#include <stdlib.h>
#include <string.h>

#include "daemon/upstreams_priv.h"

/* @p o with its list whole, or NULL; takes both. Half of it would replace the whole of before. */
static json_t *with_list(json_t *o, const char *key, json_t *list, size_t n)
{
	bool whole = json_array_size(list) == n;

	if (json_object_set_new(o, key, list) == 0 && whole)
		return o;
	json_decref(o);
	return NULL;
}

static json_t *known_json(const struct upstream_known *k)
{
	json_t *addrs = json_array();

	for (size_t i = 0; i < k->n_addrs; i++) {
		char at[ADDR_TEXT_MAX];

		addr_format(&k->addrs[i], at);
		(void)json_array_append_new(addrs, json_string(at));
	}
	return with_list(json_pack("{s:s, s:s, s:i, s:I, s:b}", "name", k->row.name, "host",
				   k->row.host, "port", (int)k->row.port, "priority",
				   (json_int_t)k->row.priority, "srv", k->row.from_srv),
			 "addresses", addrs, k->n_addrs);
}

json_t *upstream_known_json(const struct upstream_known *list, size_t n, const char *srv)
{
	json_t *hosts = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(hosts, known_json(&list[i]));
	return with_list(json_pack("{s:s}", "srv", srv), "hosts", hosts, n);
}

static bool take_text(const json_t *o, const char *key, char *ret, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (text == NULL || strlen(text) >= size)
		return false;
	(void)snprintf(ret, size, "%s", text);
	return true;
}

static bool take_known(const json_t *o, struct upstream_known *ret)
{
	json_int_t port = json_integer_value(json_object_get(o, "port"));
	json_int_t priority = json_integer_value(json_object_get(o, "priority"));
	const json_t *addrs = json_object_get(o, "addresses"), *at;
	size_t i;

	*ret = (struct upstream_known){ .row = { .port = (uint16_t)port,
						 .priority = (uint32_t)priority } };
	ret->row.from_srv = json_is_true(json_object_get(o, "srv"));
	if (port <= 0 || port > UINT16_MAX || priority < 0 || priority > UINT16_MAX ||
	    !take_text(o, "name", ret->row.name, sizeof(ret->row.name)) ||
	    !take_text(o, "host", ret->row.host, sizeof(ret->row.host)))
		return false;
	json_array_foreach(addrs, i, at)
	{
		const char *text = json_string_value(at);

		if (ret->n_addrs < KMS_POOL_ADDRS_MAX && text != NULL &&
		    addr_parse(text, 0, &ret->addrs[ret->n_addrs]) == 0)
			ret->n_addrs++;
	}
	return true;
}

size_t upstream_known_parse(const json_t *known, struct upstream_known **ret,
			    char ret_srv[HOST_TEXT_MAX])
{
	const json_t *hosts = json_object_get(known, "hosts"), *o;
	size_t i, n = 0;

	ret_srv[0] = '\0';
	(void)take_text(known, "srv", ret_srv, HOST_TEXT_MAX);
	*ret = calloc(RELAY_UPSTREAMS_MAX, sizeof(**ret));
	if (*ret == NULL)
		return 0;
	json_array_foreach(hosts, i, o)
	{
		if (n < RELAY_UPSTREAMS_MAX && take_known(o, &(*ret)[n]))
			n++;
	}
	return n;
}
