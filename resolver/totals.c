#include "resolver/totals.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/** Whether this domain is to be told first, of all until now. */
static bool is_new_worst(struct rsv_verify_totals *t, size_t index, enum rsv_status status)
{
	if (status == RSV_OK_ ||
	    (t->worst[0] != '\0' && rsv_status_worst(t->status, status) == t->status &&
	     (status != t->status || index > t->worst_index)))
		return false;
	t->worst_index = index;
	return true;
}

static void count_domain(struct rsv_verify_totals *t, enum rsv_status status)
{
	t->status = t->domains == 0 ? status : rsv_status_worst(t->status, status);
	t->domains++;
	t->by_status[status]++;
}

static void count_hosts(struct rsv_verify_totals *t, const struct rsv_audit_result *r)
{
	t->records += r->n_records;
	for (size_t i = 0; i < r->n_records; i++) {
		const struct rsv_audit_record *c = &r->records[i];

		if (!c->known)
			continue;
		if (c->target.probed && c->target.probe.state == PROBE_UP)
			t->hosts_up++;
		else if (c->target.probed || c->target.resolve_err != 0)
			t->hosts_down++;
	}
}

void rsv_verify_totals_add(struct rsv_verify_totals *t, size_t index,
			   const struct rsv_audit_result *r)
{
	bool seen[FINDING_COUNT_] = { false };
	char name[DNSNAME_TEXT_MAX];
	size_t serious = 0;

	for (size_t i = 0; i < r->n_findings; i++) {
		enum finding_id id = r->findings[i].id;

		t->findings[finding_info(id)->severity]++;
		t->by_id[id] += seen[id] ? 0 : 1;
		seen[id] = true;
		serious += finding_info(id)->severity != FINDING_INFO;
	}
	if (is_new_worst(t, index, r->status)) {
		(void)snprintf(t->worst, sizeof(t->worst), "%.600s: %s",
			       dns_name_format(&r->domain, name),
			       r->n_findings > 0 ? r->findings[0].text : err_text(r->err));
		t->worst_more = serious > 0 ? serious - 1 : 0;
	}
	count_hosts(t, r);
	count_domain(t, r->status);
}

void rsv_verify_totals_add_unknown(struct rsv_verify_totals *t, size_t index, const char *text)
{
	if (is_new_worst(t, index, RSV_UNKNOWN_)) {
		(void)snprintf(t->worst, sizeof(t->worst), "%s", text);
		t->worst_more = 0;
	}
	count_domain(t, RSV_UNKNOWN_);
}

/* ---- the line of --nagios -------------------------------------------------------------------- */

struct line {
	char *buf;
	size_t n;
};

static void append(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void append(struct line *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->buf + l->n, RSV_NAGIOS_MAX - l->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->n += (size_t)n < RSV_NAGIOS_MAX - l->n ? (size_t)n : RSV_NAGIOS_MAX - l->n - 1;
}

/** At most @p room octets of what may come from a peer. */
static void append_safe(struct line *l, const char *text, size_t room)
{
	char safe[512];
	size_t n = 0;

	while (text[n] != '\0' && n < room && n + 1 < sizeof(safe)) {
		safe[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
		if (text[n] == '|') /* would begin the performance data */
			safe[n] = '/';
		n++;
	}
	safe[n] = '\0';
	append(l, "%s%s", safe, text[n] != '\0' ? "..." : "");
}

static void append_count(struct line *l, size_t n, const char *what)
{
	if (n > 0)
		append(l, ", %zu %s", n, what);
}

static void append_text(struct line *l, const struct rsv_verify_totals *t)
{
	if (t->domains == 0) {
		append(l, "no domain was looked at");
		return;
	}
	if (t->domains > 1 || t->status == RSV_OK_) {
		append(l, "%zu of %zu domain%s ok", t->by_status[RSV_OK_], t->domains,
		       t->domains == 1 ? "" : "s");
		append_count(l, t->by_status[RSV_CRIT_], "critical");
		append_count(l, t->by_status[RSV_WARN_], "warning");
		append_count(l, t->by_status[RSV_UNKNOWN_], "unknown");
		append(l, ", %zu record%s", t->records, t->records == 1 ? "" : "s");
		if (t->worst[0] != '\0')
			append(l, "; ");
	}
	append_safe(l, t->worst, 400);
	if (t->worst_more > 0)
		append(l, " (and %zu more)", t->worst_more);
}

const char *rsv_verify_nagios(const struct rsv_verify_totals *t, uint64_t took_ms,
			      char buf[RSV_NAGIOS_MAX])
{
	static const char *const words[RSV_STATUS_COUNT_] = { "OK", "WARNING", "CRITICAL",
							      "UNKNOWN" };
	struct line l = { buf, 0 };
	size_t all = t->domains;

	append(&l, "KMS %s - ", words[all == 0 ? RSV_UNKNOWN_ : t->status]);
	append_text(&l, t);
	append(&l, " | domains=%zu;;;0 domains_ok=%zu;;;0;%zu", all, t->by_status[RSV_OK_], all);
	append(&l, " domains_warning=%zu;0;;0;%zu", t->by_status[RSV_WARN_], all);
	append(&l, " domains_critical=%zu;;0;0;%zu", t->by_status[RSV_CRIT_], all);
	append(&l, " domains_unknown=%zu;;;0;%zu", t->by_status[RSV_UNKNOWN_], all);
	append(&l, " records=%zu;;;0 up=%zu;;;0 down=%zu;;;0", t->records, t->hosts_up,
	       t->hosts_down);
	append(&l, " warnings=%zu;0;;0 criticals=%zu;;0;0", t->findings[FINDING_WARNING],
	       t->findings[FINDING_CRITICAL]);
	append(&l, " time=%llu.%03llus;;;0", (unsigned long long)(took_ms / 1000),
	       (unsigned long long)(took_ms % 1000));
	return buf;
}
