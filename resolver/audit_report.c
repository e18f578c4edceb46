#include "resolver/audit_report.h"

#include "resolver/report_parts.h"

/** The list of @p n things that @p item makes; NULL without memory. */
static json_t *list_of(const struct rsv_audit_result *r, size_t n,
		       json_t *(*item)(const struct rsv_audit_result *r, size_t i))
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < n; i++)
		ok = rsv_json_append(list, item(r, i));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *set_records(const struct rsv_set *set)
{
	json_t *list = json_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < set->n; i++)
		ok = rsv_json_append(list, rsv_json_record(&set->rec[i]));
	if (ok && set->absent)
		ok = rsv_json_append(list, json_pack("{s:s}", "target", "."));
	if (!ok) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static json_t *server(const struct rsv_audit_result *r, size_t i)
{
	const struct rsv_server_view *v = &r->servers[i];
	json_t *serial = v->has_serial ? json_integer(v->serial) : json_null();
	json_t *o = json_pack("{s:o, s:o, s:s, s:b, s:b, s:o, s:s, s:o}", "name",
			      rsv_json_name(&v->name), "address", rsv_json_addr(&v->addr), "role",
			      rsv_server_role_name(v->role), "primary", (int)v->is_primary, "aa",
			      (int)v->aa, "serial", serial, "state",
			      rsv_server_state_name(v->state), "records", set_records(&v->set));

	if (v->srv_err != 0 && !rsv_json_set(o, "error", json_string(err_name(v->srv_err)))) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *record(const struct rsv_audit_result *r, size_t i)
{
	const struct rsv_audit_record *c = &r->records[i];
	const struct probe_result *p = c->known && c->target.probed ? &c->target.probe : NULL;
	json_t *o = rsv_json_record(&c->rec);
	bool ok =
		rsv_json_set(o, "class", json_string(rsv_class_name(c->cls))) &&
		rsv_json_set(o, "journal",
			     c->journal == RSV_J_NONE
				     ? json_null()
				     : json_string(rsv_journal_state_name(c->journal))) &&
		rsv_json_set(o, "probability", rsv_json_rounded(c->probability, 1000000)) &&
		rsv_json_set(o, "addresses", rsv_json_hosts(c->target.addrs, c->target.n_addrs)) &&
		rsv_json_set(o, "probe", rsv_json_probe(p));

	if (!ok) {
		json_decref(o);
		return NULL;
	}
	return o;
}

static json_t *finding(const struct rsv_audit_result *r, size_t i)
{
	const struct rsv_finding *f = &r->findings[i];
	const struct finding_info *info = finding_info(f->id);

	return json_pack("{s:s, s:s, s:s, s:s}", "id", info->id, "severity",
			 finding_severity_name(info->severity), "text", f->text, "hint",
			 info->hint);
}

json_t *rsv_audit_report(const struct rsv_audit_result *r)
{
	json_t *o = json_object();
	json_t *zone = r->has_zone ? rsv_json_name(&r->zone) : json_null();
	bool ok = rsv_json_set(o, "domain", rsv_json_name(&r->domain)) &&
		  rsv_json_set(o, "status", json_string(rsv_status_name(r->status)));

	ok = rsv_json_set(o, "zone", zone) && ok;
	ok = ok && rsv_json_set(o, "servers", list_of(r, r->n_servers, server)) &&
	     rsv_json_set(o, "records", list_of(r, r->n_records, record)) &&
	     rsv_json_set(o, "findings", list_of(r, r->n_findings, finding));
	if (ok && r->findings_dropped > 0)
		ok = rsv_json_set(o, "findings_dropped",
				  json_integer((json_int_t)r->findings_dropped));
	if (ok && r->err != 0)
		ok = rsv_json_set(o, "error", json_string(err_name(r->err)));
	if (!ok) {
		json_decref(o);
		return NULL;
	}
	return o;
}
