/*
 * What a daemon answers, whoever it is: the first octet picks a command, the rest is sent to it.
 * Each command ends with an exit code of its own; prints nothing that a terminal obeys; and with
 * --json only objects, one a line, with --prometheus only lines of that format.
 */
#include <ctype.h>
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/file.h"
#include "common/utf8.h"
#include "tests/fuzz/fuzz.h"

#define WORDS_MAX 4
#define INPUT_MAX 16384

static const char *const commands[][WORDS_MAX] = {
	{ "status" },
	{ "status", "--json" },
	{ "status", "--dlv" },
	{ "status", "--prometheus" },
	{ "events" },
	{ "events", "--json" },
	{ "drain" },
	{ "drain", "--json", "kms1" },
	{ "resume" },
	{ "resume", "kms1" },
	{ "reload" },
	{ "publish" },
	{ "publish", "--json", "--dry-run" },
	{ "withdraw", "--orphans" },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static char dir[] = "/tmp/kmsbeacon-answer-XXXXXX";
static char config[64];
static struct sockaddr_un at = { .sun_family = AF_UNIX };
static int listener;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t answer[INPUT_MAX];
static size_t answer_len;

static void cleanup(void)
{
	(void)unlink(at.sun_path);
	(void)unlink(config);
	(void)rmdir(dir);
}

/* One after the other: the command asks again only when it has its answer. */
static void *serve(void *ctx)
{
	char c = '\0';
	int fd;

	(void)ctx;
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while (c != '\n' && recv(fd, &c, 1, 0) == 1)
			;
		c = '\0';
		(void)pthread_mutex_lock(&lock);
		(void)send(fd, answer, answer_len, MSG_NOSIGNAL);
		(void)pthread_mutex_unlock(&lock);
		(void)shutdown(fd, SHUT_WR);
		(void)close(fd);
	}
	return NULL;
}

static void set_up(void)
{
	char text[256];
	pthread_t thread;
	int n;

	FUZZ_CHECK(mkdtemp(dir) != NULL);
	(void)atexit(cleanup);
	(void)snprintf(config, sizeof(config), "%s/config", dir);
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/socket", dir);
	n = snprintf(text, sizeof(text),
		     "node: { state_dir: %s, control: { socket: %s } }\n"
		     "discovery: { resolvers: [127.0.0.1:9] }\n",
		     dir, at.sun_path);
	FUZZ_CHECK(file_replace(config, text, (size_t)n) == 0);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FUZZ_CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0);
	FUZZ_CHECK(listen(listener, 4) == 0);
	FUZZ_CHECK(pthread_create(&thread, NULL, serve, NULL) == 0);
}

/* ---- what it printed ---- */

struct printed {
	char *text;
	size_t len;
	FILE *f;
};

static void check_plain(const struct printed *p)
{
	for (size_t i = 0; i < p->len; i++) {
		unsigned char c = (unsigned char)p->text[i];

		FUZZ_CHECK(c == '\n' || (c >= 0x20 && c != 0x7f));
		if (c < 0x80)
			continue;
		FUZZ_CHECK(utf8_len((const unsigned char *)p->text + i) > 0);
		i += utf8_len((const unsigned char *)p->text + i) - 1;
	}
}

static void check_json(const char *line)
{
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	FUZZ_CHECK(json_is_object(root));
	json_decref(root);
}

static const char *metric_name(const char *p)
{
	size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789_");

	FUZZ_CHECK(strncmp(p, "kmsbeacon_", 10) == 0);
	return p + n;
}

/* kmsbeacon_name{label="value",...} number */
static void check_sample(const char *line)
{
	const char *p = metric_name(line);
	char *end;

	for (char before = '{'; *p == before; before = ',') {
		p++;
		FUZZ_CHECK(islower((unsigned char)*p));
		p += strspn(p, "abcdefghijklmnopqrstuvwxyz_");
		FUZZ_CHECK(p[0] == '=' && p[1] == '"');
		for (p += 2; *p != '"'; p++) {
			FUZZ_CHECK(*p != '\0');
			if (*p == '\\')
				FUZZ_CHECK(*++p == '\\' || *p == '"' || *p == 'n');
		}
		p++;
	}
	p += *p == '}';
	FUZZ_CHECK(*p++ == ' ' && *p != '\0');
	(void)strtod(p, &end);
	FUZZ_CHECK(*end == '\0' && strpbrk(p, "nN") == NULL);
}

static void check_metric(const char *line)
{
	if (strncmp(line, "# HELP ", 7) == 0)
		FUZZ_CHECK(*metric_name(line + 7) == ' ');
	else if (strncmp(line, "# TYPE ", 7) == 0)
		FUZZ_CHECK(strcmp(metric_name(line + 7), " gauge") == 0 ||
			   strcmp(metric_name(line + 7), " counter") == 0);
	else
		check_sample(line);
}

static void check_lines(struct printed *p, void (*check)(const char *line))
{
	char *line = p->text, *end;

	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		check(line);
		line = end + 1;
	}
	FUZZ_CHECK(*line == '\0');
}

/* ---- one run ---- */

static int run(const char *const *words, struct printed *out, struct printed *err)
{
	static char program[] = "kmsbeacon", dash_c[] = "-c";
	FILE *real_out = stdout, *real_err = stderr;
	char copy[WORDS_MAX][16];
	char *argv[WORDS_MAX + 4] = { program };
	int argc = 1, code;

	for (size_t i = 0; i < WORDS_MAX && words[i] != NULL; i++) {
		(void)snprintf(copy[i], sizeof(copy[i]), "%s", words[i]);
		argv[argc++] = copy[i];
	}
	argv[argc++] = dash_c;
	argv[argc++] = config;
	out->f = open_memstream(&out->text, &out->len);
	err->f = open_memstream(&err->text, &err->len);
	FUZZ_CHECK(out->f != NULL && err->f != NULL);
	optind = 0; /* getopt begins anew */
	stdout = out->f;
	stderr = err->f;
	code = cli_main(argc, argv);
	stdout = real_out;
	stderr = real_err;
	FUZZ_CHECK(fclose(out->f) == 0 && fclose(err->f) == 0);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct printed out = { 0 }, err = { 0 };
	const char *const *words;
	int code;

	if (config[0] == '\0')
		set_up();
	if (size < 1 || size > INPUT_MAX)
		return 0;
	words = commands[data[0] % COMMANDS];
	(void)pthread_mutex_lock(&lock); /* a client that has gone may still be served */
	memcpy(answer, data + 1, size - 1);
	answer_len = size - 1;
	(void)pthread_mutex_unlock(&lock);
	code = run(words, &out, &err);
	FUZZ_CHECK(code >= 0 && code <= CLI_USAGE);
	FUZZ_CHECK(code == 0 || out.len + err.len > 0);
	check_plain(&err);
	if (words[1] != NULL && strcmp(words[1], "--json") == 0) {
		check_lines(&out, check_json);
		goto out; /* JSON has its own escapes */
	}
	check_plain(&out);
	if (words[1] != NULL && strcmp(words[1], "--prometheus") == 0)
		check_lines(&out, check_metric);
out:
	free(out.text);
	free(err.text);
	return 0;
}
