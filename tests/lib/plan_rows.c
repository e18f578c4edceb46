#include "tests/lib/plan_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

struct text {
	char s[4096];
	size_t len;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(t->s) - t->len);
	t->len += (size_t)n;
}

/** The next item of a list; NULL at its end. Items stand in static buffers, one a call. */
static char *next_item(const char **list)
{
	static char items[64][300];
	static unsigned turn;
	const char *end;
	char *item = items[turn++ % 64];

	if (*list == NULL || **list == '\0')
		return NULL;
	end = strstr(*list, " | ");
	snprintf(item, 300, "%.*s", (int)(end != NULL ? (size_t)(end - *list) : strlen(*list)),
		 *list);
	*list = end != NULL ? end + 3 : *list + strlen(*list);
	return item;
}

static char *word(char **text)
{
	char *w = *text;

	*text += strcspn(*text, " ");
	if (**text != '\0')
		*(*text)++ = '\0';
	return w;
}

static struct dns_srv record(char *text)
{
	struct dns_srv srv = { 0 };

	srv.priority = (uint16_t)strtoul(word(&text), NULL, 10);
	srv.weight = (uint16_t)strtoul(word(&text), NULL, 10);
	srv.port = (uint16_t)strtoul(word(&text), NULL, 10);
	assert_int_equal(dns_name_parse(text, &srv.target), 0);
	return srv;
}

static const char *const state_names[] = { "none",    "add",       "pub",    "del",
					   "adopted", "withdrawn", "deleted" };

static enum pub_rec_state state(char *text, unsigned *ret_returns)
{
	char *star = strchr(text, '*');

	*ret_returns = 0;
	if (star != NULL) {
		*ret_returns = (unsigned)strtoul(star + 1, NULL, 10);
		*star = '\0';
	}
	for (size_t i = 0; i < PUB_REC_STATE_COUNT_; i++)
		if (strcmp(state_names[i], text) == 0)
			return (enum pub_rec_state)i;
	fail_msg("no state %s", text);
	return PUB_REC_NONE;
}

static enum pub_health_state health_of(void *ctx, const struct dns_name *target, uint16_t port)
{
	char name[DNSNAME_TEXT_MAX];
	const char *list = ctx;
	char *item;

	(void)port;
	dns_name_format(target, name);
	while ((item = next_item(&list)) != NULL)
		if (strcmp(item + 1, name) == 0)
			return *item == '+' ? PUB_HEALTH_UP : PUB_HEALTH_DOWN;
	return PUB_HEALTH_UNKNOWN;
}

void plan_row_read(const struct plan_row *r, struct plan_input *x)
{
	const char *list = r->wanted;
	char *t;

	memset(x, 0, sizeof(*x));
	for (; (t = next_item(&list)) != NULL; x->in.n_wanted++) {
		char *host = word(&t);
		char *last = host + strlen(host) - 1;

		x->want[x->in.n_wanted] = *last == '!'   ? PUB_WANT_BAD
					  : *last == '-' ? PUB_WANT_HELD
							 : PUB_WANT_YES;
		if (*last == '!' || *last == '-')
			*last = '\0';
		x->wanted[x->in.n_wanted].host = host;
		x->wanted[x->in.n_wanted].srv = record(t);
	}
	for (list = r->seen; (t = next_item(&list)) != NULL; x->in.n_seen++) {
		x->seen[x->in.n_seen].ttl_s = (uint32_t)strtoul(word(&t), NULL, 10);
		x->seen[x->in.n_seen].srv = record(t);
	}
	for (list = r->ours; (t = next_item(&list)) != NULL; x->set.n_recs++) {
		struct pub_rec *rec = &x->recs[x->set.n_recs];

		rec->state = state(word(&t), &rec->returns);
		rec->host = word(&t);
		rec->srv = record(t);
	}
	x->set.recs = x->recs;
	x->set.ttl_asked = r->limit_asked;
	x->set.ttl_got = r->limit_got;
	x->health = (struct pub_health){ .state = health_of, .withdraw_last = r->withdraw_last };
	memcpy(&x->health.ctx, &r->health, sizeof(x->health.ctx));
	x->in.wanted = x->wanted;
	x->in.want = x->want;
	x->in.seen = x->seen;
	x->in.ours = &x->set;
	x->in.ttl_s = 3600;
	x->in.ttl_policy = r->enforce ? PUB_TTL_ENFORCE : PUB_TTL_ADOPT;
	x->in.health = r->health != NULL ? &x->health : NULL;
	x->in.withdraw = r->withdraw;
	x->in.drain = r->drain;
	x->in.keep_last = r->keep_last;
	x->in.adopted = r->adopted;
	x->in.only_host = r->only_host;
	x->in.remember = !r->forget;
	x->in.cautious = r->cautious;
}

static void check(const struct plan_row *r, const char *what, const struct text *got,
		  const char *want)
{
	if (strcmp(got->s, want != NULL ? want : "") != 0)
		fail_msg("%s: %s are\n  %s\nnot\n  %s", r->name, what, got->s, want);
}

void plan_row_check_changes(const struct plan_row *r, const struct pub_plan *plan)
{
	char srv[DNS_SRV_TEXT_MAX];
	struct text t = { 0 };

	for (size_t i = 0; i < plan->n_changes; i++) {
		const struct pub_change *c = &plan->changes[i];

		put(&t, "%s%s%s", i > 0 ? " | " : "", c->op == PUB_ADD ? "+" : "-",
		    dns_srv_format(&c->srv, srv));
		if (c->op == PUB_ADD)
			put(&t, " @%u", c->ttl_s);
	}
	check(r, "changes", &t, r->changes);
}

static void check_marks(const struct plan_row *r, const struct pub_plan *plan)
{
	static const char *const when[] = { "now", "intent", "taken", "proven", "revert" };
	char srv[DNS_SRV_TEXT_MAX];
	struct text t = { 0 };

	if (r->marks == NULL)
		return;
	for (size_t i = 0; i < plan->n_marks; i++) {
		const struct pub_mark *m = &plan->marks[i];

		put(&t, "%s%s:%s", i > 0 ? " | " : "", when[m->when], state_names[m->state]);
		if (m->returns > 0)
			put(&t, "*%u", m->returns);
		put(&t, " %s", dns_srv_format(&m->srv, srv));
	}
	check(r, "marks", &t, r->marks);
}

void plan_row_check(const struct plan_row *r)
{
	static const char letters[] = "OAFKD";
	struct text classes = { 0 }, findings = { 0 };
	struct pub_plan plan;
	struct plan_input x;

	plan_row_read(r, &x);
	assert_int_equal(pub_plan_make(&x.in, &plan), 0);
	plan_row_check_changes(r, &plan);
	for (size_t i = 0; i < x.in.n_seen; i++)
		put(&classes, "%c", letters[plan.classes[i]]);
	check(r, "classes", &classes, r->classes);
	check_marks(r, &plan);
	for (size_t i = 0; i < plan.findings.n; i++)
		put(&findings, "%s%s", i > 0 ? " " : "",
		    finding_info(plan.findings.list[i].id)->id);
	check(r, "findings", &findings, r->findings);
	if (plan.settles != r->settles)
		fail_msg("%s: settles is %d", r->name, plan.settles);
	if (plan.ttl_s != r->ttl)
		fail_msg("%s: TTL is %u, not %u", r->name, plan.ttl_s, r->ttl);
	if (plan.need_prereq != r->prereq)
		fail_msg("%s: prerequisite is %d", r->name, plan.need_prereq);
	assert_int_equal(plan.would_empty, r->would_empty);
	if (r->drain)
		assert_int_equal(plan.n_absent, r->absent);
	if ((plan.elsewhere != NULL) != r->elsewhere)
		fail_msg("%s: elsewhere is %d", r->name, plan.elsewhere != NULL);
	pub_plan_done(&plan);
}

void plan_row_check_again(const struct plan_row *r)
{
	struct pub_plan plan, again;
	struct plan_input x, y;

	plan_row_read(r, &x);
	if (r->withdraw)
		return;
	assert_int_equal(pub_plan_make(&x.in, &plan), 0);
	y = x;
	y.in.n_seen = 0;
	for (size_t i = 0; i < x.in.n_seen; i++) {
		bool gone = false;

		for (size_t k = 0; k < plan.n_changes; k++)
			if (dns_srv_equal(&plan.changes[k].srv, &x.seen[i].srv))
				gone = true;
		if (!gone)
			y.seen[y.in.n_seen++] = x.seen[i];
	}
	for (size_t k = 0; k < plan.n_changes; k++) {
		if (plan.changes[k].op != PUB_ADD)
			continue;
		y.seen[y.in.n_seen++].srv = plan.changes[k].srv;
	}
	for (size_t i = 0; i < y.in.n_seen && plan.ttl_s != 0; i++)
		y.seen[i].ttl_s = plan.ttl_s;
	y.set.n_recs = 0;
	for (size_t i = 0; i < x.set.n_recs; i++) {
		bool marked = false;

		for (size_t k = 0; k < plan.n_marks; k++)
			if (dns_srv_equal(&plan.marks[k].srv, &x.recs[i].srv))
				marked = true;
		if (!marked)
			y.recs[y.set.n_recs++] = x.recs[i];
	}
	for (size_t k = 0; k < plan.n_marks; k++) {
		struct pub_rec *rec = &y.recs[y.set.n_recs];

		if ((plan.marks[k].when != PUB_MARK_NOW && plan.marks[k].when != PUB_MARK_PROVEN) ||
		    plan.marks[k].state == PUB_REC_NONE)
			continue;
		rec->srv = plan.marks[k].srv;
		rec->state = plan.marks[k].state;
		rec->returns = plan.marks[k].returns;
		memcpy(&rec->host, &plan.marks[k].host, sizeof(rec->host));
		y.set.n_recs++;
	}
	y.set.recs = y.recs;
	y.in.ours = &y.set;
	y.in.seen = y.seen;
	y.in.wanted = y.wanted;
	y.in.want = y.want;
	y.in.health = x.in.health;
	assert_int_equal(pub_plan_make(&y.in, &again), 0);
	if (again.n_changes != 0)
		fail_msg("%s: a second plan changes again", r->name);
	for (size_t k = 0; k < again.n_marks; k++)
		fail_msg("%s: a second plan marks again", r->name);
	pub_plan_done(&again);
	pub_plan_done(&plan);
}
