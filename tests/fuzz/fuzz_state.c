/*
 * A state file that somebody else made. Its rows are lines TABLE<tab>VALUE..., a value as it is in
 * SQL; a line "flip OFFSET OCTET" damages the file afterwards. Whatever it holds, the journal, the
 * clients, the events and the hosts of the relay are loaded, within their bounds, or it is said
 * that they cannot be; and what was loaded can be changed, written, and loaded again.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "daemon/events.h"
#include "daemon/state.h"
#include "daemon/upstream_memory.h"
#include "kmscore/memory.h"
#include "publisher/journal_priv.h"
#include "tests/fuzz/fuzz.h"

#define NOW_MS   INT64_C(1790000000000)
#define TEXT_MAX 3072
#define SQL_MAX  1024

static char dir[64], path[128];
static uint64_t mono_ms;

static const struct {
	const char *name;
	int columns;
} tables[] = {
	{ "pub_set", 8 }, { "pub_record", 11 }, { "pub_hold", 5 },  { "event", 8 },
	{ "relay", 2 },   { "kms_client", 6 },  { "kms_count", 3 }, { "kms_total", 3 },
};

static uint64_t mono(void *ctx)
{
	(void)ctx;
	return ++mono_ms;
}

static int64_t wall(void *ctx)
{
	(void)ctx;
	return NOW_MS;
}

static const struct clock clock_fuzz = { .mono_ms = mono, .wall_ms = wall };

/* ---- the folder ---- */

static void empty_folder(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			(void)unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		(void)closedir(d);
}

static void cleanup(void)
{
	empty_folder();
	(void)rmdir(dir);
}

static void set_up(void)
{
	(void)snprintf(dir, sizeof(dir), "/dev/shm/kmsbeacon-state-XXXXXX");
	if (mkdtemp(dir) == NULL) {
		(void)snprintf(dir, sizeof(dir), "/tmp/kmsbeacon-state-XXXXXX");
		FUZZ_CHECK(mkdtemp(dir) != NULL);
	}
	(void)snprintf(path, sizeof(path), "%s/%s", dir, STATE_FILE_NAME);
	(void)atexit(cleanup);
}

/* ---- the file, as its maker wants it ---- */

/* Only what cannot end the statement: a number, or a blob or a text as a blob in hexadecimal. */
static int put_value(char *sql, size_t room, const char *value, size_t len)
{
	size_t digits = strspn(value, "-0123456789");
	int n;

	if (len > 0 && len <= 20 && digits >= len && strcspn(value + 1, "-") >= len - 1 &&
	    (value[0] != '-' || len > 1))
		return snprintf(sql, room, "%.*s", (int)len, value);
	n = snprintf(sql, room, len > 0 && value[0] == '#' ? "X'" : "CAST(X'");
	for (size_t i = len > 0 && value[0] == '#'; i < len; i++)
		n += snprintf(sql + n, room - (size_t)n, "%02X", (unsigned char)value[i]);
	return n + snprintf(sql + n, room - (size_t)n, "%s",
			    len > 0 && value[0] == '#' ? "'" : "' AS TEXT)");
}

static void put_row(struct store_db *db, const char *line, size_t len)
{
	char sql[SQL_MAX * 4];
	size_t n, used = strcspn(line, "\t\n");
	size_t t = 0;

	while (t < sizeof(tables) / sizeof(tables[0]) &&
	       (strlen(tables[t].name) != used || memcmp(tables[t].name, line, used) != 0))
		t++;
	if (t == sizeof(tables) / sizeof(tables[0]) || len > SQL_MAX)
		return;
	n = (size_t)snprintf(sql, sizeof(sql), "INSERT OR IGNORE INTO %s VALUES (", tables[t].name);
	for (int c = 0; c < tables[t].columns; c++) {
		size_t value = used < len ? strcspn(line + used + 1, "\t\n") : 0;

		if (c > 0)
			sql[n++] = ',';
		n += (size_t)put_value(sql + n, sizeof(sql) - n, line + used + (used < len), value);
		used += used < len ? value + 1 : 0;
	}
	(void)snprintf(sql + n, sizeof(sql) - n, ")");
	(void)store_exec(db, sql, NULL, NULL, "");
}

struct filling {
	struct store_job job;
	const char *text;
};

static int fill_run(struct store_job *job, struct store_db *db)
{
	const char *line = ((struct filling *)job)->text;

	while (*line != '\0') {
		size_t len = strcspn(line, "\n");

		put_row(db, line, len);
		line += len + (line[len] == '\n');
	}
	return 0;
}

static void fill_done(struct store_job *job, int err)
{
	(void)job;
	FUZZ_CHECK(err == 0);
}

static void flip(const char *text)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	const char *at = text;

	FUZZ_CHECK(fd >= 0);
	while ((at = strstr(at, "flip ")) != NULL) {
		char *end;
		unsigned long offset = strtoul(at + 5, &end, 10);
		uint8_t octet = (uint8_t)strtoul(end, NULL, 10);

		if (offset < 1u << 20 && lseek(fd, 0, SEEK_END) > (off_t)offset)
			FUZZ_CHECK(pwrite(fd, &octet, 1, (off_t)offset) == 1);
		at += 5;
	}
	(void)close(fd);
}

static void make_file(uv_loop_t *loop, const char *text)
{
	struct filling f = { .job = { .run = fill_run, .done = fill_done }, .text = text };
	struct err_info info;
	struct state s;
	bool damaged;

	FUZZ_CHECK(state_open(loop, dir, &s, &damaged, &info) == 0 && !damaged);
	FUZZ_CHECK(store_submit(s.store, &f.job) == 0);
	store_flush(s.store);
	state_close(&s);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	flip(text);
}

/* ---- what the daemon makes of it ---- */

struct found {
	size_t sets, recs, clients, count, drained;
	uint64_t requests;
};

static void check_journal(struct pub_journal *j, struct found *ret)
{
	FUZZ_CHECK(!pub_journal_is_dirty(j)); /* it has just been read */
	ret->sets = pub_journal_count(j);
	for (size_t i = 0; i < ret->sets; i++) {
		const struct pub_set *set = pub_journal_at(j, i);

		FUZZ_CHECK(dns_name_is_set(&set->zone) && dns_name_is_set(&set->owner));
		FUZZ_CHECK(set->n_recs <= PUB_JOURNAL_RECS_MAX);
		FUZZ_CHECK(pub_journal_find(j, &set->zone, set->view, &set->owner) == set);
		for (size_t k = 0; k < set->n_recs; k++)
			FUZZ_CHECK(set->recs[k].state > PUB_REC_NONE &&
				   set->recs[k].state < PUB_REC_STATE_COUNT_);
		ret->recs += set->n_recs;
	}
}

static void check_memory(struct kms_memory *m, struct found *ret)
{
	static struct kms_duplicate dup[4];
	size_t since;

	ret->count = kms_count_now(&m->count, NOW_MS);
	since = kms_clients_since(&m->clients, NOW_MS - 7 * KMS_DAY_MS);
	ret->clients = kms_clients_count(&m->clients, NOW_MS);
	ret->requests = m->totals.requests;
	FUZZ_CHECK(ret->count <= KMS_COUNT_LARGE && since <= ret->clients);
	FUZZ_CHECK(kms_clients_duplicates(&m->clients) <= ret->clients);
	(void)kms_clients_list_duplicates(&m->clients, dup, 4);
}

static void on_page(void *ctx, json_t *page)
{
	*(json_t **)ctx = page;
}

static void check_events(uv_loop_t *loop, struct events *e)
{
	const struct events_query q = { .since_ms = INT64_MIN };
	const json_t *list, *ev;
	json_int_t last = -1;
	json_t *page = NULL;
	size_t i;

	events_note(e, LOG_INFO, "fuzz.seen", "a sentence");
	FUZZ_CHECK(events_read(e, &q, on_page, &page) == 0);
	while (page == NULL)
		(void)uv_run(loop, UV_RUN_ONCE);
	list = json_object_get(page, "events");
	FUZZ_CHECK(json_array_size(list) <= EVENTS_PAGE);
	json_array_foreach(list, i, ev)
	{
		json_int_t seq = json_integer_value(json_object_get(ev, "seq"));

		FUZZ_CHECK(json_is_object(ev) && (i == 0 || seq > last));
		last = seq;
	}
	FUZZ_CHECK(json_array_size(list) > 0); /* what has just happened, at least */
	json_decref(page);
}

static void check_relay(struct upstream_memory *m, struct found *ret)
{
	int64_t since_ms;

	(void)upstream_memory_drained(m, "kms1", &since_ms);
	(void)upstream_memory_known(m);
	ret->drained = upstream_memory_drained(m, "kms2", NULL);
}

/* Once round; @p change: and leave something to write. */
static bool load(uv_loop_t *loop, bool change, struct found *ret)
{
	struct events_params p = {
		.loop = loop, .clock = &clock_fuzz, .keep_s = 86400, .keep_max = 1000
	};
	struct err_info info = { "" };
	struct upstream_memory *m;
	struct kms_memory memory;
	struct events *e;
	struct state s;
	struct rng rng;
	bool damaged = false;
	int err = state_open(loop, dir, &s, &damaged, &info);

	*ret = (struct found){ 0 };
	FUZZ_CHECK((err != 0 || damaged) == (info.text[0] != '\0'));
	if (err != 0) {
		(void)uv_run(loop, UV_RUN_DEFAULT);
		return false;
	}
	check_journal(s.journal, ret);
	rng_init_seed(&rng, 1);
	kms_memory_init(&memory, KMS_CLIENT_CMID, &rng);
	err = kms_memory_keep(&memory, loop, &clock_fuzz, s.store);
	check_memory(&memory, ret);
	p.store = s.store;
	FUZZ_CHECK(events_new(&p, &e) == 0);
	check_events(loop, e);
	FUZZ_CHECK(upstream_memory_new(s.store, &m) == 0);
	check_relay(m, ret);
	if (change && err == 0)
		kms_memory_changed(&memory);
	events_stop(e);
	kms_memory_stop(&memory);
	state_close(&s);
	(void)uv_run(loop, UV_RUN_DEFAULT);
	events_free(e);
	upstream_memory_free(m);
	kms_memory_done(&memory);
	return err == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[TEXT_MAX + 1];
	struct found first, second;
	struct pub_journal *j;
	uv_loop_t loop;
	bool whole;

	if (size > TEXT_MAX)
		return 0;
	if (dir[0] == '\0')
		set_up();
	memcpy(text, data, size);
	text[size] = '\0';
	FUZZ_CHECK(uv_loop_init(&loop) == 0);
	make_file(&loop, text);
	if (pub_journal_read(path, &j) == 0)
		pub_journal_free(j);
	whole = load(&loop, true, &first);
	if (whole && load(&loop, false, &second)) {
		FUZZ_CHECK(first.sets == second.sets && first.recs == second.recs);
		FUZZ_CHECK(first.count == second.count && first.clients == second.clients);
		FUZZ_CHECK(first.requests == second.requests && first.drained == second.drained);
	}
	FUZZ_CHECK(uv_loop_close(&loop) == 0);
	empty_folder();
	return 0;
}
