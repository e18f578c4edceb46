#include "publisher/journal.h"

#include <stdlib.h>
#include <string.h>

#include "publisher/journal_priv.h"

const char *pub_rec_state_name(enum pub_rec_state s)
{
	static const char *const names[PUB_REC_STATE_COUNT_] = {
		[PUB_REC_NONE] = "none",           [PUB_REC_INTENT_ADD] = "intent_add",
		[PUB_REC_PUBLISHED] = "published", [PUB_REC_INTENT_DELETE] = "intent_delete",
		[PUB_REC_ADOPTED] = "adopted",     [PUB_REC_WITHDRAWN] = "withdrawn",
		[PUB_REC_DELETED] = "deleted",
	};

	return s < PUB_REC_STATE_COUNT_ ? names[s] : "none";
}

static int grow(void **list, size_t n, size_t size)
{
	void *more;

	if ((n & (n - 1)) != 0) /* grows at powers of two only */
		return ERR_OK;
	more = realloc(*list, (n == 0 ? 1 : 2 * n) * size);
	if (more == NULL)
		return ERR_NOMEM;
	*list = more;
	return ERR_OK;
}

static void set_free(struct pub_set *set)
{
	for (size_t i = 0; i < set->n_recs; i++)
		free(set->recs[i].host);
	free(set->recs);
	free(set->view);
	free(set->servers);
	free(set->key_handle);
	free(set);
}

static void hold_free(struct pub_hold *h)
{
	free(h->view);
	free(h->host);
	free(h);
}

void pub_journal_free(struct pub_journal *j)
{
	if (j == NULL)
		return;
	for (size_t i = 0; i < j->n_sets; i++)
		set_free(j->sets[i]);
	for (size_t i = 0; i < j->n_holds; i++)
		hold_free(j->holds[i]);
	free(j->sets);
	free(j->holds);
	pub_index_done(&j->set_index);
	pub_index_done(&j->hold_index);
	free(j);
}

static struct pub_key set_key(const struct dns_name *zone, const char *view,
			      const struct dns_name *owner)
{
	struct pub_key k = { 0 };

	pub_key_name(&k, zone);
	pub_key_text(&k, view);
	pub_key_name(&k, owner);
	return k;
}

struct pub_set *pub_journal_find(struct pub_journal *j, const struct dns_name *zone,
				 const char *view, const struct dns_name *owner)
{
	struct pub_key k = set_key(zone, view, owner);

	return pub_index_get(&j->set_index, &k);
}

struct pub_set *pub_journal_need(struct pub_journal *j, const struct dns_name *domain,
				 const struct dns_name *zone, const char *view,
				 const struct dns_name *owner)
{
	struct pub_key k = set_key(zone, view, owner);
	struct pub_set *set = pub_index_get(&j->set_index, &k);

	if (set != NULL || j->n_sets >= PUB_JOURNAL_SETS_MAX)
		return set;
	set = calloc(1, sizeof(*set));
	if (set == NULL)
		return NULL;
	set->domain = *domain;
	set->zone = *zone;
	set->owner = *owner;
	set->view = strdup(view);
	set->servers = strdup("");
	set->key_handle = strdup("");
	if (set->view == NULL || set->servers == NULL || set->key_handle == NULL ||
	    grow((void **)&j->sets, j->n_sets, sizeof(struct pub_set *)) != ERR_OK ||
	    pub_index_put(&j->set_index, &k, set) != ERR_OK) {
		set_free(set);
		return NULL;
	}
	j->sets[j->n_sets++] = set;
	return set;
}

size_t pub_journal_count(const struct pub_journal *j)
{
	return j->n_sets;
}

struct pub_set *pub_journal_at(struct pub_journal *j, size_t i)
{
	return i < j->n_sets ? j->sets[i] : NULL;
}

bool pub_set_is_live(const struct pub_set *set)
{
	for (size_t i = 0; i < set->n_recs; i++)
		if (set->recs[i].state != PUB_REC_NONE && set->recs[i].state != PUB_REC_WITHDRAWN)
			return true;
	return false;
}

struct pub_rec *pub_set_rec(struct pub_set *set, const struct dns_srv *srv)
{
	for (size_t i = 0; i < set->n_recs; i++)
		if (dns_srv_equal(&set->recs[i].srv, srv))
			return &set->recs[i];
	return NULL;
}

void pub_set_drop_clean(struct pub_set *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n_recs; i++) {
		if (set->recs[i].state == PUB_REC_NONE && !set->recs[i].dirty)
			free(set->recs[i].host);
		else
			set->recs[n++] = set->recs[i];
	}
	set->n_recs = n;
}

static int new_rec(struct pub_set *set, const struct dns_srv *srv, struct pub_rec **ret)
{
	struct pub_rec *rec;

	if (set->n_recs >= PUB_JOURNAL_RECS_MAX)
		return ERR_LIMIT;
	if (set->recs == NULL || (set->n_recs & (set->n_recs - 1)) == 0) {
		size_t n = set->n_recs == 0 ? 1 : 2 * set->n_recs;

		rec = realloc(set->recs, n * sizeof(*rec));
		if (rec == NULL)
			return ERR_NOMEM;
		set->recs = rec;
	}
	rec = &set->recs[set->n_recs++];
	memset(rec, 0, sizeof(*rec));
	rec->srv = *srv;
	*ret = rec;
	return ERR_OK;
}

int pub_journal_mark(struct pub_journal *j, struct pub_set *set, const struct dns_srv *srv,
		     const char *host, enum pub_rec_state state, unsigned returns, int64_t now_ms)
{
	struct pub_rec *rec = pub_set_rec(set, srv);
	char *copy = strdup(host);
	int err;

	if (copy == NULL)
		return ERR_NOMEM;
	if (rec == NULL) {
		err = state == PUB_REC_NONE ? ERR_OK : new_rec(set, srv, &rec);
		if (rec == NULL) {
			free(copy);
			return err;
		}
	}
	free(rec->host);
	rec->host = copy;
	rec->state = state;
	rec->returns = returns;
	rec->since_ms = now_ms;
	rec->dirty = true;
	rec->gen++;
	set->dirty = true; /* its own row says how to reach it as an orphan */
	set->gen++;
	j->dirty = true;
	return ERR_OK;
}

static int replace_text(char **text, const char *with)
{
	char *copy = strdup(with);

	if (copy == NULL)
		return ERR_NOMEM;
	free(*text);
	*text = copy;
	return ERR_OK;
}

int pub_journal_set_way(struct pub_journal *j, struct pub_set *set, const char *servers,
			const char *key_handle)
{
	if (strcmp(set->servers, servers) == 0 && strcmp(set->key_handle, key_handle) == 0)
		return ERR_OK;
	if (replace_text(&set->servers, servers) != ERR_OK ||
	    replace_text(&set->key_handle, key_handle) != ERR_OK)
		return ERR_NOMEM;
	set->dirty = true;
	set->gen++;
	j->dirty = true;
	return ERR_OK;
}

void pub_journal_set_ttl(struct pub_journal *j, struct pub_set *set, uint32_t asked, uint32_t got)
{
	if (set->ttl_asked == asked && set->ttl_got == got)
		return;
	set->ttl_asked = asked;
	set->ttl_got = got;
	set->dirty = true;
	set->gen++;
	j->dirty = true;
}

/* ---- holds ---- */

static struct pub_key hold_key(const struct dns_name *domain, const char *view, const char *host)
{
	struct pub_key k = { 0 };

	pub_key_name(&k, domain);
	pub_key_text(&k, view);
	pub_key_text(&k, host);
	return k;
}

static struct pub_hold *hold_find(const struct pub_journal *j, const struct dns_name *domain,
				  const char *view, const char *host)
{
	struct pub_key k = hold_key(domain, view, host);

	return pub_index_get(&j->hold_index, &k);
}

static bool holds(const struct pub_journal *j, const struct dns_name *domain, const char *view,
		  const char *host)
{
	const struct pub_hold *h = hold_find(j, domain, view, host);

	return h != NULL && !h->lifted;
}

bool pub_journal_held(const struct pub_journal *j, const struct dns_name *domain, const char *view,
		      const char *host)
{
	if (j->n_live_holds == 0)
		return false;
	if (host[0] != '\0' && pub_journal_drained(j, host, NULL))
		return true;
	return holds(j, domain, view, "") || (host[0] != '\0' && holds(j, domain, view, host));
}

static struct pub_hold *new_hold(struct pub_journal *j, const struct dns_name *domain,
				 const char *view, const char *host)
{
	struct pub_key k = hold_key(domain, view, host);
	struct pub_hold *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->domain = *domain;
	h->view = strdup(view);
	h->host = strdup(host);
	h->lifted = true;
	if (h->view == NULL || h->host == NULL ||
	    grow((void **)&j->holds, j->n_holds, sizeof(struct pub_hold *)) != ERR_OK ||
	    pub_index_put(&j->hold_index, &k, h) != ERR_OK) {
		hold_free(h);
		return NULL;
	}
	j->holds[j->n_holds++] = h;
	return h;
}

int pub_journal_hold(struct pub_journal *j, const struct dns_name *domain, const char *view,
		     const char *host, int64_t now_ms)
{
	struct pub_hold *h = hold_find(j, domain, view, host);

	if (h == NULL)
		h = new_hold(j, domain, view, host);
	if (h == NULL)
		return ERR_NOMEM;
	if (!h->lifted)
		return ERR_OK;
	h->lifted = false;
	h->since_ms = now_ms;
	h->clear_ms = 0;
	h->dirty = true;
	h->gen++;
	j->n_live_holds++;
	j->dirty = true;
	return ERR_OK;
}

size_t pub_journal_release(struct pub_journal *j, const struct dns_name *domain, const char *view,
			   const char *host)
{
	size_t n = 0;

	for (size_t i = 0; j->n_live_holds > 0 && i < j->n_holds; i++) {
		struct pub_hold *h = j->holds[i];

		if (h->lifted || (domain != NULL && !dns_name_equal(&h->domain, domain)) ||
		    (view != NULL && strcmp(h->view, view) != 0) ||
		    (host != NULL && strcmp(h->host, host) != 0))
			continue;
		h->lifted = true;
		h->dirty = true;
		h->gen++;
		j->n_live_holds--;
		j->dirty = true;
		n++;
	}
	return n;
}

/* ---- drains: holds at the root, above every domain ---- */

static const struct dns_name everywhere = { .len = 1 };

bool pub_journal_drained(const struct pub_journal *j, const char *host, struct pub_drain *ret)
{
	const struct pub_hold *h;

	if (j->n_live_holds == 0)
		return false;
	h = hold_find(j, &everywhere, "", host);
	if (h == NULL || h->lifted)
		return false;
	if (ret != NULL)
		*ret = (struct pub_drain){ h->since_ms, h->clear_ms };
	return true;
}

int pub_journal_drain(struct pub_journal *j, const char *host, int64_t now_ms, int64_t clear_ms)
{
	int err = pub_journal_hold(j, &everywhere, "", host, now_ms);
	struct pub_hold *h;

	if (err != ERR_OK)
		return err;
	h = hold_find(j, &everywhere, "", host);
	if (h->clear_ms == clear_ms)
		return ERR_OK;
	h->clear_ms = clear_ms;
	h->dirty = true;
	h->gen++;
	j->dirty = true;
	return ERR_OK;
}

bool pub_journal_is_dirty(const struct pub_journal *j)
{
	return j->dirty;
}
