#include "resolver/report_parts.h"

#include "common/err.h"

bool rsv_json_set(json_t *o, const char *key, json_t *value)
{
	return o != NULL && value != NULL ? json_object_set_new(o, key, value) == 0
					  : (json_decref(value), false);
}

bool rsv_json_append(json_t *a, json_t *value)
{
	return a != NULL && value != NULL ? json_array_append_new(a, value) == 0
					  : (json_decref(value), false);
}

json_t *rsv_json_rounded(double v, unsigned per_unit)
{
	/* Dividing by a whole number last gives the double that prints shortest. */
	return json_real((double)(uint64_t)(v * per_unit + 0.5) / per_unit);
}

json_t *rsv_json_name(const struct dns_name *n)
{
	char text[DNSNAME_TEXT_MAX];

	return dns_name_is_set(n) ? json_string(dns_name_format(n, text)) : json_null();
}

json_t *rsv_json_host(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_set(a))
		return json_null();
	addr_format_host(a, text);
	return json_string(text);
}

json_t *rsv_json_addr(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_set(a))
		return json_null();
	addr_format(a, text);
	return json_string(text);
}

json_t *rsv_json_hosts(const struct addr *a, size_t n)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < n; i++)
		ok = rsv_json_append(list, rsv_json_host(&a[i]));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

json_t *rsv_json_probe(const struct probe_result *r)
{
	if (r == NULL)
		return json_null();
	return json_pack("{s:s, s:o, s:o, s:s}", "state", probe_state_name(r->state), "rtt_ms",
			 rsv_json_rounded(r->rtt_ms, 1000), "address", rsv_json_host(&r->addr),
			 "detail", r->detail);
}

json_t *rsv_json_record(const struct rsv_record *r)
{
	return json_pack("{s:o, s:i, s:i, s:i, s:I}", "target", rsv_json_name(&r->srv.target),
			 "port", (int)r->srv.port, "priority", (int)r->srv.priority, "weight",
			 (int)r->srv.weight, "ttl", (json_int_t)r->ttl);
}

static json_t *query(const struct rsv_query *q)
{
	char type[16];
	json_t *rcode = q->answered ? json_string(dns_rcode_name(q->rcode)) : json_null();
	json_t *o =
		json_pack("{s:o, s:s, s:o, s:o, s:I, s:o, s:b}", "name", rsv_json_name(&q->name),
			  "type", dns_type_name(q->type, type), "server", rsv_json_addr(&q->server),
			  "rcode", rcode, "answers", (json_int_t)q->answers, "rtt_ms",
			  rsv_json_rounded(q->rtt_ms, 1000), "tcp", (int)q->tcp);

	if (!q->answered && o != NULL && !rsv_json_set(o, "error", json_string(err_name(q->err)))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

json_t *rsv_json_queries(const struct rsv_queries *q)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < q->n; i++)
		ok = rsv_json_append(list, query(&q->q[i]));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}
