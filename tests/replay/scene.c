/* The scene: who is there, and what is in DNS before it begins. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "kmscore/kms.h"
#include "tests/replay/replay.h"

#define KEY_LEN 32

static bool check_address(const char *word, uint16_t port, char why[WHY_MAX])
{
	struct addr a;

	if (addr_parse(word, port, &a) == 0)
		return true;
	(void)snprintf(why, WHY_MAX, "'%s' is no address", word);
	return false;
}

static bool check_number(const char *word, uint64_t max, char why[WHY_MAX])
{
	uint64_t n;

	if (text_number(word, max, &n))
		return true;
	(void)snprintf(why, WHY_MAX, "'%s' is no number up to %llu", word, (unsigned long long)max);
	return false;
}

static enum step do_nothing(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)st;
	return STEP_DONE;
}

static bool check_seed(const struct stmt *st, char why[WHY_MAX])
{
	return check_number(st->word[1], UINT64_MAX, why);
}

/* ---- own, server, resolver, host, lab, client ---- */

static bool check_own(const struct stmt *st, char why[WHY_MAX])
{
	return check_address(st->word[1], 0, why);
}

static enum step do_own(struct play *p, const struct stmt *st)
{
	if (p->n_own == OWN_MAX)
		return play_fail(p, "more than %d addresses", OWN_MAX);
	(void)addr_parse(st->word[1], 0, &p->own[p->n_own++]);
	return STEP_DONE;
}

static bool check_player(const struct stmt *st, char why[WHY_MAX])
{
	return check_address(st->word[2], KMS_PORT, why);
}

static enum step do_server(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)sim_dns_server(st->word[1], st->word[2]);
	return STEP_DONE;
}

static bool check_resolver(const struct stmt *st, char why[WHY_MAX])
{
	if (st->n == 4 && strcmp(st->word[3], "cache") != 0) {
		(void)snprintf(why, WHY_MAX, "'%s' instead of `cache`", st->word[3]);
		return false;
	}
	return check_player(st, why);
}

static enum step do_resolver(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)sim_resolver(st->word[1], st->word[2], st->n == 4);
	return STEP_DONE;
}

static enum step do_host(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)sim_kms_host(st->word[1], st->word[2]);
	return STEP_DONE;
}

static enum step do_client(struct play *p, const struct stmt *st)
{
	(void)p;
	(void)sim_kms_client(st->word[1], st->word[2]);
	return STEP_DONE;
}

static enum step do_lab(struct play *p, const struct stmt *st)
{
	char path[TEXT_MAX];

	(void)snprintf(path, sizeof(path), "%s/lab.key", p->dir);
	if (access(path, F_OK) != 0)
		play_write_file(
			p, path,
			"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n", 0600);
	sim_kms_lab(sim_kms_host(st->word[1], st->word[2]), path);
	return STEP_DONE;
}

/* ---- zones ---- */

static bool check_zone(const struct stmt *st, char why[WHY_MAX])
{
	if (st->n > 3 && strcmp(st->word[st->n - 1], "key") == 0) {
		(void)snprintf(why, WHY_MAX, "which key?");
		return false;
	}
	return true;
}

/* A BIND key file; its secret comes from its name. */
static void key_text(const char *name, char ret[TEXT_MAX])
{
	uint8_t secret[KEY_LEN];
	unsigned char base64[4 * KEY_LEN];

	for (size_t i = 0; i < KEY_LEN; i++)
		secret[i] = (uint8_t)(name[i % strlen(name)] + (char)i);
	(void)EVP_EncodeBlock(base64, secret, KEY_LEN);
	(void)snprintf(ret, TEXT_MAX, "key \"%s\" { algorithm hmac-sha256; secret \"%s\"; };\n",
		       name, base64);
}

static enum step do_zone(struct play *p, const struct stmt *st)
{
	struct sim_dns_server *servers[WORDS_MAX];
	const char *key_name = NULL, *view = NULL;
	char key[TEXT_MAX];
	size_t n = 0;

	for (size_t i = 2; i < st->n; i++) {
		if (strcmp(st->word[i], "key") == 0 && i + 1 < st->n) {
			key_name = st->word[++i];
		} else if (strcmp(st->word[i], "from") == 0 && i + 1 < st->n) {
			view = st->word[++i];
		} else {
			servers[n] = sim_dns_find(st->word[i]);
			if (servers[n++] == NULL)
				return play_fail(p, "there is no server '%s'", st->word[i]);
		}
	}
	if (n == 0)
		return play_fail(p, "a zone has a server at least");
	if (key_name != NULL)
		key_text(key_name, key);
	(void)sim_zone(st->word[1], servers, n, key_name != NULL ? key : NULL, view);
	return STEP_DONE;
}

/* Relative to its zone, unless a dot ends it. */
static void full_name(const char *owner, const char *zone, char ret[TEXT_MAX])
{
	size_t len = strlen(owner);

	if (len > 0 && owner[len - 1] == '.')
		(void)snprintf(ret, TEXT_MAX, "%.*s", (int)len - 1, owner);
	else if (strcmp(owner, "@") == 0)
		(void)snprintf(ret, TEXT_MAX, "%s", zone);
	else
		(void)snprintf(ret, TEXT_MAX, "%s.%s", owner, zone);
}

static bool check_record(const struct stmt *st, char why[WHY_MAX])
{
	return check_number(st->word[3], UINT32_MAX, why);
}

static enum step do_record(struct play *p, const struct stmt *st)
{
	struct sim_zone *z = sim_zone_find(st->word[1]);
	char owner[TEXT_MAX], rdata[TEXT_MAX];
	uint64_t ttl;

	if (z == NULL)
		return play_fail(p, "there is no zone '%s'", st->word[1]);
	full_name(st->word[2], st->word[1], owner);
	text_join(st, 5, st->n, rdata);
	(void)text_number(st->word[3], UINT32_MAX, &ttl);
	sim_zone_add(z, owner, st->word[4], (uint32_t)ttl, rdata);
	return STEP_DONE;
}

static enum step do_unrecord(struct play *p, const struct stmt *st)
{
	struct sim_zone *z = sim_zone_find(st->word[1]);
	char owner[TEXT_MAX], rdata[TEXT_MAX];

	if (z == NULL)
		return play_fail(p, "there is no zone '%s'", st->word[1]);
	full_name(st->word[2], st->word[1], owner);
	text_join(st, 4, st->n, rdata);
	sim_zone_delete(z, owner, st->word[3], st->n > 4 ? rdata : NULL);
	return STEP_DONE;
}

/* ---- files ---- */

void play_write_file(struct play *p, const char *path, const char *text, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len)
		(void)play_fail(p, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		(void)close(fd);
}

/* "@KEY(NAME)": the path of its file. */
static size_t fill_key(struct play *p, const char *at, struct buf *out)
{
	size_t n = strcspn(at, ")");
	char name[64], path[TEXT_MAX], text[TEXT_MAX];

	(void)snprintf(name, sizeof(name), "%.*s", (int)n, at);
	(void)snprintf(path, sizeof(path), "%s/%s.key", p->dir, name);
	key_text(name, text);
	if (*name != '\0')
		play_write_file(p, path, text, 0600);
	(void)buf_printf(out, "%s", path);
	return n + (at[n] == ')');
}

char *play_fill(struct play *p, const char *text)
{
	struct buf out;
	char *made;

	buf_init(&out, 1u << 20);
	while (*text != '\0') {
		if (strncmp(text, "@DIR", 4) == 0) {
			(void)buf_printf(&out, "%s", p->dir);
			text += 4;
		} else if (strncmp(text, "@KEY(", 5) == 0) {
			text += 5;
			text += fill_key(p, text, &out);
		} else {
			(void)buf_append(&out, text++, 1);
		}
	}
	(void)buf_append(&out, "", 1);
	made = sim_alloc(out.len);
	memcpy(made, out.data, out.len);
	buf_done(&out);
	return made;
}

static enum step do_config(struct play *p, const struct stmt *st)
{
	p->config = play_fill(p, st->block);
	return STEP_DONE;
}

static enum step do_file(struct play *p, const struct stmt *st)
{
	play_write_file(p, play_fill(p, st->word[1]), play_fill(p, st->block), 0644);
	return STEP_DONE;
}

const struct verb verbs_scene[] = {
	{ .name = "title", .min = 2, .form = "title TEXT", .begin = do_nothing },
	{ .name = "rule", .min = 2, .form = "rule TEXT", .begin = do_nothing },
	{ "seed", 2, 2, "seed N", false, check_seed, do_nothing, NULL, false },
	{ "own", 2, 2, "own ADDRESS", false, check_own, do_own, NULL, false },
	{ "server", 3, 3, "server NAME ADDRESS", false, check_player, do_server, NULL, false },
	{ "resolver", 3, 4, "resolver NAME ADDRESS [cache]", false, check_resolver, do_resolver,
	  NULL, false },
	{ "host", 3, 3, "host NAME ADDRESS:PORT", false, check_player, do_host, NULL, false },
	{ "lab", 3, 3, "lab NAME ADDRESS:PORT", false, check_player, do_lab, NULL, false },
	{ "client", 3, 3, "client NAME ADDRESS", false, check_player, do_client, NULL, false },
	{ .name = "zone",
	  .min = 3,
	  .form = "zone APEX SERVER... [key NAME] [from ADDRESS]",
	  .check = check_zone,
	  .begin = do_zone },
	{ .name = "record",
	  .min = 6,
	  .form = "record ZONE OWNER TTL TYPE RDATA",
	  .check = check_record,
	  .begin = do_record },
	{ .name = "unrecord",
	  .min = 4,
	  .form = "unrecord ZONE OWNER TYPE [RDATA]",
	  .begin = do_unrecord },
	{ "config", 1, 1, "config <<", true, NULL, do_config, NULL, false },
	{ "file", 2, 2, "file PATH <<", true, NULL, do_file, NULL, false },
	{ 0 },
};
