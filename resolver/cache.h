/**
 * The KMS host that a client remembers (behaviour §2.5), in a file of its own.
 *
 * A remembered host is used before DNS, and priority and weight do not matter until it fails. So
 * `/ckhc` exists: caching off, DNS asked every time, and what was remembered is forgotten; `/skhc`
 * turns it on again. `/skms` and `/ckms` forget the host as well.
 *
 * Since Windows 8 each product remembers a host of its own, while caching is switched for the
 * machine. So one cache holds several hosts, and rsv_cache_use() says whose is meant.
 *
 * JSON, mode 0600, replaced by rename so that a crash leaves the old file or the new one.
 */
#ifndef KMSBEACON_RESOLVER_CACHE_H
#define KMSBEACON_RESOLVER_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "net/dnsname.h"

#define RSV_KMS_PORT       1688
#define RSV_CACHE_FILE_MAX 65536 /* bytes; a larger file is not one of ours */
#define RSV_CACHE_HOSTS    16    /* products with a host; beyond, the oldest is forgotten */
#define RSV_PRODUCT_MAX    40    /* a GUID, "windows" or "office" */

/** Where a host came from; the text forms are the JSON's. */
enum rsv_source { RSV_FROM_MANUAL, RSV_FROM_CACHE, RSV_FROM_DNS, RSV_SOURCE_COUNT_ };
const char *rsv_source_name(enum rsv_source s); /* "manual", "cache", "dns" */

struct rsv_cached_host {
	char product[RSV_PRODUCT_MAX]; /* set by rsv_cache_put() */
	char host[DNSNAME_TEXT_MAX];
	uint16_t port;
	struct addr addr;       /* with the port; may be unset */
	int64_t when_ms;        /* wall clock, when it last answered */
	enum rsv_source source; /* how it was found first */
};

/** One for a client, in memory. Visible so that it can be embedded; use the functions. */
struct rsv_cache {
	bool enabled;
	bool dirty; /* differs from the file: the owner saves */
	bool newer; /* the file is one of a newer kmsbeacon, so it is not replaced */
	char product[RSV_PRODUCT_MAX];
	struct rsv_cached_host entry[RSV_CACHE_HOSTS];
	size_t n;
};

/** Enabled and empty. */
void rsv_cache_init(struct rsv_cache *c);
/**
 * Read @p path. No such file: 0, and the cache is as after init. A file that cannot be read or is
 * none of ours: an error with a sentence in @p info, and the cache is as after init. Saving would
 * replace that file, so only who owns the path (the daemon) goes on; a path that somebody typed is
 * refused. One that a newer kmsbeacon wrote (ERR_STORE_VERSION) is never replaced: saving does
 * nothing then.
 */
int rsv_cache_load(struct rsv_cache *c, const char *path, struct err_info *info);
/** Write if dirty. 0, or an error with a sentence in @p info; the old file is then untouched. */
int rsv_cache_save(struct rsv_cache *c, const char *path, struct err_info *info);

/** Whose host the functions below mean from now on; "", as after init and load: the client as a
 * whole. A longer name is cut. */
void rsv_cache_use(struct rsv_cache *c, const char *product);
/** The remembered host; NULL where there is none or caching is off. */
const struct rsv_cached_host *rsv_cache_get(const struct rsv_cache *c);
/** Remember; does nothing while caching is off. */
void rsv_cache_put(struct rsv_cache *c, const struct rsv_cached_host *h);
/** Forget the host (`/skms`, `/ckms`); with the product "" those of all products, since what is set
 * for all is set for each. */
void rsv_cache_flush(struct rsv_cache *c);
/** `/skhc` (true), `/ckhc` (false, which also forgets the hosts of all products). */
void rsv_cache_set_enabled(struct rsv_cache *c, bool on);

#endif
