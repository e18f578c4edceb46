/*
 * From the bytes of a primary's answer to the plan: what is not ours is never taken away, nothing
 * but what is wanted is put there, and once a plan is carried out the next one has nothing to do.
 *
 * Input: two octets of settings, one of what is ours, one for each of the wanted records, then the
 * answer as it came.
 */
#include <string.h>

#include "publisher/read.h"
#include "tests/fuzz/fuzz.h"

#define WANTED   3
#define RECS_MAX (PUB_SEEN_MAX + WANTED + 1)
#define HEAD     (3 + WANTED)
#define TTL_S    3600

static struct dns_name owner;
static struct dns_name targets[WANTED];
static char hosts[WANTED][8] = { "local", "office", "third" };

static void set_up(void)
{
	char text[32];

	FUZZ_CHECK(dns_name_parse("_vlmcs._tcp.corp.example", &owner) == 0);
	for (int i = 0; i < WANTED; i++) {
		(void)snprintf(text, sizeof(text), "kms%d.corp.example", i + 1);
		FUZZ_CHECK(dns_name_parse(text, &targets[i]) == 0);
	}
}

/* Whatever the name, always the same. */
static enum pub_health_state health_of(void *ctx, const struct dns_name *target, uint16_t port)
{
	(void)ctx;
	return (enum pub_health_state)((target->wire[target->len / 2] + port) % 3);
}

struct world {
	struct pub_plan_in in;
	struct pub_wanted wanted[WANTED];
	enum pub_want want[WANTED];
	struct pub_seen seen[RECS_MAX];
	struct pub_rec recs[RECS_MAX];
	struct pub_set set;
	struct pub_health health;
};

static struct pub_rec *rec_of(struct world *w, const struct dns_srv *srv)
{
	for (size_t i = 0; i < w->set.n_recs; i++)
		if (dns_srv_equal(&w->recs[i].srv, srv))
			return &w->recs[i];
	return NULL;
}

static void make_ours(struct world *w, const struct dns_srv *srv, uint8_t what)
{
	char *host = hosts[0];

	for (size_t i = 0; i < WANTED; i++) /* a host had this name when it was published, too */
		if (dns_name_equal(&srv->target, &targets[i]))
			host = hosts[i];
	if (what % PUB_REC_STATE_COUNT_ == PUB_REC_NONE || rec_of(w, srv) != NULL)
		return;
	w->recs[w->set.n_recs++] = (struct pub_rec){
		.srv = *srv,
		.state = (enum pub_rec_state)(what % PUB_REC_STATE_COUNT_),
		.returns = what % 3u,
		.host = host,
	};
}

static void make_world(struct world *w, const uint8_t *head, const struct pub_read *r)
{
	memset(w, 0, sizeof(*w));
	for (size_t i = 0; i < WANTED; i++) {
		w->wanted[i].host = hosts[i];
		w->wanted[i].srv = (struct dns_srv){ .priority = head[3 + i] & 1u,
						     .weight = (head[3 + i] >> 1) & 3u,
						     .port = 1688,
						     .target = targets[i] };
		w->want[i] = (enum pub_want)((head[3 + i] >> 4) % 3);
	}
	for (size_t i = 0; i < r->n_seen; i++)
		w->seen[i] = r->seen[i];
	for (size_t i = 0; i < r->n_seen; i++)
		make_ours(w, &r->seen[i].srv, (uint8_t)(head[2] >> (i % 4)));
	for (size_t i = 0; i < WANTED; i++)
		make_ours(w, &w->wanted[i].srv, head[3 + i] >> 3);
	w->health = (struct pub_health){ .state = health_of, .withdraw_last = head[0] & 1u };
	w->set.ttl_asked = (head[0] & 2u) != 0 ? TTL_S : 0;
	w->set.ttl_got = (head[0] & 2u) != 0 ? 300 : 0;
	w->set.recs = w->recs;
	w->in = (struct pub_plan_in){
		.wanted = w->wanted,
		.n_wanted = head[1] % (WANTED + 1u),
		.want = w->want,
		.seen = w->seen,
		.n_seen = r->n_seen,
		.ours = &w->set,
		.ttl_s = TTL_S,
		.ttl_policy = (head[0] & 4u) != 0 ? PUB_TTL_ENFORCE : PUB_TTL_ADOPT,
		.health = (head[0] & 8u) != 0 ? &w->health : NULL,
		.withdraw = (head[0] & 16u) != 0,
		.only_host = (head[0] & 32u) != 0 ? "local" : NULL,
		.adopted = (head[0] & 64u) != 0,
		.drain = (head[0] & 128u) != 0,
		.keep_last = (head[1] & 128u) != 0,
		.cautious = (head[1] & 64u) != 0,
		/* item_plan.c: who is cautious refreshes, and who refreshes remembers */
		.remember = (head[1] & (32u | 64u)) != 0,
	};
}

static bool is_seen(const struct world *w, const struct dns_srv *srv, size_t *ret)
{
	for (*ret = 0; *ret < w->in.n_seen; (*ret)++)
		if (dns_srv_equal(&w->seen[*ret].srv, srv))
			return true;
	return false;
}

static bool is_wanted(const struct world *w, const struct dns_srv *srv)
{
	for (size_t i = 0; i < w->in.n_wanted; i++)
		if (dns_srv_equal(&w->wanted[i].srv, srv))
			return true;
	return false;
}

static void check_delete(struct world *w, const struct pub_plan *p, const struct pub_change *c)
{
	const struct pub_rec *rec = rec_of(w, &c->srv);
	size_t at;

	/* What the journal does not know is not ours. But one just like what is wanted is adopted:
	 * it goes where somebody asks for that or its host is down, and comes back in the same
	 * UPDATE to have another TTL. */
	FUZZ_CHECK(rec != NULL || is_wanted(w, &c->srv));
	if (rec == NULL && w->in.withdraw)
		FUZZ_CHECK(w->in.adopted);
	else if (rec == NULL && !pub_plan_adds(p, &c->srv))
		FUZZ_CHECK(health_of(NULL, &c->srv.target, c->srv.port) == PUB_HEALTH_DOWN &&
			   w->in.health != NULL);
	if (is_seen(w, &c->srv, &at))
		FUZZ_CHECK(p->classes[at] == PUB_CLASS_OURS || p->classes[at] == PUB_CLASS_ADOPTED);
}

static bool has_other_ttl(const struct world *w, uint32_t ttl_s)
{
	for (size_t i = 0; i < w->in.n_seen; i++)
		if (w->seen[i].ttl_s != ttl_s)
			return true;
	return false;
}

static void check_add(const struct world *w, const struct pub_plan *p, const struct pub_change *c)
{
	size_t at;

	/* nothing new but what is wanted; and of ours, once more with another TTL */
	FUZZ_CHECK(is_wanted(w, &c->srv) || is_seen(w, &c->srv, &at));
	FUZZ_CHECK(!dns_name_is_root(&c->srv.target));
	if (is_seen(w, &c->srv, &at))
		FUZZ_CHECK(
			(p->classes[at] == PUB_CLASS_OURS || p->classes[at] == PUB_CLASS_ADOPTED) &&
			has_other_ttl(w, c->ttl_s));
	else
		FUZZ_CHECK(!w->in.withdraw && !p->blocked_by_dot);
}

static void check_plan(struct world *w, const struct pub_plan *p)
{
	bool adds = false;

	FUZZ_CHECK(p->n_changes <= PUB_CHANGES_MAX);
	FUZZ_CHECK(!p->would_empty || p->n_changes == 0);
	for (size_t i = 0; i < p->n_changes; i++) {
		if (p->changes[i].op == PUB_ADD)
			check_add(w, p, &p->changes[i]);
		else
			check_delete(w, p, &p->changes[i]);
		FUZZ_CHECK(!adds || p->changes[i].op == PUB_ADD); /* deletes come first */
		adds = adds || p->changes[i].op == PUB_ADD;
	}
	for (size_t i = 0; i < p->n_present; i++)
		for (size_t k = 0; k < p->n_absent; k++)
			FUZZ_CHECK(!dns_srv_equal(&p->present[i], &p->absent[k]));
}

/* The primary did all of it, and showed so. */
static void carry_out(struct world *w, const struct pub_plan *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->in.n_seen; i++) {
		bool gone = false;

		for (size_t k = 0; k < p->n_changes; k++)
			gone = gone || dns_srv_equal(&p->changes[k].srv, &w->seen[i].srv);
		if (!gone)
			w->seen[kept++] = w->seen[i];
	}
	for (size_t k = 0; k < p->n_changes; k++)
		if (p->changes[k].op == PUB_ADD)
			w->seen[kept++].srv = p->changes[k].srv;
	w->in.n_seen = kept;
	for (size_t i = 0; i < kept && p->ttl_s != 0; i++)
		w->seen[i].ttl_s = p->ttl_s;
	for (size_t k = 0; k < p->n_marks; k++) {
		const struct pub_mark *m = &p->marks[k];
		struct pub_rec *rec = rec_of(w, &m->srv);

		if (m->when == PUB_MARK_REVERT)
			continue;
		if (rec == NULL) {
			FUZZ_CHECK(w->set.n_recs < RECS_MAX);
			rec = &w->recs[w->set.n_recs++];
			*rec = (struct pub_rec){ .srv = m->srv };
		}
		memcpy(&rec->host, &m->host, sizeof(rec->host)); /* both plans see it */
		rec->state = m->state;
		rec->returns = m->returns;
	}
	for (size_t i = 0; i < w->set.n_recs;)
		if (w->recs[i].state == PUB_REC_NONE)
			w->recs[i] = w->recs[--w->set.n_recs];
		else
			i++;
}

static void check_plans(const uint8_t *head, const struct pub_read *r)
{
	static struct world w;
	struct pub_plan p, again;
	int err;

	make_world(&w, head, r);
	err = pub_plan_make(&w.in, &p);
	FUZZ_CHECK(err == 0 || err == ERR_LIMIT);
	if (err == 0) {
		check_plan(&w, &p);
		carry_out(&w, &p);
		FUZZ_CHECK(pub_plan_make(&w.in, &again) == 0);
		FUZZ_CHECK(again.n_changes == 0);
		pub_plan_done(&again);
	}
	pub_plan_done(&p);
}

static void check_read(const struct pub_read *r, const struct dns_msg *m)
{
	FUZZ_CHECK(r->n_seen <= PUB_SEEN_MAX && r->n_seen <= m->count[DNS_ANSWER]);
	FUZZ_CHECK(r->kind == PUB_READ_SET || r->n_seen == 0);
	FUZZ_CHECK(dns_name_is_set(&r->other) ==
		   (r->kind == PUB_READ_CNAME || r->kind == PUB_READ_DELEGATED));
	for (size_t i = 0; i < r->n_seen; i++) {
		FUZZ_CHECK(r->ttl_s <= r->seen[i].ttl_s && pub_read_has(r, &r->seen[i].srv));
		for (size_t k = 0; k < i; k++)
			FUZZ_CHECK(!dns_srv_equal(&r->seen[i].srv, &r->seen[k].srv));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_msg *m = NULL;
	struct pub_read r;

	if (owner.len == 0)
		set_up();
	if (size < HEAD || dnsmsg_parse(data + HEAD, size - HEAD, &m) != 0)
		return 0;
	FUZZ_CHECK(pub_read_answer(m, &owner, &r) == 0);
	check_read(&r, m);
	if (r.kind == PUB_READ_SET)
		check_plans(data, &r);
	pub_read_done(&r);
	dnsmsg_free(m);
	return 0;
}
