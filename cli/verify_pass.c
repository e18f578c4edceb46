#include "cli/verify_pass.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "common/mem.h"
#include "resolver/shared.h"
#include "resolver/survey.h"

/** One domain in work. */
struct verify_work {
	union {
		struct rsv_audit audit;
		struct rsv_survey survey;
	} op;
	struct verify_pass *v;
	unsigned place; /* in v->running */
	size_t index;
	struct domain_item domain;
};

/* ---- the end --------------------------------------------------------------------------------- */

static void on_shared_freed(void *ctx)
{
	struct verify_pass *v = ctx;

	v->p.done(v, v->err);
	/* v may be freed memory now */
}

static void on_targets_freed(void *ctx)
{
	struct verify_pass *v = ctx;

	rsv_shared_free(v->shared, on_shared_freed, v);
}

static void take(struct verify_pass *v, struct verify_pass_slot *s);

static void maybe_over(struct verify_pass *v)
{
	if (v->over || v->n_running > 0 || (!v->at_end && v->err == 0))
		return;
	v->over = true;
	/* After a cancel there are gaps, of those that were given up. */
	for (; v->first < v->next; v->first++)
		take(v, &v->window[v->first % VERIFY_WINDOW]);
	rsv_targets_free(v->targets, on_targets_freed, v);
}

static void cancel_work(struct verify_work *w)
{
	if (w->v->p.lookup_only)
		rsv_survey_cancel(&w->op.survey);
	else
		rsv_audit_cancel(&w->op.audit);
}

/** No further domains; those in work are given up. */
static void give_up(struct verify_pass *v, int err)
{
	if (v->err != 0 || v->over)
		return;
	v->err = err;
	for (size_t i = 0; i < v->parallel; i++)
		if (v->running[i] != NULL)
			cancel_work(v->running[i]);
}

/* ---- results in order ------------------------------------------------------------------------ */

static void take(struct verify_pass *v, struct verify_pass_slot *s)
{
	if (s->text != NULL && !v->deaf && !v->p.take(v->p.ctx, s->text, s->len)) {
		v->deaf = true;
		give_up(v, ERR_CANCELED);
	}
	free(s->text);
	memset(s, 0, sizeof(*s));
}

static void take_ready(struct verify_pass *v)
{
	while (v->first < v->next && v->window[v->first % VERIFY_WINDOW].done)
		take(v, &v->window[v->first++ % VERIFY_WINDOW]);
}

static void finish_item(struct verify_pass *v, const struct verify_item *it)
{
	struct verify_pass_slot *s = &v->window[it->index % VERIFY_WINDOW];
	FILE *out = open_memstream(&s->text, &s->len);

	s->done = true;
	if (out == NULL) {
		give_up(v, ERR_NOMEM);
		return;
	}
	v->p.render(v->p.ctx, it, out);
	if (fclose(out) != 0)
		give_up(v, ERR_NOMEM);
	if (s->len == 0) {
		free(s->text);
		s->text = NULL;
	}
}

static void finish_bad(struct verify_pass *v, const struct domain_item *d)
{
	char text[sizeof(d->text) + sizeof(d->problem) + 8];
	const struct verify_item it = { .index = v->next++, .domain = d };

	(void)snprintf(text, sizeof(text), "'%.80s' %s", d->text, d->problem);
	rsv_verify_totals_add_unknown(&v->totals, it.index, text);
	finish_item(v, &it);
}

/* ---- audits ---------------------------------------------------------------------------------- */

static void start_more(struct verify_pass *v);

static void work_over(struct verify_work *w, const struct rsv_audit_result *r)
{
	struct verify_pass *v = w->v;
	const struct verify_item it = { .index = w->index, .domain = &w->domain, .r = r };

	v->running[w->place] = NULL;
	v->n_running--;
	if (r->err != ERR_CANCELED) {
		rsv_verify_totals_add(&v->totals, it.index, r);
		finish_item(v, &it);
	}
	free(w);
	start_more(v);
}

static void on_audited(struct rsv_audit *a, const struct rsv_audit_result *r)
{
	work_over(a->owner, r);
}

static void on_surveyed(struct rsv_survey *s, const struct rsv_audit_result *r)
{
	work_over(s->owner, r);
}

static void start_one(struct verify_pass *v, const struct domain_item *d)
{
	struct verify_work *w = calloc(1, sizeof(*w));
	struct rsv_audit_params p = *v->p.audit;

	if (w == NULL) {
		give_up(v, ERR_NOMEM);
		return;
	}
	w->v = v;
	w->domain = *d;
	w->index = v->next++;
	while (v->running[w->place] != NULL)
		w->place++;
	v->running[w->place] = w;
	v->n_running++;
	p.domain = d->name;
	p.targets = v->targets;
	p.shared = v->shared;
	v->p.prepare(v->p.ctx, &p);
	if (v->p.lookup_only) {
		w->op.survey.owner = w;
		rsv_survey_start(&w->op.survey, v->net, &p, on_surveyed);
	} else {
		w->op.audit.owner = w;
		rsv_audit_start(&w->op.audit, v->net, &p, on_audited);
	}
}

static void start_more(struct verify_pass *v)
{
	struct domain_item d;

	take_ready(v);
	while (v->err == 0 && !v->at_end && v->n_running < v->parallel &&
	       v->next - v->first < VERIFY_WINDOW) {
		enum domain_next what = domain_source_next(v->p.source, &d);

		if (what == DOMAIN_WAIT)
			return;
		v->at_end = what == DOMAIN_END;
		if (what == DOMAIN_NAME)
			start_one(v, &d);
		else if (what == DOMAIN_BAD)
			finish_bad(v, &d);
		take_ready(v);
	}
	if (v->at_end && v->err == 0)
		v->err = domain_source_error(v->p.source);
	maybe_over(v);
}

/* ---- start ----------------------------------------------------------------------------------- */

void verify_pass_start(struct verify_pass *v, struct net *net, const struct verify_pass_params *p)
{
	struct rsv_targets_params tp = {
		.prober = p->prober,
		.servers = p->servers,
		.n_servers = p->n_servers,
		.parallel = p->lookup_only ? SURVEY_PARALLEL : 0,
		.arrange = rsv_shared_arrange,
	};

	memset(v, 0, sizeof(*v));
	v->parallel = p->lookup_only ? SURVEY_PARALLEL : VERIFY_PARALLEL;
	v->net = net;
	v->p = *p;
	v->shared = mem_must(rsv_shared_new(net, p->servers, p->n_servers));
	tp.arrange_ctx = v->shared;
	v->targets = mem_must(rsv_targets_new(net, &tp));
	start_more(v);
}

void verify_pass_wake(struct verify_pass *v)
{
	if (!v->over)
		start_more(v);
}

void verify_pass_cancel(struct verify_pass *v)
{
	give_up(v, ERR_CANCELED);
	maybe_over(v);
}
