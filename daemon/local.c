/* `local`, the service of this daemon: how it is opened, drained and resumed, and what the hosts
 * behind its relay mean for it. */
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/daemon_priv.h"
#include "kmscore/lab.h"

static const struct log_ctx log_relay = { .module = "relay" };

static struct kms_limits limits_of(const struct config *cfg)
{
	return (struct kms_limits){
		.conns = cfg->limits.connections,
		.per_address = cfg->limits.per_address,
		.idle_ms = cfg->limits.idle_ms,
		.request_ms = cfg->limits.request_ms,
	};
}

static struct lab_rules lab_rules(const struct config *cfg)
{
	struct lab_rules r = { .activation_min = cfg->lab.activation_interval_min,
			       .renewal_min = cfg->lab.renewal_interval_min,
			       .not_activated = !cfg->lab.activated };

	for (size_t i = 0; i < cfg->lab.n_products; i++)
		r.products |= 1u << cfg->lab.products[i];
	return r;
}

static struct relay_rules relay_rules(const struct config *cfg)
{
	const struct config_relay *c = &cfg->relay;

	return (struct relay_rules){
		.pool = { .min = c->pool.min,
			  .max = c->pool.max,
			  .idle_ms = c->pool.idle_ms,
			  .queue = c->pool.queue,
			  .timeout_ms = c->request_timeout_ms },
		.retry = c->retry,
		.interval_ms = cfg->health.interval_ms,
		.probe_ms = cfg->health.timeout_ms,
		.rise = cfg->health.rise,
		.fall = cfg->health.fall,
	};
}

uint16_t daemon_local_port(const struct daemon *d)
{
	if (d->service != NULL && kms_service_n_listen(d->service) > 0)
		return addr_port(kms_service_addr(d->service, 0));
	return CONFIG_KMS_PORT;
}

/* ---- what the relay says ---- */

const struct relay *daemon_relay(const struct daemon *d)
{
	return d->service != NULL ? kms_service_relay(d->service) : NULL;
}

/* Unknown is no reason to take a record away: so it is until somebody has looked at every host. */
static enum pub_health_state relay_health(const struct daemon *d, const struct relay *r)
{
	bool known = false;

	if (relay_is_up(r, &known))
		return PUB_HEALTH_UP;
	return known && upstreams_settled(d->upstreams) ? PUB_HEALTH_DOWN : PUB_HEALTH_UNKNOWN;
}

void daemon_see_local(struct daemon *d)
{
	const struct relay *r = daemon_relay(d);

	if (d->health == NULL)
		return;
	if (d->service == NULL || d->local_drained)
		health_set_local(d->health, PUB_HEALTH_DOWN, true);
	else if (r == NULL)
		health_set_local(d->health, PUB_HEALTH_UP, true);
	else
		health_set_local(d->health, relay_health(d, r), false);
}

/* Unavailable is what DNS is told, too: `local` is down. */
static void see_available(struct daemon *d, enum pub_health_state state)
{
	bool unavailable = state == PUB_HEALTH_DOWN;

	if (state == PUB_HEALTH_UNKNOWN || unavailable == d->relay_unavailable)
		return;
	d->relay_unavailable = unavailable;
	if (unavailable) {
		log_error(&log_relay, "relay.unavailable", "text=%s",
			  "no upstream is up; clients are turned away, so that they ask their next "
			  "host; kmsbeacon status says what is wrong with each upstream");
		events_note(d->events, LOG_ERROR, "relay.unavailable",
			    "no upstream is up; clients are turned away, so that they ask their "
			    "next host");
	} else {
		log_info(&log_relay, "relay.available", "text=%s", "an upstream is up again");
		events_note(d->events, LOG_INFO, "relay.available", "an upstream is up again");
	}
}

static void on_relay_changed(void *ctx)
{
	struct daemon *d = ctx;
	const struct relay *r = daemon_relay(d);

	if (r == NULL || d->upstreams == NULL || d->state == DAEMON_STOPPING)
		return;
	see_available(d, relay_health(d, r));
	daemon_see_local(d);
}

/* The relay has logged it. From one way of being down to another is no event. */
static void on_upstream_changed(void *ctx, const char *name, enum relay_state from,
				enum relay_state to, const char *detail)
{
	struct daemon *d = ctx;
	bool was_down = from != RELAY_UP && from != RELAY_UNKNOWN;

	if (to == RELAY_UP)
		events_note(d->events, LOG_INFO, "upstream.up", "%s answers as a KMS host", name);
	else if (to != RELAY_UNKNOWN && !was_down)
		events_note(d->events, LOG_WARNING, "upstream.down", "%s is down (%s)%s%s", name,
			    relay_state_name(to), detail[0] != '\0' ? ": " : "", detail);
}

static void on_upstreams(void *ctx, const struct relay_upstream *list, size_t n)
{
	struct daemon *d = ctx;
	int err = d->service != NULL ? kms_service_set_upstreams(d->service, list, n) : 0;

	if (err != 0)
		log_error(&log_relay, "relay.upstreams", "err=%s text=%s", err_name(err),
			  "the hosts that were known stay in use");
	on_relay_changed(d);
}

static bool is_draining(void *ctx, const char *name)
{
	const struct daemon *d = ctx;

	return upstream_memory_drained(d->upstream_memory, name, NULL);
}

static void on_learned(void *ctx, json_t *known)
{
	struct daemon *d = ctx;

	if (known != NULL)
		upstream_memory_learn(d->upstream_memory, known);
	else
		log_error(&log_relay, "relay.memory", "err=%s text=%s", err_name(ERR_NOMEM),
			  "the addresses of upstreams could not be kept for the next process; "
			  "they are kept with the next change");
}

/* ---- opening ---- */

static int make_lab_key(struct daemon *d, struct err_info *info)
{
	const struct config *c = d->cfg;
	int err;

	if (!c->lab.key_file_is_default || access(c->lab.key_file, F_OK) == 0)
		return 0;
	err = lab_keygen(c->lab.key_file, &d->env.rng, info);
	if (err == 0)
		log_info(&daemon_log, "lab.key.made", "file=%s", c->lab.key_file);
	return err;
}

static void tell_listening(const struct daemon *d, const struct kms_service *s)
{
	for (size_t i = 0; i < kms_service_n_listen(s); i++) {
		char at[ADDR_TEXT_MAX];

		addr_format(kms_service_addr(s, i), at);
		log_info(&daemon_log, "service.listening", "mode=%s address=%s",
			 d->mode == CONFIG_SERVICE_LAB ? "lab" : "relay", at);
	}
}

static int open_service(struct daemon *d, const struct addr *listen, size_t n_listen,
			struct kms_service **ret, struct err_info *info)
{
	const struct config *c = d->cfg;
	struct relay_upstream upstreams[RELAY_UPSTREAMS_MAX];
	struct kms_service_params p = {
		.mode = d->mode == CONFIG_SERVICE_LAB ? KMS_MODE_LAB : KMS_MODE_RELAY,
		.listen = listen,
		.n_listen = n_listen,
		.sockets = d->sockets.n > 0 ? d->sockets.sockets : NULL,
		.allow = c->service.allow,
		.n_allow = c->service.n_allow,
		.limits = limits_of(c),
		.lab_key_file = c->lab.key_file,
		.lab = lab_rules(c),
		.relay = relay_rules(c),
		.upstreams = upstreams,
		.n_upstreams = d->upstreams != NULL ? upstreams_list(d->upstreams, upstreams) : 0,
		.request_log = c->relay.log_file,
		.relay_changed = on_relay_changed,
		.upstream_changed = on_upstream_changed,
		.node_id = d->node_id,
		.on_event = daemon_on_kms_event,
		.ctx = d,
		.memory = &d->memory,
	};
	int err = p.mode == KMS_MODE_LAB ? make_lab_key(d, info) : 0;

	if (err != 0)
		return err;
	err = kms_service_new(&d->env.net, &p, ret, info);
	if (err != 0 && c->service.listen_is_default && p.n_listen > 1 && p.sockets == NULL) {
		/* Nobody asked for IPv6 by name: a machine without it does with what it has. */
		log_warning(&daemon_log, "service.ipv4_only", "err=%s text=%s", err_name(err),
			    info->text);
		p.n_listen = 1;
		err = kms_service_new(&d->env.net, &p, ret, info);
	}
	if (err == 0)
		tell_listening(d, *ret);
	return err;
}

static int start_upstreams(struct daemon *d, struct err_info *info)
{
	const struct upstreams_params p = {
		.net = &d->env.net,
		.draining = is_draining,
		.changed = on_upstreams,
		.known = upstream_memory_known(d->upstream_memory),
		.learned = on_learned,
		.ctx = d,
	};
	int err = upstreams_new(&p, &d->upstreams);

	if (err != 0)
		return err_set(info, err, "%s", err_text(err));
	upstreams_configure(d->upstreams, &d->cfg->relay);
	return 0;
}

static void tell_sockets(struct daemon *d)
{
	bool off = d->cfg->service.mode == CONFIG_SERVICE_OFF;

	if (d->sockets.n == 0)
		return;
	if (off)
		log_warning(&daemon_log, "service.sockets", "sockets=%zu text=%s", d->sockets.n,
			    "the service manager hands in listening sockets, but service.mode is "
			    "off: nobody takes the clients that connect; stop the socket unit");
	else
		log_info(&daemon_log, "service.sockets", "sockets=%zu text=%s", d->sockets.n,
			 "the service manager hands in listening sockets: their addresses take "
			 "the place of service.listen");
}

int daemon_start_service(struct daemon *d, struct err_info *info)
{
	const struct config_service *s = &d->cfg->service;
	int err;

	tell_sockets(d);
	d->mode = s->mode;
	if (s->mode == CONFIG_SERVICE_OFF)
		return 0;
	guid_random(&d->env.rng, &d->node_id);
	if (s->mode == CONFIG_SERVICE_RELAY) {
		err = start_upstreams(d, info);
		if (err != 0)
			return err;
	}
	err = open_service(d, s->listen, s->n_listen, &d->service, info);
	if (err != 0)
		daemon_service_failed(d, err, info);
	return err;
}

/* ---- a reload ---- */

void daemon_configure_service(struct daemon *d)
{
	const struct config *c = d->cfg;
	struct kms_limits limits = limits_of(c);
	struct lab_rules lab = lab_rules(c);
	struct relay_rules relay = relay_rules(c);

	if (d->service == NULL)
		return;
	if (kms_service_set_rules(d->service, c->service.allow, c->service.n_allow, &limits) != 0)
		log_error(
			&daemon_log, "reload.memory", "text=%s",
			"out of memory: service.allow and limits stay as they were; reload again");
	if (d->upstreams == NULL) {
		kms_service_set_lab(d->service, &lab);
		return;
	}
	kms_service_set_relay(d->service, &relay);
	kms_service_set_request_log(d->service, c->relay.log_file);
	upstreams_configure(d->upstreams, &c->relay);
}

/* ---- drains ---- */

static void on_closed(void *ctx)
{
	(void)ctx;
}

/* The clients that are connected go on; the record is gone, so nobody new comes. */
void daemon_on_drain_safe(void *ctx, const char *host)
{
	struct daemon *d = ctx;
	int i = config_find_host(d->cfg, host);

	if (i < 0 || !d->cfg->hosts[i].is_local || d->service == NULL || d->local_drained)
		return;
	kms_service_stop(d->service);
	d->local_drained = true;
	daemon_see_local(d);
	log_info(&daemon_log, "service.drained", "text=%s",
		 "the listeners are closed; kmsbeacon resume opens them again");
	events_note(d->events, LOG_INFO, "service.drained",
		    "the listeners of `local` are closed; kmsbeacon resume opens them again");
}

int daemon_reopen_local(struct daemon *d, struct err_info *info)
{
	struct addr at[SD_LISTEN_MAX]; /* as many as service.listen may have */
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
	health_set_local(d->health, PUB_HEALTH_UNKNOWN,
			 true); /* what it says next counts at once */
	daemon_see_local(d);
	return 0;
}
