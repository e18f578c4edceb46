#include <stdlib.h>
#include <string.h>

#include "common/version.h"
#include "daemon/daemon_priv.h"
#include "daemon/publish_request.h"
#include "publisher/report.h"

#define DUPLICATES_SHOWN 20 /* `duplicates` counts them all */

/* ---- status ---- */

json_t *daemon_time_json(int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_ms == 0)
		return json_null();
	clock_format_rfc3339(wall_ms, text);
	return json_string(text);
}

/* Clients that count as one, with the machines that did so last. */
static json_t *status_duplicates(const struct daemon *d)
{
	struct kms_duplicate dup[DUPLICATES_SHOWN];
	size_t n =
		d->service != NULL ? kms_service_duplicates(d->service, dup, DUPLICATES_SHOWN) : 0;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		char cmid[GUID_TEXT_MAX], seen[CLOCK_TEXT_MAX];

		guid_format(&dup[i].cmid, cmid);
		clock_format_rfc3339(dup[i].seen_ms, seen);
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:[s, s]}", "cmid", cmid,
							    "seen", seen, "machines",
							    dup[i].machine[0], dup[i].machine[1]));
	}
	return list;
}

/* In the order of enum kms_licence. */
static json_t *status_by_licence(const struct kms_service_status *st)
{
	static const char *const names[KMS_LICENCE_COUNT_] = {
		"unlicensed",        "licensed",     "initial_grace", "expired_or_out_of_tolerance",
		"non_genuine_grace", "notification", "extended_grace"
	};
	json_t *o = json_object();

	for (size_t i = 0; i < KMS_LICENCE_COUNT_; i++)
		(void)json_object_set_new(o, names[i], json_integer((json_int_t)st->by_licence[i]));
	return o;
}

static bool is_local_published(const struct daemon *d)
{
	const struct config *c = d->cfg;

	for (size_t i = 0; i < c->publish.n_domains; i++)
		for (size_t k = 0; k < c->publish.domains[i].n_hosts; k++)
			if (c->hosts[c->publish.domains[i].hosts[k]].is_local)
				return true;
	return false;
}

static json_t *status_events(const struct daemon *d)
{
	uint64_t lost;
	size_t pending;

	events_counts(d->events, &lost, &pending);
	return json_pack("{s:I, s:I}", "lost", (json_int_t)lost, "pending", (json_int_t)pending);
}

static json_t *status_service(struct daemon *d)
{
	struct kms_service_status st = { .mode = KMS_MODE_OFF };
	json_t *listen = json_array();
	static const char *const modes[] = { "off", "lab", "relay" };

	if (d->service != NULL)
		kms_service_status(d->service, &st);
	for (size_t i = 0; st.listening && i < kms_service_n_listen(d->service); i++) {
		char at[ADDR_TEXT_MAX];

		addr_format(kms_service_addr(d->service, i), at);
		(void)json_array_append_new(listen, json_string(at));
	}
	return json_pack("{s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:o, s:I, s:I, s:o}",
			 "mode", modes[st.mode], "listen", listen, "count", (json_int_t)st.count,
			 "clients_30d", (json_int_t)st.clients_30d, "requests",
			 (json_int_t)st.requests, "failed", (json_int_t)st.failed, "connections",
			 (json_int_t)st.connections, "refused", (json_int_t)st.refused, "published",
			 is_local_published(d), "by_licence", status_by_licence(&st), "clients_7d",
			 (json_int_t)st.clients_7d, "duplicates", (json_int_t)st.duplicates,
			 "duplicate_cmids", status_duplicates(d));
}

static json_t *status_host(const struct daemon *d, const struct config_host *h)
{
	uint16_t port = h->port != 0 ? h->port : daemon_local_port(d);
	enum pub_health_state state = PUB_HEALTH_UNKNOWN;
	char since[CLOCK_TEXT_MAX];
	int64_t since_ms = 0;
	struct dns_name target;
	struct drain_status drain;
	bool drained = drains_get(d->drains, h->name, &drain);

	if (h->target != NULL && dns_name_parse(h->target, &target) == 0)
		state = health_state(d->health, &target, port, &since_ms);
	clock_format_rfc3339(since_ms, since);
	return json_pack("{s:s, s:s?, s:i, s:s, s:s?, s:b, s:s?}", "name", h->name, "target",
			 h->target, "port", (int)port, "state", health_state_name(state), "since",
			 since_ms != 0 ? since : NULL, "drained", drained, "drain",
			 drained ? drain_phase_name(drain.phase) : NULL);
}

static json_t *status_hosts(const struct daemon *d)
{
	json_t *hosts = json_array();

	for (size_t i = 0; i < d->cfg->n_hosts; i++)
		(void)json_array_append_new(hosts, status_host(d, &d->cfg->hosts[i]));
	return hosts;
}

/* null where it is not configured */
static json_t *status_notify(const struct daemon *d)
{
	json_t *listen;
	struct notify_counts n;

	if (d->notify == NULL)
		return json_null();
	notify_counts(d->notify, &n);
	listen = json_array();
	for (size_t i = 0; i < notify_n_listen(d->notify); i++) {
		char at[ADDR_TEXT_MAX];

		addr_format(notify_addr(d->notify, i), at);
		(void)json_array_append_new(listen, json_string(at));
	}
	return json_pack("{s:o, s:I, s:I, s:I}", "listen", listen, "taken", (json_int_t)n.taken,
			 "ignored", (json_int_t)n.ignored, "dropped", (json_int_t)n.dropped);
}

/* `status`; a new reference. */
static json_t *daemon_status(struct daemon *d)
{
	uint64_t up_ms = clock_mono_ms(d->env.net.clock) - d->started_ms;

	return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
			 KMSBEACON_VERSION, "uptime_s", (json_int_t)(up_ms / 1000), "service",
			 status_service(d), "hosts", status_hosts(d), "records",
			 d->engine != NULL ? pub_report_status(d->engine) : json_array(),
			 "upstreams", daemon_status_upstreams(d), "notify", status_notify(d),
			 "discovery", discovery_status(d->discovery), "events", status_events(d));
}

/* ---- publish, withdraw ---- */

struct publish_call {
	struct daemon *daemon;
	struct control_call *call;
};

static void on_published(void *ctx, int err, const struct pub_result *results, size_t n)
{
	struct publish_call *c = ctx;
	struct daemon *d = c->daemon;
	json_t *report;

	if (err != 0) {
		control_fail(c->call, 1, err_name(err), err_text(err));
	} else {
		report = pub_report_json(results, n);
		(void)json_object_set_new(
			report, "orphans",
			pub_report_orphans(pub_engine_targets(d->engine), d->store.journal));
		control_answer(c->call, report != NULL ? pub_report_exit(report) : 1, report);
	}
	free(c);
}

static void request_publish(struct daemon *d, struct control_call *call, bool withdraw,
			    const json_t *args)
{
	struct publish_request rq;
	struct pub_request view;
	struct pub_targets *targets = NULL;
	struct publish_call *c;
	struct err_info info = { "" };
	int err = publish_request_parse(withdraw, args, &rq, &info);

	if (err == 0)
		err = pub_targets_from_config(d->cfg, d->keys.list, daemon_local_port(d), &targets,
					      &info);
	if (err == 0)
		err = publish_request_check(&rq, targets, &info);
	pub_targets_unref(targets);
	if (err != 0) {
		control_fail(call, 2, err_name(err), info.text);
		return;
	}
	publish_request_view(&rq, &view);
	c = malloc(sizeof(*c));
	err = ERR_NOMEM;
	if (c != NULL) {
		*c = (struct publish_call){ .daemon = d, .call = call };
		err = pub_engine_request(d->engine, &view, on_published, c);
	}
	if (err != 0) {
		free(c);
		control_fail(call, 1, err_name(err), err_text(err));
	}
}

static void request_reload(struct daemon *d, struct control_call *call)
{
	struct config_errors errs = { 0 };
	json_t *list = json_array();
	int err = daemon_reload(d, &errs);

	for (size_t i = 0; i < errs.n_errors; i++)
		(void)json_array_append_new(list, json_string(errs.errors[i].text));
	control_answer(call, err == 0 ? 0 : 2, json_pack("{s:o}", "errors", list));
	config_errors_done(&errs);
}

void daemon_request(void *ctx, struct control_call *call, const char *command, const json_t *args)
{
	struct daemon *d = ctx;

	if (d->state != DAEMON_RUNNING)
		control_fail(call, 1, "BUSY", "the daemon is starting or stopping; try again");
	else if (strcmp(command, "status") == 0)
		control_answer(call, 0, daemon_status(d));
	else if (strcmp(command, "publish") == 0 || strcmp(command, "withdraw") == 0)
		request_publish(d, call, command[0] == 'w', args);
	else if (strcmp(command, "events") == 0)
		daemon_request_events(d, call, args);
	else if (strcmp(command, "drain") == 0)
		daemon_request_drain(d, call, args);
	else if (strcmp(command, "drain-status") == 0)
		daemon_request_drain_status(d, call, args);
	else if (strcmp(command, "resume") == 0)
		daemon_request_resume(d, call, args);
	else if (strcmp(command, "reload") == 0)
		request_reload(d, call);
	else
		control_fail(call, 2, "USAGE", "this daemon does not know the command");
}
