#include "cli/verify_watch.h"

#include <ctype.h>
#include <string.h>

#include "cli/output.h"
#include "cli/table.h"

#define KEY_MAX 700

/* ---- state ----------------------------------------------------------------------------------- */

/**
 * Append @p text to the key, each word that is a number as "#": the seconds that a resolver keeps
 * an old answer run down, serials go up, and the finding is still the same one.
 */
static void append_text(char key[KEY_MAX], const char *text)
{
	size_t n = strlen(key);

	while (*text != '\0' && n + 2 < KEY_MAX) {
		size_t word = strcspn(text, " ");
		size_t digits = strspn(text, "0123456789");

		if (digits > 0 && (digits == word || (digits + 1 == word && ispunct(text[digits]))))
			key[n++] = '#';
		else
			for (size_t i = 0; i < word && n + 2 < KEY_MAX; i++)
				key[n++] = text[i];
		text += word;
		if (*text == ' ')
			key[n++] = *text++;
	}
	key[n] = '\0';
}

/** Under @p key, or where that is taken under "key 2", "key 3" ... */
static int put(json_t *o, char key[KEY_MAX], const json_t *value)
{
	size_t n = strlen(key);

	for (unsigned again = 2; json_object_get(o, key) != NULL; again++)
		(void)snprintf(key + n, KEY_MAX - n, " %u", again);
	return json_object_set_new(o, key, json_deep_copy(value));
}

static int put_findings(json_t *o, const json_t *findings)
{
	size_t i;
	const json_t *f;
	int err = 0;

	json_array_foreach(findings, i, f)
	{
		char key[KEY_MAX];

		(void)snprintf(key, sizeof(key), "%.100s ", json_text(f, "id", ""));
		append_text(key, json_text(f, "text", ""));
		err |= put(o, key, f);
	}
	return err;
}

/** Records by what DNS has, hosts by what they answer. */
static int put_records(json_t *records, json_t *hosts, const json_t *list)
{
	size_t i;
	const json_t *r;
	int err = 0;

	json_array_foreach(list, i, r)
	{
		static const char *const numbers[] = { "port", "priority", "weight" };
		const char *state = json_text(json_object_get(r, "probe"), "state", NULL);
		char key[KEY_MAX];
		json_t *rec = json_pack("{s:s}", "target", json_text(r, "target", "."));

		for (size_t k = 0; k < 3; k++)
			err |= json_object_set(rec, numbers[k], json_object_get(r, numbers[k]));
		(void)snprintf(key, sizeof(key), "%.600s %lld", json_text(r, "target", "."),
			       (long long)json_integer_value(json_object_get(r, "port")));
		if (state != NULL && json_object_get(hosts, key) == NULL)
			err |= json_object_set_new(
				hosts, key,
				json_pack("{s:s, s:O, s:s}", "target", json_text(r, "target", "."),
					  "port", json_object_get(r, "port"), "state", state));
		(void)snprintf(key, sizeof(key), "%.600s %lld %lld %lld",
			       json_text(r, "target", "."),
			       (long long)json_integer_value(json_object_get(r, "port")),
			       (long long)json_integer_value(json_object_get(r, "priority")),
			       (long long)json_integer_value(json_object_get(r, "weight")));
		err |= json_object_set(rec, "ttl", json_object_get(r, "ttl"));
		err |= put(records, key, rec);
		json_decref(rec);
	}
	return err;
}

json_t *watch_state(const json_t *report)
{
	json_t *findings = json_object(), *records = json_object(), *hosts = json_object();
	json_t *s = NULL;
	int err = put_findings(findings, json_object_get(report, "findings"));

	err |= put_records(records, hosts, json_object_get(report, "records"));
	if (err == 0)
		s = json_pack("{s:s, s:O, s:O, s:O}", "status",
			      json_text(report, "status", "unknown"), "findings", findings,
			      "records", records, "hosts", hosts);
	json_decref(findings);
	json_decref(records);
	json_decref(hosts);
	return s;
}

/* ---- changes --------------------------------------------------------------------------------- */

/** What @p in has and @p other has not, as changes of that kind. */
static int only_in(json_t *list, const char *change, json_t *in, const json_t *other)
{
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach(in, key, value)
	{
		json_t *c;

		if (json_object_get(other, key) != NULL)
			continue;
		c = json_pack("{s:s}", "change", change);
		err |= json_object_update(c, value);
		err |= json_array_append_new(list, c);
	}
	return err;
}

static int host_changes(json_t *list, json_t *before, const json_t *after)
{
	const char *key;
	json_t *was;
	int err = 0;

	json_object_foreach(before, key, was)
	{
		const json_t *is = json_object_get(after, key);
		const char *from = json_text(was, "state", ""), *to = json_text(is, "state", "");

		if (is != NULL && strcmp(from, to) != 0)
			err |= json_array_append_new(
				list,
				json_pack("{s:s, s:O, s:O, s:s, s:s}", "change", "host-state",
					  "target", json_object_get(was, "target"), "port",
					  json_object_get(was, "port"), "from", from, "to", to));
	}
	return err;
}

json_t *watch_changes(const json_t *before, const json_t *after)
{
	json_t *list = json_array();
	const char *from = json_text(before, "status", ""), *to = json_text(after, "status", "");
	json_t *f0 = json_object_get(before, "findings"), *f1 = json_object_get(after, "findings");
	json_t *r0 = json_object_get(before, "records"), *r1 = json_object_get(after, "records");
	int err = 0;

	if (strcmp(from, to) != 0)
		err |= json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "change", "status",
							     "from", from, "to", to));
	err |= only_in(list, "record-added", r1, r0);
	err |= only_in(list, "record-removed", r0, r1);
	err |= host_changes(list, json_object_get(before, "hosts"),
			    json_object_get(after, "hosts"));
	err |= only_in(list, "finding-appeared", f1, f0);
	err |= only_in(list, "finding-cleared", f0, f1);
	if (err != 0) {
		json_decref(list);
		return NULL;
	}
	return list;
}

static void print_word(FILE *out, const char *word)
{
	(void)fprintf(out, "%s%s%s", tone_on(out, tone_of(word)), word, tone_off(out));
}

static void print_from_to(FILE *out, const json_t *c)
{
	print_word(out, json_text(c, "from", ""));
	(void)fprintf(out, " -> ");
	print_word(out, json_text(c, "to", ""));
}

void watch_print(FILE *out, const json_t *c)
{
	const char *change = json_text(c, "change", "");
	long long port = (long long)json_integer_value(json_object_get(c, "port"));

	if (strncmp(change, "finding-", 8) == 0) {
		(void)fprintf(out, "finding %s: ", change + 8);
		print_word(out, json_text(c, "severity", ""));
		(void)fprintf(out, " %s: ", json_text(c, "id", ""));
		print_safe(out, json_text(c, "text", ""));
	} else if (strncmp(change, "record-", 7) == 0) {
		(void)fprintf(out, "record %s: %s:%lld (priority %lld, weight %lld)", change + 7,
			      json_text(c, "target", ""), port,
			      (long long)json_integer_value(json_object_get(c, "priority")),
			      (long long)json_integer_value(json_object_get(c, "weight")));
	} else if (strcmp(change, "host-state") == 0) {
		(void)fprintf(out, "host %s:%lld: ", json_text(c, "target", ""), port);
		print_from_to(out, c);
	} else {
		(void)fprintf(out, "%s: ", change);
		print_from_to(out, c);
	}
	(void)fputc('\n', out);
}
