#include "common/cfg.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/cfg_priv.h"
#include "common/utf8.h"
#include "common/word.h"

/* Where something in the struct was given. */
struct cfg_place {
	const void *at;
	const struct cfg_schema *map; /* NULL: a value */
	unsigned line, col;
	char *key;
};

/* ---- messages ---- */

static void report(struct cfg *c, bool warning, unsigned line, unsigned col, const char *key,
		   const char *text)
{
	if (warning) {
		c->n_warnings++;
	} else {
		if (c->n_errors < CFG_ERRORS_MAX)
			(void)snprintf(c->bad[c->n_errors], CFG_KEY_MAX, "%s", key);
		c->n_errors++;
	}
	c->report(c->ctx, warning, line, col, key, text);
}

static void fail_at(struct cfg *c, const yaml_mark_t *mark, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* An error at a place of the text, about c->path. */
static void fail_at(struct cfg *c, const yaml_mark_t *mark, const char *fmt, ...)
{
	char text[CFG_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(c, false, (unsigned)mark->line + 1, (unsigned)mark->column + 1, c->path, text);
}

bool cfg_is_bad(const struct cfg *c, const char *key)
{
	size_t len = strlen(key);

	if (c->n_errors > CFG_ERRORS_MAX)
		return true;
	for (unsigned i = 0; i < c->n_errors; i++) {
		const char *bad = c->bad[i];

		if (strncmp(bad, key, len) == 0 &&
		    (bad[len] == '\0' || bad[len] == '.' || bad[len] == '['))
			return true;
	}
	return false;
}

/* c->path grows by a key or an index; the length before it brings it back. */
static size_t enter_key(struct cfg *c, const char *key)
{
	size_t len = strlen(c->path);

	(void)snprintf(c->path + len, sizeof(c->path) - len, "%s%s", len > 0 ? "." : "", key);
	return len;
}

static size_t enter_index(struct cfg *c, size_t i)
{
	size_t len = strlen(c->path);

	(void)snprintf(c->path + len, sizeof(c->path) - len, "[%zu]", i);
	return len;
}

static void leave(struct cfg *c, size_t len)
{
	c->path[len] = '\0';
}

/* ---- first pass: what the document must not hold ---- */

static yaml_mark_t mark_of_offset(const char *text, size_t len, size_t offset)
{
	yaml_mark_t m = { .index = offset };

	for (size_t i = 0; i < offset && i < len; i++) {
		m.column++;
		if (text[i] == '\n') {
			m.line++;
			m.column = 0;
		}
	}
	return m;
}

/* Whether the line of the mark begins with blanks that hold a tab: the usual cause. */
static bool tab_in_indent(const char *text, size_t len, size_t line)
{
	size_t i = 0;

	for (; line > 0 && i < len; i++)
		if (text[i] == '\n')
			line--;
	for (; i < len && (text[i] == ' ' || text[i] == '\t'); i++)
		if (text[i] == '\t')
			return true;
	return false;
}

static void report_yaml_error(struct cfg *c, const yaml_parser_t *p, const char *text, size_t len)
{
	yaml_mark_t mark = p->problem_mark;
	const char *problem = p->problem != NULL ? p->problem : "cannot be read";

	if (p->error == YAML_READER_ERROR) {
		mark = mark_of_offset(text, len, p->problem_offset);
		fail_at(c, &mark, "this is no text: %s; UTF-8 is allowed", problem);
	} else if (tab_in_indent(text, len, mark.line)) {
		fail_at(c, &mark,
			"a tab in the indentation, which YAML does not allow; use blanks");
	} else if (p->context != NULL) {
		fail_at(c, &mark, "this is no YAML: %s (%s that begins in line %zu)", problem,
			p->context, p->context_mark.line + 1);
	} else {
		fail_at(c, &mark, "this is no YAML: %s", problem);
	}
}

static void refuse(struct cfg *c, const yaml_event_t *e, const yaml_char_t *anchor,
		   const yaml_char_t *tag)
{
	if (anchor != NULL)
		fail_at(c, &e->start_mark, "anchors (&) are not allowed; write the value out");
	if (tag != NULL)
		fail_at(c, &e->start_mark, "tags (!) are not allowed; leave it out");
}

/* @return whether to go on. */
static bool check_event(struct cfg *c, const yaml_event_t *e, int *depth, int *documents)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (++*documents == 1)
			return true;
		fail_at(c, &e->start_mark, "a second document (---); one is allowed");
		return false;
	case YAML_ALIAS_EVENT:
		fail_at(c, &e->start_mark, "aliases (*) are not allowed; write the value out");
		return true;
	case YAML_SCALAR_EVENT:
		refuse(c, e, e->data.scalar.anchor, e->data.scalar.tag);
		return true;
	case YAML_SEQUENCE_START_EVENT:
		refuse(c, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		break;
	case YAML_MAPPING_START_EVENT:
		refuse(c, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		--*depth;
		return true;
	default:
		return true;
	}
	if (++*depth <= CFG_DEPTH_MAX)
		return true;
	fail_at(c, &e->start_mark, "more than %d maps and lists within each other", CFG_DEPTH_MAX);
	return false;
}

static int check_events(struct cfg *c, const char *text, size_t len)
{
	int depth = 0, documents = 0;
	bool more = true;
	yaml_parser_t p;
	yaml_event_t e;

	if (yaml_parser_initialize(&p) == 0)
		return ERR_NOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	while (more) {
		if (yaml_parser_parse(&p, &e) == 0) {
			if (p.error == YAML_MEMORY_ERROR) {
				yaml_parser_delete(&p);
				return ERR_NOMEM;
			}
			report_yaml_error(c, &p, text, len);
			break;
		}
		more = check_event(c, &e, &depth, &documents) && e.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&p);
	return c->n_errors > 0 ? ERR_CONFIG : 0;
}

/* ---- second pass: the values ---- */

static int by_address(const void *a, const void *b)
{
	const struct cfg_place *x = a, *y = b;

	if (x->at != y->at)
		return (uintptr_t)x->at < (uintptr_t)y->at ? -1 : 1;
	/* a struct and its first field begin at one address */
	return (x->map != NULL) - (y->map != NULL);
}

static void note_place(struct cfg *c, const void *at, const struct cfg_schema *map,
		       const yaml_mark_t *mark)
{
	char *key = strdup(c->path);

	if (c->n_places == c->cap_places && key != NULL) {
		size_t cap = c->cap_places > 0 ? 2 * c->cap_places : 64;
		struct cfg_place *p = realloc(c->places, cap * sizeof(*p));

		if (p == NULL) {
			free(key);
			key = NULL;
		} else {
			c->places = p;
			c->cap_places = cap;
		}
	}
	if (key == NULL) {
		c->fatal = ERR_NOMEM;
		return;
	}
	c->places[c->n_places++] = (struct cfg_place){
		.at = at,
		.map = map,
		.line = (unsigned)mark->line + 1,
		.col = (unsigned)mark->column + 1,
		.key = key,
	};
}

static const yaml_node_t *node_of(struct cfg *c, int id)
{
	return yaml_document_get_node(c->doc, id);
}

/* `key:` with nothing behind it, or ~ */
static bool is_null(const yaml_node_t *n)
{
	if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	return n->data.scalar.length == 0 ||
	       (n->data.scalar.length == 1 && n->data.scalar.value[0] == '~');
}

/* Octets of the character at @p s; 0 where it is one that ends a line or that YAML 1.1 §5.1 knows
 * only as an escape: a dump writes none, so it would not be read back as it is. */
static size_t character(const char *s)
{
	static const char *const special[] = { "\xe2\x80\xa8", "\xe2\x80\xa9", "\xef\xbb\xbf",
					       "\xef\xbf\xbe", "\xef\xbf\xbf" };

	if ((s[0] & 0x80) == 0)
		return s[0] >= 0x20 && s[0] != 0x7f;
	for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
		if (strncmp(s, special[i], strlen(special[i])) == 0)
			return 0;
	return utf8_len((const unsigned char *)s);
}

/* The text of a scalar; NULL, with a report, where it holds what no setting may hold. */
static const char *text_of(struct cfg *c, const yaml_node_t *n)
{
	const char *text = (const char *)n->data.scalar.value;
	size_t len;

	for (size_t i = 0; i < n->data.scalar.length; i += len) {
		len = character(text + i);
		if (len > 0)
			continue;
		fail_at(c, &n->start_mark,
			"holds a control character, a line break or a zero byte; none is allowed");
		return NULL;
	}
	return text;
}

static void report_unknown_key(struct cfg *c, const struct cfg_schema *s, const yaml_node_t *node,
			       const char *key)
{
	char allowed[300] = "";
	const char *near = NULL;
	unsigned best = strlen(key) < 5 ? 2 : 3; /* fewer differences than this */
	size_t n = 0, len;

	for (const struct cfg_item *item = s->items; item->key != NULL; item++) {
		unsigned d = item->type == CFG_REFUSED ? UINT32_MAX : word_distance(key, item->key);

		if (d < best) {
			best = d;
			near = item->key;
		}
		if (item->type != CFG_REFUSED && n < sizeof(allowed))
			n += (size_t)snprintf(allowed + n, sizeof(allowed) - n, "%s%s",
					      n > 0 ? ", " : "", item->key);
	}
	len = enter_key(c, key);
	if (near != NULL)
		fail_at(c, &node->start_mark, "unknown key, did you mean %s?", near);
	else
		fail_at(c, &node->start_mark, "unknown key; allowed here: %s", allowed);
	leave(c, len);
}

static void read_map(struct cfg *c, const struct cfg_schema *s, const yaml_node_t *node, void *dst);

static void read_scalar(struct cfg *c, const struct cfg_item *item, const yaml_node_t *node,
			void *at)
{
	char why[CFG_TEXT_MAX], allowed[120];
	const char *text;
	int err;

	cfg_value_allowed(item, allowed, sizeof(allowed));
	if (node->type != YAML_SCALAR_NODE) {
		fail_at(c, &node->start_mark, "one value is needed here, not a %s%s%s",
			node->type == YAML_MAPPING_NODE ? "map" : "list",
			allowed[0] != '\0' ? "; allowed: " : "", allowed);
		return;
	}
	if (is_null(node)) {
		fail_at(c, &node->start_mark, "has no value; give one, or leave the key out%s%s",
			allowed[0] != '\0' ? "; allowed: " : "", allowed);
		return;
	}
	text = text_of(c, node);
	if (text == NULL)
		return;
	err = cfg_value_parse(item, text, at, why);
	if (err == ERR_NOMEM)
		c->fatal = err;
	else if (err != 0)
		fail_at(c, &node->start_mark, "%s", why);
	else
		note_place(c, at, NULL, &node->start_mark);
}

/* "corp.example, 10, 100": the values of the schema's shorthand keys, in order. */
static void read_shorthand(struct cfg *c, const struct cfg_schema *s, const yaml_node_t *node,
			   void *dst)
{
	const char *text = text_of(c, node), *keys = s->shorthand;
	char part[CFG_VALUE_MAX], why[CFG_TEXT_MAX];

	while (text != NULL) {
		const struct cfg_item *item = s->items;
		size_t klen = strcspn(keys, ","), len, path;
		int err;

		if (klen == 0) {
			fail_at(c, &node->start_mark, "has too many commas; allowed is %s",
				s->shorthand);
			return;
		}
		while (strncmp(item->key, keys, klen) != 0 || item->key[klen] != '\0')
			item++; /* the table names its own keys */
		text += strspn(text, " ");
		len = strcspn(text, ",");
		(void)snprintf(part, sizeof(part), "%.*s", (int)(len < 1024 ? len : 1024), text);
		for (size_t n = strlen(part); n > 0 && part[n - 1] == ' '; n--)
			part[n - 1] = '\0';
		path = enter_key(c, item->key);
		err = cfg_value_parse(item, part, cfg_field(item, dst), why);
		if (err == ERR_NOMEM)
			c->fatal = err;
		else if (err != 0)
			fail_at(c, &node->start_mark, "%s", why);
		else
			note_place(c, cfg_field(item, dst), NULL, &node->start_mark);
		leave(c, path);
		keys += klen + (keys[klen] == ',');
		text = text[len] == ',' ? text + len + 1 : NULL;
	}
}

static void read_list_item(struct cfg *c, const struct cfg_item *item, const yaml_node_t *node,
			   void *at)
{
	const struct cfg_schema *sub = item->sub;

	if (item->type != CFG_MAP_LIST) {
		read_scalar(c, item, node, at);
		return;
	}
	note_place(c, at, sub, &node->start_mark);
	if (sub->line != 0)
		*(unsigned *)((char *)at + sub->line) = (unsigned)node->start_mark.line + 1;
	if (cfg_defaults(sub, at) != 0)
		c->fatal = ERR_NOMEM;
	else if (sub->shorthand != NULL && node->type == YAML_SCALAR_NODE && !is_null(node))
		read_shorthand(c, sub, node, at);
	else
		read_map(c, sub, node, at);
}

static const struct cfg_place *find_place(const struct cfg *c, const void *at)
{
	for (size_t i = 0; i < c->n_places; i++)
		if (c->places[i].at == at && c->places[i].map == NULL)
			return &c->places[i];
	return NULL;
}

/* No two items of a list may have the same value in @p field (of a map), or be the same (NULL). */
static void check_unique(struct cfg *c, const struct cfg_item *item, const struct cfg_item *field,
			 const void *dst)
{
	const struct cfg_item *v = field != NULL ? field : item;
	size_t n = cfg_list_count(item, dst), skip = field != NULL ? field->offset : 0;
	char text[CFG_VALUE_MAX];

	for (size_t i = 1; i < n; i++) {
		const char *a = (const char *)cfg_list_at(item, dst, i) + skip;
		const struct cfg_place *p;
		size_t j = 0;

		while (j < i && !cfg_value_equal(v, a, (char *)cfg_list_at(item, dst, j) + skip))
			j++;
		p = j < i ? find_place(c, a) : NULL;
		/* without a place it was wrong or missing, which has been said */
		if (p == NULL || !cfg_value_format(v, a, text, sizeof(text)))
			continue;
		(void)snprintf(c->path, sizeof(c->path), "%s", p->key);
		fail_at(c, &(yaml_mark_t){ .line = p->line - 1, .column = p->col - 1 },
			"'%.100s' is given twice", text);
	}
}

static void check_list(struct cfg *c, const struct cfg_item *item, const void *dst)
{
	char path[CFG_KEY_MAX];

	memcpy(path, c->path, sizeof(path));
	if (item->type != CFG_MAP_LIST) {
		check_unique(c, item, NULL, dst);
	} else {
		for (const struct cfg_item *sub = item->sub->items; sub->key != NULL; sub++)
			if (sub->unique)
				check_unique(c, item, sub, dst);
	}
	memcpy(c->path, path, sizeof(path));
}

static void read_list(struct cfg *c, const struct cfg_item *item, const yaml_node_t *node,
		      void *dst)
{
	bool one = item->one_ok && node->type == YAML_SCALAR_NODE && !is_null(node);
	size_t n;

	if (item->type == CFG_MAP_LIST && is_null(node))
		return; /* all of its entries are comments */
	if (!one && node->type != YAML_SEQUENCE_NODE) {
		fail_at(c, &node->start_mark, "a list is needed here: %s",
			item->type == CFG_MAP_LIST ? "lines that begin with -" : "[a, b]");
		return;
	}
	n = one ? 1 : (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (n > item->max_items) {
		fail_at(c, &node->start_mark, "has %zu entries, %zu are allowed", n,
			item->max_items);
		return;
	}
	if (n == 0 && item->type != CFG_MAP_LIST) {
		fail_at(c, &node->start_mark, "an empty list; give an entry, or leave the key out");
		return;
	}
	note_place(c, cfg_field(item, dst), NULL, &node->start_mark);
	if (cfg_list_new(item, dst, n) != 0) {
		c->fatal = ERR_NOMEM;
		return;
	}
	for (size_t i = 0; i < n && c->fatal == 0; i++) {
		size_t len = enter_index(c, i);

		read_list_item(c, item, one ? node : node_of(c, node->data.sequence.items.start[i]),
			       cfg_list_at(item, dst, i));
		leave(c, len);
	}
	check_list(c, item, dst);
}

static void read_item(struct cfg *c, const struct cfg_item *item, const yaml_node_t *key,
		      const yaml_node_t *node, void *dst)
{
	if (item->type == CFG_REFUSED) {
		fail_at(c, &key->start_mark, "%s", item->doc);
	} else if (item->list || item->type == CFG_MAP_LIST) {
		read_list(c, item, node, dst);
	} else if (item->type == CFG_MAP) {
		if (is_null(node))
			return;
		note_place(c, cfg_field(item, dst), item->sub, &key->start_mark);
		read_map(c, item->sub, node, cfg_field(item, dst));
	} else {
		read_scalar(c, item, node, cfg_field(item, dst));
	}
}

#define MAP_KEYS_MAX 64 /* keys of one table: bits of `seen` */

static void read_pair(struct cfg *c, const struct cfg_schema *s, const yaml_node_pair_t *pair,
		      uint64_t *seen, void *dst)
{
	const yaml_node_t *key = node_of(c, pair->key);
	unsigned i = 0;
	const char *text;
	size_t len;

	if (key->type != YAML_SCALAR_NODE) {
		fail_at(c, &key->start_mark, "a key must be one word");
		return;
	}
	text = text_of(c, key);
	if (text == NULL)
		return;
	while (s->items[i].key != NULL && strcmp(s->items[i].key, text) != 0)
		i++;
	if (s->items[i].key == NULL) {
		report_unknown_key(c, s, key, text);
		return;
	}
	len = enter_key(c, text);
	if ((*seen & (UINT64_C(1) << i)) != 0)
		fail_at(c, &key->start_mark, "given twice; keep one of them");
	else
		read_item(c, &s->items[i], key, node_of(c, pair->value), dst);
	leave(c, len);
	*seen |= UINT64_C(1) << i;
}

static void read_map(struct cfg *c, const struct cfg_schema *s, const yaml_node_t *node, void *dst)
{
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE) {
		fail_at(c, &node->start_mark, "settings are needed here, such as `%s: ...`",
			s->items[0].key);
		return;
	}
	for (const yaml_node_pair_t *p = node->data.mapping.pairs.start;
	     p < node->data.mapping.pairs.top && c->fatal == 0; p++)
		read_pair(c, s, p, &seen, dst);
	for (unsigned i = 0; s->items[i].key != NULL && i < MAP_KEYS_MAX; i++) {
		size_t len;

		if (!s->items[i].required || (seen & (UINT64_C(1) << i)) != 0)
			continue;
		len = enter_key(c, s->items[i].key);
		fail_at(c, &node->start_mark, "is missing: %s", s->items[i].doc);
		leave(c, len);
	}
}

static int read_document(struct cfg *c, const char *text, size_t len, void *dst)
{
	const yaml_mark_t top = { 0 };
	yaml_document_t doc;
	yaml_parser_t p;
	yaml_node_t *root;

	if (yaml_parser_initialize(&p) == 0)
		return ERR_NOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	if (yaml_parser_load(&p, &doc) == 0) { /* the first pass found it well-formed */
		yaml_parser_delete(&p);
		return ERR_NOMEM;
	}
	c->doc = &doc;
	root = yaml_document_get_root_node(&doc);
	if (root == NULL || is_null(root)) {
		fail_at(c, &top, "the file is empty; it needs at least one setting");
		c->fatal = ERR_CONFIG;
	} else {
		note_place(c, dst, c->schema, &top);
		read_map(c, c->schema, root, dst);
	}
	c->doc = NULL;
	yaml_document_delete(&doc);
	yaml_parser_delete(&p);
	return c->fatal;
}

int cfg_read(struct cfg *c, const struct cfg_schema *s, const char *text, size_t len, void *dst)
{
	const yaml_mark_t top = { 0 };
	int err;

	c->schema = s;
	c->bad = calloc(CFG_ERRORS_MAX, sizeof(*c->bad));
	if (c->bad == NULL)
		return ERR_NOMEM;
	if (len > CFG_SIZE_MAX) {
		fail_at(c, &top, "the file has %zu bytes, %u are allowed", len, CFG_SIZE_MAX);
		return ERR_CONFIG;
	}
	err = check_events(c, text, len);
	if (err == 0)
		err = read_document(c, text, len, dst);
	if (c->n_places > 0)
		qsort(c->places, c->n_places, sizeof(*c->places), by_address);
	return err;
}

void cfg_done(struct cfg *c)
{
	for (size_t i = 0; i < c->n_places; i++)
		free(c->places[i].key);
	free(c->places);
	free(c->bad);
	c->places = NULL;
	c->n_places = c->cap_places = 0;
	c->bad = NULL;
}

/* ---- afterwards ---- */

static const struct cfg_place *sorted_place(const struct cfg *c, const void *at)
{
	const struct cfg_place wanted = { .at = at };

	if (c->n_places == 0)
		return NULL;
	return bsearch(&wanted, c->places, c->n_places, sizeof(*c->places), by_address);
}

bool cfg_given(const struct cfg *c, const void *field)
{
	return sorted_place(c, field) != NULL;
}

/* The smallest map that was given and holds the field. */
static const struct cfg_place *place_around(const struct cfg *c, const void *field)
{
	const struct cfg_place *best = NULL;

	for (size_t i = 0; i < c->n_places; i++) {
		const struct cfg_place *p = &c->places[i];
		uintptr_t start = (uintptr_t)p->at, at = (uintptr_t)field;

		if (p->map != NULL && at >= start && at - start < p->map->size &&
		    (best == NULL || p->map->size < best->map->size))
			best = p;
	}
	return best;
}

/* Adds to @p key the names that lead from a struct to the field at @p offset in it. */
static void name_field(const struct cfg_schema *s, size_t offset, char key[CFG_KEY_MAX])
{
	for (const struct cfg_item *item = s->items; item->key != NULL; item++) {
		bool inside = item->type == CFG_MAP && offset >= item->offset &&
			      offset - item->offset < item->sub->size;
		size_t len = strlen(key);

		if (!inside && item->offset != offset)
			continue;
		(void)snprintf(key + len, CFG_KEY_MAX - len, "%s%s", len > 0 ? "." : "", item->key);
		if (inside)
			name_field(item->sub, offset - item->offset, key);
		return;
	}
}

void cfg_complain(struct cfg *c, bool warning, const void *field, const char *fmt, ...)
{
	char text[CFG_TEXT_MAX], key[CFG_KEY_MAX] = "";
	const struct cfg_place *p = NULL;
	va_list ap;

	/* Beyond the limit they are only counted: the search below is not worth it. */
	if ((warning ? c->n_warnings : c->n_errors) < CFG_ERRORS_MAX) {
		p = sorted_place(c, field);
		if (p == NULL) {
			p = place_around(c, field);
			if (p != NULL) {
				(void)snprintf(key, sizeof(key), "%s", p->key);
				name_field(p->map, (size_t)((uintptr_t)field - (uintptr_t)p->at),
					   key);
			}
		} else {
			(void)snprintf(key, sizeof(key), "%s", p->key);
		}
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	report(c, warning, p != NULL ? p->line : 0, p != NULL ? p->col : 0, key, text);
}
