/**
 * The configuration of design §4 as plain data, and how it is read, checked and printed.
 *
 * A struct config is made whole by one call and never changed after: a reload makes a new one and
 * swaps it, or keeps the old one where the new file has errors. It owns everything it points to.
 * Every setting has a value: what the file does not give is filled with its default, and what a
 * publish.domains entry does not give with that of `publish`. Names are lower case without a
 * trailing dot. Relative paths are taken as given. No secret is in here, only names of files.
 *
 * The settings are declared once, in config_schema.c; this file only says where they land.
 */
#ifndef KMSBEACON_COMMON_CONFIG_H
#define KMSBEACON_COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/addr.h"
#include "common/err.h"
#include "common/log.h"

#define CONFIG_PATH_DEFAULT "/etc/kmsbeacon/kmsbeacon.yaml"
#define CONFIG_SIZE_MAX     (1u << 20) /* bytes of a file */
#define CONFIG_MSGS_MAX     100        /* errors, and as many warnings, that are kept */
#define CONFIG_DOMAINS_MAX  10000
#define CONFIG_HOSTS_MAX    256
#define CONFIG_KEYS_MAX     1024
#define CONFIG_UPSTREAM_MAX 64
#define CONFIG_PRODUCTS_MAX 256
#define CONFIG_LOCAL        "local" /* the host name that means our own service */
#define CONFIG_KMS_PORT     1688

enum config_service_mode { CONFIG_SERVICE_OFF, CONFIG_SERVICE_LAB, CONFIG_SERVICE_RELAY };
enum config_all_down { CONFIG_ALL_DOWN_KEEP, CONFIG_ALL_DOWN_WITHDRAW };
enum config_on_stop { CONFIG_ON_STOP_KEEP, CONFIG_ON_STOP_WITHDRAW };
enum config_ttl_policy { CONFIG_TTL_ADOPT, CONFIG_TTL_ENFORCE };
enum config_profile { CONFIG_PROFILE_MODERN, CONFIG_PROFILE_VISTA };
enum config_activation {
	CONFIG_ACTIVATION_ANY,
	CONFIG_ACTIVATION_AD,
	CONFIG_ACTIVATION_KMS,
	CONFIG_ACTIVATION_TOKEN
};
enum config_product_activation { CONFIG_PRODUCT_AS_ALL }; /* further: enum config_activation + 1 */
enum config_suffix_answers { CONFIG_SUFFIX_FIRST, CONFIG_SUFFIX_MERGED };
enum config_cache_write { CONFIG_CACHE_ANSWERED, CONFIG_CACHE_ACTIVATED };
enum config_lone_port { CONFIG_LONE_PORT_IGNORE, CONFIG_LONE_PORT_USE };

struct config_control {
	char *socket;  /* path */
	uint32_t mode; /* permission bits of the socket */
	char *group;   /* NULL: the daemon's own group */
};

struct config_node {
	/** Name published for `local`; holds a dot. NULL where none was given and this machine has
	 * no FQDN, which is an error only where `local` is published. */
	char *target;
	char *state_dir;
	char *user; /* NULL: stay who we are */
	struct config_control control;
};

struct config_service {
	enum config_service_mode mode;
	struct addr *listen; /* port 0 asks the kernel for one */
	size_t n_listen;
	bool listen_is_default; /* then a machine without IPv6 may do with the IPv4 address */
	struct cidr *allow;     /* never empty */
	size_t n_allow;
	bool allow_is_default; /* loopback, RFC 1918, ULA, what is directly connected now */
};

enum config_lab_product { CONFIG_LAB_WINDOWS, CONFIG_LAB_SERVER, CONFIG_LAB_OFFICE };

struct config_lab {
	char *key_file;
	bool key_file_is_default; /* then the daemon makes the file where it is missing */
	uint32_t activation_interval_min;
	uint32_t renewal_interval_min;
	enum config_lab_product *products; /* none: all */
	size_t n_products;
	bool activated; /* else the host refuses all with 0xC004F041 */
};

struct config_upstream {
	char *name;
	char *address; /* name or literal */
	uint16_t port;
	uint32_t priority; /* lower is preferred */
	bool lab;          /* a lab host: lab messages may be sent to it */
	unsigned line;     /* of the file; 0: not from a file */
};

struct config_pool {
	uint32_t min, max; /* associations to one upstream */
	uint32_t idle_ms;
	uint32_t queue; /* requests that wait */
};

struct config_relay {
	struct config_upstream *upstreams;
	size_t n_upstreams;
	char *srv; /* owner name of SRV records that lead to further ones; NULL: none */
	struct config_pool pool;
	uint32_t retry; /* further upstreams tried */
	uint32_t request_timeout_ms;
	char *log_file; /* gets a line of each request; NULL: none */
};

struct config_key {
	char *name; /* local handle; the key's name on the wire is in the file */
	char *file; /* not opened here: net/tsig.h reads and checks it */
	unsigned line;
};

struct config_host {
	char *name;
	bool is_local;
	char *target;  /* of `local`: node.target, so it may be NULL */
	uint16_t port; /* of `local`: that of the first service.listen unless given; 0: as bound */
	bool port_is_default;
	uint16_t priority;
	uint16_t weight;
	unsigned line;
};

struct config_health {
	uint32_t interval_ms;
	uint32_t timeout_ms;
	uint32_t rise, fall; /* results in a row */
	uint32_t min_stay_ms;
	enum config_all_down all_down;
};

/** Where DNS exchanges come from, by family; unset (addr_is_set) is the kernel's choice. Port 0. */
struct config_source {
	struct addr v4, v6;
};

struct config_domain {
	char *domain;
	char *view;    /* "" for none; (domain, view) is unique */
	char **server; /* "host", "host:port", "[v6]:port"; none: found through DNS. Port default 53
			*/
	size_t n_server;
	int key;        /* index into config.keys; -1: unsigned */
	uint32_t ttl_s; /* publish.ttl unless given */
	size_t *hosts;  /* indices into config.hosts; all of them unless given */
	size_t n_hosts;
	int32_t priority, weight; /* of `local` in this domain; -1: as in its host entry */
	bool lab;                 /* a lab host may be published here */
	struct config_source source;
	unsigned line;
	/* private: as written, for the engine and the dump */
	char *key_name;
	char **host_names;
	size_t n_host_names;
	struct addr *source_list;
	size_t n_source_list;
};

struct config_publish {
	uint32_t ttl_s;
	enum config_ttl_policy ttl_policy;
	uint32_t refresh_ms;
	enum config_on_stop on_stop;
	struct config_source source;
	struct addr *notify_listen; /* for DNS NOTIFY; none: it is not listened for */
	size_t n_notify_listen;
	struct config_domain *domains;
	size_t n_domains;
	/* private */
	struct addr *source_list;
	size_t n_source_list;
};

/** What slmgr writes for an application (no activation_id) or for one product of it. */
struct config_product {
	char *application;   /* "windows", "office" or a GUID, as written */
	char *activation_id; /* NULL: all products of the application */
	char *manual_host;   /* NULL: as for all */
	char *lookup_domain; /* NULL: as for all */
	/** 0: as for all; else an enum config_activation + 1. */
	enum config_product_activation activation;
	unsigned line;
};

struct config_discovery {
	enum config_profile *profiles; /* never empty; commands imitate the first */
	size_t n_profiles;
	char **suffixes; /* given: the whole list, and the four below are not looked at */
	size_t n_suffixes;
	char *primary_suffix; /* NULL: none */
	char *ad_domain;      /* NULL: none */
	char **connection_suffixes;
	size_t n_connection_suffixes;
	char **search_list;
	size_t n_search_list;
	char *lookup_domain; /* NULL: none */
	char *manual_host;   /* as `slmgr /skms` takes it, see common/skms.h; NULL: none */
	enum config_activation activation;
	struct config_product *products;
	size_t n_products;
	enum config_suffix_answers suffix_answers;
	enum config_cache_write cache_write;
	enum config_lone_port lone_port;
	struct addr *resolvers; /* none: those of resolv.conf */
	size_t n_resolvers;
	char *resolv_conf; /* where they, and suffixes, are read when not given */
	bool cache;
	uint32_t interval_ms; /* of the daemon's own discovery; 0: none */
};

struct config_limits {
	uint32_t connections;
	uint32_t per_address;
	uint32_t idle_ms;
	uint32_t request_ms;
};

struct config_events {
	uint32_t keep_s; /* age at which a kept event leaves the state file */
	uint32_t max;    /* kept events in the state file */
};

struct config_log {
	enum log_level level;
	enum log_format format;
};

struct config {
	char *origin; /* the file, or what config_parse() was told; NULL for the defaults */
	struct config_node node;
	struct config_service service;
	struct config_lab lab;
	struct config_relay relay;
	struct config_key *keys;
	size_t n_keys;
	/** Where the file has no `hosts`: `local` where the service is on, else none. */
	struct config_host *hosts;
	size_t n_hosts;
	struct config_health health;
	struct config_publish publish;
	struct config_discovery discovery;
	struct config_limits limits;
	struct config_events events;
	struct config_log log;
};

/** One line for a person: `file:line:col: section.key: what is wrong, what is allowed`. */
struct config_msg {
	unsigned line, col; /* from 1; 0: the file as a whole */
	char *text;
};

/** What was found, each list in the order of the file. Zeroed before use. */
struct config_errors {
	struct config_msg *errors;
	size_t n_errors;
	struct config_msg *warnings; /* the configuration is usable in spite of them */
	size_t n_warnings;
	size_t dropped; /* messages beyond CONFIG_MSGS_MAX */
};

void config_errors_done(struct config_errors *e);
/**
 * Add an error that only the caller can find, such as a key file that cannot be read. @p line is
 * that of the entry (config_key.line ...), @p key its name for the reader: "keys.corp.file".
 */
void config_errors_add(struct config_errors *e, const struct config *c, unsigned line,
		       const char *key, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/**
 * Read and check a file; @p errs gets everything that is wrong with it, not only the first thing.
 * @return 0 with *ret_config (errs may hold warnings), else ERR_CONFIG or ERR_NOMEM with at least
 *         one error in @p errs and *ret_config NULL. A file that cannot be opened is one error too.
 */
int config_load(const char *path, struct config **ret_config, struct config_errors *errs);
/**
 * The same, for who needs little of it: with ERR_CONFIG *ret_config is set too, and what has an
 * error has its default; a file that cannot be read, or is no YAML, is all defaults.
 */
int config_load_leniently(const char *path, struct config **ret_config, struct config_errors *errs);
/** The same for text; @p origin stands for the file name in messages. */
int config_parse(const char *text, size_t len, const char *origin, struct config **ret_config,
		 struct config_errors *errs);
/** What an empty file would mean, for commands that work without one. 0 or ERR_NOMEM. */
int config_new_defaults(struct config **ret_config);
void config_free(struct config *c); /* NULL is fine */

/** Index of the key or host with this name, -1 where there is none. */
int config_find_key(const struct config *c, const char *name);
int config_find_host(const struct config *c, const char *name);
/** Priority and weight of @p h as published in @p d. */
void config_srv_values(const struct config_domain *d, const struct config_host *h,
		       uint16_t *ret_priority, uint16_t *ret_weight);

/** Where the service listens is decided by others: @p list (copied; not empty) for service.listen;
 * the port of `local` follows unless it was given. 0, or ERR_NOMEM: then nothing has changed. */
int config_set_listen(struct config *c, const struct addr *list, size_t n);

/** Settings that differ and that a reload does not apply: called with "service.listen" and such. */
typedef void config_change_fn(void *ctx, const char *setting);
void config_need_restart(const struct config *running, const struct config *loaded,
			 config_change_fn *fn, void *ctx);

/** The result as YAML with every default; reads back to the same configuration. */
void config_dump(const struct config *c, FILE *out);
/** The commented example, configs/kmsbeacon.yaml. */
void config_print_example(FILE *out);
/** kmsbeacon.yaml(5), in the macros of man(7). */
void config_print_manual(FILE *out);

#endif
