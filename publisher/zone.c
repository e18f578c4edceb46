#include "publisher/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publisher/walk.h"

static uint16_t dns_port(const struct net *net)
{
	return net->dns_port != 0 ? net->dns_port : NET_DNS_PORT;
}

size_t pub_zone_primary(const struct pub_zone *z, const struct pub_target *t,
			struct dns_server ret[PUB_PRIMARY_MAX])
{
	for (size_t i = 0; i < z->n_primary; i++) {
		ret[i].addr = z->primary[i];
		ret[i].key = t->key;
	}
	return z->n_primary;
}

bool pub_zone_is_secondary(const struct pub_zone *z)
{
	if (!z->by_server)
		return false;
	for (size_t i = 0; i < z->n_ns; i++) {
		if (!dns_name_equal(&z->ns[i].name, &z->mname) || z->ns[i].n_addrs == 0)
			continue;
		for (size_t k = 0; k < z->ns[i].n_addrs; k++)
			for (size_t m = 0; m < z->n_primary; m++)
				if (addr_same_host(&z->ns[i].addrs[k], &z->primary[m]))
					return false;
		return true;
	}
	return false;
}

/* ---- the end ---- */

static void maybe_deliver(struct pub_zone_op *z)
{
	if (z->open > 0)
		return;
	z->state = ZS_DONE;
	if (z->out.err == ERR_OK && z->out.block == PUB_BLOCK_NONE) {
		z->out.zone = z->zone;
		z->zone = NULL;
	} else {
		pub_read_done(&z->out.read);
		z->out.has_read = false;
	}
	z->out.owner = z->walk.owner;
	z->out.found = z->walk.zone;
	z->out.mname = z->walk.soa.mname;
	if (z->p.known == NULL)
		pub_zone_free(z->zone);
	z->zone = NULL;
	z->done(z, &z->out);
}

static void on_closed(uv_handle_t *h)
{
	struct pub_zone_op *z = h->data;

	z->open--;
	maybe_deliver(z);
}

static void finish(struct pub_zone_op *z, int err)
{
	if (z->state == ZS_CLOSING || z->state == ZS_DONE || z->state == ZS_IDLE)
		return;
	z->state = ZS_CLOSING;
	z->out.err = err;
	for (size_t i = 0; i < PUB_ZONE_WAITS; i++)
		pub_hosts_leave(&z->waits[i]);
	if (z->soa.owner != NULL)
		dns_client_cancel(&z->soa);
	if (z->ns.owner != NULL)
		dns_client_cancel(&z->ns);
	uv_close((uv_handle_t *)&z->timer, on_closed);
}

static void block(struct pub_zone_op *z, enum pub_block b)
{
	z->out.block = b;
	finish(z, ERR_OK);
}

static void on_deadline(uv_timer_t *t)
{
	finish(t->data, ERR_TIMEOUT);
}

/* Who answered is asked first from now on: an address that is dead costs its wait once. */
void pub_zone_prefer(struct pub_zone *zone, const struct addr *a)
{
	for (size_t i = 1; i < zone->n_primary; i++) {
		struct addr found = zone->primary[i];

		if (!addr_equal(&found, a))
			continue;
		memmove(&zone->primary[1], &zone->primary[0], i * sizeof(zone->primary[0]));
		zone->primary[0] = found;
		return;
	}
}

/* ---- questions ---- */

static void name_server(struct pub_zone_op *z, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (!addr_is_set(a))
		return;
	z->out.addr = *a;
	addr_format(a, text);
	(void)snprintf(z->out.server, sizeof(z->out.server), "%s", text);
}

static void keep_failure(struct pub_zone_op *z, const struct dns_outcome *o)
{
	name_server(z, &o->server);
	z->out.hint_rcode =
		o->err == ERR_RCODE_OTHER && o->msg != NULL ? o->msg->rcode : o->hint_rcode;
	z->out.tsig = o->tsig;
}

static void ask(struct pub_zone_op *z, struct dns_client *c, const struct dns_name *name,
		uint16_t type, const struct dns_server *servers, size_t n, bool rd,
		dns_client_done_fn *done)
{
	struct dns_question q = { .name = *name, .type = type, .rd = rd };
	struct dns_client_params p = { .servers = servers, .n_servers = n, .question = &q };

	c->owner = z;
	z->open++;
	dns_client_start(c, z->net, &p, done);
}

static void start_confirm(struct pub_zone_op *z);
static void start_mname(struct pub_zone_op *z);
static void start_ns_hosts(struct pub_zone_op *z, const struct dns_msg *m);
static size_t take_ns(struct pub_zone_op *z, const struct dns_msg *m, enum dns_section section);
static void on_walk(struct dns_client *c, const struct dns_outcome *o);
static void on_ns(struct dns_client *c, const struct dns_outcome *o);

static void ask_walk(struct pub_zone_op *z)
{
	struct dns_server
		servers[NET_RESOLVERS_MAX > PUB_PRIMARY_MAX ? NET_RESOLVERS_MAX : PUB_PRIMARY_MAX];
	size_t n;

	z->state = ZS_WALK;
	z->out.stage = PUB_STAGE_WALK;
	if (z->zone->by_server) {
		n = pub_zone_primary(z->zone, z->p.target, servers);
	} else {
		n = z->net->n_resolvers;
		for (size_t i = 0; i < n; i++)
			servers[i] = (struct dns_server){ .addr = z->net->resolvers[i] };
	}
	if (n == 0) {
		finish(z, ERR_NO_SERVER);
		return;
	}
	ask(z, &z->soa, &z->walk.ask, DNS_TYPE_SOA, servers, n, !z->zone->by_server, on_walk);
}

/* The zone is known: put down what the SOA says. */
static void take_soa(struct pub_zone_op *z, const struct dns_soa *soa)
{
	z->zone->mname = soa->mname;
	z->zone->serial = soa->serial;
}

static void zone_found(struct pub_zone_op *z)
{
	struct pub_zone *zone = z->zone;

	zone->zone = z->walk.zone;
	zone->owner = z->walk.owner;
	zone->aliased = z->walk.aliases > 0;
	take_soa(z, &z->walk.soa);
	if (dns_name_is_root(&zone->zone) ||
	    (!zone->by_server && dns_name_labels(&zone->zone) == 1 &&
	     !dns_name_equal(&zone->zone, &z->p.target->domain))) {
		block(z, PUB_BLOCK_TOP);
		return;
	}
	if (zone->by_server)
		start_confirm(z);
	else
		start_mname(z);
}

static void on_walk(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_zone_op *z = c->owner;

	c->owner = NULL;
	z->open--;
	if (z->state == ZS_CLOSING) {
		maybe_deliver(z);
		return;
	}
	if (o->err != ERR_OK && (o->err != ERR_RCODE_NXDOMAIN || o->msg == NULL)) {
		keep_failure(z, o);
		finish(z, o->err);
		return;
	}
	name_server(z, &o->server);
	if (z->zone->by_server)
		pub_zone_prefer(z->zone, &o->server);
	switch (pub_walk_answer(&z->walk, o->msg)) {
	case WALK_ASK:
		ask_walk(z);
		return;
	case WALK_FOUND:
		zone_found(z);
		return;
	case WALK_DELEGATED:
		z->out.other = z->walk.child;
		block(z, PUB_BLOCK_DELEGATED);
		return;
	case WALK_NOT_AUTH:
		block(z, PUB_BLOCK_NOT_AUTH);
		return;
	case WALK_ALIAS_LOOP:
		block(z, PUB_BLOCK_ALIAS_LOOP);
		return;
	case WALK_NO_ZONE:
		finish(z, ERR_DNS_NO_ZONE);
		return;
	}
}

/* ---- the primary ---- */

static void add_primary(struct pub_zone *zone, const struct host_lookup_result *r)
{
	for (size_t i = 0; i < r->n_addrs && zone->n_primary < PUB_PRIMARY_MAX; i++)
		zone->primary[zone->n_primary++] = r->addrs[i];
}

static void on_mname(struct pub_hosts_wait *w, const struct host_lookup_result *r)
{
	struct pub_zone_op *z = w->owner;

	z->waiting = 0;
	if (r->err != ERR_OK) {
		finish(z, r->err);
		return;
	}
	add_primary(z->zone, r);
	start_confirm(z);
}

static void start_mname(struct pub_zone_op *z)
{
	const struct host_lookup_result *r;
	char name[DNSNAME_TEXT_MAX];

	z->state = ZS_MNAME;
	z->out.stage = PUB_STAGE_HOST;
	z->zone->primary_name = z->zone->mname;
	if (dns_name_is_root(&z->zone->mname)) {
		finish(z, ERR_DNS_NODATA);
		return;
	}
	dns_name_format(&z->zone->mname, name);
	z->waits[0].owner = z;
	r = pub_hosts_get(z->p.hosts, z->net, name, dns_port(z->net), NULL, 0, 0, &z->waits[0],
			  on_mname);
	if (r != NULL)
		on_mname(&z->waits[0], r);
}

static void confirmed(struct pub_zone_op *z)
{
	/* Both sets are needed; glue is taken from the message that the NS set is in. */
	if (z->soa_ok && z->ns_ok && z->waiting == 0)
		finish(z, ERR_OK);
}

static void ask_ns(struct pub_zone_op *z)
{
	struct dns_server servers[PUB_PRIMARY_MAX];
	size_t n = pub_zone_primary(z->zone, z->p.target, servers);

	ask(z, &z->ns, &z->zone->zone, DNS_TYPE_NS, servers, n, false, on_ns);
}

static void on_confirm(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_zone_op *z = c->owner;
	const struct dns_rr *rrs;
	size_t n;

	c->owner = NULL;
	z->open--;
	if (z->state == ZS_CLOSING) {
		maybe_deliver(z);
		return;
	}
	if (o->err != ERR_OK) {
		z->out.stage = PUB_STAGE_CONFIRM;
		keep_failure(z, o);
		finish(z, o->err);
		return;
	}
	pub_zone_prefer(z->zone, &o->server);
	name_server(z, &o->server);
	rrs = dnsmsg_section(o->msg, DNS_ANSWER, &n);
	for (size_t i = 0; i < n && o->msg->aa; i++) {
		if (rrs[i].type != DNS_TYPE_SOA || !dns_name_equal(&rrs[i].owner, &z->zone->zone))
			continue;
		take_soa(z, &rrs[i].data.soa);
		z->soa_ok = true;
	}
	if (!z->soa_ok) {
		z->out.stage = PUB_STAGE_CONFIRM;
		block(z, PUB_BLOCK_NOT_AUTH);
		return;
	}
	/* Many servers add the NS set to the answer, and a set comes whole or not at all (RFC 2181
	 * §9): a question less for each zone. */
	if (take_ns(z, o->msg, DNS_AUTHORITY) > 0)
		start_ns_hosts(z, o->msg);
	else if (z->state == ZS_CONFIRM)
		ask_ns(z);
}

static void ask_soa(struct pub_zone_op *z)
{
	struct dns_server servers[PUB_PRIMARY_MAX];
	size_t n = pub_zone_primary(z->zone, z->p.target, servers);

	ask(z, &z->soa, &z->zone->zone, DNS_TYPE_SOA, servers, n, false, on_confirm);
}

/* RFC 2308 §3: the primary, which holds the zone, says that there is nothing. */
static bool confirms(struct pub_zone_op *z, const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_AUTHORITY, &n);

	if (!m->aa || m->count[DNS_ANSWER] > 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (rrs[i].type != DNS_TYPE_SOA || rrs[i].rclass != DNS_CLASS_IN ||
		    !dns_name_equal(&rrs[i].owner, &z->zone->zone))
			continue;
		take_soa(z, &rrs[i].data.soa);
		return true;
	}
	return false;
}

static void on_set(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_zone_op *z = c->owner;
	int err;

	c->owner = NULL;
	z->open--;
	if (z->state == ZS_CLOSING) {
		maybe_deliver(z);
		return;
	}
	if (o->err != ERR_OK && (o->err != ERR_RCODE_NXDOMAIN || o->msg == NULL)) {
		keep_failure(z, o);
		finish(z, o->err);
		return;
	}
	pub_zone_prefer(z->zone, &o->server);
	name_server(z, &o->server);
	z->out.exists = o->err == ERR_OK;
	err = pub_read_answer(o->msg, &z->zone->owner, &z->out.read);
	z->out.has_read = err == ERR_OK && z->out.read.kind == PUB_READ_SET;
	if (err != ERR_OK)
		finish(z, err);
	else if (confirms(z, o->msg))
		finish(z, ERR_OK);
	else
		ask_soa(z);
}

static void ask_set(struct pub_zone_op *z)
{
	struct dns_server servers[PUB_PRIMARY_MAX];
	size_t n = pub_zone_primary(z->zone, z->p.target, servers);

	ask(z, &z->soa, &z->zone->owner, DNS_TYPE_SRV, servers, n, false, on_set);
}

static void start_confirm(struct pub_zone_op *z)
{
	z->state = ZS_CONFIRM;
	z->out.stage = PUB_STAGE_CONFIRM;
	/* With `server:` the walk's last answer was the primary's own, signed and with AA. */
	z->soa_ok = z->zone->by_server && z->p.known == NULL;
	if (z->soa_ok)
		ask_ns(z);
	else if (z->p.known != NULL)
		ask_soa(z);
	else
		ask_set(z);
}

/* ---- the name servers ---- */

/** @return how many; out of memory ends the operation. */
static size_t take_ns(struct pub_zone_op *z, const struct dns_msg *m, enum dns_section section)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, section, &n);

	z->zone->ns = calloc(n < PUB_NS_MAX ? n + 1 : PUB_NS_MAX, sizeof(*z->zone->ns));
	if (z->zone->ns == NULL) {
		finish(z, ERR_NOMEM);
		return 0;
	}
	for (size_t i = 0; i < n && z->zone->n_ns < PUB_NS_MAX; i++)
		if (rrs[i].type == DNS_TYPE_NS && dns_name_equal(&rrs[i].owner, &z->zone->zone))
			z->zone->ns[z->zone->n_ns++].name = rrs[i].data.name;
	if (z->zone->n_ns == 0) {
		free(z->zone->ns);
		z->zone->ns = NULL;
	}
	return z->zone->n_ns;
}

static void on_ns(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_zone_op *z = c->owner;

	c->owner = NULL;
	z->open--;
	if (z->state == ZS_CLOSING) {
		maybe_deliver(z);
		return;
	}
	if (o->err != ERR_OK) {
		z->out.stage = PUB_STAGE_CONFIRM;
		keep_failure(z, o);
		finish(z, o->err);
		return;
	}
	if (!o->msg->aa) {
		z->out.stage = PUB_STAGE_CONFIRM;
		block(z, PUB_BLOCK_NOT_AUTH);
		return;
	}
	(void)take_ns(z, o->msg, DNS_ANSWER);
	if (z->state == ZS_CONFIRM)
		start_ns_hosts(z, o->msg);
}

static void add_ns_addr(struct pub_ns *ns, const struct addr *a)
{
	if (ns->n_addrs < PUB_NS_ADDRS_MAX)
		ns->addrs[ns->n_addrs++] = *a;
}

static void take_glue(struct pub_zone_op *z, struct pub_ns *ns, const struct dns_msg *m)
{
	size_t n;
	const struct dns_rr *rrs = dnsmsg_section(m, DNS_ADDITIONAL, &n);

	for (size_t i = 0; i < n; i++) {
		struct addr a;

		if (!dns_name_equal(&rrs[i].owner, &ns->name))
			continue;
		if (rrs[i].type == DNS_TYPE_A)
			addr_from_v4(&a, (const uint8_t *)&rrs[i].data.a, dns_port(z->net));
		else if (rrs[i].type == DNS_TYPE_AAAA)
			addr_from_v6(&a, (const uint8_t *)&rrs[i].data.aaaa, dns_port(z->net));
		else
			continue;
		add_ns_addr(ns, &a);
	}
}

static void on_ns_host(struct pub_hosts_wait *w, const struct host_lookup_result *r);

/* A name inside the zone is asked of the primary first, because only it may know this view. */
static void look_up_ns(struct pub_zone_op *z, size_t i, bool at_primary)
{
	struct dns_server servers[PUB_PRIMARY_MAX];
	size_t n = at_primary ? pub_zone_primary(z->zone, z->p.target, servers) : 0;
	const struct host_lookup_result *r;
	char name[DNSNAME_TEXT_MAX];

	z->ns_asked_primary[i] = at_primary;
	z->waits[i].owner = z;
	z->waiting++;
	dns_name_format(&z->zone->ns[i].name, name);
	r = pub_hosts_get(z->p.hosts, z->net, name, dns_port(z->net), at_primary ? servers : NULL,
			  n, 0, &z->waits[i], on_ns_host);
	if (r != NULL)
		on_ns_host(&z->waits[i], r);
}

static void on_ns_host(struct pub_hosts_wait *w, const struct host_lookup_result *r)
{
	struct pub_zone_op *z = w->owner;
	size_t i = (size_t)(w - z->waits);
	struct pub_ns *ns = &z->zone->ns[i];

	z->waiting--;
	ns->err = r->err;
	for (size_t k = 0; k < r->n_addrs; k++)
		add_ns_addr(ns, &r->addrs[k]);
	if (ns->n_addrs == 0 && z->ns_asked_primary[i] && z->net->n_resolvers > 0) {
		look_up_ns(z, i, false);
		return;
	}
	if (z->ns_ok)
		confirmed(z);
}

static void start_ns_hosts(struct pub_zone_op *z, const struct dns_msg *m)
{
	for (size_t i = 0; i < z->zone->n_ns; i++) {
		struct pub_ns *ns = &z->zone->ns[i];

		take_glue(z, ns, m);
		if (ns->n_addrs == 0)
			look_up_ns(z, i, dns_name_is_within(&ns->name, &z->zone->zone));
	}
	z->zone->ns_known = true;
	z->ns_ok = true; /* only now: an answer at hand must not end the loop */
	if (z->state == ZS_CONFIRM)
		confirmed(z);
}

/* ---- `server:` ---- */

static void servers_known(struct pub_zone_op *z)
{
	if (z->zone->n_primary > 0) {
		ask_walk(z);
		return;
	}
	finish(z, z->out.err != ERR_OK ? z->out.err : ERR_NO_SERVER);
}

/* Lookups end in any order; servers are asked in the order of the configuration. */
static void add_server(struct pub_zone_op *z, size_t server, const struct host_lookup_result *r)
{
	struct pub_zone *zone = z->zone;

	for (size_t i = 0; i < r->n_addrs && zone->n_primary < PUB_PRIMARY_MAX; i++) {
		size_t at = zone->n_primary++;

		for (; at > 0 && z->server_of[at - 1] > server; at--) {
			zone->primary[at] = zone->primary[at - 1];
			z->server_of[at] = z->server_of[at - 1];
		}
		zone->primary[at] = r->addrs[i];
		z->server_of[at] = server;
	}
}

static void on_server(struct pub_hosts_wait *w, const struct host_lookup_result *r)
{
	struct pub_zone_op *z = w->owner;

	z->waiting--;
	if (r->err != ERR_OK)
		z->out.err = r->err; /* counts where no other server has an address */
	add_server(z, (size_t)(w - z->waits), r);
	if (z->waiting == 0)
		servers_known(z);
}

static void take_name_of_server(struct pub_zone_op *z, const char *host)
{
	struct addr literal;

	if (dns_name_is_set(&z->zone->primary_name) || addr_parse(host, 1, &literal) == ERR_OK)
		return;
	(void)dns_name_parse(host, &z->zone->primary_name);
}

static void start_servers(struct pub_zone_op *z)
{
	const struct pub_target *t = z->p.target;

	z->state = ZS_SERVERS;
	z->out.stage = PUB_STAGE_HOST;
	z->waiting = 1; /* holds the end back until every server has been started */
	for (size_t i = 0; i < t->n_servers && i < PUB_SERVERS_MAX; i++) {
		const struct host_lookup_result *r;
		char host[HOST_TEXT_MAX];
		uint16_t port;

		(void)snprintf(z->out.server, sizeof(z->out.server), "%s", t->servers[i]);
		if (hostport_parse(t->servers[i], dns_port(z->net), host, &port) != ERR_OK) {
			z->out.err = ERR_PARSE;
			continue;
		}
		take_name_of_server(z, host);
		z->waits[i].owner = z;
		z->waiting++;
		r = pub_hosts_get(z->p.hosts, z->net, host, port, NULL, 0, 0, &z->waits[i],
				  on_server);
		if (r != NULL)
			on_server(&z->waits[i], r);
	}
	if (--z->waiting == 0)
		servers_known(z);
}

void pub_zone_start(struct pub_zone_op *z, struct net *net, const struct pub_zone_params *p,
		    pub_zone_done_fn *done)
{
	struct dns_name owner;

	z->net = net;
	z->p = *p;
	z->done = done;
	z->state = ZS_WALK;
	memset(&z->out, 0, sizeof(z->out));
	(void)uv_timer_init(net->loop, &z->timer);
	z->timer.data = z;
	z->open = 1;
	(void)uv_timer_start(&z->timer, on_deadline,
			     p->total_ms != 0 ? p->total_ms : PUB_ZONE_TOTAL_MS, 0);
	if (p->known != NULL) {
		z->zone = p->known;
		start_confirm(z);
		return;
	}
	z->zone = calloc(1, sizeof(*z->zone));
	if (z->zone == NULL) {
		finish(z, ERR_NOMEM);
		return;
	}
	z->zone->by_server = p->target->n_servers > 0;
	/* The configuration has checked that the name is short enough. */
	if (dns_name_prefix(PUB_OWNER_LABELS, &p->target->domain, &owner) != ERR_OK) {
		finish(z, ERR_LIMIT);
		return;
	}
	pub_walk_begin(&z->walk, &owner, z->zone->by_server);
	if (z->zone->by_server)
		start_servers(z);
	else
		ask_walk(z);
}

void pub_zone_cancel(struct pub_zone_op *z)
{
	finish(z, ERR_CANCELED);
}
