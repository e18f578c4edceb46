/**
 * From a byte stream to its owner's messages: what tcp_stream and listener share. Pure.
 *
 * Bytes stand in the read buffer of the whole process and are offered to the owner there; only what
 * is left of an incomplete message is copied, and the copy is freed when the message is complete.
 */
#ifndef KMSBEACON_NET_GATHER_H
#define KMSBEACON_NET_GATHER_H

#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"

/** Bytes used, 0 .. len, or GATHER_STOP: the owner ended the stream, offer nothing more. */
typedef size_t gather_use_fn(void *ctx, const uint8_t *data, size_t len);
#define GATHER_STOP SIZE_MAX

/**
 * Offer what is held in @p held and then @p data, as long as bytes are used; hold the rest.
 * @return 0; ERR_LIMIT where more than held->max bytes would be unused; ERR_NOMEM.
 */
int gather_feed(struct buf *held, const uint8_t *data, size_t len, gather_use_fn *use, void *ctx);

/** Offer again what is held, with nothing behind it. Held it stays as far as it is not used. */
void gather_again(struct buf *held, gather_use_fn *use, void *ctx);

#define NET_RX_SIZE 65536 /* the largest datagram, and one read of a stream */

/**
 * The read buffer that all sockets of the process share: libuv fills it and calls back at once, so
 * its content never outlives one callback. For the loop's thread; there is one loop.
 */
uint8_t *net_rx_buffer(void);

#endif
