#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/daemon_priv.h"
#include "publisher/targets.h"

static void on_restart_needed(void *ctx, const char *setting)
{
	(void)ctx;
	log_warning(&daemon_log, "reload.restart_needed", "setting=%s text=%s", setting,
		    "changed in the file, but in force only after a restart");
}

static void log_messages(const struct config_errors *errs)
{
	for (size_t i = 0; i < errs->n_errors; i++)
		log_error(&daemon_log, "reload.error", "text=%s", errs->errors[i].text);
	for (size_t i = 0; i < errs->n_warnings; i++)
		log_warning(&daemon_log, "reload.warning", "text=%s", errs->warnings[i].text);
}

/* The last that can fail: then the old ones stay. A check that begins at once asks the new
 * resolvers.
 */
static int use_targets(struct daemon *d, const struct config *cfg, struct pub_targets *targets)
{
	int err;

	env_configure(&d->env, cfg);
	err = pub_engine_set_targets(d->engine, targets, cfg->publish.refresh_ms,
				     cfg->publish.on_stop == CONFIG_ON_STOP_WITHDRAW);
	if (err != 0)
		env_configure(&d->env, d->cfg);
	return err;
}

/* Everything that can fail comes before anything is swapped. */
static int prepare(struct daemon *d, struct config **ret_cfg, struct keys *ret_keys,
		   struct pub_targets **ret_targets, struct config_errors *errs)
{
	struct err_info info;
	int err = config_load(d->path, ret_cfg, errs);

	if (err == 0) {
		err = daemon_use_sockets(d, *ret_cfg, &info);
		if (err != 0)
			config_errors_add(errs, *ret_cfg, 0, "service.listen", "%s", info.text);
	}
	if (err == 0)
		err = keys_load(*ret_cfg, ret_keys, errs);
	if (err != 0)
		return err;
	err = pub_targets_from_config(*ret_cfg, ret_keys->list, daemon_local_port(d), ret_targets,
				      &info);
	if (err != 0) {
		config_errors_add(errs, *ret_cfg, 0, "publish", "%s", info.text);
		return err;
	}
	err = use_targets(d, *ret_cfg, *ret_targets);
	if (err != 0)
		config_errors_add(errs, *ret_cfg, 0, "publish", "%s", err_text(err));
	return err;
}

/* ---- resolv.conf ---- */

static bool same_resolvers(const struct net *a, const struct net *b)
{
	if (a->n_resolvers != b->n_resolvers)
		return false;
	for (size_t i = 0; i < a->n_resolvers; i++)
		if (!addr_equal(&a->resolvers[i], &b->resolvers[i]))
			return false;
	return true;
}

static void list_resolvers(const struct net *n, char *buf, size_t size)
{
	char text[ADDR_TEXT_MAX];
	size_t len = 0;

	for (size_t i = 0; i < n->n_resolvers && len < size; i++) {
		addr_format(&n->resolvers[i], text);
		len += (size_t)snprintf(buf + len, size - len, "%s%s", i > 0 ? "," : "", text);
	}
}

static void on_resolv_conf(void *ctx)
{
	char list[NET_RESOLVERS_MAX * (ADDR_TEXT_MAX + 1)] = "";
	struct daemon *d = ctx;
	struct net before = d->env.net;

	if (d->state != DAEMON_RUNNING)
		return;
	env_configure(&d->env, d->cfg);
	if (same_resolvers(&before, &d->env.net))
		return;
	list_resolvers(&d->env.net, list, sizeof(list));
	log_info(&daemon_log, "resolvers.changed", "file=%s resolvers=%s text=%s",
		 d->cfg->discovery.resolv_conf, list,
		 "what the old ones said no longer counts; everything is looked up again");
	pub_engine_forget_zones(d->engine);
	discovery_poke(d->discovery, NULL, true);
	if (d->upstreams != NULL)
		upstreams_look_again(d->upstreams);
}

int daemon_watch_resolvers(struct daemon *d)
{
	const struct config_discovery *c = &d->cfg->discovery;
	const char *path = c->n_resolvers == 0 ? c->resolv_conf : NULL;

	if (d->resolv_watch != NULL)
		return resolv_watch_path(d->resolv_watch, path);
	return resolv_watch_new(&d->env.loop, path, RESOLV_WATCH_MS, on_resolv_conf, d,
				&d->resolv_watch);
}

/* ---- the configuration ---- */

static void apply(struct daemon *d, struct config *cfg, struct keys *keys)
{
	struct config *old = d->cfg;

	config_need_restart(old, cfg, on_restart_needed, NULL);
	events_configure(d->events, cfg->events.keep_s, cfg->events.max);
	log_setup(cfg->log.level, cfg->log.format, STDERR_FILENO);
	keys_done(&d->keys);
	d->keys = *keys;
	d->cfg = cfg;
	daemon_configure_service(d);
	daemon_configure_health(d);
	daemon_configure_discovery(d);
	if (daemon_watch_resolvers(d) != 0)
		log_error(&daemon_log, "reload.memory", "text=%s",
			  "out of memory: changes of resolv.conf are not noticed");
	daemon_load_drains(d);
	config_free(old);
}

int daemon_reload(struct daemon *d, struct config_errors *errs)
{
	struct config *cfg = NULL;
	struct keys keys = { 0 };
	struct pub_targets *targets = NULL;
	int err;

	sd_notify_reloading();
	err = prepare(d, &cfg, &keys, &targets, errs);
	log_messages(errs);
	if (err != 0) {
		log_error(&daemon_log, "reload.refused", "config=%s text=%s", d->path,
			  "the old configuration stays in force");
		events_note(d->events, LOG_ERROR, "reload.refused",
			    "%s has errors; the old configuration stays in force", d->path);
		daemon_tell_ready(d);
		pub_targets_unref(targets);
		keys_done(&keys);
		config_free(cfg);
		return ERR_CONFIG;
	}
	apply(d, cfg, &keys);
	pub_targets_unref(targets);
	daemon_allow_files(d->cfg);
	daemon_tell_ready(d);
	log_info(&daemon_log, "reload.done", "config=%s domains=%zu", d->path,
		 cfg->publish.n_domains);
	events_note(d->events, LOG_INFO, "reload.done", "%s was read again", d->path);
	return 0;
}
