/**
 * NOTIFY (RFC 1996) from the servers of our zones, over UDP: one that is for a zone of ours and
 * comes from one of its servers has the publisher read the records now, and is answered. All else
 * is counted and gets no answer: what is not wanted here must not be reflected to a forged address.
 *
 * A NOTIFY is not authenticated (a TSIG in it is not looked at), so nothing but that read may come
 * of it. Of a storm NOTIFY_PER_SECOND messages are looked at, the others are dropped unread; how
 * often one zone is read is limited below (PUB_NOTIFY_MIN_MS).
 */
#ifndef KMSBEACON_DAEMON_NOTIFY_H
#define KMSBEACON_DAEMON_NOTIFY_H

#include "net/net.h"
#include "publisher/engine.h"

#define NOTIFY_LISTEN_MAX 8
#define NOTIFY_SIZE_MAX   4096u /* bytes of a datagram; a longer one is not looked at */
#define NOTIFY_PER_SECOND 100u

struct notify;

/** Who decides what a NOTIFY is worth. */
typedef enum pub_notify notify_fn(void *ctx, const struct dns_name *zone, const struct addr *from);

/** Bind; all or nothing, with a sentence in @p info. @p net is borrowed for its life. */
int notify_new(struct net *net, const struct addr *listen, size_t n, notify_fn *fn, void *ctx,
	       struct notify **ret, struct err_info *info);
size_t notify_n_listen(const struct notify *n);
const struct addr *notify_addr(const struct notify *n, size_t i); /* as bound */

struct notify_counts {
	uint64_t taken;
	uint64_t ignored; /* not a NOTIFY, not of our zones, or not from their servers */
	uint64_t dropped; /* beyond NOTIFY_PER_SECOND */
};
void notify_counts(const struct notify *n, struct notify_counts *ret);
/** Close; freed when the loop has closed the sockets. NULL is fine. */
void notify_free(struct notify *n);

/* ---- pure ---- */

/** The zone that a message says has changed. 0; ERR_DNS_MALFORMED; ERR_DNS_MISMATCH where it is no
 * NOTIFY request for an SOA. @p answer gets the answer to it. */
int notify_read(const uint8_t *wire, size_t len, struct dns_name *ret_zone, struct buf *answer);

/** So many a second, the first ones of each. */
struct notify_rate {
	uint64_t second;
	unsigned used;
};
bool notify_rate_take(struct notify_rate *r, uint64_t now_ms);

#endif
