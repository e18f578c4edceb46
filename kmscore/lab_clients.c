/* The state file of lab clients: {"format": 2, "clients": [...], "events": [...]}, replaced as a
 * whole. Format 1 was one client alone, its keys beside "format"; the events came later. */
#include "kmscore/lab_clients.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/file.h"
#include "common/json_memory.h"
#include "kmscore/lab_events.h"
#include "kmscore/utf16.h"

#define FORMAT 2

static json_t *parse(const char *path, const struct buf *text, int *ret_err, struct err_info *info)
{
	json_error_t why;
	json_t *root =
		json_memory_load(text->data, text->len, JSON_REJECT_DUPLICATES, &why, ret_err);

	if (*ret_err == ERR_PARSE)
		(void)err_set(info, ERR_PARSE,
			      "%s, line %d: %s; repair it, or remove the file to begin anew", path,
			      why.line, why.text);
	else if (*ret_err != 0)
		(void)err_set(info, *ret_err, "cannot read %s: %s", path, err_text(*ret_err));
	return root;
}

/** A file as JSON; NULL and *ret_err else. */
static json_t *read_json(const char *path, int *ret_err, struct err_info *info)
{
	json_t *root = NULL;
	struct buf text;
	int err;

	buf_init(&text, LAB_CLIENTS_FILE_MAX);
	err = file_read(path, &text);
	if (err == 0)
		root = parse(path, &text, &err, info);
	else if (err == -ENOENT)
		err = err_set(info, ERR_NOT_FOUND, "%s does not exist", path);
	else if (err == ERR_LIMIT || err == ERR_PARSE)
		err = err_set(info, ERR_PARSE,
			      "%s is too large, or no file: not the state of lab clients", path);
	else
		(void)err_set(info, err, "cannot read %s: %s", path, err_text(err));
	buf_done(&text);
	*ret_err = err;
	return root;
}

static int bad_value(const char *path, const char *key, struct err_info *info)
{
	return err_set(info, ERR_PARSE,
		       "%s: '%s' is missing or has no possible value; repair it, or remove the "
		       "file to begin anew",
		       path, key);
}

static int add_json(struct lab_clients *t, const char *path, const json_t *o, struct err_info *info)
{
	struct lab_client c;
	const char *bad = lab_client_from_json(o, &c);
	int err;

	if (bad != NULL)
		return bad_value(path, bad, info);
	err = lab_clients_put(t, &c);
	return err == 0 ? 0 : err_set(info, err, "%s: %s", path, err_text(err));
}

/* A file without them is one from before there were any. */
static int read_events(struct lab_clients *t, const char *path, const json_t *root,
		       struct err_info *info)
{
	json_t *list = json_object_get(root, "events"), *o;
	size_t i;

	if (list == NULL)
		return 0;
	if (!json_is_array(list))
		return bad_value(path, "events", info);
	json_array_foreach(list, i, o) if (!lab_event_valid(o)) return bad_value(path, "events",
										 info);
	t->events = json_incref(list);
	return 0;
}

static int read_clients(struct lab_clients *t, const char *path, const json_t *root,
			struct err_info *info)
{
	const json_t *format = json_object_get(root, "format"), *list, *o;
	size_t i;
	int err = 0;

	if (!json_is_integer(format) || json_integer_value(format) < 1)
		return bad_value(path, "format", info);
	if (json_integer_value(format) > FORMAT)
		return err_set(info, ERR_STORE_VERSION,
			       "%s was written by a newer version of kmsbeacon; use that, or "
			       "another file",
			       path);
	if (json_integer_value(format) == 1)
		return add_json(t, path, root, info);
	list = json_object_get(root, "clients");
	if (!json_is_array(list))
		return bad_value(path, "clients", info);
	json_array_foreach(list, i, o)
	{
		err = add_json(t, path, o, info);
		if (err != 0)
			break;
	}
	return err == 0 ? read_events(t, path, root, info) : err;
}

int lab_clients_load(const char *path, struct lab_clients *ret, struct err_info *info)
{
	json_t *root;
	int err;

	memset(ret, 0, sizeof(*ret));
	root = read_json(path, &err, info);
	if (root == NULL)
		return err;
	err = read_clients(ret, path, root, info);
	json_decref(root);
	if (err != 0)
		lab_clients_done(ret);
	return err;
}

void lab_clients_done(struct lab_clients *t)
{
	free(t->c);
	free(t->slot);
	json_decref(t->events);
	memset(t, 0, sizeof(*t));
}

/** The slot of @p name, or the empty one where it belongs. FNV-1a: the names are the user's own. */
static uint32_t *slot_of(const struct lab_clients *t, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (const char *p = name; *p != '\0'; p++)
		h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	for (i = h % (2 * t->cap); t->slot[i] != 0; i = (i + 1) % (2 * t->cap))
		if (strcmp(t->c[t->slot[i] - 1].machine, name) == 0)
			break;
	return &t->slot[i];
}

static int grow(struct lab_clients *t)
{
	size_t cap = t->cap > 0 ? t->cap * 2 : 1;
	struct lab_client *c = reallocarray(t->c, cap, sizeof(*c));
	uint32_t *slot;

	if (c == NULL)
		return ERR_NOMEM;
	t->c = c; /* larger than t->cap says, if the next one fails: no harm */
	slot = calloc(2 * cap, sizeof(*slot));
	if (slot == NULL)
		return ERR_NOMEM;
	free(t->slot);
	t->slot = slot;
	t->cap = cap;
	for (uint32_t i = 0; i < t->n; i++)
		*slot_of(t, t->c[i].machine) = i + 1;
	return 0;
}

struct lab_client *lab_clients_find(const struct lab_clients *t, const char *machine)
{
	uint8_t units[2 * LAB_MACHINE_UNITS];
	char name[LAB_MACHINE_TEXT_MAX];
	uint32_t *slot;

	if (t->n == 0)
		return NULL;
	utf16_put(units, LAB_MACHINE_UNITS, machine);
	utf16_get(units, LAB_MACHINE_UNITS, name);
	slot = slot_of(t, name);
	return *slot != 0 ? &t->c[*slot - 1] : NULL;
}

int lab_clients_put(struct lab_clients *t, const struct lab_client *c)
{
	struct lab_client *at = lab_clients_find(t, c->machine);

	if (at != NULL) {
		*at = *c;
		return 0;
	}
	if (t->n == LAB_CLIENTS_MAX)
		return ERR_LIMIT;
	if (t->n == t->cap && grow(t) != 0)
		return ERR_NOMEM;
	*slot_of(t, c->machine) = (uint32_t)t->n + 1;
	t->c[t->n++] = *c;
	return 0;
}

/** The folder of @p path, locked until it is closed. -1: it cannot be opened; then writing into it
 * will fail and say why. */
static int lock_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".")
				     : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd = folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	free(folder);
	while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR)
		continue;
	return fd;
}

static int write_clients(const char *path, const struct lab_clients *t)
{
	json_t *root = json_pack("{si s[] sO*}", "format", FORMAT, "clients", "events", t->events);
	json_t *list = json_object_get(root, "clients");
	char *text = NULL;
	int err = list != NULL ? 0 : ERR_NOMEM;

	for (size_t i = 0; err == 0 && i < t->n; i++)
		if (json_array_append_new(list, lab_client_to_json(&t->c[i])) != 0)
			err = ERR_NOMEM;
	if (err == 0)
		text = json_memory_text(root, JSON_INDENT(1));
	json_decref(root);
	if (err == 0)
		err = text != NULL ? file_replace(path, text, strlen(text)) : ERR_NOMEM;
	free(text);
	return err;
}

static int add_events(struct lab_clients *t, const json_t *events)
{
	if (t->events == NULL)
		t->events = json_array();
	if (t->events == NULL)
		return ERR_NOMEM;
	lab_events_append(t->events, events);
	return 0;
}

int lab_clients_save(const char *path, const struct lab_client *c, size_t n, const json_t *events,
		     struct err_info *info)
{
	int lock = lock_folder(path);
	struct lab_clients all;
	int err = lab_clients_load(path, &all, info);

	if (err == ERR_NOT_FOUND)
		err = 0;
	else if (err != 0)
		goto out; /* damaged meanwhile: not ours to replace */
	for (size_t i = 0; err == 0 && i < n; i++)
		err = lab_clients_put(&all, &c[i]);
	if (err == 0 && json_array_size(events) > 0)
		err = add_events(&all, events);
	if (err == 0)
		err = write_clients(path, &all);
	if (err != 0)
		(void)err_set(info, err, "cannot write %s: %s", path, err_text(err));
out:
	lab_clients_done(&all);
	if (lock >= 0)
		(void)close(lock);
	return err;
}
