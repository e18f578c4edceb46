/* The name servers' world: who there is, which zone is responsible, and transfers. */

#include <stdio.h>
#include <string.h>

#include "tests/sim/dns_priv.h"

struct sim_dns_world *sim_dns_world(void)
{
	return sim_part(SIM_PART_DNS, sizeof(struct sim_dns_world));
}

/* ---- servers ---- */

struct sim_dns_server *sim_dns_server(const char *name, const char *ip)
{
	struct sim_dns_world *w = sim_dns_world();
	struct sim_dns_server *s = sim_alloc(sizeof(*s));

	if (w->n_servers == SIM_DNS_SERVERS_MAX)
		sim_fail("more than %d name servers", SIM_DNS_SERVERS_MAX);
	snprintf(s->name, sizeof(s->name), "%s", name);
	if (addr_parse(ip, SIM_DNS_PORT, &s->at) != 0)
		sim_fail("name server %s: '%s' is no address", name, ip);
	w->servers[w->n_servers++] = s;
	sim_dns_net_apply(s);
	return s;
}

struct sim_dns_server *sim_resolver(const char *name, const char *ip, bool caches)
{
	struct sim_dns_server *s = sim_dns_server(name, ip);

	s->is_resolver = true;
	if (caches)
		s->cache = sim_cache_new();
	return s;
}

struct sim_dns_server *sim_dns_find(const char *name)
{
	struct sim_dns_world *w = sim_dns_world();

	for (size_t i = 0; i < w->n_servers; i++) {
		if (strcmp(w->servers[i]->name, name) == 0)
			return w->servers[i];
	}
	return NULL;
}

const char *sim_dns_name(const struct sim_dns_server *s)
{
	return s->name;
}

void sim_dns_watch(void (*seen)(void *ctx, const struct sim_dns_event *e), void *ctx)
{
	sim_dns_world()->seen = seen;
	sim_dns_world()->seen_ctx = ctx;
}

void sim_dns_watch_changes(void (*changed)(void *ctx, const struct sim_zone *z, bool added,
					   const struct sim_record *r),
			   void *ctx)
{
	sim_dns_world()->changed = changed;
	sim_dns_world()->changed_ctx = ctx;
}

/* ---- zones ---- */

static void put(struct sim_copy *c, const char *owner, uint16_t type, uint32_t ttl,
		const char *rdata)
{
	struct sim_record r;

	if (!sim_record_make(&r, owner, type, ttl, rdata))
		sim_fail("zone %s: '%s' cannot be a record", c->zone->apex, rdata);
	if (!sim_name_in(r.owner, c->zone->apex))
		sim_fail("'%s' is not in zone %s", r.owner, c->zone->apex);
	if (type == T_SOA)
		c->records[c->n++] = r;
	else
		sim_copy_add(c, &r);
}

static void put_servers(struct sim_copy *c, struct sim_dns_server *const *servers, size_t n)
{
	const char *apex = c->zone->apex;
	char name[SIM_DNS_NAME_MAX + 64], ip[ADDR_TEXT_MAX], soa[2 * SIM_DNS_NAME_MAX + 128];

	snprintf(soa, sizeof(soa), "%s.%s hostmaster.%s 1 900 300 604800 300", servers[0]->name,
		 apex, apex);
	put(c, apex, T_SOA, 3600, soa);
	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s.%s", servers[i]->name, apex);
		put(c, apex, T_NS, 3600, name);
		addr_format_host(&servers[i]->at, ip);
		put(c, name, servers[i]->at.u.sa.sa_family == AF_INET ? T_A : T_AAAA, 3600, ip);
	}
}

struct sim_zone *sim_zone(const char *apex, struct sim_dns_server *const *servers, size_t n,
			  const char *key, const char *view_from)
{
	struct sim_dns_world *w = sim_dns_world();
	struct sim_zone *z = sim_alloc(sizeof(*z));

	if (n == 0 || n > SIM_DNS_SERVERS_MAX || w->n_copies + n > SIM_DNS_ZONES_MAX ||
	    !sim_name_make(z->apex, apex))
		sim_fail("zone %s: too many of them, or no server", apex);
	z->has_key = key != NULL;
	if (key != NULL && !sim_key_parse(&z->key, key))
		sim_fail("zone %s: its key cannot be read", apex);
	if (view_from != NULL && addr_parse(view_from, 0, &z->view_from) != 0)
		sim_fail("zone %s: '%s' is no address", apex, view_from);
	for (size_t i = 0; i < n; i++) {
		struct sim_copy *c = &z->copies[z->n_copies++];

		c->server = servers[i];
		c->zone = z;
		c->serial = 1;
		c->records = sim_alloc(SIM_DNS_RECORDS_MAX * sizeof(c->records[0]));
		put_servers(c, servers, n);
	}
	w->n_copies += n;
	w->zones[w->n_zones++] = z;
	return z;
}

struct sim_zone *sim_zone_find(const char *apex)
{
	struct sim_dns_world *w = sim_dns_world();
	char name[SIM_DNS_NAME_MAX];

	for (size_t i = 0; sim_name_make(name, apex) && i < w->n_zones; i++) {
		if (strcmp(w->zones[i]->apex, name) == 0)
			return w->zones[i];
	}
	return NULL;
}

/** How well a view fits: 0 not at all. */
static int view_fit(const struct sim_zone *z, const char *key, const struct addr *from)
{
	if (key != NULL && z->has_key && strcmp(z->key.name, key) == 0)
		return 3;
	if (!addr_is_set(&z->view_from))
		return 1;
	return addr_same_host(&z->view_from, from) ? 2 : 0;
}

struct sim_zone *sim_dns_zone_for(const struct sim_dns_server *s, const char *name, bool exact,
				  const char *key, const struct addr *from)
{
	struct sim_dns_world *w = sim_dns_world();
	struct sim_zone *best = NULL;
	size_t best_len = 0;
	int best_fit = 0;

	for (size_t i = 0; i < w->n_zones; i++) {
		struct sim_zone *z = w->zones[i];
		size_t len = strlen(z->apex);
		int fit = view_fit(z, key, from);

		if (exact ? strcmp(name, z->apex) != 0 : !sim_name_in(name, z->apex))
			continue;
		if (fit == 0 || (s != NULL && sim_zone_copy(z, s) == NULL))
			continue;
		if (best == NULL || len > best_len || (len == best_len && fit > best_fit)) {
			best = z;
			best_len = len;
			best_fit = fit;
		}
	}
	return best;
}

/* ---- changes ---- */

static uint32_t transfer_ms(const struct sim_copy *c)
{
	return c->server->ways.transfer_ms != 0 ? c->server->ways.transfer_ms : SIM_TRANSFER_MS;
}

static void copy_primary(struct sim_copy *c)
{
	const struct sim_copy *primary = &c->zone->copies[0];

	memcpy(c->records, primary->records, primary->n * sizeof(c->records[0]));
	c->n = primary->n;
	c->serial = primary->serial;
	c->behind = false;
}

static void transfer(void *ctx, uint64_t serial)
{
	struct sim_copy *c = ctx;
	const struct sim_copy *primary = &c->zone->copies[0];
	const struct sim_dns_ways *w = &c->server->ways, *from = &primary->server->ways;

	(void)serial;
	if (!c->behind || sim_now() < c->due_ms)
		return; /* of an earlier change, or an earlier way */
	if (w->no_transfer || w->down || from->down || from->silent)
		return; /* when their ways change, it is tried again */
	copy_primary(c);
}

static void plan_transfer(struct sim_copy *c)
{
	c->behind = true;
	c->due_ms = sim_now() + transfer_ms(c);
	sim_at(c->due_ms, transfer, c, 0);
}

void sim_zone_changed(struct sim_zone *z)
{
	for (size_t i = 1; i < z->n_copies; i++) {
		if (!z->copies[i].behind) /* else this change goes with the others */
			plan_transfer(&z->copies[i]);
	}
}

static void ways_changed(void *ctx, uint64_t arg)
{
	struct sim_dns_world *w = sim_dns_world();
	struct sim_dns_server *s = ctx;

	(void)arg;
	sim_dns_net_apply(s);
	for (size_t i = 0; i < w->n_zones; i++) {
		struct sim_zone *z = w->zones[i];

		for (size_t k = 1; k < z->n_copies; k++) {
			if (z->copies[k].behind &&
			    (z->copies[k].server == s || z->copies[0].server == s))
				plan_transfer(&z->copies[k]);
		}
	}
}

struct sim_dns_ways *sim_dns_ways(struct sim_dns_server *s)
{
	sim_after(0, ways_changed, s, 0);
	return &s->ways;
}

/** The scene, before time begins: as if it had always been so. */
static void copy_to_all(struct sim_zone *z)
{
	for (size_t i = 1; i < z->n_copies; i++)
		copy_primary(&z->copies[i]);
}

static void by_hand(struct sim_zone *z, bool changed)
{
	if (!changed)
		return;
	sim_copy_set_serial(&z->copies[0], sim_serial_next(z->copies[0].serial));
	if (sim_now() > 0)
		sim_zone_changed(z);
	else
		copy_to_all(z);
}

void sim_zone_add(struct sim_zone *z, const char *owner, const char *type, uint32_t ttl,
		  const char *rdata)
{
	struct sim_record r;

	if (sim_type_parse(type) == 0 ||
	    !sim_record_make(&r, owner, sim_type_parse(type), ttl, rdata) ||
	    !sim_name_in(r.owner, z->apex))
		sim_fail("zone %s: '%s %s %s' cannot be a record of it", z->apex, owner, type,
			 rdata);
	by_hand(z, sim_copy_add(&z->copies[0], &r));
}

void sim_zone_delete(struct sim_zone *z, const char *owner, const char *type, const char *rdata)
{
	struct sim_record r;

	if (sim_type_parse(type) == 0 || !sim_name_make(r.owner, owner) ||
	    (rdata != NULL && !sim_record_make(&r, owner, sim_type_parse(type), 0, rdata)))
		sim_fail("zone %s: '%s %s %s' cannot be a record of it", z->apex, owner, type,
			 rdata != NULL ? rdata : "");
	by_hand(z, sim_copy_remove(&z->copies[0], r.owner, sim_type_parse(type),
				   rdata != NULL ? r.rdata : NULL));
}

size_t sim_zone_records(const struct sim_zone *z, const struct sim_dns_server *s, const char *owner,
			const char *type, struct sim_record *ret, size_t max)
{
	char name[SIM_DNS_NAME_MAX];
	uint16_t t = sim_type_parse(type);
	size_t n = 0, from = 0;

	for (size_t i = 0; sim_name_make(name, owner) && i < z->n_copies; i++) {
		const struct sim_copy *c = &z->copies[i];
		const struct sim_record *r;

		if (c->server != s)
			continue;
		while (n < max && (r = sim_copy_next(c, name, t, &from)) != NULL)
			ret[n++] = *r;
	}
	return n;
}

uint32_t sim_zone_serial(const struct sim_zone *z, const struct sim_dns_server *s)
{
	for (size_t i = 0; i < z->n_copies; i++) {
		if (z->copies[i].server == s)
			return z->copies[i].serial;
	}
	return 0;
}

/* ---- NOTIFY ---- */

void sim_zone_notify(struct sim_zone *z, struct sim_dns_server *s, const struct addr *to)
{
	static struct sim_out o;
	struct sim_msg m = { .id = (uint16_t)rng_u32(sim_rng()) };
	char at[ADDR_TEXT_MAX];

	sim_out_begin(&o, 512, &m, NULL, 0);
	o.data[2] = OP_NOTIFY << 3 | F_AA >> 8;
	o.data[5] = 1;
	sim_out_name(&o, z->apex, false);
	sim_out_uint(&o, T_SOA, 2);
	sim_out_uint(&o, C_IN, 2);
	sim_udp_send(&s->at, to, o.data, o.len);
	addr_format(to, at);
	sim_dns_tell_notify(s, z, at);
}
