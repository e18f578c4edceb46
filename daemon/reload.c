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

/* Everything that can fail comes before anything is swapped. */
static int prepare(struct daemon *d, struct config **ret_cfg, struct keys *ret_keys,
		   struct pub_targets **ret_targets, struct config_errors *errs)
{
	struct err_info info;
	int err = config_load(d->path, ret_cfg, errs);

	if (err == 0)
		err = keys_load(*ret_cfg, ret_keys, errs);
	if (err != 0)
		return err;
	err = pub_targets_from_config(*ret_cfg, ret_keys->list, daemon_local_port(d), ret_targets,
				      &info);
	if (err != 0)
		config_errors_add(errs, *ret_cfg, 0, "publish", "%s", info.text);
	return err;
}

static void apply(struct daemon *d, struct config *cfg, struct keys *keys,
		  struct pub_targets *targets)
{
	struct kms_limits limits = daemon_limits(cfg);
	struct lab_rules lab = daemon_lab_rules(cfg);
	struct config *old = d->cfg;

	config_need_restart(old, cfg, on_restart_needed, NULL);
	log_setup(cfg->log.level, cfg->log.format, STDERR_FILENO);
	env_configure(&d->env, cfg);
	if (d->service != NULL) {
		(void)kms_service_set_rules(d->service, cfg->service.allow, cfg->service.n_allow,
					    &limits);
		kms_service_set_lab(d->service, &lab);
	}
	(void)pub_engine_set_targets(d->engine, targets, cfg->publish.refresh_ms,
				     cfg->publish.on_stop == CONFIG_ON_STOP_WITHDRAW);
	keys_done(&d->keys);
	d->keys = *keys;
	d->cfg = cfg;
	daemon_configure_health(d);
	daemon_load_drains(d);
	config_free(old);
}

int daemon_reload(struct daemon *d, struct config_errors *errs)
{
	struct config *cfg = NULL;
	struct keys keys = { 0 };
	struct pub_targets *targets = NULL;
	int err = prepare(d, &cfg, &keys, &targets, errs);

	log_messages(errs);
	if (err != 0) {
		log_error(&daemon_log, "reload.refused", "config=%s text=%s", d->path,
			  "the old configuration stays in force");
		keys_done(&keys);
		config_free(cfg);
		return ERR_CONFIG;
	}
	apply(d, cfg, &keys, targets);
	pub_targets_unref(targets);
	log_info(&daemon_log, "reload.done", "config=%s domains=%zu", d->path,
		 cfg->publish.n_domains);
	return 0;
}
