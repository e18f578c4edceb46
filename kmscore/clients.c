#include "kmscore/clients.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "kmscore/kms.h"

#define NONE      UINT32_MAX
#define FIRST_CAP 64u
#define UTF8_MAX  4u /* bytes of a character */

_Static_assert(sizeof(struct kms_client_entry) + 2 * sizeof(uint32_t) <= KMS_CLIENT_BYTES_MAX,
	       "clients.h promises this");

void kms_clients_init(struct kms_clients *t, size_t max, struct rng *rng)
{
	memset(t, 0, sizeof(*t));
	t->max = max < NONE ? max : NONE - 1;
	t->oldest = t->newest = NONE;
	rng_bytes(rng, &t->hash_key, sizeof(t->hash_key));
}

void kms_clients_done(struct kms_clients *t)
{
	free(t->e);
	free(t->bucket);
	t->e = NULL;
	t->bucket = NULL;
	t->n = t->cap = t->n_buckets = t->duplicates = 0;
	t->oldest = t->newest = NONE;
}

/** splitmix64's mixer: each bit of the input reaches each bit of the output. */
static uint64_t mix(uint64_t v)
{
	v = (v ^ v >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	v = (v ^ v >> 27) * UINT64_C(0x94d049bb133111eb);
	return v ^ v >> 31;
}

static uint64_t hash_bytes(const struct kms_clients *t, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = t->hash_key ^ len, word;

	for (; len > 0; p += len < 8 ? len : 8, len -= len < 8 ? len : 8) {
		word = 0;
		memcpy(&word, p, len < 8 ? len : 8);
		h = mix(h + word * UINT64_C(0x9e3779b97f4a7c15) + t->hash_key);
	}
	return h;
}

static uint32_t *chain_of(struct kms_clients *t, const struct guid *cmid)
{
	return &t->bucket[hash_bytes(t, cmid->b, sizeof(cmid->b)) & (t->n_buckets - 1)];
}

static uint32_t find(struct kms_clients *t, const struct guid *cmid)
{
	uint32_t i;

	if (t->n == 0)
		return NONE;
	for (i = *chain_of(t, cmid); i != NONE; i = t->e[i].next)
		if (guid_equal(&t->e[i].cmid, cmid))
			break;
	return i;
}

static void chain_remove(struct kms_clients *t, uint32_t i)
{
	uint32_t *at = chain_of(t, &t->e[i].cmid);

	while (*at != i)
		at = &t->e[*at].next;
	*at = t->e[i].next;
}

static void chain_insert(struct kms_clients *t, uint32_t i)
{
	uint32_t *at = chain_of(t, &t->e[i].cmid);

	t->e[i].next = *at;
	*at = i;
}

static void order_remove(struct kms_clients *t, uint32_t i)
{
	const struct kms_client_entry *e = &t->e[i];

	if (e->older != NONE)
		t->e[e->older].newer = e->newer;
	else
		t->oldest = e->newer;
	if (e->newer != NONE)
		t->e[e->newer].older = e->older;
	else
		t->newest = e->older;
}

static void order_append(struct kms_clients *t, uint32_t i)
{
	t->e[i].older = t->newest;
	t->e[i].newer = NONE;
	if (t->newest != NONE)
		t->e[t->newest].newer = i;
	else
		t->oldest = i;
	t->newest = i;
}

/** Forget the entry @p i; the last one of the array takes its place, so that there are no holes. */
static void forget(struct kms_clients *t, uint32_t i)
{
	uint32_t last = (uint32_t)(t->n - 1);
	struct kms_client_entry *e;

	t->duplicates -= t->e[i].duplicate ? 1 : 0;
	chain_remove(t, i);
	order_remove(t, i);
	t->n--;
	if (i == last)
		return;
	chain_remove(t, last);
	t->e[i] = t->e[last];
	chain_insert(t, i);
	e = &t->e[i];
	if (e->older != NONE)
		t->e[e->older].newer = i;
	else
		t->oldest = i;
	if (e->newer != NONE)
		t->e[e->newer].older = i;
	else
		t->newest = i;
}

static int grow(struct kms_clients *t)
{
	size_t cap = t->cap == 0 ? FIRST_CAP : t->cap * 2, n_buckets = cap;
	struct kms_client_entry *e;
	uint32_t *bucket;

	if (cap > t->max)
		cap = t->max;
	e = realloc(t->e, cap * sizeof(*e));
	if (e == NULL)
		return ERR_NOMEM;
	t->e = e; /* larger than t->cap says, if the next one fails: no harm */
	bucket = malloc(n_buckets * sizeof(*bucket));
	if (bucket == NULL)
		return ERR_NOMEM;
	free(t->bucket);
	t->bucket = bucket;
	t->n_buckets = n_buckets;
	t->cap = cap;
	memset(bucket, 0xff, n_buckets * sizeof(*bucket)); /* NONE */
	for (uint32_t i = 0; i < t->n; i++)
		chain_insert(t, i);
	return 0;
}

size_t kms_clients_count(struct kms_clients *t, int64_t now_ms)
{
	while (t->n > 0 && now_ms - t->e[t->oldest].seen_ms >= KMS_CMID_LIFE_MS)
		forget(t, t->oldest);
	return t->n;
}

size_t kms_clients_since(const struct kms_clients *t, int64_t since_ms)
{
	size_t n = 0;

	for (uint32_t i = t->newest; i != NONE && t->e[i].seen_ms >= since_ms; i = t->e[i].older)
		n++;
	return n;
}

size_t kms_clients_duplicates(const struct kms_clients *t)
{
	return t->duplicates;
}

size_t kms_clients_list_duplicates(const struct kms_clients *t, struct kms_duplicate *ret,
				   size_t max)
{
	size_t n = 0, left = t->duplicates;

	for (uint32_t i = t->newest; i != NONE && n < max && left > 0; i = t->e[i].older) {
		const struct kms_client_entry *e = &t->e[i];

		if (!e->duplicate)
			continue;
		left--;
		ret[n].cmid = e->cmid;
		ret[n].seen_ms = e->seen_ms;
		memcpy(ret[n].machine[0], e->name, sizeof(e->name));
		memcpy(ret[n].machine[1], e->before, sizeof(e->before));
		n++;
	}
	return n;
}

/* Cut between characters. */
static void cut_name(const char *name, char ret[KMS_CLIENT_NAME_MAX])
{
	size_t len = strnlen(name, KMS_CLIENT_NAME_MAX - 1);

	if (len == KMS_CLIENT_NAME_MAX - 1)
		while (len > 0 && ((unsigned char)name[len] & 0xc0) == 0x80)
			len--;
	memset(ret, 0, KMS_CLIENT_NAME_MAX);
	memcpy(ret, name, len);
}

static bool has_name(const struct kms_clients *t, const struct kms_client_entry *e,
		     const char *name)
{
	char cut[KMS_CLIENT_NAME_MAX];

	if (e->name_hash != 0)
		return e->name_hash == hash_bytes(t, name, strlen(name));
	cut_name(name, cut);
	return strcmp(cut, e->name) == 0;
}

static void set_name(struct kms_clients *t, struct kms_client_entry *e, const char *name)
{
	cut_name(name, e->name);
	e->name_hash = hash_bytes(t, name, strlen(name));
}

/** A place for a new id; NULL: out of memory, or the table may hold nothing. */
static struct kms_client_entry *new_entry(struct kms_clients *t, const struct guid *cmid)
{
	struct kms_client_entry *e;

	if (t->n == t->max && t->n > 0)
		forget(t, t->oldest);
	if (t->n == t->max || (t->n == t->cap && grow(t) != 0))
		return NULL;
	e = &t->e[t->n];
	memset(e, 0, sizeof(*e));
	e->cmid = *cmid;
	chain_insert(t, (uint32_t)t->n++);
	return e;
}

int kms_clients_restore(struct kms_clients *t, const struct kms_client_entry *from)
{
	struct kms_client_entry *e;

	if (t->max == 0 || find(t, &from->cmid) != NONE)
		return 0;
	e = new_entry(t, &from->cmid);
	if (e == NULL)
		return ERR_NOMEM;
	e->seen_ms = from->seen_ms;
	e->duplicate = from->duplicate;
	t->duplicates += e->duplicate ? 1 : 0;
	cut_name(from->before, e->before);
	set_name(t, e, from->name);
	if (strlen(e->name) > KMS_CLIENT_NAME_MAX - UTF8_MAX - 1)
		e->name_hash = 0;
	order_append(t, (uint32_t)(e - t->e));
	return 0;
}

/* Whoever was seen moves to the newest end, so all that have changed stand there, but for what was
 * put back. */
static uint32_t next_changed(const struct kms_clients *t, uint32_t i)
{
	while (i != NONE && !t->e[i].changed)
		i = t->scattered ? t->e[i].older : NONE;
	return i;
}

size_t kms_clients_changed(const struct kms_clients *t)
{
	size_t n = 0;

	for (uint32_t i = next_changed(t, t->newest); i != NONE; i = next_changed(t, t->e[i].older))
		n++;
	return n;
}

size_t kms_clients_take_changed(struct kms_clients *t, struct kms_client_entry *ret, size_t max)
{
	size_t n = 0;
	uint32_t i = next_changed(t, t->newest);

	for (; i != NONE && n < max; i = next_changed(t, t->e[i].older)) {
		ret[n++] = t->e[i];
		t->e[i].changed = false;
	}
	t->scattered = i != NONE;
	return n;
}

void kms_clients_put_back(struct kms_clients *t, const struct kms_client_entry *e, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		uint32_t i = find(t, &e[k].cmid);

		if (i != NONE)
			t->e[i].changed = true;
	}
	t->scattered = true;
}

int kms_clients_add(struct kms_clients *t, const struct guid *cmid, const char *name,
		    int64_t now_ms, struct kms_clients_seen *ret)
{
	struct kms_client_entry *e;
	uint32_t i;

	memset(ret, 0, sizeof(*ret));
	(void)kms_clients_count(t, now_ms);
	i = find(t, cmid);
	if (i == NONE) {
		if (t->max == 0)
			return 0;
		e = new_entry(t, cmid);
		if (e == NULL)
			return ERR_NOMEM;
		i = (uint32_t)(e - t->e);
		set_name(t, e, name);
	} else {
		e = &t->e[i];
		ret->known = true;
		order_remove(t, i);
		if (!has_name(t, e, name)) {
			ret->other_name = true;
			memcpy(ret->last_name, e->name, sizeof(ret->last_name));
			memcpy(e->before, e->name, sizeof(e->before));
			t->duplicates += e->duplicate ? 0 : 1;
			e->duplicate = true;
			set_name(t, e, name);
		} else if (e->name_hash == 0) {
			set_name(t, e, name); /* now the whole of it is known */
		}
	}
	e->seen_ms = now_ms;
	e->changed = true;
	order_append(t, i);
	return 0;
}
