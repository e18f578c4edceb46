#include "daemon/daemon.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/version.h"
#include "daemon/daemon_priv.h"
#include "daemon/lock.h"
#include "daemon/privileges.h"
#include "kmscore/lab.h"
#include "kmscore/probe.h"
#include "publisher/targets.h"

const struct log_ctx daemon_log = { .module = "daemon" };

struct kms_limits daemon_limits(const struct config *cfg)
{
	return (struct kms_limits){
		.conns = cfg->limits.connections,
		.per_address = cfg->limits.per_address,
		.idle_ms = cfg->limits.idle_ms,
		.request_ms = cfg->limits.request_ms,
	};
}

struct lab_rules daemon_lab_rules(const struct config *cfg)
{
	struct lab_rules r = { .activation_min = cfg->lab.activation_interval_min,
			       .renewal_min = cfg->lab.renewal_interval_min,
			       .not_activated = !cfg->lab.activated };

	for (size_t i = 0; i < cfg->lab.n_products; i++)
		r.products |= 1u << cfg->lab.products[i];
	return r;
}

uint16_t daemon_local_port(const struct daemon *d)
{
	if (d->service != NULL && kms_service_n_listen(d->service) > 0)
		return addr_port(kms_service_addr(d->service, 0));
	return CONFIG_KMS_PORT;
}

/* ---- stop: engine, then service and control, then state; the loop ends when all handles are
 * closed ---- */

static void on_closed(void *ctx)
{
	(void)ctx;
}

static void close_rest(struct daemon *d)
{
	if (d->service != NULL)
		kms_service_free(d->service, on_closed, d);
	d->service = NULL;
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
	sd_notify_stop(&d->manager);
	if (d->signals_open) {
		uv_close((uv_handle_t *)&d->sigterm, NULL);
		uv_close((uv_handle_t *)&d->sigint, NULL);
		uv_close((uv_handle_t *)&d->sighup, NULL);
		d->signals_open = false;
	}
}

static void on_engine_stopped(void *ctx)
{
	struct daemon *d = ctx;

	pub_engine_free(d->engine);
	d->engine = NULL;
	d->engine_running = false;
	log_info(&daemon_log, "daemon.stopped", "text=%s", "everything is closed in order");
	events_note(d->events, LOG_INFO, "daemon.stopped", "the daemon has stopped in order");
	close_rest(d);
}

static void stop(struct daemon *d)
{
	if (d->state == DAEMON_STOPPING) {
		if (d->engine_running) /* asked twice: do not wait for DNS */
			pub_engine_stop(d->engine, 0, on_engine_stopped, d);
		return;
	}
	d->state = DAEMON_STOPPING;
	sd_notify_stopping();
	if (d->service != NULL)
		kms_service_stop(d->service);
	if (d->engine_running)
		pub_engine_stop(d->engine, DAEMON_STOP_MS, on_engine_stopped, d);
	else
		close_rest(d);
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

static int open_service(struct daemon *d, const struct addr *listen, size_t n_listen,
			struct kms_service **ret, struct err_info *info)
{
	const struct config *c = d->cfg;
	struct kms_service_params p = {
		.mode = c->service.mode == CONFIG_SERVICE_LAB ? KMS_MODE_LAB : KMS_MODE_RELAY,
		.listen = listen,
		.n_listen = n_listen,
		.allow = c->service.allow,
		.n_allow = c->service.n_allow,
		.limits = daemon_limits(c),
		.lab_key_file = c->lab.key_file,
		.lab = daemon_lab_rules(c),
		.on_event = daemon_on_kms_event,
		.ctx = d,
		.memory = &d->memory,
	};
	int err;

	if (p.mode == KMS_MODE_LAB && c->lab.key_file_is_default &&
	    access(c->lab.key_file, F_OK) != 0) {
		err = lab_keygen(c->lab.key_file, &d->env.rng, info);
		if (err != 0)
			return err;
		log_info(&daemon_log, "lab.key.made", "file=%s", c->lab.key_file);
	}
	err = kms_service_new(&d->env.net, &p, ret, info);
	if (err != 0 && c->service.listen_is_default && p.n_listen > 1) {
		/* Nobody asked for IPv6 by name: a machine without it does with what it has. */
		log_warning(&daemon_log, "service.ipv4_only", "err=%s text=%s", err_name(err),
			    info->text);
		p.n_listen = 1;
		err = kms_service_new(&d->env.net, &p, ret, info);
	}
	for (size_t i = 0; err == 0 && i < kms_service_n_listen(*ret); i++) {
		char at[ADDR_TEXT_MAX];

		addr_format(kms_service_addr(*ret, i), at);
		log_info(&daemon_log, "service.listening", "mode=%s address=%s",
			 p.mode == KMS_MODE_LAB ? "lab" : "relay", at);
	}
	return err;
}

static int start_service(struct daemon *d, struct err_info *info)
{
	const struct config_service *s = &d->cfg->service;
	int err;

	if (s->mode == CONFIG_SERVICE_OFF)
		return 0;
	err = open_service(d, s->listen, s->n_listen, &d->service, info);
	if (err != 0)
		daemon_service_failed(d, err, info);
	return err;
}

/* ---- drains ---- */

/* The clients that are connected go on; the record is gone, so nobody new comes. */
static void on_drain_safe(void *ctx, const char *host)
{
	struct daemon *d = ctx;
	int i = config_find_host(d->cfg, host);

	if (i < 0 || !d->cfg->hosts[i].is_local || d->service == NULL || d->local_drained)
		return;
	kms_service_stop(d->service);
	d->local_drained = true;
	health_set_local(d->health, false);
	log_info(&daemon_log, "service.drained", "text=%s",
		 "the listeners are closed; kmsbeacon resume opens them again");
	events_note(d->events, LOG_INFO, "service.drained",
		    "the listeners of `local` are closed; kmsbeacon resume opens them again");
}

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
		.safe = on_drain_safe,
		.ctx = d,
	};
	int err = drains_new(&p, &d->drains);

	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	daemon_load_drains(d);
	return 0;
}

int daemon_reopen_local(struct daemon *d, struct err_info *info)
{
	struct addr at[16]; /* as many as service.listen may have */
	size_t n = kms_service_n_listen(d->service);
	struct kms_service *fresh = NULL;
	int err;

	n = n < sizeof(at) / sizeof(at[0]) ? n : sizeof(at) / sizeof(at[0]);
	for (size_t i = 0; i < n;
	     i++) /* the ports that are published, also where the kernel chose */
		at[i] = *kms_service_addr(d->service, i);
	err = open_service(d, at, n, &fresh, info);
	if (err != 0) {
		daemon_service_failed(d, err, info);
		return err;
	}
	kms_service_free(d->service, on_closed, d);
	d->service = fresh;
	d->local_drained = false;
	health_set_local(d->health, true);
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
	health_set_local(d->health, d->service != NULL && !d->local_drained);
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
	if (d->discovery != NULL && d->state != DAEMON_STOPPING && r->n_changes > 0 &&
	    pub_result_ok(r))
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
	if (err == 0)
		err = start_service(d, info);
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
	int err = env_init(&d.env, cfg, &info);

	*keys = (struct keys){ 0 };
	log_setup(cfg->log.level, cfg->log.format, STDERR_FILENO);
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
