#include "publisher/plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

/** Work on one plan: the input, and what was found out of each record so far. */
struct planner {
	const struct pub_plan_in *in;
	struct pub_plan *out;
	enum pub_want *want; /* of wanted: duplicates and exclusions of the request applied */
	bool *joins;         /* of wanted: it is to be in the set afterwards */
	bool *removed;       /* of seen */
	const struct pub_rec **recs; /* of seen: its row, or NULL */
	size_t *seen_wanted;         /* of seen: index of the wanted record, or NONE */
	size_t n_removed_for_health;
	int err;
};

#define NONE SIZE_MAX

static void *zeroed(struct planner *p, size_t n, size_t size)
{
	void *m = calloc(n > 0 ? n : 1, size);

	if (m == NULL)
		p->err = ERR_NOMEM;
	return m;
}

static const struct pub_rec *find_rec(const struct pub_set *set, const struct dns_srv *srv)
{
	for (size_t i = 0; set != NULL && i < set->n_recs; i++)
		if (set->recs[i].state != PUB_REC_NONE && dns_srv_equal(&set->recs[i].srv, srv))
			return &set->recs[i];
	return NULL;
}

/* Two hosts may want the same RDATA: the one that wants it most counts. */
static size_t find_wanted(const struct planner *p, const struct dns_srv *srv)
{
	size_t found = NONE;

	for (size_t i = 0; i < p->in->n_wanted; i++)
		if (dns_srv_equal(&p->in->wanted[i].srv, srv) &&
		    (found == NONE || p->want[i] < p->want[found]))
			found = i;
	return found;
}

static size_t find_seen(const struct planner *p, const struct dns_srv *srv)
{
	for (size_t i = 0; i < p->in->n_seen; i++)
		if (dns_srv_equal(&p->in->seen[i].srv, srv))
			return i;
	return NONE;
}

static bool is_wanted(const struct planner *p, size_t w)
{
	return w != NONE && p->want[w] == PUB_WANT_YES;
}

static enum pub_health_state health(const struct planner *p, const struct dns_srv *srv)
{
	const struct pub_health *h = p->in->health;

	return h == NULL ? PUB_HEALTH_UP : h->state(h->ctx, &srv->target, srv->port);
}

/* Rows change while the plan is carried out, so it has copies of their texts. */
static const char *rec_host(const struct planner *p, const struct pub_rec *rec)
{
	return p->out->hosts[rec - p->in->ours->recs];
}

static void copy_hosts(struct planner *p)
{
	struct pub_plan *out = p->out;

	for (; out->n_hosts < (p->in->ours != NULL ? p->in->ours->n_recs : 0); out->n_hosts++) {
		out->hosts[out->n_hosts] = strdup(p->in->ours->recs[out->n_hosts].host);
		if (out->hosts[out->n_hosts] == NULL) {
			p->err = ERR_NOMEM;
			return;
		}
	}
}

static const char *srv_text(const struct dns_srv *srv, char buf[DNS_SRV_TEXT_MAX])
{
	return dns_srv_format(srv, buf);
}

static void finding(struct planner *p, enum finding_id id, const struct dns_srv *srv,
		    const char *clause)
{
	char text[DNS_SRV_TEXT_MAX];

	if (pub_findings_add(&p->out->findings, id, "%s %s", srv_text(srv, text), clause) != ERR_OK)
		p->err = ERR_NOMEM;
}

static void mark(struct planner *p, enum pub_mark_when when, const struct dns_srv *srv,
		 const char *host, enum pub_rec_state state, unsigned returns)
{
	struct pub_mark *m = &p->out->marks[p->out->n_marks++];

	m->when = when;
	m->srv = *srv;
	m->host = host;
	m->state = state;
	m->returns = returns;
}

/* Marks for what was read: only where the row does not say so already, so that a steady state
 * writes nothing. */
static void mark_now(struct planner *p, const struct dns_srv *srv, const char *host,
		     enum pub_rec_state state, unsigned returns)
{
	const struct pub_rec *rec = find_rec(p->in->ours, srv);
	enum pub_rec_state is = rec == NULL ? PUB_REC_NONE : rec->state;

	if (is != state || (rec != NULL && rec->returns != returns))
		mark(p, PUB_MARK_NOW, srv, host, state, returns);
}

static void prepare(struct planner *p)
{
	const struct pub_plan_in *in = p->in;

	for (size_t i = 0; i < in->n_wanted; i++) {
		p->want[i] = in->want != NULL ? in->want[i] : PUB_WANT_YES;
		if (in->withdraw &&
		    (in->only_host == NULL || strcmp(in->only_host, in->wanted[i].host) == 0))
			p->want[i] = PUB_WANT_HELD;
		for (size_t j = 0; j < i;
		     j++) /* two hosts, one record: one of them stands for both */
			if (p->want[i] == p->want[j] &&
			    dns_srv_equal(&in->wanted[i].srv, &in->wanted[j].srv))
				p->want[i] = PUB_WANT_HELD;
	}
}

static bool is_known_host(const struct planner *p, const struct dns_srv *srv)
{
	for (size_t i = 0; i < p->in->n_wanted; i++)
		if (p->in->wanted[i].srv.port == srv->port &&
		    dns_name_equal(&p->in->wanted[i].srv.target, &srv->target))
			return true;
	return false;
}

static enum pub_class classify_returned(struct planner *p, size_t i, const struct pub_rec *rec)
{
	const struct dns_srv *srv = &p->in->seen[i].srv;
	size_t w = p->seen_wanted[i];
	unsigned returns = rec->returns;

	if (is_wanted(p, w) && health(p, srv) != PUB_HEALTH_DOWN)
		return rec->state == PUB_REC_DELETED
			       ? PUB_CLASS_OURS     /* perhaps still what we put there */
			       : PUB_CLASS_ADOPTED; /* put there while we did not want it */
	if (returns < PUB_RETURNS_MAX)
		returns++;
	if (returns < PUB_RETURNS_MAX)
		return PUB_CLASS_OURS;
	finding(p, FINDING_ANOTHER_PUBLISHER, srv, "was removed from here and came back twice");
	mark_now(p, srv, rec_host(p, rec), PUB_REC_WITHDRAWN, returns);
	return PUB_CLASS_FOREIGN;
}

static enum pub_class classify(struct planner *p, size_t i)
{
	const struct dns_srv *srv = &p->in->seen[i].srv;
	const struct pub_rec *rec = p->recs[i];

	if (dns_name_is_root(&srv->target)) {
		p->out->blocked_by_dot = true;
		return PUB_CLASS_DOT;
	}
	switch (rec == NULL ? PUB_REC_NONE : rec->state) {
	case PUB_REC_INTENT_ADD:
	case PUB_REC_PUBLISHED:
	case PUB_REC_INTENT_DELETE:
		return PUB_CLASS_OURS;
	case PUB_REC_ADOPTED:
		return PUB_CLASS_ADOPTED;
	case PUB_REC_WITHDRAWN:
	case PUB_REC_DELETED:
		return classify_returned(p, i, rec);
	case PUB_REC_NONE:
	case PUB_REC_STATE_COUNT_:
		break;
	}
	if (p->seen_wanted[i] != NONE)
		return PUB_CLASS_ADOPTED;
	if (!is_known_host(p, srv))
		return PUB_CLASS_FOREIGN;
	finding(p, FINDING_HOST_SELF_PUBLISHES, srv,
		"is not ours, but names a configured host with other priority or weight");
	return PUB_CLASS_FOREIGN_KNOWN;
}

/* A record of ours that the configuration does not have (any more) waits while what replaces it is
 * held back, so that a rename never leaves its host without a record. */
static bool replacement_is_held_back(const struct planner *p, const struct pub_rec *rec)
{
	for (size_t i = 0; i < p->in->n_wanted; i++)
		if (p->want[i] != PUB_WANT_HELD && !p->joins[i] &&
		    strcmp(p->in->wanted[i].host, rec->host) == 0)
			return true;
	return false;
}

static const char *host_of(const struct planner *p, size_t i)
{
	if (p->seen_wanted[i] != NONE)
		return p->in->wanted[p->seen_wanted[i]].host;
	return p->recs[i] != NULL ? rec_host(p, p->recs[i]) : "";
}

static bool is_meant(const struct planner *p, size_t i)
{
	return p->in->only_host == NULL || strcmp(p->in->only_host, host_of(p, i)) == 0;
}

static bool was_removed(const struct pub_rec *rec)
{
	return rec->state == PUB_REC_WITHDRAWN || rec->state == PUB_REC_DELETED;
}

/* A daemon that has just started knows nothing of its hosts, but the journal still does: who was
 * down before, or was being taken away, stays out until a probe says otherwise. */
static bool awaits_probe(const struct planner *p, const struct dns_srv *srv)
{
	const struct pub_rec *rec = find_rec(p->in->ours, srv);

	return p->in->cautious && rec != NULL &&
	       (was_removed(rec) || rec->state == PUB_REC_INTENT_DELETE) &&
	       health(p, srv) == PUB_HEALTH_UNKNOWN;
}

/* Which wanted records are, or will be, in the set, health of those already there left aside. */
static void decide_adds(struct planner *p)
{
	const struct pub_plan_in *in = p->in;

	for (size_t i = 0; i < in->n_wanted; i++) {
		const struct dns_srv *srv = &in->wanted[i].srv;

		if (p->want[i] != PUB_WANT_HELD && find_seen(p, srv) != NONE) {
			p->joins[i] = true;
			continue;
		}
		if (p->want[i] == PUB_WANT_BAD)
			p->out->n_bad++;
		if (p->want[i] != PUB_WANT_YES || in->withdraw || p->out->blocked_by_dot)
			continue;
		if (health(p, srv) == PUB_HEALTH_DOWN)
			finding(p, FINDING_HOST_DOWN, srv, "is not published: the host is down");
		else if (awaits_probe(p, srv))
			finding(p, FINDING_HOST_DOWN, srv,
				"is not published again before its host is known to be up");
		else
			p->joins[i] = true;
	}
}

static void decide_deletes(struct planner *p)
{
	for (size_t i = 0; i < p->in->n_seen; i++) {
		bool unwanted =
			p->seen_wanted[i] == NONE || p->want[p->seen_wanted[i]] == PUB_WANT_HELD;

		if (p->out->classes[i] == PUB_CLASS_ADOPTED && p->in->withdraw) {
			p->removed[i] = p->in->adopted && is_meant(p, i) && unwanted;
			if (!p->in->adopted && is_meant(p, i) && unwanted)
				finding(p, FINDING_ADOPTED, &p->in->seen[i].srv,
					"stays: it was there before it was published from here");
		} else if (p->out->classes[i] == PUB_CLASS_ADOPTED)
			continue;
		else if (p->out->classes[i] != PUB_CLASS_OURS || !unwanted)
			continue;
		else if (p->in->withdraw)
			p->removed[i] = is_meant(p, i);
		else
			p->removed[i] =
				!p->out->blocked_by_dot && !replacement_is_held_back(p, p->recs[i]);
	}
}

static bool another_is_up(const struct planner *p, size_t except)
{
	for (size_t i = 0; i < p->in->n_seen; i++)
		if (i != except && !p->removed[i] && p->out->classes[i] != PUB_CLASS_DOT &&
		    health(p, &p->in->seen[i].srv) == PUB_HEALTH_UP)
			return true;
	for (size_t i = 0; i < p->in->n_wanted; i++)
		if (p->joins[i] && find_seen(p, &p->in->wanted[i].srv) == NONE &&
		    health(p, &p->in->wanted[i].srv) == PUB_HEALTH_UP)
			return true;
	return false;
}

/* The gate (design §5): a record goes only while another one of the set is up. */
static void decide_health(struct planner *p)
{
	if (p->in->health == NULL || p->in->withdraw)
		return;
	for (size_t i = 0; i < p->in->n_seen; i++) {
		const struct dns_srv *srv = &p->in->seen[i].srv;
		enum pub_class c = p->out->classes[i];

		if ((c != PUB_CLASS_OURS && c != PUB_CLASS_ADOPTED) || p->removed[i] ||
		    !is_wanted(p, p->seen_wanted[i]) || health(p, srv) != PUB_HEALTH_DOWN)
			continue;
		if (p->in->health->withdraw_last || another_is_up(p, i)) {
			finding(p, FINDING_HOST_DOWN, srv, "is withdrawn while the host is down");
			p->removed[i] = true;
			p->joins[p->seen_wanted[i]] = false;
			p->n_removed_for_health++;
		} else {
			finding(p, FINDING_LAST_KEPT, srv,
				"stays although the host is down: no other record is known to be "
				"up");
		}
	}
	p->out->need_prereq = p->n_removed_for_health > 0;
}

static void change(struct planner *p, enum pub_op op, const struct dns_srv *srv, uint32_t ttl_s,
		   const char *host)
{
	struct pub_change *c;

	if (p->out->n_changes >= PUB_CHANGES_MAX) {
		p->err = ERR_LIMIT;
		return;
	}
	c = &p->out->changes[p->out->n_changes++];
	c->op = op;
	c->srv = *srv;
	c->ttl_s = ttl_s;
	c->host = host;
}

/** What of the set stays as it is. */
struct kept {
	size_t n;
	bool all_ours;
	uint32_t ttl_s;
	size_t rewrite; /* a record through which the TTL may be changed: ours, else adopted */
};

static struct kept what_stays(const struct planner *p)
{
	struct kept k = { .all_ours = true, .rewrite = NONE };

	for (size_t i = 0; i < p->in->n_seen; i++) {
		enum pub_class c = p->out->classes[i];

		if (p->removed[i])
			continue;
		if (k.n == 0 || p->in->seen[i].ttl_s < k.ttl_s)
			k.ttl_s = p->in->seen[i].ttl_s;
		k.n++;
		if (c != PUB_CLASS_OURS)
			k.all_ours = false;
		if (c == PUB_CLASS_OURS || (c == PUB_CLASS_ADOPTED && k.rewrite == NONE))
			if (k.rewrite == NONE || p->out->classes[k.rewrite] != PUB_CLASS_OURS)
				k.rewrite = i;
	}
	return k;
}

static bool adds_something(const struct planner *p)
{
	for (size_t i = 0; i < p->in->n_wanted; i++)
		if (p->joins[i] && find_seen(p, &p->in->wanted[i].srv) == NONE)
			return true;
	return false;
}

/** The TTL the set is to have. @return the record to rewrite for it, or NONE. */
static size_t decide_ttl(struct planner *p)
{
	const struct pub_plan_in *in = p->in;
	struct pub_plan *out = p->out;
	struct kept k = what_stays(p);
	bool shared = k.n > 0 && !k.all_ours && in->ttl_policy != PUB_TTL_ENFORCE;
	bool limited = k.n > 0 && in->ours != NULL && in->ours->ttl_got == k.ttl_s &&
		       in->ours->ttl_asked == in->ttl_s;

	if (in->withdraw)
		return NONE; /* what is left is not ours to judge: ttl_s stays 0 */
	if (k.n > 0 && (shared || limited || k.ttl_s == in->ttl_s || out->blocked_by_dot))
		out->ttl_s = k.ttl_s;
	else if (k.n > 0 && k.rewrite == NONE && !adds_something(p))
		out->ttl_s = k.ttl_s; /* enforced, but there is nothing of ours to do it with */
	else
		out->ttl_s = in->ttl_s;
	out->ttl_is_wish = !shared && out->ttl_s == in->ttl_s;
	if (shared && k.ttl_s != in->ttl_s &&
	    pub_findings_add(&out->findings, FINDING_TTL_ADOPTED,
			     "others' records share the set: their TTL of %u s is used, not %u s",
			     k.ttl_s, in->ttl_s) != ERR_OK)
		p->err = ERR_NOMEM;
	return k.n > 0 && k.ttl_s != out->ttl_s ? k.rewrite : NONE;
}

static void make_changes(struct planner *p)
{
	const struct pub_plan_in *in = p->in;
	size_t rewrite = decide_ttl(p);
	uint32_t ttl_s = p->out->ttl_s;

	for (size_t i = 0; i < in->n_seen; i++)
		if (p->removed[i] || i == rewrite)
			change(p, PUB_DELETE, &in->seen[i].srv, in->seen[i].ttl_s, host_of(p, i));
	if (rewrite !=
	    NONE) /* a plain re-add is without effect on Knot, so the RR goes and comes */
		change(p, PUB_ADD, &in->seen[rewrite].srv, ttl_s, host_of(p, rewrite));
	for (size_t i = 0; i < in->n_wanted; i++)
		if (p->joins[i] && p->want[i] == PUB_WANT_YES &&
		    find_seen(p, &in->wanted[i].srv) == NONE)
			change(p, PUB_ADD, &in->wanted[i].srv, ttl_s, in->wanted[i].host);
}

/* Removed, not seen to be gone, and wanted again. */
static bool is_ours_again(const struct planner *p, size_t i)
{
	return p->recs[i]->state == PUB_REC_DELETED && is_wanted(p, p->seen_wanted[i]) &&
	       health(p, &p->in->seen[i].srv) != PUB_HEALTH_DOWN;
}

static void mark_seen(struct planner *p, size_t i)
{
	const struct dns_srv *srv = &p->in->seen[i].srv;
	const struct pub_rec *rec = p->recs[i];
	bool wanted = is_wanted(p, p->seen_wanted[i]);
	const char *host = host_of(p, i);
	unsigned returns = rec != NULL ? rec->returns : 0;

	if (p->removed[i]) {
		/* Only what somebody withdrew on purpose is watched; a replaced record is just
		 * gone.
		 */
		bool watch = p->in->remember && p->seen_wanted[i] != NONE;

		if (rec != NULL && was_removed(rec))
			returns++;
		mark(p, PUB_MARK_INTENT, srv, host, PUB_REC_INTENT_DELETE, returns);
		/* Whoever puts it back before a read has shown it gone must be counted, too. */
		if (p->in->remember)
			mark(p, PUB_MARK_UNDONE, srv, host, PUB_REC_DELETED, returns);
		mark(p, PUB_MARK_PROVEN, srv, host, watch ? PUB_REC_WITHDRAWN : PUB_REC_NONE,
		     watch ? returns : 0);
		mark(p, PUB_MARK_REVERT, srv, host, rec != NULL ? rec->state : PUB_REC_NONE,
		     rec != NULL ? rec->returns : 0);
		return;
	}
	if (p->out->classes[i] == PUB_CLASS_OURS && (!was_removed(rec) || is_ours_again(p, i))) {
		mark_now(p, srv, host, PUB_REC_PUBLISHED, 0);
		if (rec != NULL && rec->state == PUB_REC_INTENT_ADD)
			p->out->settles = true;
	} else if (p->out->classes[i] == PUB_CLASS_ADOPTED && wanted) {
		mark_now(p, srv, host, PUB_REC_ADOPTED, returns);
	}
}

static void mark_unseen(struct planner *p, const struct pub_rec *rec)
{
	size_t w = find_wanted(p, &rec->srv);

	if (find_seen(p, &rec->srv) != NONE || pub_plan_adds(p->out, &rec->srv))
		return;
	if (rec->state == PUB_REC_WITHDRAWN && w != NONE)
		return; /* goes on being watched */
	if (rec->state == PUB_REC_INTENT_DELETE || rec->state == PUB_REC_DELETED)
		p->out->settles = true;
	if ((rec->state == PUB_REC_INTENT_DELETE || rec->state == PUB_REC_DELETED) && w != NONE &&
	    p->in->remember)
		mark_now(p, &rec->srv, rec_host(p, rec), PUB_REC_WITHDRAWN, rec->returns);
	else
		mark_now(p, &rec->srv, rec_host(p, rec), PUB_REC_NONE, 0);
}

static void make_marks(struct planner *p)
{
	for (size_t i = 0; i < p->in->n_seen; i++)
		mark_seen(p, i);
	for (size_t i = 0; i < p->out->n_changes; i++) {
		const struct pub_change *c = &p->out->changes[i];
		const struct pub_rec *rec = find_rec(p->in->ours, &c->srv);

		if (c->op != PUB_ADD || find_seen(p, &c->srv) != NONE)
			continue;
		mark(p, PUB_MARK_INTENT, &c->srv, c->host, PUB_REC_INTENT_ADD, 0);
		mark(p, PUB_MARK_PROVEN, &c->srv, c->host, PUB_REC_PUBLISHED, 0);
		mark(p, PUB_MARK_REVERT, &c->srv, c->host, rec != NULL ? rec->state : PUB_REC_NONE,
		     rec != NULL ? rec->returns : 0);
	}
	for (size_t i = 0; p->in->ours != NULL && i < p->in->ours->n_recs; i++)
		mark_unseen(p, &p->in->ours->recs[i]);
}

static void make_expectations(struct planner *p)
{
	struct pub_plan *out = p->out;

	for (size_t i = 0; i < p->in->n_wanted; i++)
		if (!p->in->withdraw && p->joins[i])
			out->present[out->n_present++] = p->in->wanted[i].srv;
	for (size_t i = 0; i < p->in->n_seen; i++)
		if (p->removed[i])
			out->absent[out->n_absent++] = p->in->seen[i].srv;
	for (size_t i = 0; p->in->drain && i < p->in->n_wanted; i++)
		if (p->want[i] == PUB_WANT_HELD && find_seen(p, &p->in->wanted[i].srv) == NONE)
			out->absent[out->n_absent++] = p->in->wanted[i].srv;
}

static void tell_dot(struct planner *p)
{
	if (p->out->blocked_by_dot &&
	    pub_findings_add(&p->out->findings, FINDING_ABSENT_BY_DOT,
			     "a record with target \".\" says that there is no KMS here") != ERR_OK)
		p->err = ERR_NOMEM;
}

/* Nobody may be left without a host by a drain. What was read is what the UPDATE relies on, so that
 * two who drain at the same moment do not do together what neither would do alone. */
static void guard_last(struct planner *p)
{
	size_t n_removed = 0, n_left = 0;

	if (!p->in->withdraw || !p->in->keep_last)
		return;
	for (size_t i = 0; i < p->in->n_seen; i++) {
		n_removed += p->removed[i];
		n_left += !p->removed[i] && p->out->classes[i] != PUB_CLASS_DOT;
	}
	p->out->would_empty = n_removed > 0 && n_left == 0;
	for (size_t i = 0; p->out->would_empty && i < p->in->n_seen; i++)
		p->removed[i] = false;
	p->out->need_prereq = n_removed > 0 && n_left > 0;
}

/* As long as something else publishes the host, its clients go on coming: no drain is over. */
static void find_elsewhere(struct planner *p)
{
	const struct pub_plan_in *in = p->in;

	if (!in->drain || in->only_host == NULL)
		return;
	for (size_t i = 0; i < in->n_seen; i++) {
		const struct dns_srv *srv = &in->seen[i].srv;

		if (p->out->classes[i] != PUB_CLASS_FOREIGN &&
		    p->out->classes[i] != PUB_CLASS_FOREIGN_KNOWN)
			continue;
		for (size_t w = 0; w < in->n_wanted; w++)
			if (strcmp(in->wanted[w].host, in->only_host) == 0 &&
			    in->wanted[w].srv.port == srv->port &&
			    dns_name_equal(&in->wanted[w].srv.target, &srv->target))
				p->out->elsewhere = &in->seen[i];
	}
}

static void run(struct planner *p)
{
	const struct pub_plan_in *in = p->in;

	prepare(p);
	for (size_t i = 0; i < in->n_seen; i++) {
		p->recs[i] = find_rec(in->ours, &in->seen[i].srv);
		p->seen_wanted[i] = find_wanted(p, &in->seen[i].srv);
		p->out->classes[i] = classify(p, i);
	}
	decide_adds(p);
	decide_deletes(p);
	decide_health(p);
	guard_last(p);
	find_elsewhere(p);
	make_changes(p);
	make_marks(p);
	make_expectations(p);
	tell_dot(p);
}

int pub_plan_make(const struct pub_plan_in *in, struct pub_plan *ret)
{
	struct planner p = { .in = in, .out = ret };
	size_t n_recs = in->ours != NULL ? in->ours->n_recs : 0;
	size_t all = in->n_seen + in->n_wanted + n_recs;

	memset(ret, 0, sizeof(*ret));
	if (in->n_seen > PUB_SEEN_MAX || in->n_wanted > PUB_WANTED_MAX)
		return ERR_LIMIT;
	p.want = zeroed(&p, in->n_wanted, sizeof(*p.want));
	p.joins = zeroed(&p, in->n_wanted, sizeof(*p.joins));
	p.removed = zeroed(&p, in->n_seen, sizeof(*p.removed));
	p.recs = zeroed(&p, in->n_seen, sizeof(const struct pub_rec *));
	p.seen_wanted = zeroed(&p, in->n_seen, sizeof(*p.seen_wanted));
	/* a TTL change costs two entries for a record that is only seen */
	ret->changes = zeroed(&p, all + 2 < PUB_CHANGES_MAX ? all + 2 : PUB_CHANGES_MAX,
			      sizeof(*ret->changes));
	ret->classes = zeroed(&p, in->n_seen, sizeof(*ret->classes));
	ret->marks = zeroed(&p, 4 * all, sizeof(*ret->marks));
	ret->present = zeroed(&p, in->n_wanted, sizeof(*ret->present));
	ret->absent = zeroed(&p, in->n_seen + in->n_wanted, sizeof(*ret->absent));
	ret->hosts = zeroed(&p, n_recs, sizeof(char *));
	if (p.err == ERR_OK)
		copy_hosts(&p);
	if (p.err == ERR_OK)
		run(&p);
	free(p.want);
	free(p.joins);
	free(p.removed);
	free(p.recs);
	free(p.seen_wanted);
	return p.err;
}

void pub_plan_done(struct pub_plan *p)
{
	free(p->changes);
	free(p->classes);
	free(p->marks);
	free(p->present);
	free(p->absent);
	for (size_t i = 0; i < p->n_hosts; i++)
		free(p->hosts[i]);
	free(p->hosts);
	pub_findings_done(&p->findings);
	memset(p, 0, sizeof(*p));
}

bool pub_plan_adds(const struct pub_plan *p, const struct dns_srv *srv)
{
	for (size_t i = 0; i < p->n_changes; i++)
		if (p->changes[i].op == PUB_ADD && dns_srv_equal(&p->changes[i].srv, srv))
			return true;
	return false;
}

void pub_plan_drop_deletes(struct pub_plan *p)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n_changes; i++)
		if (p->changes[i].op == PUB_ADD || pub_plan_adds(p, &p->changes[i].srv))
			p->changes[n++] = p->changes[i];
	p->n_changes = n;
	n = 0;
	for (size_t i = 0; i < p->n_marks; i++)
		if (p->marks[i].when == PUB_MARK_NOW || pub_plan_adds(p, &p->marks[i].srv))
			p->marks[n++] = p->marks[i];
	p->n_marks = n;
	p->n_absent = 0;
	p->need_prereq = false;
}
