/* One message to one server, and its answer. */

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/dns_priv.h"

struct call {
	struct sim_dns_server *s;
	const struct addr *from;
	bool tcp;
	const uint8_t *data;
	struct sim_msg *m;
	const struct sim_key *key;
	unsigned tsig_error;
	uint64_t clock_s; /* the server's */
	uint64_t now_ms;
	struct sim_zone *zone;
	bool applied, truncated;
};

/* ---- lines ---- */

struct line {
	size_t len;
	char text[SIM_LINE_MAX];
};

static void say(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->len, sizeof(l->text) - l->len, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->len += (size_t)n;
	if (l->len >= sizeof(l->text))
		l->len = sizeof(l->text) - 1;
}

static void say_change(struct line *l, const struct sim_rr *rr, const char *comma)
{
	char buf[16];
	const char *type = rr->r.type == T_SRV ? "" : sim_type_text(rr->r.type, buf);
	const char *blank = rr->r.type == T_SRV ? "" : " ";

	if (rr->rclass == C_ANY && rr->r.type == T_ANY)
		say(l, "%s delete-name", comma);
	else if (rr->rclass == C_ANY)
		say(l, "%s delete-set %s", comma, sim_type_text(rr->r.type, buf));
	else if (rr->rclass == C_NONE)
		say(l, "%s delete %s%s%s", comma, type, blank, rr->r.rdata);
	else
		say(l, "%s add %u %s%s%s", comma, rr->r.ttl, type, blank, rr->r.rdata);
}

static void say_request(struct line *l, const struct call *c)
{
	const struct sim_msg *m = c->m;
	const char *name = m->qname[0] != '\0' ? m->qname : ".", *comma = "";
	size_t n_when = 0;
	char buf[16];

	if (sim_msg_opcode(m) == OP_QUERY) {
		say(l, "%s query %s %s", c->s->name, sim_type_text(m->qtype, buf), name);
		return;
	}
	if (sim_msg_opcode(m) != OP_UPDATE) {
		say(l, "%s opcode %u %s", c->s->name, sim_msg_opcode(m), name);
		return;
	}
	say(l, "%s update %s", c->s->name, name);
	for (size_t i = 0; i < m->n_rrs; i++) {
		n_when += m->rrs[i].section == S_ANSWER;
		if (m->rrs[i].section != S_AUTHORITY)
			continue;
		say_change(l, &m->rrs[i], comma);
		comma = ",";
	}
	if (n_when > 0)
		say(l, " when %zu", n_when);
}

static void tell(const struct call *c, struct line *l)
{
	const struct sim_dns_world *w = sim_dns_world();
	struct sim_dns_event e = {
		.server = c->s,
		.zone = c->zone,
		.is_update = sim_msg_opcode(c->m) == OP_UPDATE,
		.applied = c->applied,
		.signed_request = c->m->tsig.at != 0,
		.tcp = c->tcp,
		.line = l->text,
	};

	if (w->seen != NULL)
		w->seen(w->seen_ctx, &e);
}

/* ---- keys ---- */

static const struct sim_key *key_of(const struct sim_dns_server *s, const char *name)
{
	const struct sim_dns_world *w = sim_dns_world();

	for (size_t i = 0; i < w->n_zones; i++) {
		struct sim_zone *z = w->zones[i];

		if (z->has_key && strcmp(z->key.name, name) == 0 && sim_zone_copy(z, s) != NULL)
			return &z->key;
	}
	return NULL;
}

static void check_signature(struct call *c)
{
	const struct sim_dns_ways *w = &c->s->ways;

	if (c->m->tsig.at == 0)
		return;
	c->key = key_of(c->s, c->m->tsig.key);
	c->tsig_error = sim_tsig_check(c->m, c->data, c->key, c->clock_s);
	if (c->tsig_error == 0)
		c->tsig_error = w->tsig_error;
}

/* ---- what it does ---- */

static void changed(void *ctx, bool added, const struct sim_record *r)
{
	const struct sim_dns_world *w = sim_dns_world();

	w->changed(w->changed_ctx, ctx, added, r);
}

static unsigned do_update(struct call *c)
{
	static struct sim_record before[SIM_DNS_RECORDS_MAX];
	const struct sim_dns_ways *w = &c->s->ways;
	const char *key = c->key != NULL ? c->key->name : NULL;
	struct sim_copy *copy;
	unsigned rcode;
	size_t n;

	if (!c->m->has_question || c->m->qtype != T_SOA || c->m->qclass != C_IN)
		return R_FORMERR;
	c->zone = sim_dns_zone_for(c->s, c->m->qname, true, key, c->from);
	if (c->zone == NULL)
		return R_NOTAUTH;
	copy = sim_zone_copy(c->zone, c->s);
	if (w->update_rcode != 0)
		return w->update_rcode;
	if (copy != &c->zone->copies[0] || !c->zone->has_key || key == NULL ||
	    strcmp(key, c->zone->key.name) != 0)
		return R_REFUSED; /* BIND: a secondary does not forward; allow-update */
	if (w->update_ignored)
		return R_NOERROR;
	n = copy->n;
	memcpy(before, copy->records, n * sizeof(before[0]));
	rcode = sim_update_apply(copy, c->m, &c->applied);
	if (c->applied && sim_dns_world()->changed != NULL)
		sim_update_diff(before, n, copy, changed, c->zone);
	if (c->applied)
		sim_zone_changed(c->zone);
	return rcode;
}

static void do_query(struct call *c, struct sim_answer *a)
{
	const char *key = c->key != NULL ? c->key->name : NULL;

	if (!c->m->has_question || c->m->qclass != C_IN) {
		a->rcode = R_FORMERR;
		return;
	}
	c->zone = sim_dns_zone_for(c->s->is_resolver ? NULL : c->s, c->m->qname, false, key,
				   c->s->is_resolver ? &c->s->at : c->from);
	if (c->s->ways.query_rcode != 0)
		a->rcode = c->s->ways.query_rcode;
	else if (c->s->is_resolver)
		sim_resolve(c->s, c->m->qname, c->m->qtype, c->now_ms, a);
	else if (c->zone == NULL)
		a->rcode = R_REFUSED;
	else
		sim_query_answer(sim_zone_copy(c->zone, c->s), c->m->qname, c->m->qtype, true, a);
}

/** Into @p o, cut where it does not fit. */
static void write_answer(struct call *c, const struct sim_answer *a, struct sim_out *o, size_t max)
{
	uint16_t flags =
		(uint16_t)(a->rcode | (a->aa ? F_AA : 0) |
			   (c->s->is_resolver && sim_msg_opcode(c->m) == OP_QUERY ? F_RA : 0));
	size_t limit = c->m->has_opt && c->m->udp_size > 512 ? c->m->udp_size : 512;
	size_t room = sim_tsig_room(c->m) + (c->m->has_opt ? 11 : 0);
	bool cut = c->truncated;

	if (limit > 1232)
		limit = 1232;
	if (c->tcp || limit > max)
		limit = max;
	sim_out_begin(o, limit - room, c->m, c->data, flags);
	for (unsigned s = S_ANSWER; s <= S_ADDITIONAL && !cut; s++) {
		for (size_t i = 0; i < a->n && !cut; i++) {
			if (a->records[i].section != s)
				continue;
			sim_out_record(o, s, &a->records[i].r);
			cut = o->full && s != S_ADDITIONAL;
		}
	}
	if (cut)
		sim_out_begin(o, limit - room, c->m, c->data, flags | F_TC);
	o->full = false;
	o->max = limit;
	if (c->m->has_opt)
		sim_out_opt(o, 1232);
	c->truncated = cut;
}

/** Nothing is done, and nothing said. */
static bool is_mute(const struct call *c)
{
	const struct sim_dns_ways *w = &c->s->ways;

	return w->silent || (w->mute_type != 0 && sim_msg_opcode(c->m) == OP_QUERY &&
			     c->m->qtype == w->mute_type);
}

static bool is_answered(const struct call *c, unsigned rcode)
{
	if (is_mute(c))
		return false;
	return !(sim_msg_opcode(c->m) == OP_UPDATE && rcode == R_NOERROR &&
		 c->s->ways.update_answer_lost && !c->truncated);
}

static void carry_out(struct call *c, struct sim_answer *a)
{
	unsigned opcode = sim_msg_opcode(c->m);

	check_signature(c);
	if (is_mute(c))
		return;
	if (c->s->ways.only_tcp && !c->tcp)
		c->truncated = true;
	else if (c->tsig_error != 0)
		a->rcode = R_NOTAUTH;
	else if (opcode == OP_UPDATE && c->s->is_resolver)
		a->rcode = R_NOTAUTH;
	else if (opcode == OP_UPDATE)
		a->rcode = do_update(c);
	else if (opcode == OP_QUERY)
		do_query(c, a);
	else
		a->rcode = R_NOTIMP;
}

static void say_answer(struct line *l, const struct call *c, const struct sim_answer *a, bool sent)
{
	if (!sent) {
		say(l, " -> nothing");
		return;
	}
	say(l, " -> %s", sim_rcode_text(a->rcode));
	if (c->tsig_error != 0)
		say(l, " %s", sim_rcode_text(c->tsig_error));
	if (c->truncated)
		say(l, " TC");
	else if (sim_msg_opcode(c->m) == OP_QUERY && a->rcode == R_NOERROR)
		say(l, " %zu", sim_answer_count(a, S_ANSWER));
}

void sim_dns_tell_notify(struct sim_dns_server *s, struct sim_zone *z, const char *to)
{
	const struct sim_dns_world *w = sim_dns_world();
	struct line l = { 0 };
	struct sim_dns_event e = { .server = s, .zone = z, .line = l.text };

	say(&l, "%s notify %s %s%s", s->name, z->apex, to != NULL ? "-> " : "answered",
	    to != NULL ? to : "");
	if (w->seen != NULL)
		w->seen(w->seen_ctx, &e);
}

/** The program's answer to a NOTIFY. */
static void take_answer(struct sim_dns_server *s, const struct sim_msg *m)
{
	struct sim_zone *z;

	if (sim_msg_opcode(m) != OP_NOTIFY || !m->has_question)
		return;
	z = sim_dns_zone_for(s, m->qname, true, NULL, &s->at);
	if (z != NULL)
		sim_dns_tell_notify(s, z, NULL);
}

size_t sim_dns_serve(struct sim_dns_server *s, const struct addr *from, bool tcp,
		     const uint8_t *data, size_t len, uint64_t now_ms, uint8_t *ret, size_t max)
{
	static struct sim_msg m;
	static struct sim_answer a;
	static struct sim_out o;
	struct line l = { 0 };
	struct call c = { .s = s, .from = from, .tcp = tcp, .data = data, .m = &m };
	bool sound = sim_msg_parse(&m, data, len), sent;

	c.now_ms = now_ms;
	c.clock_s = (uint64_t)(SIM_EPOCH_S + (int64_t)(now_ms / 1000) + s->ways.clock_off_s);
	if (len < 12)
		return 0;
	if ((m.flags & F_QR) != 0) {
		take_answer(s, &m);
		return 0;
	}
	a.n = 0;
	a.rcode = R_NOERROR;
	a.aa = a.referral = false;
	if (sound)
		carry_out(&c, &a);
	else
		a.rcode = R_FORMERR;
	sent = is_answered(&c, a.rcode);
	say_request(&l, &c);
	write_answer(&c, &a, &o, max);
	say_answer(&l, &c, &a, sent);
	tell(&c, &l);
	if (!sent)
		return 0;
	if (sound && m.tsig.at != 0 && !s->ways.unsigned_answers)
		sim_tsig_sign(&o, &m, c.key, c.tsig_error, c.clock_s);
	memcpy(ret, o.data, o.len);
	return o.len;
}
