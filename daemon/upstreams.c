#include "daemon/upstreams.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "daemon/upstreams_priv.h"
#include "resolver/lookup.h"

static const struct log_ctx log_upstreams = { .module = "relay" };

#define ADDRS_TEXT (KMS_POOL_ADDRS_MAX * (ADDR_TEXT_MAX + 1))

struct item {
	struct upstreams *owner;
	struct item *next; /* in the order of upstreams_get() */
	struct upstream_row row;
	struct addr addrs[KMS_POOL_ADDRS_MAX];
	size_t n_addrs;
	bool looked;  /* its first lookup has ended */
	bool failing; /* said already */
	bool gone;    /* not in the list any more; freed when its lookup has ended */
	bool busy;
	uint64_t due_ms;
	struct host_lookup lookup;
};

struct upstreams {
	struct upstreams_params p;
	struct upstream_row *config; /* what the file names */
	size_t n_config;
	struct upstream_row *srv; /* what the records name */
	size_t n_srv;
	struct dns_name srv_name;  /* unset: none */
	struct dns_name srv_asked; /* of the lookup under way: a reload may have brought another */
	bool srv_looked, srv_failing, srv_busy;
	bool srv_old; /* the records are of another name, asked for before */
	uint64_t srv_due_ms;
	struct rsv_lookup srv_lookup;
	struct upstream_known *seeds; /* of an earlier process */
	size_t n_seeds;
	struct dns_name seed_srv;
	struct item *items;
	bool changed; /* since it was told last */
	uv_timer_t timer;
	bool stopping, timer_closed;
	void (*done)(void *ctx);
	void *done_ctx;
};

static uint64_t now_ms(const struct upstreams *u)
{
	return clock_mono_ms(u->p.net->clock);
}

static void schedule(struct upstreams *u);

/* ---- telling ---- */

static void maybe_done(struct upstreams *u)
{
	if (!u->stopping || !u->timer_closed || u->items != NULL || u->srv_busy)
		return;
	free(u->config);
	free(u->srv);
	free(u->seeds);
	u->done(u->done_ctx);
	free(u);
}

/* Free what is gone and has no lookup under way. */
static void sweep(struct upstreams *u)
{
	struct item **at = &u->items;

	while (*at != NULL) {
		struct item *x = *at;

		if (!x->gone || x->busy) {
			at = &x->next;
			continue;
		}
		*at = x->next;
		free(x);
	}
}

size_t upstreams_list(const struct upstreams *u, struct relay_upstream list[RELAY_UPSTREAMS_MAX])
{
	size_t n = 0;

	for (const struct item *x = u->items; x != NULL && n < RELAY_UPSTREAMS_MAX; x = x->next) {
		if (x->gone || !x->looked)
			continue;
		list[n++] = (struct relay_upstream){
			.name = x->row.name,
			.addrs = x->addrs,
			.n_addrs = x->n_addrs,
			.priority = x->row.priority,
			.lab = x->row.lab,
			.draining = u->p.draining != NULL && u->p.draining(u->p.ctx, x->row.name),
		};
	}
	return n;
}

void upstreams_tell(struct upstreams *u)
{
	struct relay_upstream list[RELAY_UPSTREAMS_MAX];

	u->changed = false;
	u->p.changed(u->p.ctx, list, upstreams_list(u, list));
}

static void tell_learned(struct upstreams *u)
{
	struct upstream_known *list = calloc(RELAY_UPSTREAMS_MAX, sizeof(*list));
	char srv[DNSNAME_TEXT_MAX] = "";
	size_t n = 0;

	if (list == NULL) {
		u->p.learned(u->p.ctx, NULL);
		return;
	}
	if (dns_name_is_set(&u->srv_name))
		dns_name_format(&u->srv_name, srv);
	for (const struct item *x = u->items; x != NULL && n < RELAY_UPSTREAMS_MAX; x = x->next) {
		if (x->gone || x->n_addrs == 0)
			continue;
		list[n].row = x->row;
		memcpy(list[n].addrs, x->addrs, x->n_addrs * sizeof(*x->addrs));
		list[n++].n_addrs = x->n_addrs;
	}
	u->p.learned(u->p.ctx, upstream_known_json(list, n, srv));
	free(list);
}

static void settle(struct upstreams *u)
{
	sweep(u);
	if (u->stopping) {
		maybe_done(u);
		return;
	}
	if (u->changed) {
		upstreams_tell(u);
		if (u->p.learned != NULL)
			tell_learned(u);
	}
	schedule(u);
}

/* ---- addresses of one host ---- */

static uint64_t after_ttl(const struct upstreams *u, uint32_t ttl_s)
{
	uint64_t ms = (uint64_t)ttl_s * 1000;

	if (ms < u->p.ttl_min_ms)
		ms = u->p.ttl_min_ms;
	if (ms > u->p.ttl_max_ms)
		ms = u->p.ttl_max_ms;
	return now_ms(u) + ms;
}

static bool has_addr(const struct item *x, const struct addr *a)
{
	for (size_t i = 0; i < x->n_addrs; i++)
		if (addr_equal(&x->addrs[i], a))
			return true;
	return false;
}

/* Servers rotate their answers: another order is no change. */
static bool same_addrs(const struct item *x, const struct addr *a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!has_addr(x, &a[i]))
			return false;
	return n == x->n_addrs;
}

static const char *list_addrs(const struct item *x, char buf[ADDRS_TEXT])
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < x->n_addrs; i++) {
		char at[ADDR_TEXT_MAX];

		addr_format(&x->addrs[i], at);
		len += (size_t)snprintf(buf + len, ADDRS_TEXT - len, "%s%s", i > 0 ? "," : "", at);
	}
	return buf;
}

static void take_addrs(struct item *x, const struct addr *addrs, size_t n)
{
	struct upstreams *u = x->owner;
	bool first = !x->looked;
	char text[ADDRS_TEXT];

	n = n < KMS_POOL_ADDRS_MAX ? n : KMS_POOL_ADDRS_MAX;
	x->looked = true;
	if (!first && same_addrs(x, addrs, n))
		return;
	memcpy(x->addrs, addrs, n * sizeof(*addrs));
	x->n_addrs = n;
	u->changed = true;
	log_info(&log_upstreams, "upstream.addresses", "name=%s host=%s addresses=%s", x->row.name,
		 x->row.host, list_addrs(x, text));
}

static void lookup_failed(struct item *x, int err)
{
	x->owner->changed |= !x->looked;
	x->looked = true;
	x->due_ms = now_ms(x->owner) + x->owner->p.retry_ms;
	if (x->failing)
		return;
	x->failing = true;
	log_warning(&log_upstreams, "upstream.lookup", "name=%s host=%s err=%s text=%s",
		    x->row.name, x->row.host, err_name(err),
		    x->n_addrs > 0
			    ? "its name cannot be looked up; the addresses that are known stay in "
			      "use"
			    : "its name cannot be looked up: no request can be sent to it");
}

static void on_found(struct host_lookup *l, const struct host_lookup_result *r)
{
	struct item *x = l->owner;
	struct upstreams *u = x->owner;

	x->busy = false;
	if (!x->gone && !u->stopping) {
		if (r->err == ERR_CANCELED) { /* it is to be asked anew */
			x->due_ms = now_ms(u);
		} else if (r->err != 0) {
			lookup_failed(x, r->err);
		} else {
			if (x->failing)
				log_info(&log_upstreams, "upstream.lookup", "name=%s text=%s",
					 x->row.name, "its name can be looked up again");
			x->failing = false;
			x->due_ms = after_ttl(u, r->ttl);
			take_addrs(x, r->addrs, r->n_addrs);
		}
	}
	settle(u);
}

static void look_up(struct item *x)
{
	const struct host_lookup_params p = { .host = x->row.host, .port = x->row.port };

	x->busy = true;
	x->lookup = (struct host_lookup){ .owner = x };
	host_lookup_start(&x->lookup, x->owner->p.net, &p, on_found);
}

/* ---- the list ---- */

static struct item *find_item(const struct upstreams *u, const char *name)
{
	for (struct item *x = u->items; x != NULL; x = x->next)
		if (!x->gone && strcmp(x->row.name, name) == 0)
			return x;
	return NULL;
}

static struct item *new_item(struct upstreams *u, const struct upstream_row *row)
{
	struct item *x = calloc(1, sizeof(*x));
	struct addr literal;

	if (x == NULL)
		return NULL;
	x->owner = u;
	x->row = *row;
	x->due_ms = now_ms(u);
	if (addr_parse(row->host, row->port, &literal) == 0) {
		x->looked = true;
		x->due_ms = UINT64_MAX;
		x->addrs[0] = literal;
		x->n_addrs = 1;
	}
	for (size_t i = 0; i < u->n_seeds && !x->looked; i++) {
		const struct upstream_known *k = &u->seeds[i];

		if (!upstream_row_same(&k->row, row) || k->n_addrs == 0)
			continue;
		x->looked = true;
		memcpy(x->addrs, k->addrs, k->n_addrs * sizeof(*k->addrs));
		x->n_addrs = k->n_addrs;
	}
	u->changed = true;
	return x;
}

/* The item of @p row: the one that there is, where it leads to the same place, else a new one. */
static struct item *item_for(struct upstreams *u, struct item *old, const struct upstream_row *row)
{
	struct item *x = old;

	while (x != NULL && (x->gone || !upstream_row_same(&x->row, row)))
		x = x->next;
	if (x == NULL)
		return new_item(u, row);
	if (x->row.priority != row->priority || x->row.lab != row->lab)
		u->changed = true;
	x->row = *row;
	return x;
}

static void unlink_item(struct item **list, const struct item *x)
{
	while (*list != NULL && *list != x)
		list = &(*list)->next;
	if (*list != NULL)
		*list = x->next;
}

/* Items for the configured rows and those of the records, in this order; what is left over goes. */
static void rebuild(struct upstreams *u)
{
	struct item *old = u->items, *made = NULL, **end = &made;

	for (size_t i = 0; i < u->n_config + u->n_srv; i++) {
		const struct upstream_row *row =
			i < u->n_config ? &u->config[i] : &u->srv[i - u->n_config];
		struct item *x = item_for(u, old, row);

		if (x == NULL) {
			log_error(&log_upstreams, "upstream.left_out", "name=%s text=%s", row->name,
				  "out of memory");
			continue;
		}
		unlink_item(&old, x);
		x->next = NULL;
		*end = x;
		end = &x->next;
	}
	*end = old;
	u->items = made;
	for (struct item *x = old; x != NULL; x = x->next) {
		if (x->gone)
			continue;
		x->gone = true;
		u->changed = true;
		if (x->busy)
			host_lookup_cancel(&x->lookup);
	}
}

/* ---- relay.srv ---- */

static void srv_log(const struct upstreams *u, enum log_level level, int err, const char *text)
{
	char name[DNSNAME_TEXT_MAX];

	log_write(level, &log_upstreams, "relay.srv", "name=%s upstreams=%zu err=%s text=%s",
		  dns_name_format(&u->srv_name, name), u->n_srv, err_name(err), text);
}

static const char *no_upstream(const struct rsv_set *set, int why)
{
	if (set->absent)
		return "a record says that there is no such service (target \".\"): no upstream "
		       "comes "
		       "from here";
	if (set->n > 0)
		return "all hosts that these records name are in relay.upstreams already";
	if (why == ERR_RCODE_NXDOMAIN || why == ERR_DNS_NODATA)
		return "there is no such record: no upstream comes from here";
	return "the records cannot be looked up: no upstream comes from here yet";
}

static void srv_take(struct upstreams *u, const struct rsv_set *set, int why)
{
	struct upstream_row *rows = NULL;
	size_t n = 0, left_out = 0;
	bool same;

	if (set->n > 0 &&
	    upstream_rows_from_srv(set, u->config, u->n_config, &rows, &n, &left_out) != 0) {
		srv_log(u, LOG_ERROR, ERR_NOMEM, "the hosts that are known stay");
		return;
	}
	same = u->srv_looked && upstream_rows_equal(rows, n, u->srv, u->n_srv);
	free(u->srv);
	u->srv = rows;
	u->n_srv = n;
	if (same)
		return;
	if (left_out > 0)
		srv_log(u, LOG_WARNING, ERR_LIMIT,
			"there are more records than a relay may have upstreams; the rest is left "
			"out");
	else if (n == 0)
		srv_log(u, LOG_WARNING, why, no_upstream(set, why));
	else
		srv_log(u, LOG_INFO, 0, "the hosts that these records name are upstreams");
	rebuild(u);
}

static void srv_failed(struct upstreams *u, int err)
{
	const struct rsv_set none = { .n = 0 };

	u->srv_due_ms = now_ms(u) + u->p.retry_ms;
	if (u->srv_old) /* nobody knows what this name has, and the old one's time is over */
		srv_take(u, &none, err);
	else if (!u->srv_failing)
		srv_log(u, LOG_WARNING, err,
			u->n_srv > 0 ? "the records cannot be looked up; the hosts that are known "
				       "stay upstreams"
				     : "the records cannot be looked up: no upstream comes from "
				       "here yet");
	u->srv_failing = true;
}

static void on_srv(struct rsv_lookup *l, struct rsv_lookup_result *r)
{
	struct upstreams *u = l->owner;
	bool no = r->err == ERR_RCODE_NXDOMAIN || r->err == ERR_DNS_NODATA;

	u->srv_busy = false;
	if (u->stopping || !dns_name_is_set(&u->srv_name)) {
		settle(u);
		return;
	}
	if (r->err == ERR_CANCELED || !dns_name_equal(&u->srv_asked, &u->srv_name)) {
		u->srv_due_ms = now_ms(u);
		settle(u);
		return;
	}
	if (r->err == 0 || no) {
		u->srv_due_ms = no && r->set.negative_ttl == 0
					? now_ms(u) + u->p.retry_ms
					: after_ttl(u, no ? r->set.negative_ttl : r->set.ttl);
		if (u->srv_failing)
			srv_log(u, LOG_INFO, 0, "the records can be looked up again");
		u->srv_failing = false;
		srv_take(u, &r->set, r->err);
	} else {
		srv_failed(u, r->err);
	}
	u->changed |= !u->srv_looked; /* upstreams_settled() may say something else now */
	u->srv_looked = true;
	u->srv_old = false;
	settle(u);
}

static void look_up_srv(struct upstreams *u)
{
	const struct rsv_lookup_params p = { .name = u->srv_name, .rd = true };

	u->srv_busy = true;
	u->srv_asked = u->srv_name;
	u->srv_lookup = (struct rsv_lookup){ .owner = u };
	rsv_lookup_start(&u->srv_lookup, u->p.net, &p, on_srv);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *t)
{
	struct upstreams *u = t->data;
	uint64_t now = now_ms(u);

	for (struct item *x = u->items; x != NULL; x = x->next)
		if (!x->gone && !x->busy && x->due_ms <= now)
			look_up(x);
	if (dns_name_is_set(&u->srv_name) && !u->srv_busy && u->srv_due_ms <= now)
		look_up_srv(u);
	schedule(u);
}

static void schedule(struct upstreams *u)
{
	uint64_t now = now_ms(u), first = UINT64_MAX;

	for (const struct item *x = u->items; x != NULL; x = x->next)
		if (!x->gone && !x->busy && x->due_ms < first)
			first = x->due_ms;
	if (dns_name_is_set(&u->srv_name) && !u->srv_busy && u->srv_due_ms < first)
		first = u->srv_due_ms;
	if (first == UINT64_MAX)
		(void)uv_timer_stop(&u->timer);
	else
		(void)uv_timer_start(&u->timer, on_timer, first > now ? first - now : 0, 0);
}

/* ---- the outside ---- */

int upstreams_new(const struct upstreams_params *p, struct upstreams **ret)
{
	struct upstreams *u = calloc(1, sizeof(*u));

	*ret = NULL;
	if (u == NULL)
		return ERR_NOMEM;
	u->p = *p;
	if (u->p.ttl_min_ms == 0)
		u->p.ttl_min_ms = UPSTREAMS_TTL_MIN_MS;
	if (u->p.ttl_max_ms == 0)
		u->p.ttl_max_ms = UPSTREAMS_TTL_MAX_MS;
	if (u->p.retry_ms == 0)
		u->p.retry_ms = UPSTREAMS_RETRY_MS;
	if (p->known != NULL) {
		char srv[HOST_TEXT_MAX];

		u->n_seeds = upstream_known_parse(p->known, &u->seeds, srv);
		if (srv[0] != '\0' && dns_name_parse(srv, &u->seed_srv) != 0)
			u->seed_srv = (struct dns_name){ 0 };
	}
	(void)uv_timer_init(p->net->loop, &u->timer);
	u->timer.data = u;
	*ret = u;
	return 0;
}

/* What the records named when an earlier process asked. */
static void recall_srv(struct upstreams *u)
{
	struct upstream_row *rows = calloc(u->n_seeds > 0 ? u->n_seeds : 1, sizeof(*rows));
	size_t n = 0;

	if (rows == NULL)
		return;
	for (size_t i = 0; i < u->n_seeds; i++)
		if (u->seeds[i].row.from_srv)
			rows[n++] = u->seeds[i].row;
	u->srv = rows;
	u->n_srv = n;
}

static void configure_srv(struct upstreams *u, const char *text)
{
	struct dns_name name = { 0 };

	if (text != NULL && dns_name_parse(text, &name) != 0)
		name = (struct dns_name){ 0 }; /* the configuration has no such name */
	if (!dns_name_is_set(&name)) {
		free(u->srv);
		u->srv = NULL;
		u->n_srv = 0;
	}
	if (!dns_name_is_set(&name) || !dns_name_equal(&name, &u->srv_name)) {
		u->srv_old = u->n_srv > 0;
		u->srv_looked = u->srv_failing = false;
	}
	u->srv_name = name;
	if (u->srv == NULL && !u->srv_looked && dns_name_is_set(&name) &&
	    dns_name_equal(&name, &u->seed_srv))
		recall_srv(u);
}

void upstreams_configure(struct upstreams *u, const struct config_relay *c)
{
	struct upstream_row *rows = NULL;

	if (upstream_rows_from_config(c, &rows) != 0) {
		log_error(&log_upstreams, "upstream.left_out", "name=%s text=%s", "*",
			  "out of memory; the old hosts stay");
		return;
	}
	free(u->config);
	u->config = rows;
	u->n_config = c->n_upstreams;
	configure_srv(u, c->srv);
	u->n_srv = upstream_rows_leave_out(u->srv, u->n_srv, u->config, u->n_config);
	rebuild(u);
	upstreams_look_again(u);
	settle(u);
}

void upstreams_look_again(struct upstreams *u)
{
	for (struct item *x = u->items; x != NULL; x = x->next) {
		if (x->gone || x->due_ms == UINT64_MAX)
			continue;
		x->due_ms = now_ms(u);
		if (x->busy)
			host_lookup_cancel(&x->lookup);
	}
	u->srv_due_ms = now_ms(u);
	if (u->srv_busy)
		rsv_lookup_cancel(&u->srv_lookup);
	schedule(u);
}

bool upstreams_settled(const struct upstreams *u)
{
	if (dns_name_is_set(&u->srv_name) && !u->srv_looked)
		return false;
	for (const struct item *x = u->items; x != NULL; x = x->next)
		if (!x->gone && !x->looked)
			return false;
	return true;
}

size_t upstreams_n(const struct upstreams *u)
{
	size_t n = 0;

	for (const struct item *x = u->items; x != NULL; x = x->next)
		n += !x->gone;
	return n;
}

static void show(const struct item *x, struct upstream_info *ret)
{
	*ret = (struct upstream_info){ .name = x->row.name,
				       .host = x->row.host,
				       .port = x->row.port,
				       .priority = x->row.priority,
				       .lab = x->row.lab,
				       .from_srv = x->row.from_srv };
}

void upstreams_get(const struct upstreams *u, size_t i, struct upstream_info *ret)
{
	for (const struct item *x = u->items; x != NULL; x = x->next) {
		if (x->gone)
			continue;
		if (i-- == 0) {
			show(x, ret);
			return;
		}
	}
}

bool upstreams_find(const struct upstreams *u, const char *name, struct upstream_info *ret)
{
	const struct item *x = find_item(u, name);

	if (x != NULL && ret != NULL)
		show(x, ret);
	return x != NULL;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct upstreams *u = h->data;

	u->timer_closed = true;
	maybe_done(u);
}

void upstreams_free(struct upstreams *u, void (*done)(void *ctx), void *ctx)
{
	u->stopping = true;
	u->done = done;
	u->done_ctx = ctx;
	for (struct item *x = u->items; x != NULL; x = x->next) {
		x->gone = true;
		if (x->busy)
			host_lookup_cancel(&x->lookup);
	}
	if (u->srv_busy)
		rsv_lookup_cancel(&u->srv_lookup);
	sweep(u);
	uv_close((uv_handle_t *)&u->timer, on_timer_closed);
}
