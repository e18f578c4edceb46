#include "common/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/config_priv.h"
#include "common/file.h"
#include "common/utf8.h"

#define MSG_MAX 2048 /* bytes of a line, with the name of the file */

_Static_assert(CONFIG_MSGS_MAX >= CFG_ERRORS_MAX, "what the engine places must fit");
#if CONFIG_SIZE_MAX != CFG_SIZE_MAX
#error "one limit"
#endif

/* ---- messages ---- */

static void messages_done(struct config_msg *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i].text);
	free(list);
}

void config_errors_done(struct config_errors *e)
{
	messages_done(e->errors, e->n_errors);
	messages_done(e->warnings, e->n_warnings);
	*e = (struct config_errors){ 0 };
}

/* Into its place by line and column, behind those that are there already. */
static void add_message(struct config_errors *e, bool warning, unsigned line, unsigned col,
			const char *text)
{
	struct config_msg **list = warning ? &e->warnings : &e->errors;
	size_t *n = warning ? &e->n_warnings : &e->n_errors, i;

	if (*list == NULL)
		*list = calloc(CONFIG_MSGS_MAX, sizeof(**list));
	if (*list == NULL || *n == CONFIG_MSGS_MAX) {
		e->dropped++;
		return;
	}
	for (i = *n; i > 0; i--) {
		const struct config_msg *before = &(*list)[i - 1];

		if (before->line < line || (before->line == line && before->col <= col))
			break;
		(*list)[i] = *before;
	}
	(*list)[i] = (struct config_msg){ .line = line, .col = col, .text = strdup(text) };
	if ((*list)[i].text != NULL) {
		(*n)++;
		return;
	}
	memmove(&(*list)[i], &(*list)[i + 1], (*n - i) * sizeof(**list));
	e->dropped++;
}

static void format_message(char buf[MSG_MAX], const char *origin, unsigned line, unsigned col,
			   const char *key, const char *text)
{
	size_t n = (size_t)snprintf(buf, MSG_MAX, "%.1100s:", origin);

	if (line > 0)
		n += (size_t)snprintf(buf + n, MSG_MAX - n, "%u:", line);
	if (line > 0 && col > 0)
		n += (size_t)snprintf(buf + n, MSG_MAX - n, "%u:", col);
	(void)snprintf(buf + n, MSG_MAX - n, " %s%s%s", key, key[0] != '\0' ? ": " : "", text);
	utf8_mend(buf); /* keys and values are cut at a length */
}

struct sink {
	const char *origin;
	struct config_errors *errs;
};

static void on_report(void *ctx, bool warning, unsigned line, unsigned col, const char *key,
		      const char *text)
{
	const struct sink *s = ctx;
	char buf[MSG_MAX];

	format_message(buf, s->origin, line, col, key, text);
	add_message(s->errs, warning, line, col, buf);
}

void config_errors_add(struct config_errors *e, const struct config *c, unsigned line,
		       const char *key, const char *fmt, ...)
{
	char buf[MSG_MAX], text[CFG_TEXT_MAX + ERR_INFO_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	format_message(buf, c->origin != NULL ? c->origin : "defaults", line, 0, key, text);
	add_message(e, false, line, 0, buf);
}

/* ---- reading ---- */

/* Checks and worked-out values. Where the text was no YAML there is nothing to check. */
static int read_config(struct config *c, const char *text, size_t len, struct sink *sink,
		       bool *ret_whole)
{
	struct cfg cfg = { .report = on_report, .ctx = sink };
	int err = cfg_defaults(&config_schema, c);

	if (err == 0)
		err = cfg_read(&cfg, &config_schema, text, len, c);
	if (err == 0)
		err = config_resolve(c, &cfg);
	if (err == 0)
		config_check(c, &cfg);
	*ret_whole = err == 0;
	if (err == 0 && cfg.n_errors > 0)
		err = ERR_CONFIG;
	cfg_done(&cfg);
	return err;
}

/** As config_parse(); *ret_config is also set where values have errors, which have their default
 * then. */
static int parse(const char *text, size_t len, const char *origin, struct config **ret_config,
		 struct config_errors *errs)
{
	struct sink sink = { .origin = origin, .errs = errs };
	struct config *c = calloc(1, sizeof(*c));
	bool whole = false;
	int err = ERR_NOMEM;

	*ret_config = NULL;
	if (c != NULL) {
		c->origin = strdup(origin);
		if (c->origin != NULL)
			err = read_config(c, text, len, &sink, &whole);
	}
	if (err == ERR_NOMEM)
		on_report(&sink, false, 0, 0, "", "out of memory");
	if (whole)
		*ret_config = c;
	else
		config_free(c);
	return err;
}

int config_parse(const char *text, size_t len, const char *origin, struct config **ret_config,
		 struct config_errors *errs)
{
	int err = parse(text, len, origin, ret_config, errs);

	if (err == 0)
		return 0;
	config_free(*ret_config);
	*ret_config = NULL;
	return err;
}

static int load(const char *path, struct config **ret_config, struct config_errors *errs)
{
	struct sink sink = { .origin = path, .errs = errs };
	char why[CFG_TEXT_MAX];
	struct buf text;
	int err;

	*ret_config = NULL;
	buf_init(&text,
		 CONFIG_SIZE_MAX + 1); /* one more tells config_parse() that it is too long */
	err = file_read(path, &text);
	if (err == 0 || err == ERR_LIMIT) {
		err = parse((const char *)text.data, text.len, path, ret_config, errs);
		buf_done(&text);
		return err;
	}
	buf_done(&text);
	(void)snprintf(why, sizeof(why), "the configuration cannot be read: %s",
		       err == ERR_PARSE ? "not a regular file" : err_text(err));
	on_report(&sink, false, 0, 0, "", why);
	return err == ERR_NOMEM ? err : ERR_CONFIG;
}

int config_load(const char *path, struct config **ret_config, struct config_errors *errs)
{
	int err = load(path, ret_config, errs);

	if (err == 0)
		return 0;
	config_free(*ret_config);
	*ret_config = NULL;
	return err;
}

int config_load_leniently(const char *path, struct config **ret_config, struct config_errors *errs)
{
	int err = load(path, ret_config, errs);

	if (*ret_config == NULL && err == ERR_CONFIG && config_new_defaults(ret_config) != 0)
		err = ERR_NOMEM;
	return err;
}

int config_new_defaults(struct config **ret_config)
{
	struct config *c = calloc(1, sizeof(*c));
	int err = ERR_NOMEM;

	*ret_config = NULL;
	if (c != NULL)
		err = cfg_defaults(&config_schema, c);
	if (err == 0)
		err = config_resolve(c, NULL);
	if (err != 0)
		config_free(c);
	else
		*ret_config = c;
	return err;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->publish.n_domains; i++)
		free(c->publish.domains[i].hosts); /* worked out, so no field of the schema */
	cfg_free(&config_schema, c);
	free(c->origin);
	free(c);
}

/* ---- using ---- */

int config_find_key(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_keys; i++)
		if (c->keys[i].name != NULL && strcmp(c->keys[i].name, name) == 0)
			return (int)i;
	return -1;
}

int config_find_host(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->n_hosts; i++)
		if (c->hosts[i].name != NULL && strcmp(c->hosts[i].name, name) == 0)
			return (int)i;
	return -1;
}

void config_srv_values(const struct config_domain *d, const struct config_host *h,
		       uint16_t *ret_priority, uint16_t *ret_weight)
{
	*ret_priority = h->is_local && d->priority >= 0 ? (uint16_t)d->priority : h->priority;
	*ret_weight = h->is_local && d->weight >= 0 ? (uint16_t)d->weight : h->weight;
}

int config_set_listen(struct config *c, const struct addr *list, size_t n)
{
	struct addr *copy = calloc(n, sizeof(*copy));

	if (copy == NULL)
		return ERR_NOMEM;
	memcpy(copy, list, n * sizeof(*copy));
	free(c->service.listen);
	c->service.listen = copy;
	c->service.n_listen = n;
	c->service.listen_is_default = false;
	for (size_t i = 0; i < c->n_hosts; i++)
		if (c->hosts[i].is_local && c->hosts[i].port_is_default &&
		    c->service.mode != CONFIG_SERVICE_OFF)
			c->hosts[i].port = addr_port(&list[0]);
	return 0;
}

void config_need_restart(const struct config *running, const struct config *loaded,
			 config_change_fn *fn, void *ctx)
{
	cfg_need_restart(&config_schema, running, loaded, fn, ctx);
}

void config_dump(const struct config *c, FILE *out)
{
	cfg_dump(&config_schema, c, out);
}

void config_print_example(FILE *out)
{
	(void)fputs(
		"# Configuration of kmsbeacon, as " CONFIG_PATH_DEFAULT ".\n"
		"#\n"
		"# Every setting stands here as a comment, with its default or an example behind "
		"it: take away\n"
		"# the # in front of those to change. `kmsbeacon check-config` reports all "
		"mistakes with their\n"
		"# line; `check-config --dump` prints what is in force. SIGHUP or `kmsbeacon "
		"reload` applies\n"
		"# changes, but for the settings that say they need a restart. Durations are a "
		"whole number\n"
		"# with ms, s, m, h or d.\n",
		out);
	cfg_print_example(&config_schema, out);
}
