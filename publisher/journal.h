/**
 * Which records in DNS are ours: kept in memory, written to the state file before an UPDATE leaves
 * and after it was proven (design §5).
 *
 * A record is ours by its exact RDATA in a (zone, view, owner). The loop's thread reads and marks
 * the copy in memory; pub_journal_sync() writes everything marked since in one transaction. What
 * could not be written stays marked and goes with the next sync, so a full disk delays the journal
 * and loses nothing while the process lives.
 *
 * After a crash the rows say what may have happened: PUB_REC_INTENT_ADD (may be in DNS, then it is
 * ours), PUB_REC_INTENT_DELETE (may still be there, then it is still ours) and PUB_REC_DELETED (was
 * taken away: then somebody put it there again). The next read of DNS settles each.
 *
 * One process at a time (state_dir/lock, the caller's business).
 */
#ifndef KMSBEACON_PUBLISHER_JOURNAL_H
#define KMSBEACON_PUBLISHER_JOURNAL_H

#include "common/store.h"
#include "net/dnsmsg.h"
#include "net/dnsname.h"

#define PUB_JOURNAL_SETS_MAX 65536 /* (zone, view, owner) */
#define PUB_JOURNAL_RECS_MAX 1024  /* records of one of them */

enum pub_rec_state {
	PUB_REC_NONE, /* no row */
	PUB_REC_INTENT_ADD,
	PUB_REC_PUBLISHED,
	PUB_REC_INTENT_DELETE,
	PUB_REC_ADOPTED,   /* wanted, and it was there before us: not ours to remove */
	PUB_REC_WITHDRAWN, /* we removed it, and remember it to notice who brings it back */
	PUB_REC_DELETED,   /* it went and came back before any read has shown it gone */
	PUB_REC_STATE_COUNT_,
};
const char *pub_rec_state_name(enum pub_rec_state s);

/** One row. Borrowed from the journal, valid until any row of its set is marked. */
struct pub_rec {
	struct dns_srv srv;
	enum pub_rec_state state;
	unsigned returns; /* times it came back without us after we removed it */
	char *host;       /* of the configuration, when it was wanted */
	int64_t since_ms; /* wall clock: when the state was entered */
	/* private */
	bool dirty;   /* memory is ahead of the file; with PUB_REC_NONE: the row is to go */
	uint32_t gen; /* changes with each mark: tells whether a write was of the newest state */
};

/** The rows of one (zone, view, owner), and what is known of the set. */
struct pub_set {
	struct dns_name domain;
	struct dns_name zone;
	struct dns_name owner;
	char *view;
	char *servers;        /* as configured, separated by blanks: how to reach it as an orphan */
	char *key_handle;     /* likewise */
	uint32_t ttl_asked;   /* a TTL that the server changed ... */
	uint32_t ttl_got;     /* ... to this one: not asked for again. 0: not known to do that */
	struct pub_rec *recs; /* those with PUB_REC_NONE are gone, but not yet in the file */
	size_t n_recs;
	/* private */
	bool dirty;
	uint32_t gen;
};

struct pub_journal;
struct pub_sync_row;

/** For store_new(). */
extern const struct store_schema pub_journal_schema;

/** Load. Waits for the store (start-up only). 0, ERR_NOMEM, ERR_STORE_*, with a sentence. The
 * store is borrowed and must outlive the journal. */
int pub_journal_new(struct store *store, struct pub_journal **ret, struct err_info *info);
/**
 * The same as it stands in the file at @p path, which another process may have open: to look at,
 * not to sync. 0, ERR_NOMEM, or an error where it cannot be read.
 */
int pub_journal_read(const char *path, struct pub_journal **ret);
void pub_journal_free(struct pub_journal *j); /* no sync may be under way; NULL is fine */

/** Whether any of its records may be in DNS: published or adopted, or an intent. */
bool pub_set_is_live(const struct pub_set *set);

/** NULL where nothing is known of it. */
struct pub_set *pub_journal_find(struct pub_journal *j, const struct dns_name *zone,
				 const char *view, const struct dns_name *owner);
/** The same, made where it is missing. NULL: out of memory or PUB_JOURNAL_SETS_MAX. */
struct pub_set *pub_journal_need(struct pub_journal *j, const struct dns_name *domain,
				 const struct dns_name *zone, const char *view,
				 const struct dns_name *owner);
/** Sets live as long as the journal. */
size_t pub_journal_count(const struct pub_journal *j);
struct pub_set *pub_journal_at(struct pub_journal *j, size_t i);

/** Set the state of one record; PUB_REC_NONE drops its row. 0, ERR_NOMEM, ERR_LIMIT. */
int pub_journal_mark(struct pub_journal *j, struct pub_set *set, const struct dns_srv *srv,
		     const char *host, enum pub_rec_state state, unsigned returns, int64_t now_ms);
int pub_journal_set_way(struct pub_journal *j, struct pub_set *set, const char *servers,
			const char *key_handle);
void pub_journal_set_ttl(struct pub_journal *j, struct pub_set *set, uint32_t asked, uint32_t got);

/** Withdrawn until somebody publishes: a hold on a host ("" for every host) in (domain, view). */
bool pub_journal_held(const struct pub_journal *j, const struct dns_name *domain, const char *view,
		      const char *host);
int pub_journal_hold(struct pub_journal *j, const struct dns_name *domain, const char *view,
		     const char *host, int64_t now_ms);
/** Lift holds; NULL matches everything. @return how many. */
size_t pub_journal_release(struct pub_journal *j, const struct dns_name *domain, const char *view,
			   const char *host);

/**
 * A drain: a hold on a host in every domain, also in those to come. pub_journal_held() knows it; a
 * release for one domain does not lift it (so `publish` does not), one for all domains does.
 */
struct pub_drain {
	int64_t since_ms; /* wall clock, as the next */
	int64_t clear_ms; /* from then on no client has the record cached; 0: not known yet */
};
/** Also where there is one: @p clear_ms is replaced. 0 or ERR_NOMEM. */
int pub_journal_drain(struct pub_journal *j, const char *host, int64_t now_ms, int64_t clear_ms);
/** Whether @p host is drained; @p ret may be NULL. */
bool pub_journal_drained(const struct pub_journal *j, const char *host, struct pub_drain *ret);

/** One write of everything marked. Owned by the caller until done(). */
struct pub_sync;
typedef void pub_sync_done_fn(struct pub_sync *s, int err);
struct pub_sync {
	void *owner; /* the caller's */
	/* private */
	struct store_job job;
	struct pub_journal *journal;
	pub_sync_done_fn *done;
	struct pub_sync_row *rows; /* a copy, for the store's thread */
	size_t n_rows;
};

/** Whether there is anything to write. */
bool pub_journal_is_dirty(const struct pub_journal *j);
/**
 * @return 0: done() runs later, from store_dispatch(), once. Otherwise (ERR_NOMEM, ERR_LIMIT) it
 * does not run. Nothing to write is a sync that succeeds.
 */
int pub_journal_sync(struct pub_journal *j, struct pub_sync *s, pub_sync_done_fn *done);

#endif
