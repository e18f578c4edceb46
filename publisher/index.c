#include "publisher/index.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

#define SLOTS_MIN 64

struct pub_index_entry {
	struct pub_index_entry *next;
	void *value;
	uint64_t hash;
	size_t len;
	uint8_t key[];
};

static void key_bytes(struct pub_key *k, const void *data, size_t len)
{
	uint8_t head[2] = { (uint8_t)(len >> 8), (uint8_t)len };

	if (len > UINT16_MAX || sizeof(head) + len > sizeof(k->bytes) - k->len) {
		k->cut = true;
		return;
	}
	memcpy(k->bytes + k->len, head, sizeof(head));
	memcpy(k->bytes + k->len + sizeof(head), data, len);
	k->len += sizeof(head) + len;
}

void pub_key_name(struct pub_key *k, const struct dns_name *n)
{
	key_bytes(k, n->wire, n->len);
}

void pub_key_text(struct pub_key *k, const char *text)
{
	key_bytes(k, text, strlen(text));
}

/* FNV-1a. What is hashed is the administrator's configuration, not what a peer chose. */
static uint64_t hash_of(const struct pub_key *k)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < k->len; i++)
		h = (h ^ k->bytes[i]) * 0x100000001b3u;
	return h;
}

static struct pub_index_entry **find(const struct pub_index *ix, const struct pub_key *k)
{
	uint64_t hash = hash_of(k);
	struct pub_index_entry **at;

	if (ix->n_slots == 0 || k->cut)
		return NULL;
	for (at = &ix->slots[hash & (ix->n_slots - 1)]; *at != NULL; at = &(*at)->next)
		if ((*at)->hash == hash && (*at)->len == k->len &&
		    memcmp((*at)->key, k->bytes, k->len) == 0)
			return at;
	return NULL;
}

void *pub_index_get(const struct pub_index *ix, const struct pub_key *k)
{
	struct pub_index_entry **at = find(ix, k);

	return at != NULL ? (*at)->value : NULL;
}

static int grow(struct pub_index *ix)
{
	size_t n_slots = ix->n_slots == 0 ? SLOTS_MIN : 2 * ix->n_slots;
	struct pub_index_entry **slots = calloc(n_slots, sizeof(struct pub_index_entry *));

	if (slots == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < ix->n_slots; i++) {
		struct pub_index_entry *e = ix->slots[i], *next;

		for (; e != NULL; e = next) {
			next = e->next;
			e->next = slots[e->hash & (n_slots - 1)];
			slots[e->hash & (n_slots - 1)] = e;
		}
	}
	free(ix->slots);
	ix->slots = slots;
	ix->n_slots = n_slots;
	return ERR_OK;
}

int pub_index_put(struct pub_index *ix, const struct pub_key *k, void *value)
{
	struct pub_index_entry *e;

	if (k->cut)
		return ERR_LIMIT;
	if (ix->n >= ix->n_slots && grow(ix) != ERR_OK)
		return ERR_NOMEM;
	e = malloc(sizeof(*e) + k->len);
	if (e == NULL)
		return ERR_NOMEM;
	e->value = value;
	e->hash = hash_of(k);
	e->len = k->len;
	memcpy(e->key, k->bytes, k->len);
	e->next = ix->slots[e->hash & (ix->n_slots - 1)];
	ix->slots[e->hash & (ix->n_slots - 1)] = e;
	ix->n++;
	return ERR_OK;
}

void pub_index_each(const struct pub_index *ix, void (*fn)(void *value))
{
	for (size_t i = 0; i < ix->n_slots; i++)
		for (const struct pub_index_entry *e = ix->slots[i]; e != NULL; e = e->next)
			fn(e->value);
}

void pub_index_done(struct pub_index *ix)
{
	for (size_t i = 0; i < ix->n_slots; i++) {
		struct pub_index_entry *e = ix->slots[i], *next;

		for (; e != NULL; e = next) {
			next = e->next;
			free(e);
		}
	}
	free(ix->slots);
	memset(ix, 0, sizeof(*ix));
}
