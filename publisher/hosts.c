#include "publisher/hosts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "publisher/index.h"

struct pub_hosts_entry {
	struct pub_hosts *hosts;
	struct pub_hosts_entry *next; /* in the table's list of all */
	struct host_lookup lookup;
	bool running;
	struct net net; /* with the source of who asked first */
	struct pub_hosts_wait *waiting;
	struct host_lookup_result result;
};

struct pub_hosts {
	struct pub_index index;
	struct pub_hosts_entry *all;
	size_t n_running;
	bool closing;
	void (*closed)(void *ctx);
	void *closed_ctx;
	struct host_lookup_result failed; /* where there is no entry to keep it in */
};

struct pub_hosts *pub_hosts_new(void)
{
	return calloc(1, sizeof(struct pub_hosts));
}

static void free_all(struct pub_hosts *h)
{
	void (*closed)(void *ctx) = h->closed;
	void *ctx = h->closed_ctx;
	struct pub_hosts_entry *next;

	for (struct pub_hosts_entry *e = h->all; e != NULL; e = next) {
		next = e->next;
		free(e);
	}
	pub_index_done(&h->index);
	free(h);
	closed(ctx);
}

static void on_lookup(struct host_lookup *l, const struct host_lookup_result *r)
{
	struct pub_hosts_entry *e = l->owner;
	struct pub_hosts *h = e->hosts;

	e->running = false;
	e->result = *r;
	/* Who is called may leave, join, or start other lookups: take one at a time. */
	while (e->waiting != NULL) {
		struct pub_hosts_wait *w = e->waiting;

		e->waiting = w->next;
		w->entry = NULL;
		w->done(w, &e->result);
	}
	h->n_running--; /* only now: the table must outlive this loop */
	if (h->closing && h->n_running == 0)
		free_all(h);
}

/* The same name asked elsewhere, or from elsewhere, is another question. */
static struct pub_key key_of(const struct net *net, const char *host, uint16_t port,
			     const struct dns_server *servers, size_t n)
{
	struct pub_key k = { 0 };
	char text[ADDR_TEXT_MAX], number[8];

	pub_key_text(&k, host);
	(void)snprintf(number, sizeof(number), "%u", port);
	pub_key_text(&k, number);
	if (n > 0) { /* the first server stands for the list */
		addr_format(&servers[0].addr, text);
		pub_key_text(&k, text);
		if (servers[0].key != NULL)
			pub_key_name(&k, tsig_key_name(servers[0].key));
	}
	if (addr_is_set(&net->source4)) {
		addr_format(&net->source4, text);
		pub_key_text(&k, text);
	}
	if (addr_is_set(&net->source6)) {
		addr_format(&net->source6, text);
		pub_key_text(&k, text);
	}
	return k;
}

static const struct host_lookup_result *fail(struct pub_hosts *h, int err)
{
	memset(&h->failed, 0, sizeof(h->failed));
	h->failed.err = err;
	return &h->failed;
}

const struct host_lookup_result *pub_hosts_get(struct pub_hosts *h, struct net *net,
					       const char *host, uint16_t port,
					       const struct dns_server *servers, size_t n_servers,
					       uint32_t total_ms, struct pub_hosts_wait *w,
					       pub_hosts_fn *done)
{
	struct pub_key k = key_of(net, host, port, servers, n_servers);
	struct pub_hosts_entry *e = pub_index_get(&h->index, &k);
	struct host_lookup_params p = { .host = host,
					.port = port,
					.servers = servers,
					.n_servers = n_servers,
					.total_ms = total_ms };

	if (e != NULL && !e->running)
		return &e->result;
	if (e == NULL) {
		if (h->index.n >= PUB_HOSTS_MAX)
			return fail(h, ERR_LIMIT);
		e = calloc(1, sizeof(*e));
		if (e == NULL)
			return fail(h, ERR_NOMEM);
		if (pub_index_put(&h->index, &k, e) != ERR_OK) {
			free(e);
			return fail(h, ERR_NOMEM);
		}
		e->hosts = h;
		e->next = h->all;
		h->all = e;
		e->net = *net;
		e->lookup.owner = e;
		e->running = true;
		h->n_running++;
		host_lookup_start(&e->lookup, &e->net, &p, on_lookup);
	}
	w->entry = e;
	w->done = done;
	w->next = e->waiting;
	e->waiting = w;
	return NULL;
}

void pub_hosts_leave(struct pub_hosts_wait *w)
{
	struct pub_hosts_wait **at;

	if (w->entry == NULL)
		return;
	for (at = &w->entry->waiting; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			break;
		}
	}
	w->entry = NULL;
}

void pub_hosts_close(struct pub_hosts *h, void (*done)(void *ctx), void *ctx)
{
	h->closing = true;
	h->closed = done;
	h->closed_ctx = ctx;
	if (h->n_running == 0) {
		free_all(h);
		return;
	}
	for (struct pub_hosts_entry *e = h->all; e != NULL; e = e->next)
		if (e->running)
			host_lookup_cancel(&e->lookup);
}
