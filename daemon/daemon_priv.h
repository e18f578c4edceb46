/** The running daemon, as its own files see it: daemon.c (life), requests.c (control socket),
 * reload.c. */
#ifndef KMSBEACON_DAEMON_DAEMON_PRIV_H
#define KMSBEACON_DAEMON_DAEMON_PRIV_H

#include "common/config.h"
#include "daemon/control.h"
#include "daemon/discovery.h"
#include "daemon/drain.h"
#include "daemon/env.h"
#include "daemon/events.h"
#include "daemon/health.h"
#include "daemon/keys.h"
#include "daemon/notify.h"
#include "daemon/privileges.h"
#include "daemon/resolv_watch.h"
#include "daemon/sd_listen.h"
#include "daemon/sd_notify.h"
#include "daemon/state.h"
#include "daemon/upstream_memory.h"
#include "daemon/upstreams.h"
#include "kmscore/service.h"
#include "publisher/engine.h"

enum daemon_state { DAEMON_STARTING, DAEMON_RUNNING, DAEMON_STOPPING };

struct daemon {
	const char *path; /* of the configuration */
	struct config *cfg;
	struct keys keys;
	struct env env;
	enum daemon_state state;
	uint64_t started_ms; /* monotonic */
	int lock;
	struct state store;
	bool store_open;
	struct events *events;         /* NULL: not yet */
	struct kms_memory memory;      /* of its clients; outlives a drain */
	struct sd_listen sockets;      /* handed in by the service manager */
	enum config_service_mode mode; /* that it was started in */
	struct guid node_id;           /* of this process, for other relays: kin.h */
	struct kms_service *service;   /* NULL: mode off */
	struct upstreams *upstreams;   /* NULL: no relay */
	struct upstream_memory *upstream_memory;
	bool relay_unavailable; /* that is told */
	bool draining;          /* stopping: clients get the answers they wait for */
	bool local_drained;     /* its listeners are closed */
	struct health *health;
	struct pub_engine *engine;
	bool engine_running;
	struct drains *drains;
	struct discovery *discovery;
	struct resolv_watch *resolv_watch;
	struct notify *notify; /* NULL: publish.notify_listen names no address */
	struct control *control;
	uv_signal_t sigterm, sigint, sighup;
	bool signals_open;
	struct sd_notify manager;
};

extern const struct log_ctx daemon_log;

/** Tell the service manager that the configuration is in force. */
void daemon_tell_ready(const struct daemon *d);
/** Become node.user: everything that needs root is open. */
int daemon_give_up_root(struct daemon *d, const struct privileges *p, struct err_info *info);
/** See that this many clients can be connected, else say so. */
void daemon_allow_files(const struct config *cfg);
/** Take the sockets that were handed in for service.listen, in @p cfg; 0, or ERR_NOMEM with @p
 * info.
 */
int daemon_use_sockets(const struct daemon *d, struct config *cfg, struct err_info *info);
/** `local`: local.c. Port where its host entry leaves it to what was bound. */
uint16_t daemon_local_port(const struct daemon *d);
int daemon_start_service(struct daemon *d, struct err_info *info);
/** What a new configuration says of it. */
void daemon_configure_service(struct daemon *d);
/** Tell the health table what the service says of itself. */
void daemon_see_local(struct daemon *d);
/** NULL: no relay. */
const struct relay *daemon_relay(const struct daemon *d);
/** What the relay has of this upstream; false: nothing yet. relay_status.c. */
bool daemon_upstream_status(const struct daemon *d, const char *name,
			    struct relay_upstream_status *ret);
json_t *daemon_status_upstreams(const struct daemon *d);
/** Drains of upstreams: drain_upstream.c. */
bool daemon_has_upstream(const struct daemon *d, const char *name);
bool daemon_upstream_drained(const struct daemon *d, const char *name);
/** Whether no other host is up that could answer what this one does now. */
bool daemon_upstream_is_last(const struct daemon *d, const char *name);
int daemon_drain_upstream(struct daemon *d, const char *name);      /* as upstream_memory_drain() */
size_t daemon_resume_upstreams(struct daemon *d, const char *name); /* NULL: all */
/** {"state", "since", "outstanding"}; null where there is no such upstream. */
json_t *daemon_upstream_drain_json(const struct daemon *d, const char *name);
/** A drain has come to its end; the `safe` of drain.h. */
void daemon_on_drain_safe(void *daemon, const char *host);
/** Open the listeners of a drained `local` again, where they were. 0, or why not in @p info. */
int daemon_reopen_local(struct daemon *d, struct err_info *info);
/** Take up what the journal has of drains, for every host of the configuration. */
void daemon_load_drains(struct daemon *d);
/** Tell the health table what the configuration says: at start and at a reload. */
void daemon_configure_health(struct daemon *d);
/** Notice changes of resolv.conf, where the resolvers are taken from it: reload.c. 0 or ERR_NOMEM.
 * */
int daemon_watch_resolvers(struct daemon *d);
/** The same for what discovery looks at. */
void daemon_configure_discovery(struct daemon *d);
/** `events`, and the sources of events: events_sources.c. */
void daemon_request_events(struct daemon *d, struct control_call *call, const json_t *args);
void daemon_event_published(const struct daemon *d, const struct pub_result *r);
void daemon_on_kms_event(void *daemon, const struct kms_event *ev);
void daemon_service_failed(struct daemon *d, int err, const struct err_info *info);
/** A request of the control socket; the handler of control.h. */
void daemon_request(void *ctx, struct control_call *call, const char *command, const json_t *args);
/** `drain`, `drain-status`, `resume`: drain_requests.c. */
void daemon_request_drain(struct daemon *d, struct control_call *call, const json_t *args);
void daemon_request_drain_status(struct daemon *d, struct control_call *call, const json_t *args);
void daemon_request_resume(struct daemon *d, struct control_call *call, const json_t *args);
/** RFC 3339; null for 0. */
json_t *daemon_time_json(int64_t wall_ms);
/** Read the file again; on success it is in force, else the old one stays and @p errs says why. 0
 * or ERR_CONFIG. */
int daemon_reload(struct daemon *d, struct config_errors *errs);

#endif
