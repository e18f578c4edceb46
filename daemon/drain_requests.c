/* What `kmsbeacon drain` and `resume` ask of the daemon. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "daemon/daemon_priv.h"
#include "publisher/report.h"

#define LAST_UPSTREAM                                                                              \
	"no other upstream is up that could answer its clients; --force drains it all the same"

/** A drain that somebody waits for to begin. */
struct drain_call {
	struct daemon *daemon;
	struct control_call *call;
	char host[DRAIN_HOST_MAX];
};

static const struct config_host *host_of(const struct daemon *d, const char *name)
{
	int i = config_find_host(d->cfg, name);

	return i >= 0 ? &d->cfg->hosts[i] : NULL;
}

/* Clients of other hosts are not known here. */
static json_t *clients_or_null(struct daemon *d, bool is_local)
{
	struct kms_service_status st;

	if (!is_local || d->service == NULL)
		return json_null();
	kms_service_status(d->service, &st);
	return json_integer((json_int_t)st.clients_7d);
}

/* A name may be a published host, an upstream, or both: it is safe to stop when both say so. */
static const char *state_of(const char *as_host, const char *as_upstream)
{
	if (as_host == NULL || strcmp(as_host, "safe") == 0)
		return as_upstream != NULL ? as_upstream : as_host != NULL ? as_host : "none";
	return as_host;
}

/** @p state overrides what the drain itself says; @p domains is taken over, NULL: none. */
static json_t *drain_json(struct daemon *d, const char *host, const char *state, json_t *domains)
{
	const struct config_host *h = host_of(d, host);
	bool is_local = h != NULL && h->is_local;
	struct drain_status st = { .text = "" };
	bool known = drains_get(d->drains, host, &st);
	int64_t left_ms = st.safe_at_ms - clock_wall_ms(d->env.net.clock);
	const char *as_host = h == NULL ? NULL : known ? drain_phase_name(st.phase) : "none";
	json_t *up = daemon_upstream_drain_json(d, host);

	if (state == NULL)
		state = state_of(as_host, json_string_value(json_object_get(up, "state")));
	else if (domains == NULL)
		st.text = LAST_UPSTREAM;
	return json_pack("{s:s, s:b, s:s, s:o, s:o, s:I, s:i, s:o, s:s, s:o, s:s?, s:o}", "host",
			 host, "local", is_local, "state", state, "since",
			 daemon_time_json(st.since_ms), "safe_at", daemon_time_json(st.safe_at_ms),
			 "left_ms",
			 (json_int_t)(st.phase == DRAIN_WAITING && left_ms > 0 ? left_ms : 0),
			 "ttl_s", (int)st.ttl_s, "clients_7d", clients_or_null(d, is_local), "text",
			 st.text, "domains", domains != NULL ? domains : json_array(), "published",
			 as_host, "upstream", up);
}

static json_t *domains_json(const struct pub_result *results, size_t n)
{
	json_t *report = pub_report_json(results, n);
	json_t *domains = json_incref(json_object_get(report, "domains"));

	json_decref(report);
	return domains;
}

static const char *why_not(int err)
{
	return err == ERR_BUSY ? "a drain of this host is being begun; try again"
	       : err == ERR_STORE_OPEN
		       ? "the state file cannot be used, so a drain would not last; see the log, "
			 "and node.state_dir"
		       : err_text(err);
}

/* The upstream of this name, where there is one. */
static int drain_behind(struct daemon *d, const char *name)
{
	return daemon_has_upstream(d, name) ? daemon_drain_upstream(d, name) : 0;
}

static void on_begun(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct drain_call *c = ctx;
	struct daemon *d = c->daemon;

	if (err == 0)
		err = drain_behind(d, c->host);
	if (err == ERR_USAGE)
		control_answer(c->call, 1,
			       drain_json(d, c->host, "refused", domains_json(results, n)));
	else if (err != 0)
		control_fail(c->call, 1, err_name(err), why_not(err));
	else
		control_answer(c->call, 0, drain_json(d, c->host, NULL, domains_json(results, n)));
	free(c);
}

/* @return the host asked for, or NULL after the request was answered. */
struct asked {
	const char *host; /* NULL: all */
	int force;
};

/** A member of another type or name than it has to be is none that is left out. @return false: it
 * has been told. */
static bool take_args(struct daemon *d, struct control_call *call, const json_t *args,
		      const char *unless_given, struct asked *ret)
{
	struct err_info info;
	json_error_t why;

	*ret = (struct asked){ .host = unless_given };
	if (args != NULL &&
	    json_unpack_ex((json_t *)(uintptr_t)args, &why, JSON_STRICT, "{s?s, s?b}", "host",
			   &ret->host, "force", &ret->force) != 0) {
		(void)err_set(&info, ERR_PARSE, "host is a text, force true or false: %s",
			      why.text);
		control_fail(call, 2, "PARSE", info.text);
		return false;
	}
	if (ret->host == NULL || host_of(d, ret->host) != NULL || daemon_has_upstream(d, ret->host))
		return true;
	(void)err_set(&info, ERR_USAGE, "there is no host and no upstream named '%.200s'",
		      ret->host);
	control_fail(call, 2, "USAGE", info.text);
	return false;
}

static void begin(struct daemon *d, struct control_call *call, const char *host, bool force)
{
	struct drain_call *c = calloc(1, sizeof(*c));
	int err = c != NULL ? 0 : ERR_NOMEM;

	if (err == 0) {
		c->daemon = d;
		c->call = call;
		(void)snprintf(c->host, sizeof(c->host), "%s", host);
		err = drains_begin(d->drains, c->host, force, on_begun, c);
	}
	if (err == 0)
		return;
	free(c);
	control_fail(call, 1, err_name(err), why_not(err));
}

void daemon_request_drain(struct daemon *d, struct control_call *call, const json_t *args)
{
	struct drain_status st;
	struct asked a;
	const char *host;
	int err;

	if (!take_args(d, call, args, CONFIG_LOCAL, &a))
		return;
	host = a.host;
	if (!a.force && daemon_has_upstream(d, host) && daemon_upstream_is_last(d, host)) {
		control_answer(call, 1, drain_json(d, host, "refused", NULL));
		return;
	}
	if (host_of(d, host) != NULL && !drains_get(d->drains, host, &st)) {
		begin(d, call, host, a.force != 0);
		return;
	}
	err = drain_behind(d, host); /* and what is drained already goes on */
	if (err == 0)
		control_answer(call, 0, drain_json(d, host, NULL, NULL));
	else
		control_fail(call, 1, err_name(err), why_not(err));
}

void daemon_request_drain_status(struct daemon *d, struct control_call *call, const json_t *args)
{
	struct drain_status st;
	struct asked a;

	if (take_args(d, call, args, CONFIG_LOCAL, &a))
		control_answer(call,
			       drains_get(d->drains, a.host, &st) ||
					       daemon_upstream_drained(d, a.host)
				       ? 0
				       : 1,
			       drain_json(d, a.host, NULL, NULL));
}

void daemon_request_resume(struct daemon *d, struct control_call *call, const json_t *args)
{
	const struct config_host *h = NULL; /* all, or an upstream alone */
	struct err_info info;
	struct asked a;
	const char *host;
	size_t n = 0, behind;
	int err = 0;

	if (!take_args(d, call, args, NULL, &a))
		return;
	host = a.host;
	if (host != NULL)
		h = host_of(d, host);
	/* First the service, then the record that leads to it. */
	if (d->local_drained && (host == NULL || (h != NULL && h->is_local)))
		err = daemon_reopen_local(d, &info);
	if (err != 0) {
		log_error(&daemon_log, "service.not_resumed", "err=%s text=%s", err_name(err),
			  info.text);
		control_fail(call, 1, err_name(err), info.text);
		return;
	}
	behind = daemon_resume_upstreams(d, host);
	if (host == NULL || h != NULL)
		n = drains_resume(d->drains, host);
	control_answer(call, 0,
		       json_pack("{s:s?, s:I, s:I}", "host", host, "lifted", (json_int_t)n,
				 "upstreams", (json_int_t)behind));
}
