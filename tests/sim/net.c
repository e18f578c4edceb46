/* What the network does to messages, and datagrams. */
#include <errno.h>
#include <string.h>

#include "tests/sim/machine.h"

/* ---- rules ---- */

static bool same(const struct addr *a, const struct addr *b)
{
	if (!addr_is_set(a) || !addr_is_set(b))
		return addr_is_set(a) == addr_is_set(b);
	return addr_same_host(a, b);
}

static bool fits(const struct addr *rule, const struct addr *a)
{
	return !addr_is_set(rule) || addr_same_host(rule, a);
}

void sim_rule_drop(const struct addr *from, const struct addr *to)
{
	static const struct addr any;

	for (size_t i = 0; i < world->n_rules; i++) {
		struct sim_rule *r = &world->rules[i];

		if (!same(&r->from, from != NULL ? from : &any) ||
		    !same(&r->to, to != NULL ? to : &any))
			continue;
		world->n_rules--;
		memmove(r, r + 1, (world->n_rules - i) * sizeof(*r));
		return;
	}
}

void sim_rule(const struct sim_rule *r)
{
	sim_rule_drop(&r->from, &r->to);
	if (world->n_rules == SIM_RULES_MAX)
		sim_fail("too many rules (SIM_RULES_MAX)");
	world->rules[world->n_rules++] = *r; /* the last one counts */
}

const struct sim_rule *rule_for(const struct addr *from, const struct addr *to)
{
	static const struct sim_rule none = { .latency_us = LATENCY_DEFAULT_US };

	for (size_t i = world->n_rules; i-- > 0;)
		if (fits(&world->rules[i].from, from) && fits(&world->rules[i].to, to))
			return &world->rules[i];
	return &none;
}

uint64_t rule_delay_us(const struct sim_rule *r)
{
	return r->latency_us +
	       (r->jitter_us > 0 ? rng_below(&world->net_rng, r->jitter_us + 1) : 0);
}

static bool chance(uint16_t of_1000)
{
	return of_1000 > 0 && rng_below(&world->net_rng, 1000) < of_1000;
}

void flight_began(void)
{
	if (++world->n_flights > SIM_FLIGHT_MAX)
		sim_fail("too much is under way (SIM_FLIGHT_MAX)");
}

void flight_ended(void)
{
	world->n_flights--;
}

/* ---- addresses ---- */

bool addr_is_own(const struct addr *a)
{
	if (addr_is_loopback(a))
		return true;
	for (size_t i = 0; life_process != NULL && i < life_process->n_own; i++)
		if (addr_same_host(&life_process->own[i], a))
			return true;
	return false;
}

bool addr_source(const struct addr *to, struct addr *ret)
{
	static const uint8_t v4[4] = { 127, 0, 0, 1 }, v6[16] = { [15] = 1 };
	int family = to->u.sa.sa_family;

	*ret = *to;
	addr_set_port(ret, 0);
	if (!addr_is_loopback(to) && addr_is_own(to))
		return true;
	if (addr_is_loopback(to)) {
		if (family == AF_INET)
			addr_from_v4(ret, v4, 0);
		else
			addr_from_v6(ret, v6, 0);
		return true;
	}
	for (size_t i = 0; i < life_process->n_own; i++) {
		if (life_process->own[i].u.sa.sa_family != family)
			continue;
		*ret = life_process->own[i];
		addr_set_port(ret, 0);
		return true;
	}
	return false;
}

/* ---- datagrams ---- */

struct flight {
	struct addr from, to;
	bool refused; /* an ICMP message: nobody has the port `from` */
	size_t len;
	uint8_t data[];
};

static struct udp_port *find_port(const struct addr *at)
{
	for (size_t i = 0; i < world->n_udp_ports; i++)
		if (addr_equal(&world->udp_ports[i].at, at))
			return &world->udp_ports[i];
	return NULL;
}

void sim_udp_open(const struct addr *at, sim_datagram_fn *fn, void *ctx)
{
	struct udp_port *p = find_port(at);

	if (p == NULL && world->n_udp_ports == PORTS_MAX)
		sim_fail("too many ports are open");
	if (p == NULL)
		p = &world->udp_ports[world->n_udp_ports++];
	*p = (struct udp_port){ *at, fn, ctx };
}

void sim_udp_close(const struct addr *at)
{
	struct udp_port *p = find_port(at);

	if (p != NULL)
		*p = world->udp_ports[--world->n_udp_ports];
}

static void on_arrival(void *ctx, uint64_t arg);

static void launch(const struct addr *from, const struct addr *to, const uint8_t *data, size_t len,
		   bool refused)
{
	const struct sim_rule *r = rule_for(from, to);
	unsigned copies = 1;

	if (r->cut || chance(r->lose))
		return;
	if (chance(r->repeat))
		copies++;
	for (; copies > 0; copies--) {
		struct flight *f = block_get(sizeof(*f) + len);

		f->from = *from;
		f->to = *to;
		f->refused = refused;
		f->len = len;
		if (len > 0)
			memcpy(f->data, data, len);
		flight_began();
		event_at_us(world->now_us + rule_delay_us(r), on_arrival, f, 0);
	}
}

static void deliver(const struct flight *f)
{
	struct sim_socket *s = socket_datagram(&f->to, &f->from);
	const struct udp_port *p = find_port(&f->to);

	if (f->refused) {
		if (s != NULL && addr_is_set(&s->peer) && addr_equal(&s->peer, &f->from))
			s->err = ECONNREFUSED;
		return;
	}
	digest_add("datagram", f->data, f->len);
	if (s != NULL)
		socket_put_datagram(s, &f->from, f->data, f->len);
	else if (p != NULL)
		p->fn(p->ctx, &f->to, &f->from, f->data, f->len);
	else
		launch(&f->to, &f->from, NULL, 0, true);
}

static void on_arrival(void *ctx, uint64_t arg)
{
	struct flight *f = ctx;

	(void)arg;
	flight_ended();
	deliver(f);
	block_put(f);
}

void datagram_send(const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	launch(from, to, data, len, false);
}

void sim_udp_send(const struct addr *from, const struct addr *to, const uint8_t *data, size_t len)
{
	if (len > SIM_PACKET_MAX)
		sim_fail("a datagram of %zu bytes", len);
	launch(from, to, data, len, false);
}
