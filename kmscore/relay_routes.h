/**
 * Which host served a client whose first one could not: (client, refused by) -> served by, so that
 * the next request goes there at once. Bounded, the oldest are forgotten. Pure: keys are the hashes
 * of relay_choice.h; should two meet, a client asks another host first, no more.
 */
#ifndef KMSBEACON_KMSCORE_RELAY_ROUTES_H
#define KMSBEACON_KMSCORE_RELAY_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct relay_routes;

/** @p max: routes at a time, 1 or more. NULL: no memory. */
struct relay_routes *relay_routes_new(size_t max, uint64_t life_ms);
void relay_routes_free(struct relay_routes *r);
/** Remember, anew where it is known. */
void relay_routes_put(struct relay_routes *r, uint64_t client, uint64_t refused_by,
		      uint64_t served_by, uint64_t now_ms);
/** @return false: none, or older than its life. */
bool relay_routes_get(const struct relay_routes *r, uint64_t client, uint64_t refused_by,
		      uint64_t now_ms, uint64_t *ret_served_by);
size_t relay_routes_count(const struct relay_routes *r);

#endif
