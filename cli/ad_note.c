#include "cli/ad_note.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"
#include "net/ad_lookup.h"
#include "publisher/explain.h"

#define AD_NOTE_PARALLEL 32

struct notes {
	const char *command;
	struct session *session;
	const struct pub_targets *targets;
	const struct dns_name *domain;
	size_t next; /* target */
	uint64_t until_ms;
	struct dns_name *told; /* zones: views and subdomains share them */
	size_t n_told;
	struct ad_lookup lookups[AD_NOTE_PARALLEL];
};

static const struct pub_target *next_target(struct notes *n)
{
	if (uv_now(&n->session->env.loop) >= n->until_ms)
		return NULL;
	while (n->next < pub_targets_count(n->targets)) {
		const struct pub_target *t = pub_targets_at(n->targets, n->next++);

		if (n->domain == NULL || dns_name_equal(n->domain, &t->domain))
			return t;
	}
	return NULL;
}

static void on_known(struct ad_lookup *l, int err, const struct net_ad *ad);

static void ask_next(struct notes *n, struct ad_lookup *l)
{
	const struct pub_target *t = next_target(n);
	struct ad_lookup_params p = { 0 };

	if (t == NULL)
		return;
	p.name = t->domain;
	*l = (struct ad_lookup){ .owner = n };
	ad_lookup_start(l, &n->session->env.net, &p, on_known);
}

static void tell(struct notes *n, const struct net_ad *ad)
{
	char zone[DNSNAME_TEXT_MAX], mname[DNSNAME_TEXT_MAX], hint[PUB_HINT_MAX];

	for (size_t i = 0; i < n->n_told; i++)
		if (dns_name_equal(&n->told[i], &ad->zone))
			return;
	n->told[n->n_told++] = ad->zone;
	pub_explain_ad(dns_name_format(&ad->zone, zone), dns_name_format(&ad->mname, mname), hint);
	(void)fprintf(stderr, "kmsbeacon %s: %s\n", n->command, hint);
}

static void on_known(struct ad_lookup *l, int err, const struct net_ad *ad)
{
	struct notes *n = l->owner;

	(void)err;
	if (ad != NULL)
		tell(n, ad);
	ask_next(n, l);
}

void ad_note(const char *command, struct session *s, const struct pub_targets *targets,
	     const struct dns_name *domain)
{
	struct notes *n = mem_must(calloc(1, sizeof(*n)));

	n->told = mem_must(calloc(pub_targets_count(targets) + 1, sizeof(*n->told)));
	n->command = command;
	n->session = s;
	n->targets = targets;
	n->domain = domain;
	uv_update_time(&s->env.loop);
	n->until_ms = uv_now(&s->env.loop) + AD_NOTE_TOTAL_MS - AD_LOOKUP_TOTAL_MS;
	for (size_t i = 0; i < AD_NOTE_PARALLEL; i++)
		ask_next(n, &n->lookups[i]);
	(void)uv_run(&s->env.loop, UV_RUN_DEFAULT);
	free(n->told);
	free(n);
}
