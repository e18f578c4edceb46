#include "publisher/item.h"

#include <stdlib.h>
#include <string.h>

static void update_is_over(struct pub_item *it)
{
	pub_turn_give(&it->turn);
	if (it->updating)
		it->run->n_updating--;
	it->updating = false;
}

void pub_item_end(struct pub_item *it)
{
	struct pub_run *run = it->run;

	if (it->state == IT_DONE)
		return;
	if (it->stop_err == ERR_OK && pub_item_ad_start(it))
		return;
	if (it->state == IT_PLANNED)
		run->n_planned--;
	it->state = IT_DONE;
	update_is_over(it);
	pub_check_leave(&it->check);
	if (it->reading)
		run->n_reading--;
	it->reading = false;
	pub_item_finish_result(it);
	run->n_done++;
	run->n_unsettled++;
	pub_run_check(run);
}

static void end_failed(struct pub_item *it, enum pub_stage stage, enum pub_block block, int err)
{
	struct pub_failure f = { .stage = stage, .block = block, .err = err };

	pub_item_fail(it, &f);
	pub_item_end(it);
}

static enum pub_stage stage_of(enum pub_item_state s)
{
	switch (s) {
	case IT_ZONE:
	case IT_TURN:
	case IT_NEW:
		return PUB_STAGE_WALK;
	case IT_QUEUE:
	case IT_UPDATE:
		return PUB_STAGE_UPDATE;
	case IT_NAMES:
	case IT_PROOF:
		return PUB_STAGE_PROOF;
	case IT_READ:
	case IT_SIBLING:
	case IT_CHECK:
	case IT_PLANNED:
	case IT_PAUSE:
	case IT_AD:
	case IT_DONE:
		break;
	}
	return PUB_STAGE_READ;
}

/** A callback of a child came after pub_item_stop(): what it says no longer counts. */
static bool was_stopped(struct pub_item *it)
{
	if (it->stop_err == ERR_OK)
		return false;
	end_failed(it, stage_of(it->state), PUB_BLOCK_NONE, it->stop_err);
	return true;
}

static void on_pause_closed(uv_handle_t *h)
{
	struct pub_item *it = h->data;

	if (was_stopped(it))
		return;
	it->reading = true;
	it->run->n_reading++;
	it->state = IT_NEW;
	pub_item_start(it);
}

static void on_pause(uv_timer_t *t)
{
	if (!uv_is_closing((uv_handle_t *)t))
		uv_close((uv_handle_t *)t, on_pause_closed);
}

void pub_item_stop(struct pub_item *it, int err)
{
	if (it->stop_err != ERR_OK)
		return;
	it->stop_err = err;
	switch (it->state) {
	case IT_ZONE:
		pub_zone_cancel(it->zone_op);
		return;
	case IT_NAMES:
		if (it->zone_op != NULL)
			pub_zone_cancel(it->zone_op);
		else
			(void)was_stopped(it);
		return;
	case IT_READ:
	case IT_SIBLING:
	case IT_UPDATE:
		dns_client_cancel(&it->client);
		return;
	case IT_PROOF:
		pub_proof_cancel(it->proof_op);
		return;
	case IT_PAUSE:
		on_pause(&it->pause);
		return;
	case IT_AD:
		pub_item_ad_stop(it);
		return;
	case IT_CHECK:
	case IT_PLANNED:
	case IT_QUEUE:
	case IT_TURN:
	case IT_NEW:
		(void)was_stopped(it);
		return;
	case IT_DONE:
		return;
	}
}

/* ---- proof ---- */

static void on_proof(struct pub_proof_op *op, struct pub_proof_outcome *o)
{
	struct pub_item *it = op->owner;
	int err = o->err;

	it->proof_op = NULL;
	pub_item_prove(it, o);
	free(op); /* and with it o */
	if (err == ERR_OK)
		pub_item_end(it);
	else if (!was_stopped(it))
		end_failed(it, PUB_STAGE_PROOF, PUB_BLOCK_NONE, err);
}

static void prove(struct pub_item *it, const uint32_t *serial)
{
	const bool fresh = it->plan.n_changes == 0; /* then what was read still counts */
	struct pub_proof_params p = { .target = it->target,
				      .zone = it->zone,
				      .present = it->plan.present,
				      .n_present = it->plan.n_present,
				      .absent = it->plan.absent,
				      .n_absent = it->plan.n_absent,
				      .primary_read = fresh ? &it->read : NULL,
				      .updated_at = it->updated ? &it->result->addr : NULL,
				      .want_serial = !fresh || !it->from_cache,
				      .primary_serial = serial,
				      .turns = &it->run->asking,
				      .timeout_ms = pub_run_left_ms(it->run, UINT32_MAX) };

	it->proof_op = calloc(1, sizeof(*it->proof_op));
	if (it->proof_op == NULL) {
		end_failed(it, PUB_STAGE_PROOF, PUB_BLOCK_NONE, ERR_NOMEM);
		return;
	}
	it->state = IT_PROOF;
	it->proof_op->owner = it;
	pub_proof_start(it->proof_op, &it->net, &p, on_proof);
}

static void on_names(struct pub_zone_op *op, const struct pub_zone_outcome *o)
{
	struct pub_item *it = op->owner;
	struct pub_failure f = { .stage = PUB_STAGE_PROOF,
				 .block = o->block,
				 .err = o->err,
				 .hint_rcode = o->hint_rcode,
				 .tsig = o->tsig };

	it->zone_op = NULL;
	pub_turn_give(&it->turn);
	if (was_stopped(it)) {
		free(op);
		return;
	}
	if (o->zone != NULL) {
		prove(it, &it->zone->serial);
	} else {
		pub_item_fail(it, &f);
		pub_item_end(it);
	}
	free(op); /* and with it o */
}

static void ask_names(struct pub_turn *t)
{
	struct pub_item *it = t->owner;
	struct pub_zone_params p = { .target = it->target,
				     .hosts = it->run->hosts,
				     .total_ms = pub_run_left_ms(it->run, PUB_ZONE_TOTAL_MS),
				     .known = it->own_zone };

	it->zone_op = calloc(1, sizeof(*it->zone_op));
	if (it->zone_op == NULL) {
		end_failed(it, PUB_STAGE_PROOF, PUB_BLOCK_NONE, ERR_NOMEM);
		return;
	}
	it->zone_op->owner = it;
	pub_zone_start(it->zone_op, &it->net, &p, on_names);
}

/* A zone of the cache has its name servers: only what was proven is kept. */
static void start_proof(struct pub_item *it)
{
	if (it->zone->ns_known || it->own_zone == NULL) {
		prove(it, NULL);
		return;
	}
	it->state = IT_NAMES;
	pub_turn_take(&it->run->asking, &it->turn, ask_names);
}

/* ---- update ---- */

static void read_again(struct pub_item *it)
{
	uint32_t ms;

	if (++it->races >= PUB_RACES_MAX) {
		end_failed(it, PUB_STAGE_UPDATE, PUB_BLOCK_RACE, ERR_OK);
		return;
	}
	it->state = IT_PAUSE;
	ms = 1 + rng_below(it->net.rng, PUB_RACE_PAUSE_MS * it->races);
	(void)uv_timer_init(it->net.loop, &it->pause);
	it->pause.data = it;
	(void)uv_timer_start(&it->pause, on_pause, ms, 0);
}

static bool lost_race(const struct pub_item *it, const struct dns_outcome *o)
{
	return o->err == ERR_RCODE_NXRRSET && it->plan.need_prereq;
}

/* A refusal says so of the message that it answers. One that left before may have been done, its
 * answer lost; and the set is not as read, too, where the network brought the same message twice.
 * Then the intent stays, and the next read tells. */
static bool was_not_done(const struct pub_item *it, const struct dns_outcome *o)
{
	return o->msg != NULL && o->sent == 1 && !lost_race(it, o);
}

static void on_update(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_item *it = c->owner;
	struct pub_failure f = { .stage = PUB_STAGE_UPDATE,
				 .err = o->err,
				 .hint_rcode = o->msg != NULL ? o->msg->rcode : o->hint_rcode,
				 .tsig = o->tsig };

	update_is_over(it);
	if (was_stopped(it))
		return;
	if (addr_is_set(&o->server))
		it->result->addr = o->server;
	if (o->err == ERR_OK) {
		it->updated = true;
		if (it->own_zone != NULL) /* and in later runs, where it is kept */
			pub_zone_prefer(it->own_zone, &o->server);
		start_proof(it);
		return;
	}
	if (was_not_done(it, o))
		pub_item_mark(it, PUB_MARK_REVERT);
	if (lost_race(it, o)) {
		read_again(it);
		return;
	}
	pub_item_fail(it, &f);
	pub_item_end(it);
}

static int set_as_rrs(const struct pub_item *it, struct dns_rr **ret)
{
	struct dns_rr *rrs = calloc(it->read.n_seen + 1, sizeof(*rrs));

	if (rrs == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < it->read.n_seen; i++) {
		rrs[i].owner = it->zone->owner;
		rrs[i].type = DNS_TYPE_SRV;
		rrs[i].rclass = DNS_CLASS_IN;
		rrs[i].data.srv = it->read.seen[i].srv;
	}
	*ret = rrs;
	return ERR_OK;
}

static void send_update(struct pub_turn *t)
{
	struct pub_item *it = t->owner;
	struct dns_server servers[PUB_PRIMARY_MAX];
	struct dns_change *changes = calloc(it->plan.n_changes, sizeof(*changes));
	struct dns_rr *prereq = NULL;
	struct dns_update u = { .zone = it->zone->zone, .n_changes = it->plan.n_changes };
	struct dns_client_params p = { .servers = servers,
				       .n_servers = pub_zone_primary(it->zone, it->target, servers),
				       .update = &u,
				       .total_ms = pub_run_left_ms(it->run, DNS_CLIENT_TOTAL_MS) };

	if (changes == NULL || (it->plan.need_prereq && set_as_rrs(it, &prereq) != ERR_OK)) {
		free(changes);
		end_failed(it, PUB_STAGE_UPDATE, PUB_BLOCK_NONE, ERR_NOMEM);
		return;
	}
	for (size_t i = 0; i < it->plan.n_changes; i++) {
		const struct pub_change *c = &it->plan.changes[i];
		struct dns_rr *rr = &changes[i].rr;

		changes[i].op = c->op == PUB_ADD ? DNS_ADD : DNS_DELETE;
		rr->owner = it->zone->owner;
		rr->type = DNS_TYPE_SRV;
		rr->rclass = c->op == PUB_ADD ? DNS_CLASS_IN : DNS_CLASS_NONE;
		rr->ttl = c->op == PUB_ADD ? c->ttl_s : 0;
		rr->data.srv = c->srv;
	}
	u.changes = changes;
	u.prereq = prereq;
	u.n_prereq = it->plan.need_prereq ? it->read.n_seen : 0;
	it->state = IT_UPDATE;
	it->serial_before = it->zone->serial;
	it->client.owner = it;
	dns_client_start(&it->client, &it->net, &p, on_update);
	free(changes);
	free(prereq);
}

void pub_item_go(struct pub_item *it)
{
	struct pub_turns *turns;

	it->run->n_planned--;
	it->state = IT_QUEUE;
	if (it->run->p.request.dry_run) {
		it->result->state = PUB_PLANNED;
		pub_item_end(it);
		return;
	}
	if (it->plan.n_changes == 0) {
		start_proof(it);
		return;
	}
	it->updating = true;
	it->run->n_updating++;
	turns = pub_run_updates_at(it->run, &it->zone->primary[0]);
	if (turns == NULL) {
		end_failed(it, PUB_STAGE_UPDATE, PUB_BLOCK_NONE, ERR_NOMEM);
		return;
	}
	pub_turn_take(turns, &it->turn, send_update);
}

/* ---- reading ---- */

static void planned(struct pub_item *it)
{
	it->state = IT_PLANNED;
	it->run->n_planned++;
	it->reading = false;
	it->run->n_reading--;
	pub_run_check(it->run);
}

static void plan_failed(struct pub_item *it, int err)
{
	end_failed(it, PUB_STAGE_READ, err == ERR_LIMIT ? PUB_BLOCK_LARGE : PUB_BLOCK_NONE, err);
}

static void on_check(struct pub_check *c)
{
	struct pub_item *it = c->owner;
	bool bad = false;
	int err = pub_check_apply(c, it->want, &it->findings, &bad);

	pub_check_leave(c);
	if (err == ERR_OK && bad)
		err = pub_item_plan(it);
	if (err != ERR_OK)
		plan_failed(it, err);
	else
		planned(it);
}

static void plan_and_check(struct pub_item *it)
{
	int err = pub_item_plan(it);

	if (err != ERR_OK) {
		plan_failed(it, err);
		return;
	}
	if (it->plan.would_empty) {
		it->result->would_empty = true;
		end_failed(it, PUB_STAGE_READ, PUB_BLOCK_LAST, ERR_OK);
		return;
	}
	if (it->plan.elsewhere != NULL && it->run->p.request.keep_last) {
		char text[DNS_SRV_TEXT_MAX];
		struct pub_failure f = { .stage = PUB_STAGE_READ, .block = PUB_BLOCK_ELSEWHERE };

		f.other = dns_srv_format(&it->plan.elsewhere->srv, text);
		pub_item_fail(it, &f);
		pub_item_end(it);
		return;
	}
	it->state = IT_CHECK;
	it->check.owner = it;
	err = pub_check_start(&it->check, &it->net, it->run->hosts, it->target, it->zone, &it->plan,
			      on_check);
	if (err == 0)
		on_check(&it->check);
	else if (err < 0)
		plan_failed(it, err);
}

static void on_sibling(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_item *it = c->owner;
	int err = ERR_OK;

	pub_turn_give(&it->turn);
	if (was_stopped(it))
		return;
	/* NXDOMAIN: no wildcard. A failure tells nothing, and is no reason not to publish. */
	if (o->err == ERR_OK)
		err = pub_item_judge_sibling(it, o->msg, &it->sibling);
	if (err != ERR_OK)
		plan_failed(it, err);
	else
		plan_and_check(it);
}

static void ask_sibling(struct pub_turn *t)
{
	struct pub_item *it = t->owner;
	struct dns_server servers[PUB_PRIMARY_MAX];
	struct dns_question q = { .name = it->sibling, .type = DNS_TYPE_SRV };
	struct dns_client_params p = { .servers = servers,
				       .n_servers = pub_zone_primary(it->zone, it->target, servers),
				       .question = &q,
				       .total_ms = pub_run_left_ms(it->run, DNS_CLIENT_TOTAL_MS) };

	it->state = IT_SIBLING;
	it->client.owner = it;
	dns_client_start(&it->client, &it->net, &p, on_sibling);
}

static void start_zone(struct pub_item *it);

static void use_read(struct pub_item *it)
{
	struct pub_failure f = { .stage = PUB_STAGE_READ, .block = pub_read_block(&it->read) };
	char other[DNSNAME_TEXT_MAX] = "";

	if (it->read.kind == PUB_READ_SET && pub_item_may_be_wildcard(it) &&
	    pub_item_sibling(it, &it->sibling) == ERR_OK) {
		it->state = IT_TURN;
		pub_turn_take(&it->run->asking, &it->turn, ask_sibling);
		return;
	}
	if (it->read.kind == PUB_READ_SET) {
		plan_and_check(it);
		return;
	}
	if (it->from_cache) { /* the zone is no longer what it was: learn it anew, once */
		start_zone(it);
		return;
	}
	if (dns_name_is_set(&it->read.other))
		dns_name_format(&it->read.other, other);
	f.other = other;
	pub_item_fail(it, &f);
	pub_item_end(it);
}

static void on_read(struct dns_client *c, const struct dns_outcome *o)
{
	struct pub_item *it = c->owner;
	struct pub_failure f = { .stage = PUB_STAGE_READ,
				 .err = o->err,
				 .hint_rcode = o->msg != NULL ? o->msg->rcode : o->hint_rcode,
				 .tsig = o->tsig };
	int err;

	pub_turn_give(&it->turn);
	if (was_stopped(it))
		return;
	if (addr_is_set(&o->server))
		it->result->addr = o->server;
	if (o->msg == NULL || (o->err != ERR_OK && o->err != ERR_RCODE_NXDOMAIN)) {
		if (it->from_cache && o->err != ERR_CANCELED) {
			start_zone(it);
			return;
		}
		pub_item_fail(it, &f);
		pub_item_end(it);
		return;
	}
	pub_read_done(&it->read);
	it->exists = o->err == ERR_OK;
	err = pub_read_answer(o->msg, &it->zone->owner, &it->read);
	if (err != ERR_OK)
		end_failed(it, PUB_STAGE_READ, PUB_BLOCK_NONE, err);
	else
		use_read(it);
}

static void ask_read(struct pub_turn *t)
{
	struct pub_item *it = t->owner;
	struct dns_server servers[PUB_PRIMARY_MAX];
	struct dns_question q = { .name = it->zone->owner, .type = DNS_TYPE_SRV };
	struct dns_client_params p = { .servers = servers,
				       .n_servers = pub_zone_primary(it->zone, it->target, servers),
				       .question = &q,
				       .total_ms = pub_run_left_ms(it->run, DNS_CLIENT_TOTAL_MS) };

	it->state = IT_READ;
	it->client.owner = it;
	dns_client_start(&it->client, &it->net, &p, on_read);
}

static void start_read(struct pub_item *it)
{
	it->state = IT_TURN;
	pub_turn_take(&it->run->asking, &it->turn, ask_read);
}

static void on_zone(struct pub_zone_op *op, const struct pub_zone_outcome *o)
{
	struct pub_item *it = op->owner;

	it->zone_op = NULL;
	it->own_zone = o->zone;
	it->zone = o->zone;
	pub_read_done(&it->read);
	if (o->has_read)
		it->read = o->read;
	if (!was_stopped(it)) {
		if (o->zone == NULL) {
			pub_item_fail_zone(it, o);
			pub_item_end(it);
		} else if (o->has_read) {
			it->exists = o->exists;
			it->result->addr = o->addr;
			pub_turn_give(&it->turn);
			use_read(it);
		} else { /* in the same turn, so that the first wave is soon complete */
			ask_read(&it->turn);
		}
	}
	free(op);
}

static void ask_zone(struct pub_turn *t)
{
	struct pub_item *it = t->owner;
	struct pub_zone_params p = { .target = it->target,
				     .hosts = it->run->hosts,
				     .total_ms = pub_run_left_ms(it->run, PUB_ZONE_TOTAL_MS) };

	it->zone_op = calloc(1, sizeof(*it->zone_op));
	if (it->zone_op == NULL) {
		end_failed(it, PUB_STAGE_WALK, PUB_BLOCK_NONE, ERR_NOMEM);
		return;
	}
	it->state = IT_ZONE;
	it->zone_op->owner = it;
	pub_zone_start(it->zone_op, &it->net, &p, on_zone);
}

static void start_zone(struct pub_item *it)
{
	if (it->from_cache)
		pub_zone_cache_drop(it->run->p.zones, it->target);
	it->zone = NULL;
	it->from_cache = false;
	it->state = IT_TURN;
	pub_turn_take(&it->run->asking, &it->turn, ask_zone);
}

void pub_item_start(struct pub_item *it)
{
	struct pub_run *run = it->run;

	it->turn.owner = it;
	/* A person who asks wants to know how things are now. */
	if (it->zone == NULL && run->p.zones != NULL &&
	    (run->p.request.mode == PUB_REFRESH || run->p.request.mode == PUB_STOP)) {
		it->zone = pub_zone_cache_get(run->p.zones, it->target,
					      clock_mono_ms(run->net->clock));
		it->from_cache = it->zone != NULL;
	}
	if (it->zone != NULL)
		start_read(it);
	else
		start_zone(it);
}

void pub_item_done(struct pub_item *it)
{
	pub_check_leave(&it->check);
	pub_read_done(&it->read);
	pub_plan_done(&it->plan);
	pub_findings_done(&it->findings);
	pub_zone_free(it->own_zone);
	free(it->ad);
	free(it->want);
	free(it->proof);
}
