#include "daemon/health.h"

#include <stdlib.h>

#include "common/log.h"

static const struct log_ctx log_health = { .module = "health" };

enum entry_work { WORK_NONE, WORK_LOOKUP, WORK_PROBE };

struct entry {
	struct health *owner;
	struct entry *next;
	struct dns_name target;
	uint16_t port;
	bool configured;
	bool local;
	bool dropped; /* to be freed when its work has ended */
	struct health_track track;
	int64_t since_wall_ms;
	uint64_t wanted_ms; /* a foreign record named it last */
	uint64_t due_ms;
	uint64_t round;       /* of the table when its last probe began that has ended */
	uint64_t round_asked; /* likewise, of the probe under way */
	uint64_t risen;       /* both again, of health.risen */
	uint64_t risen_asked;
	/* a lookup, then a probe of each address until one is up */
	enum entry_work work;
	struct host_lookup lookup;
	struct host_lookup_result found;
	size_t next_addr;
	struct probe_op op;
};

struct health {
	struct health_params p;
	struct pub_health gate;
	struct entry *entries;
	size_t n_entries;
	size_t n_busy;
	enum pub_health_state local; /* as it was said last */
	bool local_at_once;          /* `min_stay` does not hold it up */
	uint64_t round; /* how often a host went down: older successes prove nothing since */
	uint64_t risen; /* how often a host came up: older failures prove nothing since */
	bool telling;   /* one went down; the others are probed anew before it is told */
	uv_timer_t timer;
	bool stopping;
	bool timer_closed;
	void (*done)(void *ctx);
	void *done_ctx;
};

bool health_observe(struct health_track *t, bool up, const struct config_health *rule,
		    uint64_t now_ms)
{
	enum pub_health_state said = up ? PUB_HEALTH_UP : PUB_HEALTH_DOWN;
	uint32_t needed = up ? rule->rise : rule->fall;

	if (said == t->state) {
		t->against = 0;
		return false;
	}
	t->against++;
	if (t->state == PUB_HEALTH_UNKNOWN && up)
		needed = 1;
	if (t->against < needed)
		return false;
	if (t->state != PUB_HEALTH_UNKNOWN && now_ms - t->since_ms < rule->min_stay_ms)
		return false;
	t->state = said;
	t->since_ms = now_ms;
	t->against = 0;
	return true;
}

const char *health_state_name(enum pub_health_state s)
{
	return s == PUB_HEALTH_UP ? "up" : s == PUB_HEALTH_DOWN ? "down" : "unknown";
}

/* ---- entries ---- */

static struct entry *find(const struct health *h, const struct dns_name *target, uint16_t port)
{
	for (struct entry *e = h->entries; e != NULL; e = e->next)
		if (!e->dropped && e->port == port && dns_name_equal(&e->target, target))
			return e;
	return NULL;
}

static struct entry *add(struct health *h, const struct dns_name *target, uint16_t port)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->owner = h;
	e->target = *target;
	e->port = port;
	e->due_ms = clock_mono_ms(h->p.net->clock);
	e->next = h->entries;
	h->entries = e;
	h->n_entries++;
	return e;
}

static void maybe_done(struct health *h)
{
	if (!h->stopping || !h->timer_closed || h->entries != NULL)
		return;
	h->done(h->done_ctx);
	free(h);
}

/* Free what was dropped and has no work under way. */
static void sweep(struct health *h)
{
	struct entry **at = &h->entries;

	while (*at != NULL) {
		struct entry *e = *at;

		if (!e->dropped || e->work != WORK_NONE) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		h->n_entries--;
		free(e);
	}
}

static bool is_probed_and_up(const struct entry *e)
{
	return !e->dropped && !e->local && e->track.state == PUB_HEALTH_UP;
}

static bool any_is(const struct health *h, enum pub_health_state state)
{
	for (const struct entry *e = h->entries; e != NULL; e = e->next)
		if (!e->dropped && e->track.state == state)
			return true;
	return false;
}

/* Where all hosts are lost at once (their network, or ours), probes find out one after another. The
 * first one found down must not leave its set on the word of a probe from before the loss. */
static void have_others_probed(struct health *h)
{
	h->round++;
	h->telling = true;
	for (struct entry *e = h->entries; e != NULL; e = e->next)
		if (is_probed_and_up(e))
			e->due_ms = clock_mono_ms(h->p.net->clock);
}

/* Where all are there again at once, probes find that out one after another, too. The first one
 * found up must not cost the others their records on the word of a probe from before. */
static bool may_have_risen(const struct entry *e)
{
	return !e->local && e->track.state == PUB_HEALTH_DOWN &&
	       (e->track.against > 0 || e->risen != e->owner->risen);
}

/* The last probe says what the state says. */
static bool is_sure(const struct entry *e)
{
	return e->track.state != PUB_HEALTH_UNKNOWN && e->track.against == 0 && !may_have_risen(e);
}

static void have_fallen_probed(struct health *h)
{
	h->risen++;
	for (struct entry *e = h->entries; e != NULL; e = e->next)
		if (!e->dropped && may_have_risen(e))
			e->due_ms = clock_mono_ms(h->p.net->clock);
}

static void tell_when_sure(struct health *h)
{
	if (!h->telling || h->stopping)
		return;
	for (const struct entry *e = h->entries; e != NULL; e = e->next)
		if (is_probed_and_up(e) && e->round != h->round)
			return;
	h->telling = false;
	h->p.changed(h->p.ctx);
}

static void set_state(struct entry *e, bool up)
{
	struct health *h = e->owner;
	uint64_t now = clock_mono_ms(h->p.net->clock);
	bool doubted = e->track.state == PUB_HEALTH_DOWN ? may_have_risen(e) : e->track.against > 0;
	char name[DNSNAME_TEXT_MAX];

	e->round = e->round_asked;
	e->risen = e->risen_asked;
	if (!health_observe(&e->track, up, &h->p.rule, now)) {
		if (doubted && is_sure(e) && any_is(h, up ? PUB_HEALTH_DOWN : PUB_HEALTH_UP))
			h->p.changed(h->p.ctx); /* the gate may rely on it again */
		return;
	}
	e->since_wall_ms = clock_wall_ms(h->p.net->clock);
	dns_name_format(&e->target, name);
	if (up) {
		log_info(&log_health, "host.up", "target=%s port=%u", name, (unsigned)e->port);
		events_note(h->p.events, LOG_INFO, "host.up", "%s:%u answers as a KMS host", name,
			    (unsigned)e->port);
	} else {
		log_warning(&log_health, "host.down", "target=%s port=%u text=%s", name,
			    (unsigned)e->port,
			    "its record goes only while another host of the set is up");
		events_note(h->p.events, LOG_WARNING, "host.down",
			    "%s:%u does not answer as a KMS host; its record goes only while "
			    "another host of the set is up",
			    name, (unsigned)e->port);
	}
	if (up) {
		have_fallen_probed(h);
		h->p.changed(h->p.ctx);
	} else {
		have_others_probed(h);
	}
}

/* ---- probing ---- */

static void schedule(struct health *h);

static void finish(struct entry *e, bool up)
{
	struct health *h = e->owner;

	e->work = WORK_NONE;
	h->n_busy--;
	if (!h->stopping && !e->dropped) {
		e->due_ms = clock_mono_ms(h->p.net->clock) + h->p.rule.interval_ms;
		set_state(e, up);
		if (e->round != h->round && is_probed_and_up(e))
			e->due_ms = clock_mono_ms(h->p.net->clock);
	}
	sweep(h);
	tell_when_sure(h);
	if (h->stopping)
		maybe_done(h);
	else
		schedule(h);
}

static void probe_next(struct entry *e);

static void on_probed(struct probe_op *op, const struct probe_result *r)
{
	struct entry *e = op->owner;

	if (r->state != PROBE_UP && e->next_addr < e->found.n_addrs && !e->dropped)
		probe_next(e);
	else
		finish(e, r->state == PROBE_UP);
}

static void probe_next(struct entry *e)
{
	struct health *h = e->owner;

	e->work = WORK_PROBE;
	e->op = (struct probe_op){ .owner = e };
	h->p.prober->start(h->p.prober, &e->op, h->p.net, &e->found.addrs[e->next_addr++],
			   h->p.rule.timeout_ms, on_probed);
}

static void on_found(struct host_lookup *l, const struct host_lookup_result *r)
{
	struct entry *e = l->owner;

	e->found = *r;
	e->next_addr = 0;
	if (r->err == 0 && !e->dropped)
		probe_next(e);
	else
		finish(e, false);
}

static void start_probe(struct entry *e)
{
	struct health *h = e->owner;
	char name[DNSNAME_TEXT_MAX];
	struct host_lookup_params lp = { .host = dns_name_format(&e->target, name),
					 .port = e->port };

	e->work = WORK_LOOKUP;
	e->round_asked = h->round;
	e->risen_asked = h->risen;
	h->n_busy++;
	e->lookup = (struct host_lookup){ .owner = e };
	host_lookup_start(&e->lookup, h->p.net, &lp, on_found);
}

/* ---- what `local` says ---- */

static bool is_held(const struct health *h, const struct entry *e)
{
	return !h->local_at_once && e->track.state != PUB_HEALTH_UNKNOWN &&
	       clock_mono_ms(h->p.net->clock) - e->track.since_ms < h->p.rule.min_stay_ms;
}

static void apply_local(struct health *h, struct entry *e)
{
	e->due_ms = UINT64_MAX;
	if (e->track.state == h->local)
		return;
	if (is_held(h, e)) {
		e->due_ms = e->track.since_ms + h->p.rule.min_stay_ms;
		return;
	}
	e->track = (struct health_track){ .state = h->local,
					  .since_ms = clock_mono_ms(h->p.net->clock) };
	e->since_wall_ms = clock_wall_ms(h->p.net->clock);
	if (h->local == PUB_HEALTH_DOWN) {
		have_others_probed(h);
	} else {
		if (h->local == PUB_HEALTH_UP)
			have_fallen_probed(h);
		h->p.changed(h->p.ctx);
	}
}

/* ---- time ---- */

static void on_timer(uv_timer_t *t)
{
	struct health *h = t->data;
	uint64_t now = clock_mono_ms(h->p.net->clock);

	for (struct entry *e = h->entries; e != NULL; e = e->next) {
		if (!e->configured && now - e->wanted_ms > HEALTH_FORGET_MS)
			e->dropped = true;
		if (e->dropped || e->work != WORK_NONE || e->due_ms > now)
			continue;
		if (e->local)
			apply_local(h, e);
		else if (h->n_busy < HEALTH_PARALLEL_MAX)
			start_probe(e);
	}
	sweep(h);
	tell_when_sure(h);
	schedule(h);
}

/* The timer stands at the earliest entry that is due; without entries it does not run. */
static void schedule(struct health *h)
{
	uint64_t now = clock_mono_ms(h->p.net->clock);
	uint64_t first = UINT64_MAX;

	if (h->stopping)
		return;
	for (const struct entry *e = h->entries; e != NULL; e = e->next)
		if (e->work == WORK_NONE && e->due_ms < first)
			first = e->due_ms;
	if (first == UINT64_MAX || h->n_busy >= HEALTH_PARALLEL_MAX)
		(void)uv_timer_stop(&h->timer); /* whatever ends next schedules again */
	else
		(void)uv_timer_start(&h->timer, on_timer, first > now ? first - now : 0, 0);
}

/* ---- the publisher's side ---- */

static enum pub_health_state gate_state(void *ctx, const struct dns_name *target, uint16_t port)
{
	const struct health *h = ctx;
	const struct entry *e = find(h, target, port);

	if (e == NULL)
		return PUB_HEALTH_UNKNOWN;
	if (is_probed_and_up(e) && (e->track.against > 0 || e->round != h->round))
		return PUB_HEALTH_UNKNOWN; /* in doubt: no reason for another record to go */
	if (may_have_risen(e))
		return PUB_HEALTH_UNKNOWN; /* nor for its own */
	return e->track.state;
}

static void gate_want(void *ctx, const struct dns_name *target, uint16_t port)
{
	struct health *h = ctx;
	struct entry *e = find(h, target, port);

	if (e == NULL && !h->stopping && h->n_entries < HEALTH_ENTRIES_MAX) {
		e = add(h, target, port);
		schedule(h);
	}
	if (e != NULL)
		e->wanted_ms = clock_mono_ms(h->p.net->clock);
}

/* ---- life ---- */

int health_new(const struct health_params *p, struct health **ret)
{
	struct health *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return ERR_NOMEM;
	h->p = *p;
	h->gate =
		(struct pub_health){ .state = gate_state,
				     .want = gate_want,
				     .withdraw_last = p->rule.all_down == CONFIG_ALL_DOWN_WITHDRAW,
				     .ctx = h };
	(void)uv_timer_init(p->net->loop, &h->timer);
	h->timer.data = h;
	*ret = h;
	return 0;
}

/* Unknown health gates nothing. */
static void leave_out(const struct health_host *host)
{
	char name[DNSNAME_TEXT_MAX];

	log_error(&log_health, "health.config", "target=%s port=%u text=%s",
		  dns_name_format(&host->target, name), (unsigned)host->port,
		  "out of memory: it is not probed before the next reload");
}

void health_configure(struct health *h, const struct config_health *rule,
		      const struct health_host *hosts, size_t n)
{
	uint64_t latest = clock_mono_ms(h->p.net->clock) + rule->interval_ms;

	h->p.rule = *rule;
	h->gate.withdraw_last = rule->all_down == CONFIG_ALL_DOWN_WITHDRAW;
	for (struct entry *e = h->entries; e != NULL; e = e->next) {
		e->configured = false;
		e->local = false;
		e->wanted_ms = clock_mono_ms(h->p.net->clock);
		if (e->due_ms > latest || e->due_ms == UINT64_MAX)
			e->due_ms = latest; /* a shorter interval counts from now */
	}
	for (size_t i = 0; i < n; i++) {
		struct entry *e = find(h, &hosts[i].target, hosts[i].port);

		if (e == NULL)
			e = add(h, &hosts[i].target, hosts[i].port);
		if (e == NULL) {
			leave_out(&hosts[i]);
			continue;
		}
		e->configured = true;
		e->local = hosts[i].is_local;
		if (e->local)
			apply_local(h, e);
	}
	tell_when_sure(h);
	schedule(h);
}

void health_set_local(struct health *h, enum pub_health_state state, bool at_once)
{
	h->local = state;
	h->local_at_once = at_once;
	for (struct entry *e = h->entries; e != NULL; e = e->next)
		if (e->local)
			apply_local(h, e);
	tell_when_sure(h);
	schedule(h);
}

const struct pub_health *health_gate(const struct health *h)
{
	return &h->gate;
}

enum pub_health_state health_state(const struct health *h, const struct dns_name *target,
				   uint16_t port, int64_t *ret_since_ms)
{
	const struct entry *e = find(h, target, port);

	if (ret_since_ms != NULL)
		*ret_since_ms = e != NULL ? e->since_wall_ms : 0;
	return e != NULL ? e->track.state : PUB_HEALTH_UNKNOWN;
}

static void on_timer_closed(uv_handle_t *t)
{
	struct health *h = t->data;

	h->timer_closed = true;
	maybe_done(h);
}

void health_free(struct health *h, void (*done)(void *ctx), void *ctx)
{
	h->stopping = true;
	h->done = done;
	h->done_ctx = ctx;
	for (struct entry *e = h->entries; e != NULL; e = e->next) {
		e->dropped = true;
		if (e->work == WORK_LOOKUP)
			host_lookup_cancel(&e->lookup);
		else if (e->work == WORK_PROBE)
			h->p.prober->cancel(&e->op);
	}
	sweep(h);
	uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}
