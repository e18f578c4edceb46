#include "common/cfg.h"

#include <stdlib.h>
#include <string.h>

#include "common/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after the above, which it needs */
#include <cmocka.h>

/* A program of its own: the engine knows nothing of kmsbeacon. */
enum colour { RED, GREEN, BLUE };

struct pet {
	char *name;
	uint32_t age;
	int32_t legs;
	unsigned line;
};

struct inner {
	bool flag;
	char *text;
};

struct thing {
	uint32_t wait_s;
	uint16_t port;
	enum colour colour;
	uint32_t mode;
	struct inner inner;
	char *id, *name, *host;
	struct addr addr;
	char **servers;
	size_t n_servers;
	struct cidr *nets;
	size_t n_nets;
	struct pet *pets;
	size_t n_pets;
};

#define FIELD(S, m) .offset = offsetof(struct S, m), .size = sizeof(((struct S *)0)->m)
#define LIST(m, n, max_)                                                                           \
	.offset = offsetof(struct thing, m), .size = sizeof(*((struct thing *)0)->m),              \
	.count = offsetof(struct thing, n), .max_items = (max_)

static const char *const colours[] = { "red", "green", "blue", NULL };
static const struct cfg_item pet_items[] = {
	{ "name", CFG_ID, FIELD(pet, name), .required = true, .unique = true, .doc = "Its name." },
	{ "age", CFG_UINT, FIELD(pet, age), .max = 99, .def = "1", .doc = "Years." },
	{ "legs", CFG_UINT, FIELD(pet, legs), .max = 8, .unset_ok = true, .doc = "How many." },
	{ 0 },
};
static const struct cfg_schema pet_schema = { pet_items, sizeof(struct pet),
					      offsetof(struct pet, line), "name,age" };
static const struct cfg_item inner_items[] = {
	{ "flag", CFG_BOOL, FIELD(inner, flag), .def = "true", .doc = "A flag." },
	{ "text", CFG_STR, FIELD(inner, text), .min = 1, .max = 10, .restart = true,
	  .doc = "A text." },
	{ "old", CFG_REFUSED, .doc = "this is gone; use text" },
	{ 0 },
};
static const struct cfg_schema inner_schema = { inner_items, sizeof(struct inner), 0, NULL };
static const struct cfg_item thing_items[] = {
	{ "wait", CFG_DURATION, FIELD(thing, wait_s), .unit = 1000, .min = 1, .max = 3600,
	  .def = "90s", .restart = true, .doc = "How long." },
	{ "port", CFG_UINT, FIELD(thing, port), .min = 1, .max = 65535, .def = "53",
	  .doc = "A port." },
	{ "colour", CFG_ENUM, FIELD(thing, colour), .words = colours, .def = "green",
	  .doc = "A colour." },
	{ "mode", CFG_OCTAL, FIELD(thing, mode), .max = 0777, .def = "0660", .doc = "A mode." },
	{ "inner", CFG_MAP, FIELD(thing, inner), .sub = &inner_schema, .doc = "More." },
	{ "id", CFG_ID, FIELD(thing, id), .doc = "An id." },
	{ "name", CFG_NAME, FIELD(thing, name), .doc = "A name." },
	{ "host", CFG_HOST, FIELD(thing, host), .doc = "A host." },
	{ "addr", CFG_ADDR, FIELD(thing, addr), .doc = "An address." },
	{ "servers", CFG_HOSTPORT, .list = true, .one_ok = true, LIST(servers, n_servers, 4),
	  .restart = true, .doc = "Servers." },
	{ "nets", CFG_CIDR, .list = true, LIST(nets, n_nets, 4), .doc = "Networks." },
	{ "pets", CFG_MAP_LIST, LIST(pets, n_pets, 3), .sub = &pet_schema, .restart = true,
	  .example = "- rex, 3", .doc = "Pets." },
	{ 0 },
};
static const struct cfg_schema schema = { thing_items, sizeof(struct thing), 0, NULL };

/* What was reported, a line each: "W3:5 key: text". */
struct seen {
	char text[60000];
	size_t len;
};

static void on_report(void *ctx, bool warning, unsigned line, unsigned col, const char *key,
		      const char *text)
{
	struct seen *s = ctx;

	s->len += (size_t)snprintf(s->text + s->len, sizeof(s->text) - s->len, "%s%u:%u %s: %s\n",
				   warning ? "W" : "", line, col, key, text);
	assert_true(s->len < sizeof(s->text));
}

struct fixture {
	struct cfg cfg;
	struct thing t;
	struct seen seen;
};

static struct fixture f;

static int read_text(const char *text, size_t len)
{
	memset(&f, 0, sizeof(f));
	f.cfg.report = on_report;
	f.cfg.ctx = &f.seen;
	assert_int_equal(cfg_defaults(&schema, &f.t), 0);
	return cfg_read(&f.cfg, &schema, text, len, &f.t);
}

static int read_str(const char *text)
{
	return read_text(text, strlen(text));
}

static void done(void)
{
	cfg_done(&f.cfg);
	cfg_free(&schema, &f.t);
}

static void t_values_arrive(void **state)
{
	char buf[ADDR_TEXT_MAX];

	(void)state;
	assert_int_equal(read_str("wait: 2m\n"
				  "port: 65535\n"
				  "colour: blue\n"
				  "mode: 0600\n"
				  "inner: { flag: false, text: \"a b\" }\n"
				  "id: A-b_c.9\n"
				  "name: KMS1.Corp.Example.\n"
				  "host: \"2001:DB8::1\"\n"
				  "addr: 192.0.2.1\n"
				  "servers: [ns1.Example, 'ns2:5353', \"[::1]:53\", \"::2\"]\n"
				  "nets: [10.0.0.0/8]\n"
				  "pets:\n"
				  "  - name: rex\n"
				  "    legs: 4\n"
				  "  - tom , 7\n"
				  "  - { name: ann, age: 0 }\n"),
			 0);
	assert_string_equal(f.seen.text, "");
	assert_int_equal(f.t.wait_s, 120);
	assert_int_equal(f.t.port, 65535);
	assert_int_equal(f.t.colour, BLUE);
	assert_int_equal(f.t.mode, 0600);
	assert_false(f.t.inner.flag);
	assert_string_equal(f.t.inner.text, "a b");
	assert_string_equal(f.t.id, "A-b_c.9");
	assert_string_equal(f.t.name, "kms1.corp.example");
	assert_string_equal(f.t.host, "2001:db8::1");
	addr_format(&f.t.addr, buf);
	assert_string_equal(buf, "192.0.2.1:0");
	assert_int_equal(f.t.n_servers, 4);
	assert_string_equal(f.t.servers[0], "ns1.example");
	assert_string_equal(f.t.servers[1], "ns2:5353");
	assert_string_equal(f.t.servers[2], "[::1]:53");
	assert_string_equal(f.t.servers[3], "::2");
	assert_int_equal(f.t.n_nets, 1);
	assert_int_equal(f.t.n_pets, 3);
	assert_string_equal(f.t.pets[0].name, "rex");
	assert_int_equal(f.t.pets[0].age, 1);
	assert_int_equal(f.t.pets[0].legs, 4);
	assert_int_equal(f.t.pets[0].line, 13);
	assert_string_equal(f.t.pets[1].name, "tom");
	assert_int_equal(f.t.pets[1].age, 7);
	assert_int_equal(f.t.pets[1].legs, -1);
	assert_int_equal(f.t.pets[2].age, 0);
	assert_int_equal(f.t.pets[2].line, 16);
	done();
}

static void t_defaults_stay(void **state)
{
	(void)state;
	/* BOM, CRLF, a comment, an open section, one value for a list */
	assert_int_equal(read_str("\xef\xbb\xbf# text\r\n\r\ninner:\r\npets:\r\nservers: ns1\r\n"),
			 0);
	assert_string_equal(f.seen.text, "");
	assert_int_equal(f.t.wait_s, 90);
	assert_int_equal(f.t.port, 53);
	assert_int_equal(f.t.colour, GREEN);
	assert_true(f.t.inner.flag);
	assert_null(f.t.inner.text);
	assert_int_equal(f.t.n_servers, 1);
	done();
}

static const struct {
	const char *text, *want;
} mistakes[] = {
	{ "prot: 5", "1:1 prot: unknown key, did you mean port?\n" },
	{ "inner: { falg: true }", "1:10 inner.falg: unknown key, did you mean flag?\n" },
	{ "inner: { whatever: 1 }",
	  "1:10 inner.whatever: unknown key; allowed here: flag, text\n" },
	{ "inner: { old: 1 }", "1:10 inner.old: this is gone; use text\n" },
	{ "port: 1\nport: 2", "2:1 port: given twice; keep one of them\n" },
	{ "port: 0", "1:7 port: '0' is out of range, 1 to 65535 is allowed\n" },
	{ "port: 65536", "1:7 port: '65536' is out of range, 1 to 65535 is allowed\n" },
	{ "port: 99999999999999999999",
	  "1:7 port: '99999999999999999999' is out of range, 1 to 65535 is allowed\n" },
	{ "port: 010", "1:7 port: '010' is not a number, 1 to 65535 is allowed\n" },
	{ "port: 0x10", "1:7 port: '0x10' is not a number, 1 to 65535 is allowed\n" },
	{ "port: -1", "1:7 port: '-1' is not a number, 1 to 65535 is allowed\n" },
	{ "port:", "1:6 port: has no value; give one, or leave the key out; allowed: 1 to "
		   "65535\n" },
	{ "port: ~", "1:7 port: has no value; give one, or leave the key out; allowed: 1 to "
		     "65535\n" },
	{ "port: [1]", "1:7 port: one value is needed here, not a list; allowed: 1 to 65535\n" },
	{ "wait: 10", "1:7 wait: '10' needs a unit: ms, s, m, h or d; 1s to 1h is allowed\n" },
	{ "wait: 1500ms", "1:7 wait: '1500ms' is not a multiple of 1s; 1s to 1h is allowed\n" },
	{ "wait: 2h", "1:7 wait: '2h' is out of range, 1s to 1h is allowed\n" },
	{ "wait: 0s", "1:7 wait: '0s' is out of range, 1s to 1h is allowed\n" },
	{ "wait: soon", "1:7 wait: 'soon' is no duration; a whole number with ms, s, m, h "
			"or d is allowed, 1s to 1h\n" },
	{ "wait: 99999999999999999999d",
	  "1:7 wait: '99999999999999999999d' is no duration; a whole number with ms, s, m, "
	  "h or d is allowed, 1s to 1h\n" },
	{ "colour: Red", "1:9 colour: 'Red' is not known here, red, green or blue is allowed\n" },
	{ "mode: 1777", "1:7 mode: '1777' is out of range, up to 0777 is allowed\n" },
	{ "mode: rw", "1:7 mode: 'rw' is no mode; octal digits such as \"0660\" are "
		      "allowed\n" },
	{ "inner: { flag: yes }", "1:16 inner.flag: 'yes' is neither true nor false\n" },
	{ "inner: { text: 12345678901 }",
	  "1:16 inner.text: has 11 characters, 1 to 10 are allowed\n" },
	{ "inner: { text: '' }", "1:16 inner.text: has 0 characters, 1 to 10 are allowed\n" },
	{ "inner: { text: \"a\\0b\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\nb\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\Pb\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\u2028b\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\Nb\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\x9bb\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\uFEFFb\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: { text: \"a\\uFFFEb\" }",
	  "1:16 inner.text: holds a control character, a line break or a zero byte; none "
	  "is allowed\n" },
	{ "inner: 5", "1:8 inner: settings are needed here, such as `flag: ...`\n" },
	{ "id: a b", "1:5 id: 'a b' is no name of ours; up to 64 letters, digits, '-', '_' "
		     "and '.' are allowed, a letter or digit first\n" },
	{ "name: a..b", "1:7 name: 'a..b' is no DNS name; labels of 1 to 63 letters, "
			"digits, '-' and '_' are allowed, with dots between\n" },
	{ "name: 192.0.2.1", "1:7 name: '192.0.2.1' looks like an address, a name is needed\n" },
	{ "name: b\xc3\xbc.example", "1:7 name: 'b\xc3\xbc.example' has letters beyond "
				     "ASCII, write its xn-- form\n" },
	{ "host: kms:1688", "1:7 host: 'kms:1688' is neither a name nor an address; no "
			    "port is allowed here\n" },
	{ "addr: 192.0.2.1:53",
	  "1:7 addr: '192.0.2.1:53' has a port, an address alone is allowed\n" },
	{ "addr: '[::1]:0'", "1:7 addr: '[::1]:0' has a port, an address alone is allowed\n" },
	{ "addr: kms", "1:7 addr: 'kms' is not an address; IPv4 or IPv6 is allowed, no name\n" },
	{ "servers: ns:0", "1:10 servers[0]: port 0 is not allowed, 1 to 65535 is\n" },
	{ "servers: 'ns:'", "1:10 servers[0]: 'ns:' is not allowed; HOST, HOST:PORT or "
			    "[IPV6]:PORT is\n" },
	{ "servers: [a, b, A.]", "1:17 servers[2]: 'a' is given twice\n" },
	{ "servers: []", "1:10 servers: an empty list; give an entry, or leave the key out\n" },
	{ "servers:", "1:9 servers: a list is needed here: [a, b]\n" },
	{ "nets: 10.0.0.0/8", "1:7 nets: a list is needed here: [a, b]\n" },
	{ "nets: [1.0.0.0/8, 2.0.0.0/8, 3.0.0.0/8, 4.0.0.0/8, 5.0.0.0/8]",
	  "1:7 nets: has 5 entries, 4 are allowed\n" },
	{ "nets: [10.0.0.1/8]",
	  "1:8 nets[0]: '10.0.0.1/8' is not a network; ADDRESS/BITS is allowed, with zeros "
	  "behind the bits, or an address alone\n" },
	{ "pets: { name: a }", "1:7 pets: a list is needed here: lines that begin with -\n" },
	{ "pets:\n  - age: 5", "2:5 pets[0].name: is missing: Its name.\n" },
	{ "pets:\n  - a\n  - b\n  - a, 5", "4:5 pets[2].name: 'a' is given twice\n" },
	{ "pets: ['a, 1, 2']", "1:8 pets[0]: has too many commas; allowed is name,age\n" },
	{ "pets: ['a, ']", "1:8 pets[0].age: '' is not a number, 0 to 99 is allowed\n" },
	{ "pets: [',5']", "1:8 pets[0].name: '' is no name of ours; up to 64 letters, "
			  "digits, '-', '_' and '.' are allowed, a letter or digit first\n" },
	{ "? [a]\n: b", "1:3 : a key must be one word\n" },
};

static void t_each_mistake_has_its_sentence(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		assert_int_equal(read_str(mistakes[i].text), 0);
		assert_string_equal(f.seen.text, mistakes[i].want);
		assert_int_equal(f.cfg.n_errors, 1);
		/* what was wrong keeps its default */
		assert_int_equal(f.t.port, strncmp(mistakes[i].text, "port: 1\n", 8) == 0 ? 1 : 53);
		done();
	}
}

static void t_what_is_no_document(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "", "1:1 : the file is empty; it needs at least one setting\n" },
		{ "# a comment\n", "1:1 : the file is empty; it needs at least one setting\n" },
		{ "---\n", "1:1 : the file is empty; it needs at least one setting\n" },
		{ "port: 1\n---\nport: 2\n", "2:1 : a second document (---); one is allowed\n" },
		{ "port: &a 1\nwait: *a\n",
		  "1:7 : anchors (&) are not allowed; write the value out\n"
		  "2:7 : aliases (*) are not allowed; write the value out\n" },
		{ "nets: &x [a]\ninner: &y {a: b}\n",
		  "1:7 : anchors (&) are not allowed; write the value out\n"
		  "2:8 : anchors (&) are not allowed; write the value out\n" },
		{ "port: !!int 5\n", "1:7 : tags (!) are not allowed; leave it out\n" },
		{ "inner:\n\tflag: true\n", "2:1 : a tab in the indentation, which YAML does not "
					    "allow; use blanks\n" },
		{ "port: 'abc\n", "2:1 : this is no YAML: found unexpected end of stream (while "
				  "scanning a quoted scalar that begins in line 1)\n" },
		{ "port: 5\n  wait: 6\n", "2:7 : this is no YAML: mapping values are not allowed "
					  "in this context\n" },
		{ "port: 5\nname: \xff\xfe\n",
		  "2:7 : this is no text: invalid leading UTF-8 octet; UTF-8 is allowed\n" },
		{ "a: [[[[[[[[[[[[[[[[[[[[[[", "1:19 : more than 16 maps and lists within each "
					       "other\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_str(rows[i].text), ERR_CONFIG);
		assert_string_equal(f.seen.text, rows[i].want);
		done();
	}
	assert_int_equal(read_str("5"), 0);
	assert_string_equal(f.seen.text, "1:1 : settings are needed here, such as `wait: ...`\n");
	done();
}

static void t_size_is_bounded(void **state)
{
	char *big = malloc(CFG_SIZE_MAX + 1);

	(void)state;
	assert_non_null(big);
	memset(big, '#', CFG_SIZE_MAX + 1);
	memcpy(big, "port: 7\n", 8);
	assert_int_equal(read_text(big, CFG_SIZE_MAX), 0);
	assert_int_equal(f.t.port, 7);
	done();
	assert_int_equal(read_text(big, CFG_SIZE_MAX + 1), ERR_CONFIG);
	assert_string_equal(f.seen.text, "1:1 : the file has 1048577 bytes, 1048576 are allowed\n");
	done();
	free(big);
}

static void count_report(void *ctx, bool warning, unsigned line, unsigned col, const char *key,
			 const char *text)
{
	(void)warning;
	(void)line;
	(void)col;
	(void)key;
	(void)text;
	++*(unsigned *)ctx;
}

static void t_many_errors(void **state)
{
	char *text = malloc(CFG_SIZE_MAX);
	unsigned calls = 0;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	while (len + 8 < CFG_SIZE_MAX) {
		memcpy(text + len, "zz: 1\n", 6);
		len += 6;
	}
	memset(&f, 0, sizeof(f));
	f.cfg.report = count_report;
	f.cfg.ctx = &calls;
	assert_int_equal(cfg_read(&f.cfg, &schema, text, len, &f.t), 0);
	assert_int_equal(calls, len / 6);
	assert_int_equal(f.cfg.n_errors, len / 6);
	assert_true(cfg_is_bad(&f.cfg, "anything")); /* nobody knows any more */
	cfg_complain(&f.cfg, false, &f.t.port, "still counted");
	assert_int_equal(calls, len / 6 + 1);
	done();
	free(text);
}

static void t_complaints_know_their_place(void **state)
{
	(void)state;
	assert_int_equal(read_str("port: 9\n"
				  "inner:\n"
				  "  flag: true\n"
				  "pets:\n"
				  "  - rex\n"
				  "  - name: tom\n"
				  "    age: 5\n"
				  "servers: [a, b]\n"),
			 0);
	cfg_complain(&f.cfg, false, &f.t.port, "n=%d", 1);
	cfg_complain(&f.cfg, true, &f.t.inner.flag, "warned");
	cfg_complain(&f.cfg, false, &f.t.inner.text, "not given");
	cfg_complain(&f.cfg, false, &f.t.name, "not given");
	cfg_complain(&f.cfg, false, &f.t.pets[0].legs, "not given");
	cfg_complain(&f.cfg, false, &f.t.pets[1].age, "given");
	cfg_complain(&f.cfg, false, &f.t.servers[1], "an item");
	cfg_complain(&f.cfg, false, &f.t.servers, "a list");
	cfg_complain(&f.cfg, false, &f.t.pets, "a list");
	assert_string_equal(f.seen.text, "1:7 port: n=1\n"
					 "W3:9 inner.flag: warned\n"
					 "2:1 inner.text: not given\n"
					 "1:1 name: not given\n"
					 "5:5 pets[0].legs: not given\n"
					 "7:10 pets[1].age: given\n"
					 "8:14 servers[1]: an item\n"
					 "8:10 servers: a list\n"
					 "5:3 pets: a list\n");
	assert_true(cfg_given(&f.cfg, &f.t.inner.flag));
	assert_false(cfg_given(&f.cfg, &f.t.inner.text));
	assert_true(cfg_given(&f.cfg, &f.t.pets));
	assert_false(cfg_given(&f.cfg, &f.t.nets));
	assert_true(cfg_is_bad(&f.cfg, "pets"));
	assert_true(cfg_is_bad(&f.cfg, "pets[0]"));
	assert_false(cfg_is_bad(&f.cfg, "pets[2]"));
	assert_false(cfg_is_bad(&f.cfg, "pet"));
	assert_false(cfg_is_bad(&f.cfg, "nets"));
	done();
}

static char *printed(void (*print)(const struct cfg_schema *s, FILE *out), const void *src)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	if (print != NULL)
		print(&schema, out);
	else
		cfg_dump(&schema, src, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void t_dump_reads_back(void **state)
{
	static const char want[] = "wait: 2m\n"
				   "port: 53\n"
				   "colour: green\n"
				   "mode: \"0660\"\n"
				   "inner:\n"
				   "  flag: true\n"
				   "  text: \"a \\\"\\\\ b\"\n"
				   "id: \"on\"\n"
				   "addr: \"::1\"\n"
				   "servers: [ns1, \"[::1]:5\"]\n"
				   "pets:\n"
				   "  - name: rex\n"
				   "    age: 1\n"
				   "    legs: 4\n"
				   "  - name: \"007\"\n"
				   "    age: 3\n";
	char *text, *again;

	(void)state;
	assert_int_equal(
		read_str("{wait: 120s, inner: {text: 'a \"\\ b'}, id: on, addr: '::1', "
			 "servers: [ns1, '[::1]:5'], pets: [{name: rex, legs: 4}, '007, 3']}"),
		0);
	assert_string_equal(f.seen.text, "");
	text = printed(NULL, &f.t);
	assert_string_equal(text, want);
	done();
	assert_int_equal(read_str(text), 0);
	assert_string_equal(f.seen.text, "");
	again = printed(NULL, &f.t);
	assert_string_equal(again, want);
	done();
	free(text);
	free(again);
}

static void t_example_and_manual(void **state)
{
	char *text = printed(cfg_print_example, NULL);

	(void)state;
	assert_non_null(strstr(text,
			       "# How long. Allowed: 1s to 1h. Default: 90s. A change needs a "
			       "restart.\n#wait: 90s\n"));
	assert_non_null(strstr(text, "\n# More.\ninner:\n  # A flag. Default: true.\n  #flag: "
				     "true\n"));
	assert_non_null(strstr(text,
			       "pets:\n  #- rex, 3\n  # Its name. Must be given.\n  #- name:"
			       "\n    # Years. Allowed: 0 to 99. Default: 1.\n    #age: 1\n"));
	assert_null(strstr(text, "gone")); /* what is refused is not offered */
	free(text);
	text = printed(cfg_print_manual, NULL);
	assert_non_null(strstr(text, ".TP\n\\fBinner.flag\\fR\nA flag. Default: true.\n"));
	assert_non_null(strstr(text, ".TP\n\\fBpets[].age\\fR\n"));
	free(text);
}

static void on_change(void *ctx, const char *key)
{
	char *all = ctx;
	size_t len = strlen(all);

	(void)snprintf(all + len, 200 - len, "%s ", key);
}

static void t_need_restart(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "port: 5", "" }, /* a reload applies it */
		{ "wait: 90s", "" },
		{ "wait: 91s", "wait " },
		{ "inner: { text: a, flag: false }", "inner.text " },
		{ "servers: a", "servers " },
		{ "pets: [rex]\nservers: [a, b]", "servers pets " },
	};
	struct thing base = { 0 };

	(void)state;
	assert_int_equal(cfg_defaults(&schema, &base), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char changes[200] = "";

		assert_int_equal(read_str(rows[i].text), 0);
		cfg_need_restart(&schema, &base, &f.t, on_change, changes);
		assert_string_equal(changes, rows[i].want);
		changes[0] = '\0';
		cfg_need_restart(&schema, &f.t, &f.t, on_change, changes);
		assert_string_equal(changes, "");
		done();
	}
	cfg_free(&schema, &base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_values_arrive),
		cmocka_unit_test(t_defaults_stay),
		cmocka_unit_test(t_each_mistake_has_its_sentence),
		cmocka_unit_test(t_what_is_no_document),
		cmocka_unit_test(t_size_is_bounded),
		cmocka_unit_test(t_many_errors),
		cmocka_unit_test(t_complaints_know_their_place),
		cmocka_unit_test(t_dump_reads_back),
		cmocka_unit_test(t_example_and_manual),
		cmocka_unit_test(t_need_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
