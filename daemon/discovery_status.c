/* `discovery[]` of status (design §3): what clients see now. */
#include <stdio.h>

#include "daemon/discovery_priv.h"
#include "resolver/report_parts.h"

static json_t *when(int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_ms == 0)
		return json_null();
	clock_format_rfc3339(wall_ms, text);
	return json_string(text);
}

static json_t *next_run(const struct row *r)
{
	const struct clock *c = r->d->p.net->clock;
	uint64_t now = clock_mono_ms(c);
	uint64_t in = r->state == LOOK_NONE && r->due_ms > now ? r->due_ms - now : 0;

	return when(clock_wall_ms(c) + (int64_t)in);
}

static json_t *hosts(const struct discovery_view *v)
{
	json_t *list = json_array();
	char name[DNSNAME_TEXT_MAX];

	for (size_t i = 0; i < v->n; i++) {
		const struct discovery_host *h = &v->host[i];

		(void)json_array_append_new(
			list,
			json_pack("{s:s, s:i, s:i, s:i, s:I, s:o, s:s}", "target",
				  dns_name_format(&h->rec.srv.target, name), "port",
				  (int)h->rec.srv.port, "priority", (int)h->rec.srv.priority,
				  "weight", (int)h->rec.srv.weight, "ttl", (json_int_t)h->rec.ttl,
				  "probability", rsv_json_rounded(h->probability, 1000000), "state",
				  health_state_name(h->state)));
	}
	return list;
}

static json_t *result(const struct row *r, const struct discovery_view *v)
{
	char code[HRESULT_TEXT_MAX], text[256];
	size_t up = 0;

	for (size_t i = 0; i < v->n; i++)
		up += v->host[i].state == PUB_HEALTH_UP;
	if (r->last_wall_ms == 0)
		(void)snprintf(text, sizeof(text), "not looked yet");
	else if (v->n > 0)
		(void)snprintf(text, sizeof(text), "%zu of %zu host%s up", up, v->n,
			       v->n == 1 ? " is" : "s are");
	else
		(void)snprintf(text, sizeof(text), "%s", hresult_text(v->code));
	return json_pack("{s:s?, s:s, s:s?}", "code",
			 r->last_wall_ms != 0 ? hresult_format(v->code, code) : NULL, "text", text,
			 "meaning", r->last_wall_ms != 0 ? hresult_text(v->code) : NULL);
}

static json_t *remembered(const struct row *r)
{
	const struct rsv_cached_host *h = rsv_cache_get(&r->cache);
	char addr[ADDR_TEXT_MAX] = "";

	if (h == NULL)
		return json_null();
	if (addr_is_set(&h->addr))
		addr_format_host(&h->addr, addr);
	return json_pack(
		"{s:s, s:i, s:s?, s:o, s:s?}", "target", h->host, "port", (int)h->port, "address",
		addr[0] != '\0' ? addr : NULL, "answered", when(h->when_ms), "standing",
		r->client.has_standing ? discovery_standing_name(r->client.standing) : NULL);
}

static json_t *client(const struct row *r)
{
	const struct client_view *c = &r->client;
	char code[HRESULT_TEXT_MAX];

	if (!c->ran)
		return json_null();
	hresult_format(c->code, code);
	if (!c->selected)
		return json_pack("{s:s, s:n}", "code", code, "selected");
	return json_pack("{s:s, s:{s:s, s:i, s:s}}", "code", code, "selected", "target", c->target,
			 "port", (int)c->port, "source", rsv_source_name(c->source));
}

static json_t *row(const struct row *r)
{
	/* A server that failed just now is no word about what there is. */
	bool pending =
		r->has_pending && (!r->track.told || !discovery_code_passes(r->pending.code));
	const struct discovery_view *v = pending ? &r->pending : &r->track.view;
	char domain[DNSNAME_TEXT_MAX], last[HRESULT_TEXT_MAX];
	const char *subject = discovery_subject(r, domain);
	bool manual = !dns_name_is_set(&r->domain);

	return json_pack(
		"{s:s, s:s?, s:s?, s:o, s:o, s:I, s:b, s:s?, s:o, s:o, s:o, s:o, s:o}", "profile",
		rsv_profile_name(r->profile), "domain", manual ? NULL : subject, "manual_host",
		manual ? subject : NULL, "result", result(r, v), "candidates", hosts(v), "records",
		(json_int_t)v->n_records, "settled", (int)(r->track.told && !r->doubt), "last_code",
		r->last_wall_ms != 0 ? hresult_format(r->last_code, last) : NULL, "cached",
		remembered(r), "caching_client", client(r), "since", when(r->since_wall_ms),
		"last_run", when(r->last_wall_ms), "next_run", next_run(r));
}

json_t *discovery_status(const struct discovery *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < d->n_rows; i++)
		(void)json_array_append_new(list, row(d->rows[i]));
	return list;
}
