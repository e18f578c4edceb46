#include "daemon/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_memory.h"
#include "common/log.h"
#include "common/version.h"
#include "daemon/daemon_priv.h"
#include "daemon/lock.h"
#include "daemon/privileges.h"
#include "kmscore/probe.h"
#include "publisher/targets.h"

const struct log_ctx daemon_log = { .module = "daemon" };

/* ---- stop: engine and service at once, then control and what is left, then state; the loop ends
 * when all handles are closed ---- */

static void on_closed(void *ctx)
{
	(void)ctx;
}

static void close_rest(struct daemon *d)
{
	if (d->upstreams != NULL)
		upstreams_free(d->upstreams, on_closed, d);
	d->upstreams = NULL;
	if (d->service != NULL)
		kms_service_free(d->service, on_closed, d);
	d->service = NULL;
	sd_listen_close(&d->sockets);
	if (d->health != NULL)
		health_free(d->health, on_closed, d);
	d->health = NULL;
	if (d->discovery != NULL)
		discovery_free(d->discovery, on_closed, d);
	d->discovery = NULL;
	resolv_watch_free(d->resolv_watch);
	d->resolv_watch = NULL;
	if (d->control != NULL)
		control_free(d->control, on_closed, d);
	d->control = NULL;
	notify_free(d->notify);
	d->notify = NULL;
	kms_memory_stop(&d->memory);
	drains_free(d->drains); /* before the state: a write of theirs may be under way */
	d->drains = NULL;
	events_stop(d->events);
	if (d->store_open)
		state_close(&d->store);
	d->store_open = false;
	events_free(d->events);
	d->events = NULL;
	upstream_memory_free(d->upstream_memory);
	d->upstream_memory = NULL;
	sd_notify_stop(&d->manager);
	if (d->signals_open) {
		uv_close((uv_handle_t *)&d->sigterm, NULL);
		uv_close((uv_handle_t *)&d->sigint, NULL);
		uv_close((uv_handle_t *)&d->sighup, NULL);
		d->signals_open = false;
	}
}

static void close_when_done(struct daemon *d)
{
	if (d->engine_running || d->draining)
		return;
	log_info(&daemon_log, "daemon.stopped", "text=%s", "everything is closed in order");
	events_note(d->events, LOG_INFO, "daemon.stopped", "the daemon has stopped in order");
	close_rest(d);
}

static void on_engine_stopped(void *ctx)
{
	struct daemon *d = ctx;

	pub_engine_free(d->engine);
	d->engine = NULL;
	d->engine_running = false;
	close_when_done(d);
}

static void on_service_drained(void *ctx)
{
	struct daemon *d = ctx;

	if (!d->draining) /* nobody waited for it: a second signal */
		return;
	d->draining = false;
	close_when_done(d);
}

static void hurry(struct daemon *d)
{
	bool waited = d->engine_running || d->draining;

	d->draining = false;
	if (d->engine_running)
		pub_engine_stop(d->engine, 0, on_engine_stopped, d);
	else if (waited)
		close_when_done(d);
}

static void stop(struct daemon *d)
{
	bool started = d->engine_running;

	if (d->state == DAEMON_STOPPING) {
		hurry(d);
		return;
	}
	d->state = DAEMON_STOPPING;
	sd_notify_stopping();
	if (!started) {
		close_rest(d);
		return;
	}
	if (d->service != NULL) {
		d->draining = true;
		kms_service_drain(d->service, DAEMON_DRAIN_MS, on_service_drained, d);
	}
	pub_engine_stop(d->engine, DAEMON_STOP_MS, on_engine_stopped, d);
}

static void on_stop_signal(uv_signal_t *s, int signum)
{
	struct daemon *d = s->data;

	log_info(&daemon_log, "daemon.stopping", "signal=%s",
		 signum == SIGTERM ? "SIGTERM" : "SIGINT");
	stop(d);
}

static void on_reload_signal(uv_signal_t *s, int signum)
{
	struct daemon *d = s->data;
	struct config_errors errs = { 0 };

	(void)signum;
	if (d->state == DAEMON_RUNNING)
		(void)daemon_reload(d, &errs);
	config_errors_done(&errs);
}

/* ---- start ---- */

static int start_signals(struct daemon *d, struct err_info *info)
{
	uv_loop_t *loop = &d->env.loop;
	int err;

	(void)uv_signal_init(loop, &d->sigterm);
	(void)uv_signal_init(loop, &d->sigint);
	(void)uv_signal_init(loop, &d->sighup);
	d->sigterm.data = d->sigint.data = d->sighup.data = d;
	d->signals_open = true;
	err = uv_signal_start(&d->sigterm, on_stop_signal, SIGTERM);
	if (err == 0)
		err = uv_signal_start(&d->sigint, on_stop_signal, SIGINT);
	if (err == 0)
		err = uv_signal_start(&d->sighup, on_reload_signal, SIGHUP);
	return err == 0 ? 0 : err_set(info, err, "cannot watch for signals: %s", err_text(err));
}

/* A state file that cannot be opened does not stop DNS from being right: adds go out, deletes wait
 * (§5, §8). */
static void open_state(struct daemon *d)
{
	struct err_info info;
	bool damaged = false;
	int err = state_open(&d->env.loop, d->cfg->node.state_dir, &d->store, &damaged, &info);

	d->store_open = err == 0;
	if (err != 0)
		log_error(&daemon_log, "state.unusable", "err=%s text=%s", err_name(err),
			  info.text);
	else if (damaged)
		log_error(&daemon_log, "state.damaged", "text=%s", info.text);
	if (!d->store_open)
		return;
	err = kms_memory_keep(&d->memory, &d->env.loop, d->env.net.clock, d->store.store);
	if (err != 0)
		log_error(&daemon_log, "state.clients", "err=%s text=%s", err_name(err),
			  "the clients in the state file cannot be read; they are counted anew");
}

static int start_events(struct daemon *d, struct err_info *info)
{
	const struct events_params p = {
		.loop = &d->env.loop,
		.clock = d->env.net.clock,
		.store = d->store_open ? d->store.store : NULL,
		.keep_s = d->cfg->events.keep_s,
		.keep_max = d->cfg->events.max,
	};
	int err = events_new(&p, &d->events);

	return err == 0 ? 0 : err_set(info, err, "%s", err_text(err));
}

/* ---- drains ---- */

static uint32_t unseen_ttl(void *ctx, const char *host)
{
	const struct daemon *d = ctx;
	const struct config_publish *p = &d->cfg->publish;
	uint32_t ttl_s = 0;

	for (size_t i = 0; i < p->n_domains; i++)
		for (size_t k = 0; k < p->domains[i].n_hosts; k++)
			if (strcmp(d->cfg->hosts[p->domains[i].hosts[k]].name, host) == 0 &&
			    p->domains[i].ttl_s > ttl_s)
				ttl_s = p->domains[i].ttl_s;
	return ttl_s;
}

void daemon_load_drains(struct daemon *d)
{
	for (size_t i = 0; i < d->cfg->n_hosts; i++)
		drains_load(d->drains, d->cfg->hosts[i].name);
}

static int start_drains(struct daemon *d, struct err_info *info)
{
	const struct drains_params p = {
		.net = &d->env.net,
		.events = d->events,
		.engine = d->engine,
		.journal = d->store_open ? d->store.journal : NULL,
		.unseen_ttl = unseen_ttl,
		.safe = daemon_on_drain_safe,
		.ctx = d,
	};
	int err = drains_new(&p, &d->drains);

	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	daemon_load_drains(d);
	return 0;
}

static void on_health_changed(void *ctx)
{
	struct daemon *d = ctx;

	if (d->engine_running && d->state != DAEMON_STOPPING)
		pub_engine_poke(d->engine);
	if (d->discovery != NULL && d->state != DAEMON_STOPPING)
		discovery_poke(d->discovery, NULL, false);
}

void daemon_configure_health(struct daemon *d)
{
	struct health_host hosts[CONFIG_HOSTS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < d->cfg->n_hosts && n < CONFIG_HOSTS_MAX; i++) {
		const struct config_host *h = &d->cfg->hosts[i];

		if (h->target == NULL || dns_name_parse(h->target, &hosts[n].target) != 0)
			continue;
		hosts[n].port = h->port != 0 ? h->port : daemon_local_port(d);
		hosts[n].is_local = h->is_local;
		n++;
	}
	health_configure(d->health, &d->cfg->health, hosts, n);
	daemon_see_local(d);
}

static int start_health(struct daemon *d, struct err_info *info)
{
	const struct health_params p = {
		.net = &d->env.net,
		.prober = kms_prober_rpc(),
		.events = d->events,
		.rule = d->cfg->health,
		.changed = on_health_changed,
		.ctx = d,
	};
	int err = health_new(&p, &d->health);

	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	daemon_configure_health(d);
	return 0;
}

static enum pub_health_state known_health(void *ctx, const struct dns_name *target, uint16_t port)
{
	const struct daemon *d = ctx;

	return d->health != NULL ? health_state(d->health, target, port, NULL) : PUB_HEALTH_UNKNOWN;
}

void daemon_configure_discovery(struct daemon *d)
{
	struct discovery_setup setup;

	discovery_setup_from_config(d->cfg, &setup);
	discovery_configure(d->discovery, &setup);
}

static int start_discovery(struct daemon *d, struct err_info *info)
{
	const struct discovery_params p = {
		.net = &d->env.net,
		.prober = kms_prober_rpc(),
		.events = d->events,
		.state_dir = d->cfg->node.state_dir,
		.known = known_health,
		.ctx = d,
	};
	int err = discovery_new(&p, &d->discovery);

	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	daemon_configure_discovery(d);
	return 0;
}

/* A check of ours changed what DNS holds: clients see it now. */
static void on_published(void *ctx, const struct pub_result *r)
{
	struct daemon *d = ctx;

	daemon_event_published(d, r);
	if (d->discovery != NULL && d->state != DAEMON_STOPPING && r->state == PUB_PROVEN)
		discovery_poke(d->discovery, &r->domain, false);
}

static int start_engine(struct daemon *d, struct err_info *info)
{
	struct pub_targets *targets = NULL;
	struct pub_engine_params p = {
		.net = &d->env.net,
		.journal = d->store_open ? d->store.journal : NULL,
		.health = health_gate(d->health),
		.result = on_published,
		.result_ctx = d,
		.refresh_ms = d->cfg->publish.refresh_ms,
		.withdraw_on_stop = d->cfg->publish.on_stop == CONFIG_ON_STOP_WITHDRAW,
	};
	int err =
		pub_targets_from_config(d->cfg, d->keys.list, daemon_local_port(d), &targets, info);

	if (err != 0)
		return err;
	p.targets = targets;
	err = pub_engine_new(&p, &d->engine);
	pub_targets_unref(targets);
	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	pub_engine_start(d->engine);
	d->engine_running = true;
	return 0;
}

static enum pub_notify on_notify(void *ctx, const struct dns_name *zone, const struct addr *from)
{
	struct daemon *d = ctx;

	if (!d->engine_running || d->state == DAEMON_STOPPING)
		return PUB_NOTIFY_NOT_OURS;
	return pub_engine_notify(d->engine, zone, from);
}

static int start_notify(struct daemon *d, struct err_info *info)
{
	const struct config_publish *p = &d->cfg->publish;

	if (p->n_notify_listen == 0)
		return 0;
	return notify_new(&d->env.net, p->notify_listen, p->n_notify_listen, on_notify, d,
			  &d->notify, info);
}

static int start_control(struct daemon *d, struct err_info *info)
{
	const struct control_params p = {
		.path = d->cfg->node.control.socket,
		.mode = (mode_t)d->cfg->node.control.mode,
		.group = d->cfg->node.control.group,
		.handler = daemon_request,
		.ctx = d,
	};

	return control_new(&d->env.loop, &p, &d->control, info);
}

static int start(struct daemon *d, struct err_info *info)
{
	struct privileges privileges;
	int err = privileges_find(d->cfg->node.user, &privileges, info);

	if (err == 0)
		err = lock_take(d->cfg->node.state_dir, &d->lock, info);
	if (err == 0)
		err = start_signals(d, info);
	if (err == 0) {
		open_state(d);
		err = start_events(d, info);
	}
	if (err == 0 &&
	    upstream_memory_new(d->store_open ? d->store.store : NULL, &d->upstream_memory) != 0)
		err = err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	if (err == 0)
		err = daemon_start_service(d, info);
	if (err == 0)
		err = start_notify(d, info);
	if (err == 0)
		err = start_control(d, info);
	if (err == 0)
		err = start_health(d, info);
	daemon_allow_files(d->cfg);
	if (err == 0 && privileges.wanted)
		err = daemon_give_up_root(d, &privileges, info);
	if (err == 0)
		err = start_engine(d, info);
	if (err == 0)
		err = start_drains(d, info);
	if (err == 0)
		err = start_discovery(d, info);
	if (err == 0 && daemon_watch_resolvers(d) != 0)
		err = err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	return err;
}

int daemon_run(const char *path, struct config *cfg, struct keys *keys)
{
	struct daemon d = { .path = path, .cfg = cfg, .keys = *keys, .lock = -1 };
	struct err_info info = { "" };
	int err = sd_listen_take(&d.sockets, &info);

	json_memory_count();
	*keys = (struct keys){ 0 };
	log_setup(cfg->log.level, cfg->log.format, STDERR_FILENO);
	if (err == 0)
		err = daemon_use_sockets(&d, cfg, &info);
	if (err == 0)
		err = env_init(&d.env, cfg, &info);
	if (err == 0) {
		d.started_ms = clock_mono_ms(d.env.net.clock);
		kms_memory_init(&d.memory, KMS_CLIENT_CMID, &d.env.rng);
		err = start(&d, &info);
		if (err == 0) {
			d.state = DAEMON_RUNNING;
			log_info(&daemon_log, "daemon.ready", "version=%s config=%s",
				 KMSBEACON_VERSION, path);
			events_note(d.events, LOG_INFO, "daemon.ready", "kmsbeacon %s runs with %s",
				    KMSBEACON_VERSION, path);
			sd_notify_start(&d.manager, &d.env.loop);
			daemon_tell_ready(&d);
		} else {
			log_error(&daemon_log, "daemon.failed", "err=%s text=%s", err_name(err),
				  info.text);
			stop(&d);
		}
		(void)uv_run(&d.env.loop, UV_RUN_DEFAULT);
		env_done(&d.env);
		kms_memory_done(&d.memory);
	} else {
		log_error(&daemon_log, "daemon.failed", "err=%s text=%s", err_name(err), info.text);
	}
	keys_done(&d.keys);
	config_free(d.cfg);
	lock_release(d.lock);
	if (err == 0)
		return 0;
	return err == ERR_CONFIG || err == ERR_SECRET_READABLE ? 2 : 1;
}
