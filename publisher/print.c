#include "publisher/print.h"

#include <inttypes.h>
#include <string.h>

#define DAY_S  86400u
#define HOUR_S 3600u

static const char *const words[PUB_PRINT_COUNT_] = {
	[PUB_PRINT_ZONE] = "zone",
	[PUB_PRINT_NSUPDATE] = "nsupdate",
	[PUB_PRINT_POWERSHELL] = "powershell",
};

bool pub_print_as_parse(const char *text, enum pub_print_as *ret)
{
	for (int i = 0; i < PUB_PRINT_COUNT_; i++) {
		if (strcmp(words[i], text) == 0) {
			*ret = (enum pub_print_as)i;
			return true;
		}
	}
	return false;
}

const char *pub_print_as_list(void)
{
	return "zone|nsupdate|powershell";
}

static int heading(const struct pub_target *t, const char *comment, const char *domain,
		   struct buf *out)
{
	return buf_printf(out, "%s %s%s%s%s\n", comment, domain,
			  t->view[0] != '\0' ? " (view " : "", t->view,
			  t->view[0] != '\0' ? ")" : "");
}

/* "OWNER TTL IN SRV ...", the same in a zone file and behind nsupdate's `update add`. */
static int record(const struct pub_target *t, const struct dns_name *owner, size_t i,
		  struct buf *out)
{
	const struct dns_srv *srv = &t->wanted[i].srv;
	char name[DNSNAME_TEXT_MAX], host[DNSNAME_TEXT_MAX];

	return buf_printf(out, "%s. %" PRIu32 " IN SRV %u %u %u %s.\n",
			  dns_name_format(owner, name), t->ttl_s, srv->priority, srv->weight,
			  srv->port, dns_name_format(&srv->target, host));
}

static bool is_wanted(const struct pub_target *t, const struct dns_srv *srv)
{
	for (size_t i = 0; i < t->n_wanted; i++)
		if (dns_srv_equal(&t->wanted[i].srv, srv))
			return true;
	return false;
}

/* Of intents nobody knows whether they came about: such a record is ours if it is there. */
static bool is_ours(const struct pub_rec *r)
{
	return r->state == PUB_REC_PUBLISHED || r->state == PUB_REC_INTENT_ADD ||
	       r->state == PUB_REC_INTENT_DELETE;
}

typedef int old_fn(const struct pub_target *t, const struct pub_set *set, const struct dns_srv *srv,
		   struct buf *out);

/** What was published for this target from here, and is no longer wanted. */
static int each_old(const struct pub_print_params *p, const struct pub_target *t, old_fn *write,
		    struct buf *out)
{
	size_t n = p->journal != NULL ? pub_journal_count(p->journal) : 0;
	int err = ERR_OK;

	for (size_t i = 0; i < n; i++) {
		const struct pub_set *set = pub_journal_at(p->journal, i);

		if (!dns_name_equal(&set->domain, &t->domain) || strcmp(set->view, t->view) != 0)
			continue;
		for (size_t k = 0; err == ERR_OK && k < set->n_recs; k++)
			if (is_ours(&set->recs[k]) && !is_wanted(t, &set->recs[k].srv))
				err = write(t, set, &set->recs[k].srv, out);
	}
	return err;
}

/* "OWNER IN SRV ...", whatever its TTL. */
static int old_record(const struct pub_set *set, const struct dns_srv *srv, const char *lead,
		      struct buf *out)
{
	char name[DNSNAME_TEXT_MAX], host[DNSNAME_TEXT_MAX];

	return buf_printf(out, "%s%s. IN SRV %u %u %u %s.\n", lead,
			  dns_name_format(&set->owner, name), srv->priority, srv->weight, srv->port,
			  dns_name_format(&srv->target, host));
}

static int old_line(const struct pub_target *t, const struct pub_set *set,
		    const struct dns_srv *srv, struct buf *out)
{
	(void)t;
	return old_record(set, srv, "; remove: ", out);
}

static int write_zone(const struct pub_print_params *p, const struct pub_target *t,
		      const struct dns_name *owner, struct buf *out)
{
	int err = each_old(p, t, old_line, out);

	for (size_t i = 0; err == ERR_OK && i < t->n_wanted; i++)
		err = record(t, owner, i, out);
	return err;
}

/* ---- nsupdate ---- */

static int server_line(const char *server, const char *lead, struct buf *out)
{
	char host[HOST_TEXT_MAX];
	uint16_t port;

	if (hostport_parse(server, 0, host, &port) != ERR_OK)
		return ERR_OK; /* cannot be: the configuration was checked */
	if (port == 0)
		return buf_printf(out, "%sserver %s\n", lead, host);
	return buf_printf(out, "%sserver %s %u\n", lead, host, port);
}

/* How to run it, and what nsupdate would otherwise have to guess. */
static int nsupdate_head(const struct config *cfg, const struct pub_target *t, struct buf *out)
{
	int key = t->key_handle[0] != '\0' ? config_find_key(cfg, t->key_handle) : -1;
	char addr[ADDR_TEXT_MAX];
	int err = ERR_OK;

	if (key >= 0)
		err = buf_printf(out, "; signed: nsupdate -k %s FILE\n", cfg->keys[key].file);
	for (size_t i = 0; err == ERR_OK && i < t->n_servers; i++)
		err = server_line(t->servers[i], i == 0 ? "" : "; or: ", out);
	if (err == ERR_OK && addr_is_set(&t->source4)) {
		addr_format_host(&t->source4, addr);
		err = buf_printf(out, "local %s\n", addr);
	} else if (err == ERR_OK && addr_is_set(&t->source6)) {
		addr_format_host(&t->source6, addr);
		err = buf_printf(out, "local %s\n", addr);
	}
	return err;
}

static int old_delete(const struct pub_target *t, const struct pub_set *set,
		      const struct dns_srv *srv, struct buf *out)
{
	(void)t;
	return old_record(set, srv, "update delete ", out);
}

static int write_nsupdate(const struct pub_print_params *p, const struct pub_target *t,
			  const struct dns_name *owner, const char *domain, struct buf *out)
{
	int err = nsupdate_head(p->config, t, out);

	if (err == ERR_OK)
		err = buf_printf(out,
				 "; nsupdate finds the zone by itself; where it cannot, write here:"
				 " zone %s.\n",
				 domain);
	if (err == ERR_OK)
		err = each_old(p, t, old_delete, out);
	for (size_t i = 0; err == ERR_OK && i < t->n_wanted; i++) {
		err = buf_append(out, "update add ", strlen("update add "));
		if (err == ERR_OK)
			err = record(t, owner, i, out);
	}
	if (err == ERR_OK)
		err = buf_append(out, "send\n", strlen("send\n"));
	return err;
}

/* ---- PowerShell ---- */

/* A literal string of PowerShell: only the quote itself is special in it. */
static int quoted(const char *text, struct buf *out)
{
	int err = buf_append(out, "'", 1);

	for (; err == ERR_OK && *text != '\0'; text++)
		err = buf_append(out, *text == '\'' ? "''" : text, *text == '\'' ? 2 : 1);
	return err == ERR_OK ? buf_append(out, "'", 1) : err;
}

static int argument(const char *name, const char *text, struct buf *out)
{
	int err = buf_printf(out, " -%s ", name);

	return err == ERR_OK ? quoted(text, out) : err;
}

/* A cmdlet, and where it does its work. */
static int cmdlet(const char *text, const struct pub_target *t, struct buf *out)
{
	char server[HOST_TEXT_MAX], domain[DNSNAME_TEXT_MAX];
	uint16_t port;
	int err = buf_append(out, text, strlen(text));

	if (err == ERR_OK && t->n_servers > 0 &&
	    hostport_parse(t->servers[0], 0, server, &port) == ERR_OK)
		err = argument("ComputerName", server, out);
	if (err == ERR_OK)
		err = argument("ZoneName", dns_name_format(&t->domain, domain), out);
	return err;
}

/* Chosen by the data, so that nothing else at the name goes. */
static int old_object(const struct pub_target *t, const struct pub_set *set,
		      const struct dns_srv *srv, struct buf *out)
{
	char host[DNSNAME_TEXT_MAX];
	struct dns_name name;
	int err;

	/* where a CNAME led, which may be another zone */
	if (dns_name_prefix(PUB_OWNER_LABELS, &t->domain, &name) != ERR_OK ||
	    !dns_name_equal(&name, &set->owner))
		return old_record(set, srv, "# remove: ", out);
	err = cmdlet("Get-DnsServerResourceRecord -RRType Srv", t, out);
	if (err == ERR_OK)
		err = argument("Name", PUB_OWNER_LABELS, out);
	if (err == ERR_OK)
		err = buf_printf(out,
				 " | Where-Object { $_.RecordData.Priority -eq %u -and "
				 "$_.RecordData.Weight -eq %u -and $_.RecordData.Port -eq %u -and "
				 "$_.RecordData.DomainName.TrimEnd('.') -eq ",
				 srv->priority, srv->weight, srv->port);
	if (err == ERR_OK)
		err = quoted(dns_name_format(&srv->target, host), out);
	if (err == ERR_OK)
		err = cmdlet(" } | Remove-DnsServerResourceRecord -Force", t, out);
	return err == ERR_OK ? buf_append(out, "\n", 1) : err;
}

static int powershell_record(const struct pub_target *t, size_t i, struct buf *out)
{
	const struct dns_srv *srv = &t->wanted[i].srv;
	char host[DNSNAME_TEXT_MAX];
	int err = cmdlet("Add-DnsServerResourceRecord -Srv", t, out);

	if (err == ERR_OK)
		err = argument("Name", PUB_OWNER_LABELS, out);
	if (err == ERR_OK)
		err = argument("DomainName", dns_name_format(&srv->target, host), out);
	if (err == ERR_OK) /* a TimeSpan: days.hours:minutes:seconds */
		err = buf_printf(
			out, " -Priority %u -Weight %u -Port %u -TimeToLive %u.%02u:%02u:%02u\n",
			srv->priority, srv->weight, srv->port, t->ttl_s / DAY_S,
			t->ttl_s % DAY_S / HOUR_S, t->ttl_s % HOUR_S / 60, t->ttl_s % 60);
	return err;
}

static int write_powershell(const struct pub_print_params *p, const struct pub_target *t,
			    const char *domain, struct buf *out)
{
	int err = buf_printf(out,
			     "# Where the zone is another than %s, change -ZoneName, and -Name to "
			     "what is left of it.\n",
			     domain);

	if (err == ERR_OK)
		err = each_old(p, t, old_object, out);
	for (size_t i = 0; err == ERR_OK && i < t->n_wanted; i++)
		err = powershell_record(t, i, out);
	return err;
}

static int write_target(const struct pub_print_params *p, const struct pub_target *t,
			struct buf *out)
{
	char domain[DNSNAME_TEXT_MAX];
	struct dns_name owner;
	int err = dns_name_prefix(PUB_OWNER_LABELS, &t->domain, &owner);

	dns_name_format(&t->domain, domain);
	if (err == ERR_OK)
		err = heading(t, p->as == PUB_PRINT_POWERSHELL ? "#" : ";", domain, out);
	if (err != ERR_OK)
		return err;
	if (p->as == PUB_PRINT_ZONE)
		return write_zone(p, t, &owner, out);
	if (p->as == PUB_PRINT_NSUPDATE)
		return write_nsupdate(p, t, &owner, domain, out);
	return write_powershell(p, t, domain, out);
}

int pub_print_write(const struct pub_print_params *p, struct buf *out)
{
	int err = ERR_OK;

	for (size_t i = 0; err == ERR_OK && i < pub_targets_count(p->targets); i++) {
		const struct pub_target *t = pub_targets_at(p->targets, i);

		if (p->domain == NULL || dns_name_equal(p->domain, &t->domain))
			err = write_target(p, t, out);
	}
	return err;
}
