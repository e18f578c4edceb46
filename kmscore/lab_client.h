/**
 * A lab client: the activation life of a Windows or Office client (behaviour §3.2), with
 * kmsbeacon's lab envelope as its messages. Pure state; time, randomness and answers are passed in.
 * lab_ato.h does the network part, lab_clients.h the file.
 *
 * Typical use (the command `client ato`):
 *   lab_clients_load(), lab_clients_find() or lab_client_init();  lab_client_advance(now);
 *   a host list: manual, else cache, else discovery (the caller's);  lab_ato_start() on it;
 *   lab_clients_save().
 */
#ifndef KMSBEACON_KMSCORE_LAB_CLIENT_H
#define KMSBEACON_KMSCORE_LAB_CLIENT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "common/err.h"
#include "common/mem.h"
#include "common/rng.h"
#include "kmscore/events.h"
#include "kmscore/kms.h"
#include "kmscore/lab.h"
#include "kmscore/lab_product.h"

/** Where a host came from, most binding first (behaviour §2.1). */
enum lab_source { LAB_SOURCE_MANUAL, LAB_SOURCE_CACHE, LAB_SOURCE_DNS, LAB_SOURCE_COUNT_ };
const char *lab_source_name(enum lab_source s); /* "manual", "cache", "dns" */

/** The host that answered last (behaviour §2.5). Empty name: none. */
struct lab_cached_host {
	char name[HOST_TEXT_MAX];
	uint16_t port;
	struct addr addr; /* with port */
	int64_t when_ms;
};

struct lab_client {
	const struct lab_product *product; /* static, never NULL after init or load */
	struct guid cmid;
	struct guid previous_cmid;
	char machine[LAB_MACHINE_TEXT_MAX];
	bool vm;

	enum kms_licence licence;
	int64_t since_ms;   /* when this status began */
	int64_t expires_ms; /* end of grace or validity; 0 in states without end */
	uint32_t notification_reason;
	uint32_t activation_min; /* minutes; the host's once it has answered */
	uint32_t renewal_min;
	int64_t next_attempt_ms;
	uint32_t last_code; /* of the last attempt; 0 also before the first */

	int64_t activated_ms; /* last success; 0: never */
	char host_pid[LAB_PID_MAX];
	uint32_t count; /* told by the host that answered last */

	char manual_name[HOST_TEXT_MAX]; /* `skms`; as typed, a bracketed IPv6 keeps its brackets */
	uint16_t manual_port;            /* 0: not set, which means KMS_PORT */
	char lookup_domain[HOST_TEXT_MAX]; /* `skms-domain` */
	bool caching;                      /* `skhc`, the default; `ckhc` clears it and the cache */
	struct lab_cached_host cache;
	/** Not kept: whether a host is remembered only once it has activated, not also where its
	 * count is too low (discovery.cache_write). */
	bool cache_activated_only;
};

/** A new client in its first 30 days. @p machine: this computer's name (cut to fit). */
void lab_client_init(struct lab_client *c, const struct lab_product *product, const char *machine,
		     struct rng *rng, int64_t now_ms);
/** Let the time pass: grace and validity end here. @return true where the status has changed. */
bool lab_client_advance(struct lab_client *c, int64_t now_ms);
/** Minutes left in the current state, rounded up; 0 where it has no end. */
uint32_t lab_client_minutes_left(const struct lab_client *c, int64_t now_ms);

/* The slmgr verbs. Parsing as slmgr does it, behaviour §2.2. */

/**
 * `skms NAME`, `NAME:PORT`, `[v6]`, `[v6]:PORT`, `:PORT`. A name without port clears the port, and
 * any name the cache; `:PORT` changes only the port. USAGE (and nothing changed) for a bad name or
 * port.
 */
int lab_client_skms(struct lab_client *c, const char *arg, struct err_info *info);
/** `ckms`: no manual host, and the cached one is forgotten. */
void lab_client_ckms(struct lab_client *c);
/** @p domain NULL clears. USAGE for what is no domain name. */
int lab_client_set_lookup_domain(struct lab_client *c, const char *domain, struct err_info *info);
/** `skhc` and `ckhc`. */
void lab_client_set_caching(struct lab_client *c, bool on);
/** The manual host without brackets and with the port in effect; false: none is set. */
bool lab_client_manual_host(const struct lab_client *c, char ret_host[HOST_TEXT_MAX],
			    uint16_t *ret_port);

/* One exchange with one host. */

/** What must be kept between request and answer. */
struct lab_pending {
	struct lab_request rq;
	uint8_t nonce[LAB_NONCE_LEN];
};
int lab_client_request(const struct lab_client *c, const struct lab_key *key, struct rng *rng,
		       int64_t now_ms, struct lab_pending *ret_pending,
		       uint8_t ret_body[LAB_REQUEST_LEN]);

/** What an attempt at one host came to. */
struct lab_verdict {
	uint32_t hresult;       /* 0: activated */
	uint32_t status;        /* status flags of events 12288 and 12289 */
	bool answered;          /* the host gave a valid lab answer, if only "count too low" */
	bool final;             /* other hosts need not be asked: success, F038, F042 */
	bool response;          /* a 12289 belongs to it: an answer was processed */
	struct lab_response rs; /* where answered */
};
/**
 * Judge the answer of a host and, where it was valid, change the state: activated, or still waiting
 * for the count. @p rpc_err and @p rpc_hresult from kms_client; @p body NULL where there was none.
 * @p host, @p at: who answered, for the cache.
 */
void lab_client_answer(struct lab_client *c, const struct lab_key *key,
		       const struct lab_pending *pending, int rpc_err, uint32_t rpc_hresult,
		       const uint8_t *body, size_t len, const char *host, const struct addr *at,
		       int64_t now_ms, struct lab_verdict *ret);
/** The whole attempt has failed with @p code: plan the next one. lab_ato.h does this. */
void lab_client_failed(struct lab_client *c, uint32_t code, int64_t now_ms);

/** What a state file holds of a client; a new reference, NULL where memory is out. */
json_t *lab_client_to_json(const struct lab_client *c);
/** NULL: @p ret is complete; else the key that is missing or has no possible value. */
const char *lab_client_from_json(const json_t *o, struct lab_client *ret);

/** `dlv`: the text in the order of `slmgr /dlv` (behaviour §6.2). @return 0, LIMIT, NOMEM. */
int lab_client_dlv(const struct lab_client *c, int64_t now_ms, struct buf *out);
/** The same as an object; a new reference, NULL where memory is out. */
json_t *lab_client_dlv_json(const struct lab_client *c, int64_t now_ms);

#endif
