/** The journal's inside, for journal.c (memory) and journal_store.c (the file). */
#ifndef KMSBEACON_PUBLISHER_JOURNAL_PRIV_H
#define KMSBEACON_PUBLISHER_JOURNAL_PRIV_H

#include "publisher/index.h"
#include "publisher/journal.h"

struct pub_hold {
	struct dns_name domain;
	char *view;
	char *host;
	int64_t since_ms;
	int64_t clear_ms; /* of a drain: see struct pub_drain */
	bool lifted;      /* no longer a hold; the row is to go */
	bool dirty;
	uint32_t gen;
};

struct pub_journal {
	struct store *store;
	struct pub_set **sets;
	size_t n_sets;
	struct pub_index set_index;
	struct pub_hold **holds;
	size_t n_holds;
	struct pub_index hold_index;
	size_t n_live_holds;
	bool dirty; /* something is */
};

struct pub_rec *pub_set_rec(struct pub_set *set, const struct dns_srv *srv);
/** What a finished write leaves behind: rows that are gone from the file go from memory. */
void pub_set_drop_clean(struct pub_set *set);

#endif
