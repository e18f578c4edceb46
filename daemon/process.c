/* The process itself: whom it runs as, how many files it may open, what the service manager hears.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/daemon_priv.h"

#define FILES_BESIDE_CLIENTS 512 /* DNS, probes, control, state */

void daemon_tell_ready(const struct daemon *d)
{
	char status[64];

	(void)snprintf(status, sizeof(status), "%zu domains published", d->cfg->publish.n_domains);
	sd_notify_ready(status);
}

void daemon_allow_files(const struct config *cfg)
{
	size_t wanted = cfg->limits.connections + FILES_BESIDE_CLIENTS;
	size_t allowed;

	if (cfg->service.mode ==
	    CONFIG_SERVICE_RELAY) /* those of relay.srv are in the spare ones */
		wanted += cfg->relay.n_upstreams * cfg->relay.pool.max;
	allowed = privileges_raise_files(wanted);

	if (cfg->service.mode != CONFIG_SERVICE_OFF && allowed < wanted)
		log_warning(&daemon_log, "limits.files",
			    "connections=%u files=%zu wanted=%zu text=%s", cfg->limits.connections,
			    allowed, wanted,
			    "this process may not open enough files for limits.connections (and "
			    "relay.pool.max of each upstream): raise LimitNOFILE of the unit "
			    "(ulimit -Hn), or lower the settings");
}

/* What a reload reads again has to be readable then, too. */
static void check_readable(const char *setting, const char *path)
{
	if (access(path, R_OK) != 0)
		log_warning(
			&daemon_log, "privileges.unreadable", "setting=%s file=%s err=%s text=%s",
			setting, path, err_name(-errno),
			"node.user cannot read this file: a reload will be refused until he can");
}

/* It is open; but a reload opens it anew. */
static void give_request_log(const struct privileges *p, const char *path)
{
	int err = privileges_give_file(p, path);

	if (err != 0)
		log_warning(&daemon_log, "privileges.unwritable",
			    "setting=%s file=%s err=%s text=%s", "relay.log_file", path,
			    err_name(err),
			    "it cannot be given to node.user: after a reload it may get no lines");
}

/* Ports, sockets, the lock and the state file are open; what comes now needs no root. SQLite gives
 * what it makes beside the state file to whom that file belongs. */
int daemon_give_up_root(struct daemon *d, const struct privileges *p, struct err_info *info)
{
	const struct config *c = d->cfg;
	int err = privileges_give_folder(p, c->node.state_dir, info);

	if (err != 0)
		return err;
	err = privileges_give_file(p, c->node.control.socket);
	if (err != 0)
		return err_set(info, err, "control.socket: cannot give %s to node.user: %s",
			       c->node.control.socket, err_text(err));
	if (c->service.mode == CONFIG_SERVICE_RELAY && c->relay.log_file != NULL)
		give_request_log(p, c->relay.log_file);
	err = privileges_drop(p, info);
	if (err != 0)
		return err;
	check_readable("config", d->path);
	for (size_t i = 0; i < c->n_keys; i++)
		check_readable(c->keys[i].name, c->keys[i].file);
	if (c->service.mode == CONFIG_SERVICE_LAB)
		check_readable("lab.key_file", c->lab.key_file);
	log_info(&daemon_log, "privileges.dropped", "user=%s uid=%ld gid=%ld groups=%zu",
		 c->node.user, (long)p->uid, (long)p->gid, p->n_groups);
	return 0;
}

int daemon_use_sockets(const struct daemon *d, struct config *cfg, struct err_info *info)
{
	const struct sd_listen *s = &d->sockets;

	if (s->n == 0)
		return 0;
	return config_set_listen(cfg, s->addrs, s->n) == 0
		       ? 0
		       : err_set(info, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
}
