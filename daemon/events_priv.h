/** The insides of daemon/events.h: events.c (adding and saving), events_read.c (reading). */
#ifndef KMSBEACON_DAEMON_EVENTS_PRIV_H
#define KMSBEACON_DAEMON_EVENTS_PRIV_H

#include "daemon/events.h"

/** No file of ours gets there (2^53): a row beyond is none, and no number overflows. */
#define EVENTS_SEQ_MAX (INT64_C(1) << 53)

/** One event; shared by ring, pending list and pages. */
struct event_record {
	unsigned refs; /* of the loop's thread */
	uint64_t seq;
	int64_t wall_ms;
	uint32_t id;
	enum log_level level;
	uint32_t hresult;
	const char *name, *text, *info; /* into bytes */
	char bytes[];
};

/** The loop's thread leaves these alone while `saving`; the records in `batch` are held by
 * `pending`. */
struct events_save {
	struct store_job job; /* first */
	struct events *e;
	struct event_record *batch[EVENTS_BATCH];
	size_t n;
	int64_t oldest_ms;
	uint32_t keep_max;
};

struct events_reader;

struct events {
	struct events_params p;
	uint64_t last; /* number of the newest */
	struct event_record *ring[EVENTS_RING];
	struct event_record *pending[EVENTS_PENDING_MAX]; /* oldest first */
	size_t n_pending;
	struct events_save save;
	bool saving;
	bool failing;
	bool stopping;
	bool short_of_memory; /* the latest event was lost */
	uint64_t retry_ms;    /* monotonic; not before, while failing */
	uint64_t lost;
	struct events_reader *readers;
	size_t n_waiting;
};

/** NULL where memory is out; one reference, the caller's. */
struct event_record *event_record_new(const struct event *ev, uint64_t seq, int64_t wall_ms);
void event_record_unref(struct event_record *r);

/** Something is new, or all is over: readers that wait go on. */
void events_wake(struct events *e);

#endif
