/**
 * Lab clients and the file that remembers them: several in one file, told apart by their machine
 * names. Blocking; for commands.
 *
 * Several commands may use one file at a time: lab_clients_save() reads it again, under a lock on
 * its folder, and replaces only the clients it was given.
 */
#ifndef KMSBEACON_KMSCORE_LAB_CLIENTS_H
#define KMSBEACON_KMSCORE_LAB_CLIENTS_H

#include <jansson.h>

#include "kmscore/lab_client.h"

#define LAB_CLIENTS_MAX      20000
#define LAB_CLIENTS_FILE_MAX (64u << 20)

struct lab_clients {
	struct lab_client *c;
	size_t n;
	json_t *events; /* of the file, oldest first (lab_events.h); NULL: none */
	/* private */
	size_t cap;
	uint32_t *slot; /* hash table over the names, 2 * cap: index in c + 1, or 0 */
};

/**
 * @p ret need not be initialised; on failure it is empty.
 * @return 0; NOT_FOUND: no file; PARSE, STORE_VERSION, LIMIT or the kernel's, with the sentence in
 * @p info.
 */
int lab_clients_load(const char *path, struct lab_clients *ret, struct err_info *info);
void lab_clients_done(struct lab_clients *t);
/** By machine name, as lab_client_init() would keep it; NULL: none. Valid until one is added. */
struct lab_client *lab_clients_find(const struct lab_clients *t, const char *machine);
/** Copied; one of the same name is replaced. 0, ERR_LIMIT, ERR_NOMEM. */
int lab_clients_put(struct lab_clients *t, const struct lab_client *c);
/** Write @p n clients into the file, beside others that are in it, and @p events (NULL: none) after
 * those that it has. Mode 0600, replaced in one step (rename), on disk when this returns 0. */
int lab_clients_save(const char *path, const struct lab_client *c, size_t n, const json_t *events,
		     struct err_info *info);

#endif
