#include "kmscore/log_limit.h"

bool log_limit_pass(struct log_limit *l, const struct addr *peer, uint64_t mono_ms,
		    uint32_t *ret_held)
{
	size_t i, oldest = 0;

	if (ret_held != NULL)
		*ret_held = 0;
	for (i = 0; i < l->n && !addr_same_peer(&l->e[i].addr, peer); i++)
		if (l->e[i].logged_ms < l->e[oldest].logged_ms)
			oldest = i;
	if (i < l->n) {
		if (mono_ms - l->e[i].logged_ms < LOG_LIMIT_MS) {
			l->e[i].held++;
			return false;
		}
		if (ret_held != NULL)
			*ret_held = l->e[i].held;
	} else {
		i = l->n < LOG_LIMIT_ADDRS ? l->n++ : oldest;
		l->e[i].addr = *peer;
	}
	l->e[i].held = 0;
	l->e[i].logged_ms = mono_ms;
	return true;
}
