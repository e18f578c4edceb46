#include <stdlib.h>
#include <string.h>

#include "daemon/upstreams_priv.h"

bool upstream_row_same(const struct upstream_row *a, const struct upstream_row *b)
{
	return a->port == b->port && strcmp(a->name, b->name) == 0 && strcmp(a->host, b->host) == 0;
}

bool upstream_rows_equal(const struct upstream_row *a, size_t n_a, const struct upstream_row *b,
			 size_t n_b)
{
	for (size_t i = 0; i < n_a && i < n_b; i++)
		if (!upstream_row_same(&a[i], &b[i]) || a[i].priority != b[i].priority)
			return false;
	return n_a == n_b;
}

int upstream_rows_from_config(const struct config_relay *c, struct upstream_row **ret)
{
	struct upstream_row *rows = calloc(c->n_upstreams > 0 ? c->n_upstreams : 1, sizeof(*rows));

	*ret = rows;
	if (rows == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < c->n_upstreams; i++) {
		const struct config_upstream *x = &c->upstreams[i];

		(void)snprintf(rows[i].name, sizeof(rows[i].name), "%s", x->name);
		(void)snprintf(rows[i].host, sizeof(rows[i].host), "%s", x->address);
		rows[i].port = x->port;
		rows[i].priority = x->priority;
		rows[i].lab = x->lab;
	}
	return 0;
}

static bool is_in(const struct upstream_row *list, size_t n, const struct upstream_row *x)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].port == x->port && strcmp(list[i].host, x->host) == 0)
			return true;
	return false;
}

size_t upstream_rows_leave_out(struct upstream_row *rows, size_t n,
			       const struct upstream_row *config, size_t n_config)
{
	size_t kept = 0;

	for (size_t i = 0; i < n && n_config + kept < RELAY_UPSTREAMS_MAX; i++)
		if (!is_in(config, n_config, &rows[i]))
			rows[kept++] = rows[i];
	return kept;
}

/* @return whether a host can be known by this record. */
static bool row_from_srv(const struct dns_srv *srv, struct upstream_row *ret)
{
	char target[DNSNAME_TEXT_MAX];

	*ret = (struct upstream_row){ .port = srv->port,
				      .priority = srv->priority,
				      .from_srv = true };
	dns_name_format(&srv->target, target);
	if (srv->port == 0 || strlen(target) >= sizeof(ret->host))
		return false; /* with escapes it may be longer than a host name */
	(void)snprintf(ret->host, sizeof(ret->host), "%s", target);
	(void)snprintf(ret->name, sizeof(ret->name), "%s:%u", ret->host, (unsigned)srv->port);
	return true;
}

int upstream_rows_from_srv(const struct rsv_set *set, const struct upstream_row *config,
			   size_t n_config, struct upstream_row **ret, size_t *ret_n,
			   size_t *ret_left_out)
{
	size_t room = RELAY_UPSTREAMS_MAX - n_config, n = 0;
	struct upstream_row *rows = calloc(room + 1, sizeof(*rows));

	*ret = rows;
	*ret_n = *ret_left_out = 0;
	if (rows == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < set->n; i++) {
		struct upstream_row *row = &rows[n]; /* the last is never kept */

		/* the same host with another priority: the lowest counts (failure-modes S13) */
		if (!row_from_srv(&set->rec[i].srv, row) || is_in(rows, n, row) ||
		    is_in(config, n_config, row))
			continue;
		if (n < room)
			n++;
		else
			++*ret_left_out;
	}
	*ret_n = n;
	return 0;
}
