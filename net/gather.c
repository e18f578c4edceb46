#include "net/gather.h"

#include <stdbool.h>

#include "common/err.h"

uint8_t *net_rx_buffer(void)
{
	/* Not _Thread_local: that would be zeroed, and so be real memory, in every thread at its
	 * start. */
	static uint8_t rx[NET_RX_SIZE];

	return rx;
}

/** Offer @p len bytes until the owner wants more than there are. @return bytes used, or
 * GATHER_STOP. */
static size_t offer(const uint8_t *data, size_t len, gather_use_fn *use, void *ctx)
{
	size_t done = 0;

	while (done < len) {
		size_t used = use(ctx, data + done, len - done);

		if (used == GATHER_STOP)
			return GATHER_STOP;
		if (used == 0)
			break;
		done += used < len - done ? used : len - done;
	}
	return done;
}

/** Offer what is held. @return false: the owner ended the stream. */
static bool again(struct buf *held, gather_use_fn *use, void *ctx)
{
	size_t used = offer(held->data, held->len, use, ctx);

	if (used == GATHER_STOP)
		return false;
	buf_consume(held, used);
	if (held->len == 0)
		buf_done(held);
	return true;
}

int gather_feed(struct buf *held, const uint8_t *data, size_t len, gather_use_fn *use, void *ctx)
{
	while (len > 0) {
		size_t take, room;
		int err;

		if (held->len == 0) {
			size_t used = offer(data, len, use, ctx);
			if (used == GATHER_STOP)
				return ERR_OK;
			return used < len ? buf_append(held, data + used, len - used) : ERR_OK;
		}
		room = held->max - held->len;
		take = len < room ? len : room;
		if (take == 0)
			return ERR_LIMIT;
		err = buf_append(held, data, take);
		if (err != ERR_OK)
			return err;
		data += take;
		len -= take;
		if (!again(held, use, ctx))
			return ERR_OK;
	}
	return ERR_OK;
}

void gather_again(struct buf *held, gather_use_fn *use, void *ctx)
{
	(void)again(held, use, ctx);
}
