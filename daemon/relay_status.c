/* `upstreams` of status: what is known of each host behind the relay. */
#include <string.h>

#include "common/hresult.h"
#include "daemon/daemon_priv.h"

/* @return whether the relay has it: not before its first lookup has ended. */
static bool find_in_relay(const struct relay *r, const char *name,
			  struct relay_upstream_status *ret)
{
	for (size_t i = 0; r != NULL && i < relay_n_upstreams(r); i++) {
		relay_upstream_status(r, i, ret);
		if (strcmp(ret->name, name) == 0)
			return true;
	}
	*ret = (struct relay_upstream_status){ .state = RELAY_UNKNOWN };
	(void)snprintf(ret->detail, sizeof(ret->detail), "its name is being looked up");
	return false;
}

bool daemon_upstream_status(const struct daemon *d, const char *name,
			    struct relay_upstream_status *ret)
{
	return find_in_relay(daemon_relay(d), name, ret);
}

static json_t *hresults_json(const struct relay_upstream_status *st)
{
	json_t *o = json_object();
	char code[HRESULT_TEXT_MAX];

	for (size_t i = 0; i < st->n_hresults; i++)
		(void)json_object_set_new(o, hresult_format(st->hresults[i].hresult, code),
					  json_integer((json_int_t)st->hresults[i].n));
	if (st->other_hresults > 0)
		(void)json_object_set_new(o, "other", json_integer((json_int_t)st->other_hresults));
	return o;
}

static json_t *ms_or_null(double ms)
{
	return ms > 0 ? json_real(ms) : json_null();
}

static void add_pool(json_t *o, const struct kms_pool_status *p)
{
	char at[ADDR_TEXT_MAX];

	if (addr_is_set(&p->addr))
		addr_format(&p->addr, at);
	(void)json_object_update_new(
		o, json_pack("{s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "connected_to",
			     addr_is_set(&p->addr) ? at : NULL, "open", (json_int_t)p->open,
			     "connecting", (json_int_t)p->connecting, "busy", (json_int_t)p->busy,
			     "queued", (json_int_t)p->queued, "outstanding",
			     (json_int_t)p->outstanding, "stale", (json_int_t)p->stale,
			     "closed_idle", (json_int_t)p->closed_idle));
}

static json_t *upstream_json(const struct daemon *d, const struct upstream_info *u)
{
	struct relay_upstream_status st;
	json_t *o;

	(void)daemon_upstream_status(d, u->name, &st);
	o = json_pack("{s:s, s:s, s:i, s:I, s:b, s:b, s:s, s:s, s:s, s:o, s:b}", "name", u->name,
		      "address", u->host, "port", (int)u->port, "priority", (json_int_t)u->priority,
		      "lab", u->lab, "relay", st.is_relay, "source", u->from_srv ? "srv" : "config",
		      "state", relay_state_name(st.state), "detail", st.detail, "since",
		      daemon_time_json(st.since_ms), "draining",
		      upstream_memory_drained(d->upstream_memory, u->name, NULL));
	add_pool(o, &st.pool);
	(void)json_object_update_new(
		o, json_pack("{s:I, s:I, s:o, s:o, s:o, s:s, s:o}", "requests",
			     (json_int_t)st.requests, "failed", (json_int_t)st.failed, "p50_ms",
			     ms_or_null(st.p50_ms), "p99_ms", ms_or_null(st.p99_ms), "hresults",
			     hresults_json(&st), "last_error", st.last_error, "last_error_at",
			     daemon_time_json(st.last_error_ms)));
	return o;
}

json_t *daemon_status_upstreams(const struct daemon *d)
{
	json_t *list = json_array();

	for (size_t i = 0; d->upstreams != NULL && i < upstreams_n(d->upstreams); i++) {
		struct upstream_info u;

		upstreams_get(d->upstreams, i, &u);
		(void)json_array_append_new(list, upstream_json(d, &u));
	}
	return list;
}
