/**
 * A Windows client as the section `discovery` of the configuration describes it, ready for a
 * discovery. Pure. Used by the command and by the daemon's scheduled discovery alike.
 *
 * What slmgr sets can stand at three places: for one product (Activation ID), for an application,
 * for all. The most specific counts (behaviour §2.2; the order is inferred, no source gives it). A
 * manual port belongs to the place of its host.
 */
#ifndef KMSBEACON_RESOLVER_CLIENT_H
#define KMSBEACON_RESOLVER_CLIENT_H

#include "common/config.h"
#include "net/resolv_conf.h"
#include "resolver/discover.h"

#define RSV_APP_WINDOWS "55c92734-d682-4d71-983e-d6ec3f16059f"
#define RSV_APP_OFFICE  "0ff1ce16-a989-479d-af46-f275c6370663"

struct rsv_client {
	/** Points into what follows, so the struct stays where it was filled. Prober, cache, rng,
	 * servers and times are the caller's to set. */
	struct rsv_discover_params params;
	/** Whose settings these are, lower case, names as GUIDs: for rsv_cache_use(). "": all. */
	char product[RSV_PRODUCT_MAX];
	/* private */
	char manual_host[HOST_TEXT_MAX];
	struct dns_name lookup_domain;
	struct dns_name suffixes[RSV_SUFFIXES_MAX];
	enum rsv_suffix_from from[RSV_SUFFIXES_MAX];
};

/**
 * @p product: "windows", "office", the GUID of an application or an Activation ID; NULL or "": what
 * is set for all. @p rc: this machine's resolv.conf, whose suffixes stand in where the
 * configuration has none; NULL: nothing stands in.
 * @return 0, or ERR_USAGE with a sentence where @p product is neither a word nor a GUID.
 */
int rsv_client_init(struct rsv_client *c, const struct config_discovery *d, const char *product,
		    const struct resolv_conf *rc, struct err_info *info);

/* In place of what the configuration says, for options of a command. */

/** As `slmgr /skms ARG`. 0 or ERR_USAGE. */
int rsv_client_set_manual(struct rsv_client *c, const char *arg, enum config_lone_port lone,
			  struct err_info *info);
/** As `slmgr /skms-domain`. 0 or ERR_USAGE. */
int rsv_client_set_lookup_domain(struct rsv_client *c, const char *domain, struct err_info *info);
/** Begin a list of suffixes, then add to it in the order of asking. 0, ERR_USAGE or ERR_LIMIT. */
void rsv_client_clear_suffixes(struct rsv_client *c);
int rsv_client_add_suffix(struct rsv_client *c, const char *domain, enum rsv_suffix_from from,
			  struct err_info *info);

#endif
