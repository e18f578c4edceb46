#include "cli/verify_known.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/err.h"
#include "common/mem.h"
#include "daemon/state.h"

struct verify_known {
	const struct config *cfg;
	const struct own_records *own;
	uint16_t dns_port;
	struct pub_journal *journal; /* NULL: none to be read */
	const struct pub_set **sets; /* of it, by domain */
	size_t n_sets;
	char path[PATH_MAX];     /* of its file */
	struct timespec changed; /* when that was changed last, as it was read */
	char **orphans;
	size_t n_orphans;
	const char **domains;
	size_t n_domains;
	struct tsig_key **keys; /* as cfg->keys; NULL: not read yet, or not readable */
	bool *key_tried;
	struct dns_name suffixes[RSV_AUDIT_SUFFIXES_MAX];
	size_t n_suffixes;
	struct rsv_journal_row rows[RSV_JOURNAL_MAX]; /* of the last domain */
};

/* ---- the journal ----------------------------------------------------------------------------- */

static int compare_sets(const void *a, const void *b)
{
	const struct pub_set *const *x = a, *const *y = b;

	return dns_name_compare(&(*x)->domain, &(*y)->domain);
}

/** The first set of @p domain, or where it would stand. */
static size_t find_set(const struct verify_known *k, const struct dns_name *domain)
{
	size_t low = 0, high = k->n_sets;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (dns_name_compare(&k->sets[mid]->domain, domain) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void sort_sets(struct verify_known *k)
{
	k->n_sets = pub_journal_count(k->journal);
	k->sets = mem_must(calloc(k->n_sets + 1, sizeof(const struct pub_set *)));
	for (size_t i = 0; i < k->n_sets; i++)
		k->sets[i] = pub_journal_at(k->journal, i);
	qsort(k->sets, k->n_sets, sizeof(const struct pub_set *), compare_sets);
}

static void forget_journal(struct verify_known *k)
{
	pub_journal_free(k->journal);
	k->journal = NULL;
	free(k->sets);
	k->sets = NULL;
	k->n_sets = 0;
}

/** Read it where it is news: a daemon goes on writing while we audit, maybe for hours. */
static void read_journal(struct verify_known *k)
{
	struct stat st;
	int err;

	/* Without a configuration file everything in a journal would look forgotten. */
	if (k->cfg->origin == NULL || stat(k->path, &st) != 0)
		return;
	if (k->journal != NULL && st.st_mtim.tv_sec == k->changed.tv_sec &&
	    st.st_mtim.tv_nsec == k->changed.tv_nsec)
		return;
	forget_journal(k);
	k->changed = st.st_mtim; /* of before the reading: what comes between is read again */
	err = pub_journal_read(k->path, &k->journal);
	if (err == 0)
		sort_sets(k);
	else if (access(k->path, R_OK) == 0) /* else it is somebody else's */
		(void)fprintf(stderr,
			      "kmsbeacon verify: %s cannot be read (%s): what was published from "
			      "here is not known\n",
			      k->path, err_text(err));
}

static void find_orphans(struct verify_known *k)
{
	const struct dns_name *last = NULL;

	k->orphans = mem_must(calloc(k->n_sets + 1, sizeof(*k->orphans)));
	for (size_t i = 0; i < k->n_sets; i++) {
		const struct dns_name *domain = &k->sets[i]->domain;
		char text[DNSNAME_TEXT_MAX];

		if (!pub_set_is_live(k->sets[i]) || own_records_entry(k->own, domain, 0) != NULL ||
		    (last != NULL && dns_name_equal(last, domain)))
			continue;
		last = domain;
		k->orphans[k->n_orphans++] = mem_must(strdup(dns_name_format(domain, text)));
	}
}

static void list_domains(struct verify_known *k)
{
	const char *const *configured = own_records_domains(k->own, &k->n_domains);

	find_orphans(k);
	k->domains = mem_must(calloc(k->n_domains + k->n_orphans + 1, sizeof(*k->domains)));
	for (size_t i = 0; i < k->n_domains; i++)
		k->domains[i] = configured[i];
	for (size_t i = 0; i < k->n_orphans; i++)
		k->domains[k->n_domains++] = k->orphans[i];
}

/** What is under way counts as what it was before; the next audit will see. */
static enum rsv_journal_state state_of(enum pub_rec_state s)
{
	switch (s) {
	case PUB_REC_PUBLISHED:
		return RSV_J_PUBLISHED;
	case PUB_REC_ADOPTED:
		return RSV_J_ADOPTED;
	case PUB_REC_WITHDRAWN:
		return RSV_J_WITHDRAWN;
	case PUB_REC_NONE:
	case PUB_REC_DELETED:
	case PUB_REC_INTENT_ADD:
	case PUB_REC_INTENT_DELETE:
	case PUB_REC_STATE_COUNT_:
		break;
	}
	return RSV_J_NONE;
}

/** One record may be in several views: there it is ours as soon as it is in one of them. */
static size_t add_row(struct rsv_journal_row *rows, size_t n, const struct pub_rec *rec)
{
	struct rsv_journal_row row = {
		.srv = rec->srv,
		.state = state_of(rec->state),
		.since_ms = rec->since_ms,
	};

	if (row.state == RSV_J_NONE)
		return n;
	for (size_t i = 0; i < n; i++) {
		if (!dns_srv_equal(&rows[i].srv, &row.srv))
			continue;
		if (row.state < rows[i].state)
			rows[i] = row;
		return n;
	}
	if (n < RSV_JOURNAL_MAX)
		rows[n++] = row;
	return n;
}

static size_t journal_rows(struct verify_known *k, const struct dns_name *domain)
{
	size_t n = 0;

	for (size_t i = find_set(k, domain);
	     i < k->n_sets && dns_name_equal(&k->sets[i]->domain, domain); i++)
		for (size_t j = 0; j < k->sets[i]->n_recs; j++)
			n = add_row(k->rows, n, &k->sets[i]->recs[j]);
	return n;
}

/* ---- the key --------------------------------------------------------------------------------- */

static struct tsig_key *key_at(struct verify_known *k, size_t i)
{
	struct err_info info;

	if (!k->key_tried[i] && tsig_key_load(k->cfg->keys[i].file, &k->keys[i], &info) != 0)
		k->keys[i] = NULL;
	k->key_tried[i] = true;
	return k->keys[i];
}

/** The primary by its address, or by the SOA; one that is named otherwise is not looked up here. */
static void set_key(struct verify_known *k, const struct config_domain *d,
		    struct rsv_audit_params *p)
{
	struct addr server;

	if (d->key < 0 || p->key != NULL)
		return;
	memset(&server, 0, sizeof(server));
	if (d->n_server > 0 && addr_parse(d->server[0], k->dns_port, &server) != 0)
		return;
	p->key = key_at(k, (size_t)d->key);
	p->key_server = server;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void read_suffixes(struct verify_known *k)
{
	const struct config_discovery *d = &k->cfg->discovery;

	for (size_t i = 0; i < d->n_suffixes && k->n_suffixes < RSV_AUDIT_SUFFIXES_MAX; i++)
		if (dns_name_parse(d->suffixes[i], &k->suffixes[k->n_suffixes]) == 0)
			k->n_suffixes++;
}

struct verify_known *verify_known_new(const struct config *cfg, const struct own_records *own,
				      uint16_t dns_port)
{
	struct verify_known *k = mem_must(calloc(1, sizeof(*k)));

	k->cfg = cfg;
	k->own = own;
	k->dns_port = dns_port != 0 ? dns_port : NET_DNS_PORT;
	k->keys = mem_must(calloc(cfg->n_keys + 1, sizeof(struct tsig_key *)));
	k->key_tried = mem_must(calloc(cfg->n_keys + 1, sizeof(*k->key_tried)));
	(void)snprintf(k->path, sizeof(k->path), "%s/%s", cfg->node.state_dir, STATE_FILE_NAME);
	read_journal(k);
	list_domains(k);
	read_suffixes(k);
	return k;
}

void verify_known_free(struct verify_known *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->cfg->n_keys; i++)
		tsig_key_unref(k->keys[i]);
	for (size_t i = 0; i < k->n_orphans; i++)
		free(k->orphans[i]);
	forget_journal(k);
	free(k->orphans);
	free(k->domains);
	free(k->keys);
	free(k->key_tried);
	free(k);
}

void verify_known_fill(struct verify_known *k, struct rsv_audit_params *p)
{
	const struct config_domain *d;

	read_journal(k);
	p->journal = k->rows;
	p->n_journal = journal_rows(k, &p->domain);
	for (size_t i = 0; (d = own_records_entry(k->own, &p->domain, i)) != NULL; i++) {
		p->lab = p->lab || d->lab;
		set_key(k, d, p);
	}
	for (size_t i = 0; i < k->n_suffixes; i++)
		if (dns_name_equal(&k->suffixes[i], &p->domain)) {
			p->suffixes = k->suffixes;
			p->n_suffixes = k->n_suffixes;
		}
}

const char *const *verify_known_domains(const struct verify_known *k, size_t *ret_n)
{
	*ret_n = k->n_domains;
	return k->domains;
}
