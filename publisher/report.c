#include "publisher/report.h"

#include <stdio.h>
#include <string.h>

#include "common/hresult.h"
#include "common/json_memory.h"
#include "net/dnsmsg.h"

/* jansson's *_new functions take over what they are given and answer NULL for a NULL in it, so one
 * check at the end is enough. */

static json_t *name_or_null(const struct dns_name *n)
{
	char text[DNSNAME_TEXT_MAX];

	return dns_name_is_set(n) ? json_string(dns_name_format(n, text)) : json_null();
}

static json_t *addr_or_null(const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_set(a))
		return json_null();
	addr_format(a, text);
	return json_string(text);
}

static json_t *text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string(text) : json_null();
}

/* As it would stand in a zone file, but for the dots at the end of names (design §3). */
static json_t *rr_json(const struct dns_name *owner, const struct pub_change *c)
{
	char name[DNSNAME_TEXT_MAX], srv[DNS_SRV_TEXT_MAX];

	return json_sprintf("%s %u IN SRV %s", dns_name_format(owner, name), c->ttl_s,
			    dns_srv_format(&c->srv, srv));
}

static json_t *changes_json(const struct pub_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < r->n_changes; i++) {
		const struct pub_change *c = &r->changes[i];
		json_t *o = json_pack("{s:s, s:o, s:o}", "op", c->op == PUB_ADD ? "add" : "delete",
				      "rr", rr_json(&r->owner, c), "host", text_or_null(c->host));

		if (json_array_append_new(list, o) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *proof_json(const struct pub_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < r->n_proof; i++) {
		const struct pub_proof *p = &r->proof[i];
		json_t *o = json_pack(
			"{s:o, s:o, s:o, s:s, s:b, s:o}", "server", name_or_null(&p->name),
			"address", addr_or_null(&p->addr), "serial",
			p->has_serial ? json_integer((json_int_t)p->serial) : json_null(), "state",
			pub_proof_state_name(p->state), "primary", p->is_primary, "error",
			p->err != 0 ? json_string(err_text(p->err)) : json_null());

		if (json_array_append_new(list, o) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *findings_json(const struct pub_result *r)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < r->n_findings; i++) {
		const struct pub_finding *f = &r->findings[i];
		json_t *o =
			json_pack("{s:s, s:s, s:s, s:s}", "id", finding_info(f->id)->id, "severity",
				  finding_severity_name(finding_info(f->id)->severity), "text",
				  f->text, "hint", finding_info(f->id)->hint);

		if (json_array_append_new(list, o) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *seconds_or_null(uint32_t s)
{
	return s != 0 ? json_integer((json_int_t)s) : json_null();
}

static json_t *result_json(const struct pub_result *r)
{
	char hresult[HRESULT_TEXT_MAX];

	return json_pack(
		"{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o}",
		"domain", name_or_null(&r->domain), "zone", name_or_null(&r->zone), "view", r->view,
		"owner", name_or_null(&r->owner), "server", text_or_null(r->server), "address",
		addr_or_null(&r->addr), "changes", changes_json(r), "state",
		pub_state_name(r->state), "rcode",
		r->has_rcode ? json_string(dns_rcode_name(r->rcode)) : json_null(), "hresult",
		hresult_format(r->hresult, hresult), "ttl", seconds_or_null(r->ttl_s),
		"negative_ttl", seconds_or_null(r->negative_ttl_s), "proof", proof_json(r), "hint",
		text_or_null(r->hint), "findings", findings_json(r));
}

json_t *pub_report_json(const struct pub_result *results, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; list != NULL && i < n; i++) {
		if (json_array_append_new(list, result_json(&results[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list != NULL ? json_pack("{s:o}", "domains", list) : NULL;
}

json_t *pub_report_orphans(const struct pub_targets *targets, struct pub_journal *j)
{
	json_t *list = json_array();
	size_t n = j != NULL ? pub_journal_count(j) : 0;

	for (size_t i = 0; list != NULL && i < n; i++) {
		const struct pub_set *set = pub_journal_at(j, i);

		if (pub_targets_is_orphan(targets, set) &&
		    json_array_append_new(list, json_pack("{s:o, s:s}", "domain",
							  name_or_null(&set->domain), "view",
							  set->view)) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int pub_report_write(struct buf *out, const struct pub_result *results, size_t n,
		     const json_t *orphans)
{
	int err = buf_printf(out, "{\"domains\":[");

	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		json_t *o = result_json(&results[i]);

		if (i > 0)
			err = buf_append(out, ",", 1);
		if (err == ERR_OK)
			err = json_memory_dump(out, o, JSON_COMPACT);
		json_decref(o);
	}
	if (err == ERR_OK)
		err = buf_printf(out, "],\"orphans\":");
	if (err == ERR_OK)
		err = json_memory_dump(out, orphans, JSON_COMPACT);
	if (err == ERR_OK)
		err = buf_append(out, "}", 1);
	return err;
}

static json_t *time_json(int64_t ms)
{
	char text[CLOCK_TEXT_MAX];

	if (ms == 0)
		return json_null();
	clock_format_rfc3339(ms, text);
	return json_string(text);
}

static void add_row(void *ctx, const struct pub_engine_row *row)
{
	json_t **list = ctx;
	json_t *o;

	if (*list == NULL)
		return;
	o = json_pack("{s:o, s:s, s:s, s:o, s:o, s:o}", "domain", name_or_null(&row->domain),
		      "view", row->view, "state", row->state, "last_proven",
		      time_json(row->last_proven_ms), "next_check", time_json(row->next_check_ms),
		      "last_error", text_or_null(row->last_error));
	if (json_array_append_new(*list, o) != 0) {
		json_decref(*list);
		*list = NULL;
	}
}

json_t *pub_report_status(struct pub_engine *e)
{
	json_t *list = json_array();

	pub_engine_rows(e, add_row, &list);
	return list;
}

static const char *get(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s != NULL ? s : "";
}

static bool state_is_ok(const char *state)
{
	return strcmp(state, "proven") == 0 || strcmp(state, "unchanged") == 0 ||
	       strcmp(state, "planned") == 0;
}

int pub_report_exit(const json_t *report)
{
	json_t *d;
	size_t i;

	json_array_foreach(json_object_get(report, "domains"), i, d)
	{
		if (!state_is_ok(get(d, "state")))
			return 1;
	}
	return 0;
}
