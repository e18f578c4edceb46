#include "net/udp_exchange.h"

#include <string.h>

#include "common/err.h"

void udp_exchange_start(struct udp_exchange *x, struct net *net,
			const struct udp_exchange_params *p, udp_exchange_done_fn *done)
{
	x->p = *p;
	x->done = done;
	x->pool = net->udp;
	x->state = UX_WAITING;
	x->socket = NULL;
	memset(&x->deadline, 0, sizeof(x->deadline));
	udp_pool_start(x->pool, x, net);
	x->p.request = NULL;
}

void udp_exchange_cancel(struct udp_exchange *x)
{
	if (x->state == UX_WAITING)
		udp_pool_end(x->pool, x, ERR_CANCELED);
}

struct udp_exchange *udp_exchange_of(struct deadline *d)
{
	return (struct udp_exchange *)(void *)((char *)d - offsetof(struct udp_exchange, deadline));
}
