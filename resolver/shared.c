#include "resolver/shared.h"

#include <stdlib.h>
#include <string.h>

#define NS_LOOKUP_MS 5000 /* for the addresses of one name server */

struct zone {
	struct dns_name name;
	uint64_t used; /* the higher, the later; 0: an empty place */
	struct dns_name *ns;
	size_t n_ns;
};

struct peer {
	struct addr addr;
	uint64_t used;
	unsigned silent; /* operations in a row */
	unsigned passed; /* questions not put since */
};

struct rsv_shared {
	struct rsv_targets *hosts;
	uint64_t clock; /* counts uses */
	struct zone zones[RSV_SHARED_ZONES_MAX];
	size_t n_zones;
	struct peer peers[RSV_SHARED_PEERS_MAX];
	size_t n_peers;
	void (*freed)(void *ctx);
	void *freed_ctx;
};

/* ---- zones ----------------------------------------------------------------------------------- */

static struct zone *find_zone(struct rsv_shared *s, const struct dns_name *name)
{
	for (size_t i = 0; i < s->n_zones; i++)
		if (dns_name_equal(&s->zones[i].name, name))
			return &s->zones[i];
	return NULL;
}

const struct dns_name *rsv_shared_zone(struct rsv_shared *s, const struct dns_name *zone,
				       size_t *ret_n)
{
	struct zone *z = find_zone(s, zone);

	if (z == NULL)
		return NULL;
	z->used = ++s->clock;
	*ret_n = z->n_ns;
	return z->ns;
}

static struct zone *place_for_zone(struct rsv_shared *s)
{
	struct zone *oldest = &s->zones[0];

	if (s->n_zones < RSV_SHARED_ZONES_MAX)
		return &s->zones[s->n_zones++];
	for (size_t i = 1; i < s->n_zones; i++)
		if (s->zones[i].used < oldest->used)
			oldest = &s->zones[i];
	free(oldest->ns);
	return oldest;
}

void rsv_shared_zone_add(struct rsv_shared *s, const struct dns_name *zone,
			 const struct dns_name *ns, size_t n)
{
	struct dns_name *copy;
	struct zone *z;

	if (n == 0 || find_zone(s, zone) != NULL)
		return;
	copy = malloc(n * sizeof(*copy));
	if (copy == NULL)
		return;
	memcpy(copy, ns, n * sizeof(*copy));
	z = place_for_zone(s);
	*z = (struct zone){ .name = *zone, .used = ++s->clock, .ns = copy, .n_ns = n };
}

/* ---- who is silent --------------------------------------------------------------------------- */

static struct peer *find_peer(struct rsv_shared *s, const struct addr *a)
{
	for (size_t i = 0; i < s->n_peers; i++)
		if (addr_equal(&s->peers[i].addr, a))
			return &s->peers[i];
	return NULL;
}

/** Only silent ones are kept, so that the table is short where all is well. */
static struct peer *new_peer(struct rsv_shared *s, const struct addr *a)
{
	struct peer *p = &s->peers[0];

	if (s->n_peers < RSV_SHARED_PEERS_MAX) {
		p = &s->peers[s->n_peers++];
	} else {
		for (size_t i = 1; i < s->n_peers; i++)
			if (s->peers[i].used < p->used)
				p = &s->peers[i];
	}
	*p = (struct peer){ .addr = *a };
	return p;
}

bool rsv_shared_worth_asking(struct rsv_shared *s, const struct addr *a)
{
	struct peer *p = find_peer(s, a);

	if (p == NULL || p->silent < RSV_SILENT_AFTER)
		return true;
	p->used = ++s->clock;
	if (++p->passed < RSV_SILENT_RETRY)
		return false;
	p->passed = 0;
	return true;
}

void rsv_shared_arrange(void *shared, struct dns_server *list, size_t n)
{
	struct dns_server silent[DNS_CLIENT_SERVERS_MAX];
	struct rsv_shared *s = shared;
	size_t good = 0, bad = 0;

	if (s->n_peers == 0 || n > DNS_CLIENT_SERVERS_MAX)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct peer *p = find_peer(s, &list[i].addr);

		if (p != NULL && p->silent >= RSV_SILENT_AFTER)
			silent[bad++] = list[i];
		else
			list[good++] = list[i];
	}
	for (size_t i = 0; i < bad; i++)
		list[good + i] = silent[i];
}

void rsv_shared_heard(struct rsv_shared *s, const struct addr *a, bool silent)
{
	struct peer *p = find_peer(s, a);

	if (!silent) {
		if (p != NULL)
			*p = s->peers[--s->n_peers];
		return;
	}
	if (p == NULL)
		p = new_peer(s, a);
	p->used = ++s->clock;
	if (p->silent < RSV_SILENT_AFTER)
		p->silent++;
}

/* ---- life ------------------------------------------------------------------------------------ */

struct rsv_targets *rsv_shared_hosts(struct rsv_shared *s)
{
	return s->hosts;
}

struct rsv_shared *rsv_shared_new(struct net *net, const struct dns_server *servers, size_t n)
{
	struct rsv_shared *s = calloc(1, sizeof(*s));
	const struct rsv_targets_params p = {
		.resolve_ms = NS_LOOKUP_MS,
		.servers = servers,
		.n_servers = n,
		.in_order = true,
		.arrange = rsv_shared_arrange,
		.arrange_ctx = s,
	};

	if (s == NULL)
		return NULL;
	s->hosts = rsv_targets_new(net, &p);
	if (s->hosts == NULL) {
		free(s);
		return NULL;
	}
	return s;
}

static void on_hosts_freed(void *ctx)
{
	struct rsv_shared *s = ctx;
	void (*freed)(void *) = s->freed;
	void *freed_ctx = s->freed_ctx;

	for (size_t i = 0; i < s->n_zones; i++)
		free(s->zones[i].ns);
	free(s);
	if (freed != NULL)
		freed(freed_ctx);
}

void rsv_shared_free(struct rsv_shared *s, void (*done)(void *ctx), void *ctx)
{
	s->freed = done;
	s->freed_ctx = ctx;
	rsv_targets_free(s->hosts, on_hosts_freed, s);
}
