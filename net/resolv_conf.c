#include "net/resolv_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/err.h"

#define FILE_MAX (64 * 1024)
#define WORD_MAX 1024

/** The next word of the line at *at, which moves past it. false: none is left. */
static bool next_word(const char **at, const char *end, char word[WORD_MAX])
{
	const char *begin;
	size_t len;

	while (*at < end && strchr(" \t\r\f\v", **at) != NULL && **at != '\0')
		(*at)++;
	begin = *at;
	while (*at < end && (**at == '\0' || strchr(" \t\r\f\v", **at) == NULL))
		(*at)++;
	len = (size_t)(*at - begin);
	if (len == 0 || *begin == '#' || *begin == ';')
		return false;
	/* Longer than any name or address, or with a zero byte: a word that nothing accepts. */
	if (len >= WORD_MAX || memchr(begin, '\0', len) != NULL) {
		begin = "..";
		len = 2;
	}
	memcpy(word, begin, len);
	word[len] = '\0';
	return true;
}

static void add_server(struct resolv_conf *rc, const char *word)
{
	struct addr a;

	if (rc->n_servers == NET_RESOLVERS_MAX || addr_parse(word, NET_DNS_PORT, &a) != ERR_OK ||
	    addr_port(&a) != NET_DNS_PORT) /* the file has no form for another port */
		return;
	rc->servers[rc->n_servers++] = a;
}

static void add_suffix(struct resolv_conf *rc, const char *word)
{
	struct dns_name n;

	if (rc->n_suffixes == RESOLV_SUFFIXES_MAX || dns_name_parse(word, &n) != ERR_OK ||
	    dns_name_is_root(&n))
		return;
	rc->suffixes[rc->n_suffixes++] = n;
}

static void parse_line(struct resolv_conf *rc, const char *at, const char *end)
{
	char keyword[WORD_MAX], word[WORD_MAX];

	if (!next_word(&at, end, keyword))
		return;
	if (strcmp(keyword, "nameserver") == 0) {
		if (next_word(&at, end, word))
			add_server(rc, word);
	} else if (strcmp(keyword, "search") == 0) {
		rc->n_suffixes = 0;
		while (next_word(&at, end, word))
			add_suffix(rc, word);
	} else if (strcmp(keyword, "domain") == 0) {
		rc->n_suffixes = 0;
		if (next_word(&at, end, word))
			add_suffix(rc, word);
	}
}

void resolv_conf_parse(const char *text, size_t len, struct resolv_conf *ret)
{
	const char *at = text, *const end = text + len;

	*ret = (struct resolv_conf){ 0 };
	while (at < end) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		const char *eol = nl != NULL ? nl : end;

		parse_line(ret, at, eol);
		at = nl != NULL ? nl + 1 : end;
	}
	if (ret->n_servers == 0) {
		addr_from_v4(&ret->servers[0], (const uint8_t[]){ 127, 0, 0, 1 }, NET_DNS_PORT);
		ret->n_servers = 1;
	}
}

int resolv_conf_read(const char *path, struct resolv_conf *ret)
{
	char *text = NULL;
	size_t len = 0;
	ssize_t n = 0;
	int err = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		err = -errno;
		goto out;
	}
	text = malloc(FILE_MAX);
	if (text == NULL) {
		err = -ENOMEM;
		goto out;
	}
	while (len < FILE_MAX && (n = read(fd, text + len, FILE_MAX - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		err = -errno;
		len = 0;
	}
out:
	resolv_conf_parse(text != NULL ? text : "", len, ret);
	free(text);
	if (fd >= 0)
		close(fd);
	return err;
}
