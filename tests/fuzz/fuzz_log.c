/*
 * Text of a peer on its way out: a value neither ends a line nor forges a field of it, the JSON
 * form of the line is JSON and has the value in it, machine names cross UTF-16 unharmed, and a
 * field of an event is one field.
 */
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

#include "common/log.h"
#include "common/utf8.h"
#include "kmscore/events.h"
#include "kmscore/utf16.h"
#include "tests/fuzz/fuzz.h"

#define TEXT_MAX 4096
#define SHORT    400 /* a line takes it whole, however it is escaped */
#define UNITS    64
#define FIELDS   9

static const struct log_ctx log_fuzz = { .module = "fuzz", .id = 5 };
static char line[16384];

static void on_line(void *ctx, const char *text)
{
	(void)ctx;
	FUZZ_CHECK(strlen(text) < sizeof(line));
	memcpy(line, text, strlen(text) + 1);
}

/* What a terminal, or a reader of lines, would take for more than text. */
static void check_plain(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		FUZZ_CHECK(*p >= 0x20 && *p != 0x7f);
		if (*p < 0x80)
			continue;
		FUZZ_CHECK(utf8_len(p) > 0);
		p += utf8_len(p) - 1;
	}
}

/* Fields outside of quotes: as many as the call gave, whatever the value says. */
static unsigned count_fields(const char *text)
{
	bool quoted = false;
	unsigned n = 0;

	for (; *text != '\0'; text++) {
		if (*text == '\\' && quoted && text[1] != '\0')
			text++;
		else if (*text == '"')
			quoted = !quoted;
		else if (*text == '=' && !quoted)
			n++;
	}
	FUZZ_CHECK(!quoted);
	return n;
}

static void write_line(enum log_format form, const char *value)
{
	static int null = -1;

	if (null < 0)
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_setup(LOG_INFO, form, null);
	log_set_tap(on_line, NULL);
	log_warning(&log_fuzz, "fuzz.seen", "peer=%s n=%d text=%.*s", value, -3, 20, value);
	check_plain(line);
}

static void check_lines(const char *value)
{
	char mended[TEXT_MAX + 1];
	json_t *root;

	write_line(LOG_TEXT, value);
	FUZZ_CHECK(count_fields(line) <= 3);
	FUZZ_CHECK(strlen(value) > SHORT || count_fields(line) == 3);
	write_line(LOG_JSON, value);
	root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	FUZZ_CHECK(json_is_object(root) && json_object_size(root) <= 8);
	FUZZ_CHECK(json_integer_value(json_object_get(root, "id")) == 5);
	(void)snprintf(mended, sizeof(mended), "%s", value);
	utf8_mend(mended);
	if (strcmp(mended, value) == 0 && strlen(value) <= SHORT)
		FUZZ_CHECK(strcmp(json_string_value(json_object_get(root, "peer")), value) == 0);
	json_decref(root);
}

static void check_mend(const char *value)
{
	char mended[TEXT_MAX + 1];
	json_t *json;

	(void)snprintf(mended, sizeof(mended), "%s", value);
	utf8_mend(mended);
	FUZZ_CHECK(strlen(mended) == strlen(value));
	json = json_string(mended);
	FUZZ_CHECK(json != NULL);
	json_decref(json);
}

static void check_utf16(const char *value, const uint8_t *data, size_t size)
{
	char text[3 * UNITS + 1], again[3 * UNITS + 1];
	uint8_t units[2 * UNITS] = { 0 };
	json_t *json;

	memcpy(units, data, size < sizeof(units) ? size : sizeof(units));
	utf16_get(units, UNITS, text);
	json = json_string(text);
	FUZZ_CHECK(json != NULL);
	json_decref(json);
	utf16_put(units, UNITS, text);
	utf16_get(units, UNITS, again);
	FUZZ_CHECK(strcmp(text, again) == 0);
	utf16_put(units, UNITS, value);
	utf16_get(units, UNITS, text);
	FUZZ_CHECK(strlen(text) <= 3 * UNITS);
}

static void check_event(const char *value, size_t len)
{
	struct kms_event_12290 e = { .machine = value, .n_policy = 25 };
	char text[KMS_EVENT_TEXT_MAX];
	unsigned commas = 0;

	if (len >= sizeof(e.client_ms))
		memcpy(&e.client_ms, value, sizeof(e.client_ms));
	kms_event_format_12290(&e, text);
	for (const char *p = text; *p != '\0'; p++) {
		FUZZ_CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
		commas += *p == ',';
	}
	FUZZ_CHECK(commas == FIELDS - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char value[TEXT_MAX + 1];

	if (size > TEXT_MAX)
		return 0;
	memcpy(value, data, size);
	value[size] = '\0';
	check_lines(value);
	check_mend(value);
	check_utf16(value, data, size);
	check_event(value, size);
	return 0;
}
