#include "publisher/proof.h"

#include <stdlib.h>
#include <string.h>

#define ASK_ATTEMPT_MS 1500
#define ASK_TOTAL_MS   4000
#define ASK_TRIES      2

struct pub_proof_server {
	struct pub_proof_op *op;
	struct pub_proof shown;
	struct dns_server addrs[PUB_PRIMARY_MAX];
	size_t n_addrs;
	struct dns_client srv, soa; /* owner is set while one runs */
	struct pub_read read;
	bool has_read;
	bool asked; /* once at least */
};

bool pub_serial_before(uint32_t a, uint32_t b)
{
	uint32_t ahead = b - a;

	return ahead != 0 && ahead < 0x80000000u;
}

/* ---- the end ---- */

static void maybe_deliver(struct pub_proof_op *op)
{
	if (op->open > 0)
		return;
	op->state = PS_DONE;
	op->out.n_servers = op->n_servers;
	op->out.servers = calloc(op->n_servers > 0 ? op->n_servers : 1, sizeof(*op->out.servers));
	if (op->out.servers == NULL) {
		op->out.n_servers = 0;
		if (op->out.err == ERR_OK)
			op->out.err = ERR_NOMEM;
	}
	for (size_t i = 0; i < op->n_servers; i++) {
		if (op->out.servers != NULL)
			op->out.servers[i] = op->servers[i].shown;
		pub_read_done(&op->servers[i].read);
	}
	free(op->servers);
	op->servers = NULL;
	op->done(op, &op->out);
}

static void on_closed(uv_handle_t *h)
{
	struct pub_proof_op *op = h->data;

	op->open--;
	maybe_deliver(op);
}

static void finish(struct pub_proof_op *op, int err)
{
	if (op->state == PS_CLOSING || op->state == PS_DONE || op->state == PS_IDLE)
		return;
	op->state = PS_CLOSING;
	op->out.err = err;
	for (size_t i = 0; i < op->n_servers; i++) {
		if (op->servers[i].srv.owner != NULL)
			dns_client_cancel(&op->servers[i].srv);
		if (op->servers[i].soa.owner != NULL)
			dns_client_cancel(&op->servers[i].soa);
	}
	uv_close((uv_handle_t *)&op->timer, on_closed);
	pub_turn_give(&op->turn);
}

/* ---- judging ---- */

static bool shows_records(const struct pub_proof_op *op, const struct pub_read *r)
{
	for (size_t i = 0; i < op->p.n_present; i++)
		if (!pub_read_has(r, &op->p.present[i]))
			return false;
	for (size_t i = 0; i < op->p.n_absent; i++)
		if (pub_read_has(r, &op->p.absent[i]))
			return false;
	return true;
}

static bool is_answer(const struct pub_proof_server *s)
{
	return s->has_read && (s->read.kind == PUB_READ_SET || s->read.kind == PUB_READ_CNAME);
}

static void judge(struct pub_proof_op *op, struct pub_proof_server *s)
{
	const struct pub_proof_server *primary = &op->servers[op->primary];

	if (!is_answer(s)) {
		s->shown.state = PUB_PROOF_UNKNOWN;
		if (s->shown.err == ERR_OK)
			s->shown.err = s->asked ? ERR_DNS_NOT_AUTH : ERR_NO_SERVER;
		return;
	}
	s->shown.err = ERR_OK;
	if (s->read.kind == PUB_READ_SET && shows_records(op, &s->read) &&
	    (s == primary || !is_answer(primary) || s->read.ttl_s == primary->read.ttl_s ||
	     op->p.n_present == 0)) {
		s->shown.state = PUB_PROOF_OK;
		return;
	}
	if (s != primary && s->shown.has_serial && primary->shown.has_serial &&
	    !pub_serial_before(s->shown.serial, primary->shown.serial))
		s->shown.state = PUB_PROOF_DIFFERS;
	else
		s->shown.state = PUB_PROOF_LAGGING;
}

static void judge_primary(struct pub_proof_op *op)
{
	const struct pub_proof_server *s = &op->servers[op->primary];

	op->out.block = s->has_read ? pub_read_block(&s->read) : PUB_BLOCK_NONE;
	op->out.primary_err = s->has_read ? ERR_OK : s->shown.err;
	op->out.ttl_s = s->has_read ? s->read.ttl_s : 0;
	op->out.has_serial = s->shown.has_serial;
	op->out.serial = s->shown.serial;
	op->out.other = s->read.other;
	if (s->has_read && op->out.block == PUB_BLOCK_NONE && s->shown.state != PUB_PROOF_OK)
		op->out.block = PUB_BLOCK_NO_EFFECT;
}

/** Whether another round can still change something. */
static bool decide(struct pub_proof_op *op)
{
	size_t n_ns = 0, n_ok = 0, n_behind = 0;

	for (size_t i = 0; i < op->n_servers; i++) {
		const struct pub_proof *p = &op->servers[i].shown;

		n_ns += p->is_ns;
		n_ok += p->is_ns && p->state == PUB_PROOF_OK;
		n_behind += p->state == PUB_PROOF_LAGGING || p->state == PUB_PROOF_DIFFERS;
	}
	judge_primary(op);
	op->out.proven = op->out.primary_err == ERR_OK && op->out.block == PUB_BLOCK_NONE &&
			 n_behind == 0 && 2 * n_ok >= n_ns;
	if (op->out.primary_err != ERR_OK)
		return false;
	if (op->out.block == PUB_BLOCK_NO_EFFECT) /* a signer may be at work (Z13) */
		return uv_now(op->net->loop) - op->begin_ms < PUB_NOTIFY_DELAY_MS;
	return op->out.block == PUB_BLOCK_NONE && n_behind > 0;
}

static void ask_round(struct pub_turn *t);

static void on_pause(uv_timer_t *t)
{
	struct pub_proof_op *op = t->data;

	op->state = PS_TURN;
	pub_turn_take(op->p.turns, &op->turn, ask_round);
}

static void round_is_over(struct pub_proof_op *op)
{
	uint64_t used = uv_now(op->net->loop) - op->begin_ms;
	bool again, serials_missing = false;

	(void)uv_timer_stop(&op->timer);
	pub_turn_give(&op->turn);
	for (size_t i = 0; i < op->n_servers; i++)
		judge(op, &op->servers[i]);
	again = decide(op);
	if (!again || used >= op->p.timeout_ms) {
		finish(op, ERR_OK);
		return;
	}
	for (size_t i = 0; i < op->n_servers; i++)
		if (op->servers[i].shown.state != PUB_PROOF_UNKNOWN &&
		    !op->servers[i].shown.has_serial)
			serials_missing = true;
	op->state = PS_PAUSE;
	/* Without serials nothing can be said of who is behind: get them at once. */
	if (!op->want_serial && serials_missing) {
		op->want_serial = true;
		(void)uv_timer_start(&op->timer, on_pause, 0, 0);
		return;
	}
	op->pause_ms = op->pause_ms == 0 ? PUB_POLL_FIRST_MS : 2 * op->pause_ms;
	if (op->pause_ms > PUB_POLL_MAX_MS)
		op->pause_ms = PUB_POLL_MAX_MS;
	if (op->pause_ms > op->p.timeout_ms - used)
		op->pause_ms = (uint32_t)(op->p.timeout_ms - used);
	(void)uv_timer_start(&op->timer, on_pause, op->pause_ms, 0);
}

/* ---- asking ---- */

static void one_answered(struct pub_proof_op *op)
{
	op->open--;
	op->asked--;
	if (op->state == PS_CLOSING)
		maybe_deliver(op);
	else if (op->asked == 0)
		round_is_over(op);
}

static bool answers(const struct dns_outcome *o)
{
	return o->msg != NULL && (o->err == ERR_OK || o->err == ERR_RCODE_NXDOMAIN);
}

static void on_srv(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_proof_server *s = c->owner;
	struct pub_proof_op *op = s->op;

	c->owner = NULL;
	if (op->state == PS_CLOSING) {
		one_answered(op);
		return;
	}
	if (addr_is_set(&o->server))
		s->shown.addr = o->server;
	pub_read_done(&s->read);
	s->has_read = answers(o);
	s->shown.err = s->has_read ? ERR_OK : o->err;
	if (s->has_read && pub_read_answer(o->msg, &op->p.zone->owner, &s->read) != ERR_OK) {
		s->has_read = false;
		s->shown.err = ERR_NOMEM;
	}
	if (s == &op->servers[op->primary]) {
		op->out.tsig = o->tsig;
		op->out.hint_rcode = o->hint_rcode;
	}
	one_answered(op);
}

static void on_soa(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_proof_server *s = c->owner;
	const struct dns_rr *rrs;
	size_t n = 0;

	c->owner = NULL;
	if (o->err == ERR_OK && o->msg->aa) {
		rrs = dnsmsg_section(o->msg, DNS_ANSWER, &n);
		for (size_t i = 0; i < n; i++) {
			if (rrs[i].type != DNS_TYPE_SOA)
				continue;
			s->shown.has_serial = true;
			s->shown.serial = rrs[i].data.soa.serial;
		}
	}
	one_answered(s->op);
}

static void ask(struct pub_proof_server *s, struct dns_client *c, const struct dns_name *name,
		uint16_t type, dns_client_done_fn *done)
{
	struct dns_question q = { .name = *name, .type = type };
	struct dns_client_params p = { .servers = s->addrs,
				       .n_servers = s->n_addrs,
				       .question = &q,
				       .attempt_ms = ASK_ATTEMPT_MS,
				       .total_ms = ASK_TOTAL_MS,
				       .tries = ASK_TRIES };

	c->owner = s;
	s->op->open++;
	s->op->asked++;
	dns_client_start(c, s->op->net, &p, done);
}

/* The serial of the primary decides whether another server is behind, so it is asked with them. */
static void ask_server(struct pub_proof_op *op, struct pub_proof_server *s)
{
	bool first = !s->asked;
	bool primary = s == &op->servers[op->primary];

	if (s->n_addrs == 0 || (!first && s->shown.state == PUB_PROOF_UNKNOWN))
		return;
	if (!first && s->shown.state == PUB_PROOF_OK && !primary)
		return;
	s->asked = true;
	if (!(first && s->has_read))
		ask(s, &s->srv, &op->p.zone->owner, DNS_TYPE_SRV, on_srv);
	if (op->want_serial && !(first && s->shown.has_serial))
		ask(s, &s->soa, &op->p.zone->zone, DNS_TYPE_SOA, on_soa);
}

/* The time is over with questions still out: judge by what has come. */
static void on_deadline(uv_timer_t *t)
{
	struct pub_proof_op *op = t->data;

	for (size_t i = 0; i < op->n_servers; i++) {
		if (op->servers[i].srv.owner != NULL && !op->servers[i].has_read)
			op->servers[i].shown.err = ERR_TIMEOUT;
		judge(op, &op->servers[i]);
	}
	(void)decide(op);
	finish(op, ERR_OK);
}

static void ask_round(struct pub_turn *t)
{
	struct pub_proof_op *op = t->owner;
	uint64_t used = uv_now(op->net->loop) - op->begin_ms;

	op->state = PS_ASKING;
	(void)uv_timer_start(&op->timer, on_deadline,
			     used < op->p.timeout_ms ? op->p.timeout_ms - used : 1, 0);
	for (size_t i = 0; i < op->n_servers; i++)
		ask_server(op, &op->servers[i]);
	if (op->asked == 0)
		round_is_over(op);
}

static bool is_primary(const struct pub_proof_op *op, const struct pub_ns *ns)
{
	const struct pub_zone *z = op->p.zone;

	for (size_t i = 0; i < ns->n_addrs; i++)
		for (size_t k = 0; k < z->n_primary; k++)
			if (addr_equal(&ns->addrs[i], &z->primary[k]))
				return true;
	return false;
}

static struct pub_proof_server *add_server(struct pub_proof_op *op)
{
	struct pub_proof_server *s = &op->servers[op->n_servers++];

	s->op = op;
	s->shown.state = PUB_PROOF_UNKNOWN;
	return s;
}

/* Of several servers that count as the primary, one that refused the update may still answer. */
static void ask_first(struct pub_proof_server *s, const struct addr *a)
{
	for (size_t i = 1; a != NULL && i < s->n_addrs; i++) {
		struct dns_server found = s->addrs[i];

		if (!addr_equal(&found.addr, a))
			continue;
		s->addrs[i] = s->addrs[0];
		s->addrs[0] = found;
	}
}

static int fill(struct pub_proof_op *op)
{
	const struct pub_zone *z = op->p.zone;
	struct pub_proof_server *primary, *s;

	op->servers = calloc(z->n_ns + 1, sizeof(*op->servers));
	if (op->servers == NULL)
		return ERR_NOMEM;
	primary = add_server(op);
	primary->shown.is_primary = true;
	primary->shown.name = z->primary_name;
	primary->n_addrs = pub_zone_primary(z, op->p.target, primary->addrs);
	ask_first(primary, op->p.updated_at);
	if (z->n_primary > 0)
		primary->shown.addr = z->primary[0];
	for (size_t i = 0; i < z->n_ns; i++) {
		const struct pub_ns *ns = &z->ns[i];

		if (is_primary(op, ns)) {
			s = primary;
			s->shown.name = ns->name;
		} else {
			s = add_server(op);
			s->shown.name = ns->name;
			s->shown.err = ns->err;
			for (size_t k = 0; k < ns->n_addrs; k++)
				s->addrs[s->n_addrs++].addr = ns->addrs[k];
			if (ns->n_addrs > 0)
				s->shown.addr = ns->addrs[0];
		}
		s->shown.is_ns = true;
	}
	if (op->p.primary_serial != NULL) {
		primary->shown.has_serial = true;
		primary->shown.serial = *op->p.primary_serial;
	}
	if (op->p.primary_read != NULL) {
		primary->has_read = true;
		return pub_read_copy(op->p.primary_read, &primary->read);
	}
	return ERR_OK;
}

void pub_proof_start(struct pub_proof_op *op, struct net *net, const struct pub_proof_params *p,
		     pub_proof_done_fn *done)
{
	int err;

	op->net = net;
	op->p = *p;
	op->done = done;
	op->state = PS_TURN;
	op->begin_ms = uv_now(net->loop);
	op->want_serial = p->want_serial;
	(void)uv_timer_init(net->loop, &op->timer);
	op->timer.data = op;
	op->open = 1;
	op->turn.owner = op;
	err = fill(op);
	if (err != ERR_OK) {
		finish(op, err);
		return;
	}
	pub_turn_take(p->turns, &op->turn, ask_round);
}

void pub_proof_cancel(struct pub_proof_op *op)
{
	finish(op, ERR_CANCELED);
}
