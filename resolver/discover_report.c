#include "resolver/discover_report.h"

#include <string.h>

#include "resolver/report_parts.h"

static json_t *domains(const struct rsv_discovery *r)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < r->n_domains; i++)
		ok = rsv_json_append(list, rsv_json_name(&r->domains[i]));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *steps(const struct rsv_discovery *r)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < r->n_steps; i++)
		ok = rsv_json_append(list, json_pack("{s:s, s:s}", "step", r->steps[i].step,
						     "detail", r->steps[i].detail));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *candidate(const struct rsv_candidate *c)
{
	json_t *o = rsv_json_record(&c->rec);
	bool ok = rsv_json_set(o, "addresses", rsv_json_hosts(c->addrs, c->n_addrs)) &&
		  rsv_json_set(o, "probability", rsv_json_rounded(c->probability, 1000000)) &&
		  rsv_json_set(o, "probe", rsv_json_probe(c->probed ? &c->probe : NULL));

	if (!ok) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *candidates(const struct rsv_discovery *r)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < r->n_cand; i++)
		ok = rsv_json_append(list, candidate(&r->cand[i]));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *suffixes(const struct rsv_discovery *r)
{
	json_t *list = json_array();
	char hex[HRESULT_TEXT_MAX];
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < r->n_domains; i++) {
		const struct rsv_suffix *s = &r->suffix[i];

		hresult_format(s->hresult, hex);
		ok = rsv_json_append(list, json_pack("{s:o, s:s, s:b, s:s?}", "domain",
						     rsv_json_name(&r->domains[i]), "from",
						     rsv_suffix_from_name(s->from), "asked",
						     (int)s->asked, "code", s->asked ? hex : NULL));
	}
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

/** As event 12288 begins: result, status, host and port. The rest of its fields is about a request
 * for activation, which a probe is not. */
static json_t *event_line(const struct rsv_attempt *a)
{
	char host[RSV_HOSTPORT_MAX];

	return json_sprintf("0x%08X, 0x00000000, %s", a->hresult,
			    hostport_format(a->host, a->port, host, sizeof(host)));
}

static json_t *attempt(const struct rsv_attempt *a)
{
	char hex[HRESULT_TEXT_MAX];

	return json_pack("{s:s, s:i, s:o, s:s, s:s, s:s, s:s, s:o, s:s, s:o}", "target", a->host,
			 "port", (int)a->port, "address", rsv_json_host(&a->addr), "source",
			 rsv_source_name(a->source), "code", hresult_format(a->hresult, hex),
			 "text", hresult_text(a->hresult), "state", probe_state_name(a->state),
			 "rtt_ms", rsv_json_rounded(a->rtt_ms, 1000), "detail", a->detail,
			 "event_12288", event_line(a));
}

static json_t *attempts(const struct rsv_discovery *r)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < r->n_attempts; i++)
		ok = rsv_json_append(list, attempt(&r->attempts[i]));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *selected(const struct rsv_discovery *r)
{
	if (!r->has_selected)
		return json_null();
	return json_pack("{s:s, s:i, s:o, s:s}", "target", r->selected.target, "port",
			 (int)r->selected.port, "address", rsv_json_host(&r->selected.addr),
			 "source", rsv_source_name(r->selected.source));
}

static json_t *result(const struct rsv_discovery *r)
{
	char hex[HRESULT_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s}", "code", hresult_format(r->code, hex), "text", r->text,
			 "meaning", hresult_text(r->code));
}

json_t *rsv_discover_report(const struct rsv_discovery *r)
{
	json_t *o = json_object();
	bool ok = rsv_json_set(o, "domains", domains(r)) &&
		  rsv_json_set(o, "profile", json_string(rsv_profile_name(r->profile))) &&
		  rsv_json_set(o, "steps", steps(r)) &&
		  rsv_json_set(o, "queries", rsv_json_queries(&r->queries)) &&
		  rsv_json_set(o, "suffixes", suffixes(r)) &&
		  rsv_json_set(o, "domain", rsv_json_name(&r->domain)) &&
		  rsv_json_set(o, "candidates", candidates(r)) &&
		  rsv_json_set(o, "attempts", attempts(r)) &&
		  rsv_json_set(o, "selected", selected(r)) && rsv_json_set(o, "result", result(r));

	if (ok && r->queries.left_out > 0)
		ok = rsv_json_set(o, "queries_left_out",
				  json_integer((json_int_t)r->queries.left_out));
	if (!ok) {
		json_decref(o);
		return NULL;
	}
	return o;
}
