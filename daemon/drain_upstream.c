/* Drains of hosts behind the relay: no new requests go there, and when none is outstanding it is
 * safe to stop. */
#include <string.h>

#include "common/log.h"
#include "daemon/daemon_priv.h"

static const struct log_ctx log_drain = { .module = "drain" };

bool daemon_has_upstream(const struct daemon *d, const char *name)
{
	return d->upstreams != NULL && upstreams_find(d->upstreams, name, NULL);
}

bool daemon_upstream_drained(const struct daemon *d, const char *name)
{
	return daemon_has_upstream(d, name) &&
	       upstream_memory_drained(d->upstream_memory, name, NULL);
}

static bool is_serving(const struct daemon *d, const struct upstream_info *u)
{
	struct relay_upstream_status st;

	return !upstream_memory_drained(d->upstream_memory, u->name, NULL) &&
	       daemon_upstream_status(d, u->name, &st) && st.state == RELAY_UP;
}

/* A lab host is no help to Windows clients, nor a licensed one to lab clients. */
bool daemon_upstream_is_last(const struct daemon *d, const char *name)
{
	struct upstream_info mine, other;

	if (!upstreams_find(d->upstreams, name, &mine) || !is_serving(d, &mine))
		return false; /* nothing is lost that is there now */
	for (size_t i = 0; i < upstreams_n(d->upstreams); i++) {
		upstreams_get(d->upstreams, i, &other);
		if (other.lab == mine.lab && strcmp(other.name, name) != 0 && is_serving(d, &other))
			return false;
	}
	return true;
}

int daemon_drain_upstream(struct daemon *d, const char *name)
{
	int err;

	if (upstream_memory_drained(d->upstream_memory, name, NULL))
		return 0;
	err = upstream_memory_drain(d->upstream_memory, name, clock_wall_ms(d->env.net.clock));
	if (err != 0)
		return err;
	upstreams_tell(d->upstreams);
	log_info(&log_drain, "upstream.draining", "name=%s text=%s", name,
		 "it gets no new requests until it is resumed");
	events_note(d->events, LOG_INFO, "upstream.draining",
		    "%s: gets no new requests until it is resumed", name);
	return 0;
}

size_t daemon_resume_upstreams(struct daemon *d, const char *name)
{
	size_t n;

	if (d->upstreams == NULL)
		return 0;
	n = upstream_memory_resume(d->upstream_memory, name);
	if (n == 0)
		return 0;
	upstreams_tell(d->upstreams);
	log_info(&log_drain, "upstream.resumed", "name=%s upstreams=%zu", name != NULL ? name : "*",
		 n);
	events_note(d->events, LOG_INFO, "upstream.resumed", "%s: gets requests again",
		    name != NULL ? name : "every upstream");
	return n;
}

/* "none", "waiting" for answers, "safe" to stop */
json_t *daemon_upstream_drain_json(const struct daemon *d, const char *name)
{
	struct relay_upstream_status st;
	char since[CLOCK_TEXT_MAX];
	size_t left;
	int64_t ms;

	if (!daemon_has_upstream(d, name))
		return json_null();
	(void)daemon_upstream_status(d, name, &st);
	left = st.pool.outstanding + st.pool.queued;
	if (!upstream_memory_drained(d->upstream_memory, name, &ms))
		return json_pack("{s:s, s:n, s:I}", "state", "none", "since", "outstanding",
				 (json_int_t)left);
	clock_format_rfc3339(ms, since);
	return json_pack("{s:s, s:s, s:I}", "state", left == 0 ? "safe" : "waiting", "since", since,
			 "outstanding", (json_int_t)left);
}
