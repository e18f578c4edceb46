#include <stdlib.h>
#include <string.h>

#include "publisher/item.h"

struct pub_set *pub_item_set(const struct pub_item *it)
{
	struct pub_journal *j = it->run->p.journal;

	if (j == NULL || it->zone == NULL)
		return NULL;
	return pub_journal_find(j, &it->zone->zone, it->target->view, &it->zone->owner);
}

static int fill_want(struct pub_item *it)
{
	const struct pub_target *t = it->target;
	const struct pub_journal *j = it->run->p.journal;

	if (it->want != NULL)
		return ERR_OK;
	it->want = calloc(t->n_wanted > 0 ? t->n_wanted : 1, sizeof(*it->want));
	if (it->want == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < t->n_wanted; i++) {
		/* A person's publish lifts what a withdraw holds back, but no drain. */
		bool lifts = it->run->p.request.mode == PUB_PUBLISH;
		bool held = j != NULL &&
			    (lifts ? pub_journal_drained(j, t->wanted[i].host, NULL)
				   : pub_journal_held(j, &t->domain, t->view, t->wanted[i].host));

		it->want[i] = held ? PUB_WANT_HELD : PUB_WANT_YES;
	}
	return ERR_OK;
}

static void have_foreign_probed(const struct pub_item *it)
{
	const struct pub_health *h = it->run->p.health;

	for (size_t i = 0; h != NULL && h->want != NULL && i < it->read.n_seen; i++)
		if (it->plan.classes[i] == PUB_CLASS_FOREIGN ||
		    it->plan.classes[i] == PUB_CLASS_FOREIGN_KNOWN)
			h->want(h->ctx, &it->read.seen[i].srv.target, it->read.seen[i].srv.port);
}

int pub_item_plan(struct pub_item *it)
{
	const struct pub_request *rq = &it->run->p.request;
	const struct pub_target *t = it->target;
	struct pub_plan_in in = { .wanted = t->wanted,
				  .n_wanted = t->n_wanted,
				  .seen = it->read.seen,
				  .n_seen = it->read.n_seen,
				  .ours = pub_item_set(it),
				  .ttl_s = t->ttl_s,
				  .ttl_policy = t->ttl_policy,
				  .health = it->run->p.health,
				  .withdraw = pub_run_withdraws(it->run),
				  .only_host = it->run->host,
				  .adopted = rq->adopted || rq->mode == PUB_DRAIN,
				  .drain = rq->mode == PUB_DRAIN,
				  .keep_last = rq->mode == PUB_DRAIN && rq->keep_last,
				  .cautious = rq->mode == PUB_REFRESH,
				  .remember = rq->mode != PUB_STOP && !rq->orphans };
	int err = fill_want(it);

	if (err != ERR_OK)
		return err;
	in.want = it->want;
	pub_plan_done(&it->plan);
	err = pub_plan_make(&in, &it->plan);
	if (err == ERR_OK)
		have_foreign_probed(it);
	return err;
}

/* How to reach the set when its domain is no longer configured. */
static int note_way(struct pub_item *it, struct pub_set *set)
{
	struct buf way;
	int err = ERR_OK;

	buf_init(&way, PUB_SERVERS_MAX * (HOST_TEXT_MAX + 16));
	for (size_t i = 0; err == ERR_OK && i < it->target->n_servers; i++)
		err = buf_printf(&way, "%s%s", i > 0 ? " " : "", it->target->servers[i]);
	if (err == ERR_OK)
		err = buf_append(&way, "", 1);
	if (err == ERR_OK)
		err = pub_journal_set_way(it->run->p.journal, set, (const char *)way.data,
					  it->target->key_handle);
	buf_done(&way);
	return err;
}

void pub_item_mark(struct pub_item *it, enum pub_mark_when when)
{
	struct pub_run *run = it->run;
	struct pub_set *set = NULL;
	int64_t now_ms = clock_wall_ms(run->net->clock);
	int err = ERR_OK;

	if (run->p.journal == NULL || run->p.request.dry_run)
		return;
	for (size_t i = 0; i < it->plan.n_marks && err == ERR_OK; i++) {
		const struct pub_mark *m = &it->plan.marks[i];

		if (m->when != when)
			continue;
		if (set == NULL) {
			set = pub_journal_need(run->p.journal, &it->target->domain, &it->zone->zone,
					       it->target->view, &it->zone->owner);
			err = set != NULL ? note_way(it, set) : ERR_NOMEM;
		}
		if (err == ERR_OK)
			err = pub_journal_mark(run->p.journal, set, &m->srv, m->host, m->state,
					       m->returns, now_ms);
	}
	if (err != ERR_OK)
		run->journal_failed = true;
}
