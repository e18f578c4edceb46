#include "cli/domain_source.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "resolver/lookup.h"

#define CHUNK 65536

struct domain_source {
	/* a list */
	const char *const *list;
	size_t n_list;
	size_t next;
	/* a file; -1: none */
	int fd;
	bool may_block; /* a pipe or a terminal: asked before it is read */
	uv_poll_t poll;
	bool has_poll;
	void (*ready)(void *ctx);
	void *ctx;
	char chunk[CHUNK];
	size_t at, end; /* what of it is not used yet */
	char line[DOMAIN_LINE_MAX + 1];
	size_t line_len;
	bool too_long; /* the rest of this line is skipped */
	size_t line_no;
	uint64_t size; /* of a regular file; 0: not known */
	uint64_t used;
	bool at_eof;
	int err;
};

/* ---- one name ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static enum domain_next bad(struct domain_item *it, const char *problem)
{
	it->name.len = 0;
	(void)snprintf(it->problem, sizeof(it->problem), "%s", problem);
	return DOMAIN_BAD;
}

static enum domain_next too_long(struct domain_item *it)
{
	return bad(it, "is too long for a domain name");
}

/** What is certainly a slip in a list of domains, though DNS itself would take it. */
static enum domain_next look_at_octets(const char *text, size_t len, struct domain_item *it)
{
	static const char fine[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789-_.";

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\\') {
			i++; /* whatever it is, it is meant */
			continue;
		}
		if (c == 0)
			return bad(it, "has a zero octet: save the file as UTF-8 or ASCII");
		if (c >= 0x80)
			return bad(it, "is not ASCII: write it in its xn-- form");
		if (is_blank((char)c))
			return bad(it, "is more than one word: one domain a line");
		if (strchr(fine, c) == NULL) {
			(void)snprintf(it->problem, sizeof(it->problem),
				       "is no domain name: it has a '%c'",
				       c >= 0x20 && c != 0x7f ? c : '?');
			return DOMAIN_BAD;
		}
	}
	return DOMAIN_NAME;
}

enum domain_next domain_item_parse(const char *text, size_t len, struct domain_item *it)
{
	struct dns_name srv;
	size_t n = len < DOMAIN_LINE_MAX ? len : DOMAIN_LINE_MAX;

	it->line = 0;
	it->problem[0] = '\0';
	it->name.len = 0;
	for (size_t i = 0; i < n; i++)
		it->text[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
	it->text[n] = '\0';
	if (len > DOMAIN_LINE_MAX)
		return too_long(it);
	if (look_at_octets(text, len, it) != DOMAIN_NAME)
		return DOMAIN_BAD;
	if (dns_name_parse(it->text, &it->name) != 0)
		return bad(it, "is no domain name (labels of 1 to 63 octets, 255 in all)");
	if (dns_name_is_root(&it->name))
		return bad(it, "is the root, which is no domain of clients");
	if (rsv_srv_name(&it->name, &srv) != 0)
		return bad(it, "is too long: _vlmcs._tcp does not fit before it");
	return DOMAIN_NAME;
}

/* ---- lines ---- */

/** @return false where there is nothing to read now, or no more. */
static bool fill(struct domain_source *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	ssize_t n;

	if (s->at_eof)
		return false;
	if (s->may_block && poll(&p, 1, 0) == 0)
		return false;
	do
		n = read(s->fd, s->chunk, sizeof(s->chunk));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN && s->has_poll)
		return false;
	if (n < 0)
		s->err = -errno;
	s->at_eof = n <= 0;
	s->at = 0;
	s->end = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void take_octet(struct domain_source *s, char c)
{
	if (s->line_len < DOMAIN_LINE_MAX)
		s->line[s->line_len++] = c;
	else
		s->too_long = true;
}

/** Up to the next line end. @return false: fill() first. */
static bool take_line(struct domain_source *s)
{
	while (s->at < s->end) {
		char c = s->chunk[s->at++];

		s->used++;
		if (c == '\n')
			return true;
		take_octet(s, c);
	}
	return s->at_eof && (s->line_len > 0 || s->too_long);
}

/** Comment and blanks off; the line is empty for the next one. @return false: nothing is left. */
static bool judge_line(struct domain_source *s, struct domain_item *ret, enum domain_next *ret_what)
{
	const char *text = s->line, *hash;
	size_t len = s->line_len;
	bool cut = s->too_long;

	s->line_no++;
	s->line_len = 0;
	s->too_long = false;
	if (s->line_no == 1 && len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	hash = memchr(text, '#', len);
	if (hash != NULL) {
		len = (size_t)(hash - text);
		cut = false;
	}
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	while (len > 0 && is_blank(text[0])) {
		text++;
		len--;
	}
	if (len == 0 && !cut)
		return false;
	*ret_what = domain_item_parse(text, len, ret);
	if (cut)
		*ret_what = too_long(ret);
	ret->line = s->line_no;
	return true;
}

static void on_readable(uv_poll_t *p, int status, int events)
{
	struct domain_source *s = p->data;

	(void)status;
	(void)events;
	(void)uv_poll_stop(p);
	s->ready(s->ctx); /* read() tells what is wrong, if anything is */
}

static enum domain_next next_of_file(struct domain_source *s, struct domain_item *ret)
{
	enum domain_next what;

	for (;;) {
		while (take_line(s))
			if (judge_line(s, ret, &what))
				return what;
		if (fill(s))
			continue;
		if (!s->at_eof) {
			(void)uv_poll_start(&s->poll, UV_READABLE, on_readable);
			return DOMAIN_WAIT;
		}
		if (s->line_len == 0 && !s->too_long)
			return DOMAIN_END;
	}
}

enum domain_next domain_source_next(struct domain_source *s, struct domain_item *ret)
{
	const char *text;

	if (s->fd >= 0)
		return next_of_file(s, ret);
	if (s->next >= s->n_list)
		return DOMAIN_END;
	text = s->list[s->next++];
	return domain_item_parse(text, strlen(text), ret);
}

/* ---- life ---- */

struct domain_source *domain_source_list(const char *const *list, size_t n)
{
	struct domain_source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->list = list;
	s->n_list = n;
	s->fd = -1;
	return s;
}

struct domain_source *domain_source_fd(uv_loop_t *loop, int fd, void (*ready)(void *ctx), void *ctx)
{
	struct domain_source *s = calloc(1, sizeof(*s));
	struct stat st;

	if (s == NULL)
		return NULL;
	s->fd = fd;
	s->ready = ready;
	s->ctx = ctx;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
		s->size = (uint64_t)st.st_size;
		return s;
	}
	/* What epoll does not take (/dev/null) does not make us wait either. */
	s->has_poll = s->may_block = uv_poll_init(loop, &s->poll, fd) == 0;
	s->poll.data = s;
	return s;
}

int domain_source_error(const struct domain_source *s)
{
	return s->err;
}

bool domain_source_progress(const struct domain_source *s, uint64_t *ret_done, uint64_t *ret_all)
{
	*ret_done = s->fd >= 0 ? s->used : s->next;
	*ret_all = s->fd >= 0 ? s->size : s->n_list;
	return *ret_all > 0;
}

static void release(struct domain_source *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	free(s);
}

static void on_poll_closed(uv_handle_t *h)
{
	release(h->data);
}

void domain_source_free(struct domain_source *s)
{
	if (s == NULL)
		return;
	if (s->has_poll)
		uv_close((uv_handle_t *)&s->poll, on_poll_closed);
	else
		release(s);
}
