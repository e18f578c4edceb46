#include "publisher/reg_import.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/addr.h"
#include "common/config.h"
#include "publisher/reg_text.h"
#include "publisher/target.h"

#define SOFTWARE_KEY  "HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\"
#define WINDOWS_KEY   SOFTWARE_KEY "Windows NT\\CurrentVersion\\"
#define INTERVAL_MIN  15 /* minutes, of both intervals: behaviour §1.4 */
#define INTERVAL_MAX  43200
#define NAME_TEXT_MAX 256 /* of names that go into the configuration */
#define SHOWN_MAX     64  /* characters of the file's own text in a note */
#define NOTE_MAX      400

struct entry {
	char domain[NAME_TEXT_MAX];
	uint16_t priority, weight;
	size_t group; /* index of the first entry with the same two */
};

struct import {
	bool found;     /* a key of the platform */
	bool host_side; /* a value that only a KMS host has */
	bool disabled;
	bool no_cache;
	uint16_t port, client_port; /* 0: not given */
	uint32_t activation_min, renewal_min;
	char client_host[NAME_TEXT_MAX];
	char lookup_domain[NAME_TEXT_MAX];
	struct entry *entries;
	size_t n_entries, cap_entries, n_groups;
	size_t n_other, n_sub; /* values that concern neither DNS nor us */
	struct buf *notes;
};

struct shown {
	char s[SHOWN_MAX + 4];
};

/* Text of the file in a note: one line, printable. */
static const char *show(const char *text, struct shown *ret)
{
	size_t n = 0;

	for (; text[n] != '\0' && n < SHOWN_MAX; n++)
		ret->s[n] = text[n] >= ' ' && text[n] < 0x7f ? text[n] : '?';
	memcpy(&ret->s[n], text[n] != '\0' ? "..." : "", text[n] != '\0' ? 4 : 1);
	return ret->s;
}

/* Notes beyond the maximum are left out: there is nothing new in the ten thousandth. */
static int note(struct import *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int note(struct import *m, const char *fmt, ...)
{
	char text[NOTE_MAX];
	va_list ap;
	int err;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err = buf_printf(m->notes, "%s\n", text);
	return err == ERR_LIMIT ? ERR_OK : err;
}

/* ---- reading values ---- */

/* A name that the configuration takes (cfg.h, CFG_NAME), with room for the labels in front. */
static bool plain_name(const char *text, char ret[NAME_TEXT_MAX])
{
	struct dns_name name, owner;
	char full[DNSNAME_TEXT_MAX];
	const char *last;
	size_t len;

	if (dns_name_parse(text, &name) != ERR_OK || dns_name_is_root(&name) ||
	    dns_name_prefix(PUB_OWNER_LABELS, &name, &owner) != ERR_OK)
		return false;
	len = strlen(dns_name_format(&name, full));
	for (size_t i = 0; i < len; i++) {
		bool edge = i == 0 || full[i - 1] == '.' || i + 1 == len || full[i + 1] == '.';

		if (!isalnum((unsigned char)full[i]) &&
		    strchr(edge ? "_." : "-_.", full[i]) == NULL)
			return false;
	}
	last = strrchr(full, '.') != NULL ? strrchr(full, '.') + 1 : full;
	if (len >= NAME_TEXT_MAX || strspn(last, "0123456789") == strlen(last))
		return false;
	memcpy(ret, full, len + 1);
	return true;
}

/* The configuration wants the domain alone. */
static bool has_labels(const char *domain)
{
	return strncmp(domain, PUB_OWNER_LABELS ".", sizeof(PUB_OWNER_LABELS)) == 0;
}

/* Text without blanks around it. */
static void trim(char *text)
{
	size_t start = strspn(text, " \t\r\n"), len;

	memmove(text, text + start, strlen(text + start) + 1);
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		text[--len] = '\0';
}

/* false where it is no whole number up to 65535. */
static bool number16(const char *text, uint16_t *ret)
{
	uint32_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint32_t)(*text - '0');
		if (n > UINT16_MAX)
			return false;
	}
	*ret = (uint16_t)n;
	return true;
}

static int add_entry(struct import *m, const struct entry *e, unsigned line)
{
	struct entry *grown;

	for (size_t i = 0; i < m->n_entries; i++)
		if (strcmp(m->entries[i].domain, e->domain) == 0)
			return note(
				m,
				"line %u: DnsDomainPublishList: %s stands there twice; only the "
				"first entry was taken",
				line, e->domain);
	if (m->n_entries == PUB_REG_DOMAINS_MAX)
		return note(m,
			    "line %u: DnsDomainPublishList: more than %u domains; %s was left "
			    "out",
			    line, PUB_REG_DOMAINS_MAX, e->domain);
	if (m->n_entries == m->cap_entries) {
		m->cap_entries = m->cap_entries == 0 ? 16 : 2 * m->cap_entries;
		grown = realloc(m->entries, m->cap_entries * sizeof(*grown));
		if (grown == NULL)
			return ERR_NOMEM;
		m->entries = grown;
	}
	m->entries[m->n_entries] = *e;
	m->entries[m->n_entries].group = m->n_entries;
	for (size_t i = 0; i < m->n_entries; i++) {
		const struct entry *before = &m->entries[i];

		if (before->priority == e->priority && before->weight == e->weight) {
			m->entries[m->n_entries++].group = i;
			return ERR_OK;
		}
	}
	if (m->n_groups == CONFIG_HOSTS_MAX)
		return note(m,
			    "line %u: DnsDomainPublishList: more than %u different pairs of "
			    "priority and weight; %s was left out",
			    line, CONFIG_HOSTS_MAX, e->domain);
	m->n_groups++;
	m->n_entries++;
	return ERR_OK;
}

/* "domain[, priority[, weight]]" */
static int list_entry(struct import *m, const char *text, size_t len, unsigned line)
{
	struct entry e = { 0 };
	char part[3][NAME_TEXT_MAX] = { "", "", "" };
	struct shown s;
	size_t n = 0, at = 0;
	bool ok = true;

	while (ok && at <= len) {
		size_t k = strcspn(text + at, ",");

		if (n == 3 || k >= NAME_TEXT_MAX) {
			ok = false;
			break;
		}
		memcpy(part[n], text + at, k);
		part[n][k] = '\0';
		trim(part[n++]);
		at += k + 1;
	}
	if (ok && n == 1 && part[0][0] == '\0')
		return ERR_OK; /* a blank line */
	ok = ok && plain_name(part[0], e.domain) && !has_labels(e.domain) &&
	     (n < 2 || number16(part[1], &e.priority)) && (n < 3 || number16(part[2], &e.weight));
	if (!ok)
		return note(m,
			    "line %u: DnsDomainPublishList: '%s' is not domain[, priority[, "
			    "weight]] with numbers up to 65535; it was left out",
			    line, show(text, &s));
	return add_entry(m, &e, line);
}

static int publish_list(struct import *m, const struct reg_value *v)
{
	int err = ERR_OK;

	m->host_side = true;
	if (v->type == REG_SZ)
		return list_entry(m, v->text, v->len, v->line);
	if (v->type != REG_MULTI_SZ)
		return note(m,
			    "line %u: DnsDomainPublishList is no list of strings; it was left out",
			    v->line);
	for (size_t at = 0; err == ERR_OK && at < v->len; at += strlen(v->text + at) + 1)
		err = list_entry(m, v->text + at, strlen(v->text + at), v->line);
	return err;
}

static int port_value(struct import *m, const struct reg_value *v, uint16_t *ret)
{
	char text[NAME_TEXT_MAX] = "";
	struct shown s;
	uint16_t port = 0;

	if (v->type == REG_SZ && v->len < sizeof(text)) {
		memcpy(text, v->text, v->len + 1);
		trim(text);
	}
	if (v->type == REG_DWORD && v->number <= UINT16_MAX)
		port = (uint16_t)v->number;
	else if (!number16(text, &port))
		port = 0;
	if (port == 0)
		return note(m, "line %u: %s: '%s' is no port from 1 to 65535; it was left out",
			    v->line, v->name, show(v->text, &s));
	*ret = port;
	return ERR_OK;
}

static int interval(struct import *m, const struct reg_value *v, uint32_t *ret)
{
	if (v->type != REG_DWORD || v->number < INTERVAL_MIN || v->number > INTERVAL_MAX)
		return note(m, "line %u: %s is no number of minutes from %d to %d; it was left out",
			    v->line, v->name, INTERVAL_MIN, INTERVAL_MAX);
	*ret = v->number;
	return note(m,
		    "line %u: %s: clients of the Windows host get it from that host; it went to "
		    "`lab:`, which only mode lab uses",
		    v->line, v->name);
}

static int name_value(struct import *m, const struct reg_value *v, char ret[NAME_TEXT_MAX])
{
	struct shown s;

	if (v->type == REG_SZ && plain_name(v->text, ret))
		return ERR_OK;
	return note(m, "line %u: %s: '%s' is no name of DNS; it was left out", v->line, v->name,
		    show(v->text, &s));
}

/* Also "host." has a dot, and is no full name. */
static int full_name(struct import *m, const struct reg_value *v, char ret[NAME_TEXT_MAX])
{
	int err = name_value(m, v, ret);

	if (strchr(ret, '.') == NULL)
		ret[0] = '\0';
	return err;
}

static int client_host(struct import *m, const struct reg_value *v)
{
	struct addr literal;
	struct shown s;

	if (v->type == REG_SZ &&
	    (addr_parse(v->text, 0, &literal) == ERR_OK || strchr(v->text, '.') == NULL))
		return note(m,
			    "line %u: %s: '%s' is no full name, which an SRV record needs; it was "
			    "left out",
			    v->line, v->name, show(v->text, &s));
	return full_name(m, v, m->client_host);
}

static bool truth(const struct reg_value *v)
{
	return v->type == REG_DWORD && v->number != 0;
}

static int low_priority(struct import *m, const struct reg_value *v)
{
	m->host_side = true;
	return !truth(v) ? ERR_OK
			 : note(m,
				"line %u: EnableKmsLowPriority: it stays a matter of the Windows "
				"host; for kmsbeacon itself the service manager has such a setting "
				"(systemd: Nice=)",
				v->line);
}

static int one_value(struct import *m, const struct reg_value *v)
{
	const char *n = v->name;

	if (strcasecmp(n, "DisableDnsPublishing") == 0) {
		m->host_side = true;
		m->disabled = truth(v);
	} else if (strcasecmp(n, "DnsDomainPublishList") == 0) {
		return publish_list(m, v);
	} else if (strcasecmp(n, "KeyManagementServiceListeningPort") == 0) {
		m->host_side = true;
		return port_value(m, v, &m->port);
	} else if (strcasecmp(n, "VLActivationInterval") == 0) {
		return interval(m, v, &m->activation_min);
	} else if (strcasecmp(n, "VLRenewalInterval") == 0) {
		return interval(m, v, &m->renewal_min);
	} else if (strcasecmp(n, "EnableKmsLowPriority") == 0) {
		return low_priority(m, v);
	} else if (strcasecmp(n, "KeyManagementServiceVersion") == 0) {
		m->host_side = true; /* slmgr writes it where a host key is installed */
	} else if (strcasecmp(n, "KeyManagementServiceName") == 0) {
		return client_host(m, v);
	} else if (strcasecmp(n, "KeyManagementServicePort") == 0) {
		return port_value(m, v, &m->client_port);
	} else if (strcasecmp(n, "KeyManagementServiceLookupDomain") == 0) {
		return name_value(m, v, m->lookup_domain);
	} else if (strcasecmp(n, "DisableKeyManagementServiceHostCaching") == 0) {
		m->no_cache = truth(v);
	} else {
		m->n_other++;
	}
	return ERR_OK;
}

/* Whether @p key is one of the platform's, and if so what follows it: "" or "\SUBKEY". */
static const char *below_platform(const char *key)
{
	static const char *const roots[] = {
		WINDOWS_KEY "SoftwareProtectionPlatform",
		WINDOWS_KEY "SL", /* Vista, Server 2008 */
		SOFTWARE_KEY "OfficeSoftwareProtectionPlatform",
	};

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		size_t len = strlen(roots[i]);

		if (strncasecmp(key, roots[i], len) == 0 && (key[len] == '\0' || key[len] == '\\'))
			return key + len;
	}
	return NULL;
}

static int on_value(void *ctx, const struct reg_value *v)
{
	struct import *m = ctx;
	const char *below = below_platform(v->key);
	struct shown s, k;

	if (below == NULL) {
		m->n_other++;
		return ERR_OK;
	}
	m->found = true;
	if (*below == '\0' && v->type != REG_DELETED)
		return one_value(m, v);
	m->n_sub++;
	if (*below == '\0' || strncasecmp(v->name, "KeyManagementService", 20) != 0)
		return ERR_OK;
	m->n_sub--;
	return note(m, "line %u: %s of one product (%s): it was left out", v->line,
		    show(v->name, &s), show(below + 1, &k));
}

bool pub_reg_is_target(const struct dns_name *target)
{
	char full[DNSNAME_TEXT_MAX], name[NAME_TEXT_MAX];

	return plain_name(dns_name_format(target, full), name) && strchr(name, '.') != NULL;
}

/* ---- deciding and writing ---- */

struct plan {
	char target[NAME_TEXT_MAX];
	bool invented;
	uint16_t port;
};

/* The host's name is in no export; a client's key at least names the host that it asks. */
static int choose_target(struct import *m, const struct dns_name *given, struct plan *p)
{
	char full[DNSNAME_TEXT_MAX];
	bool client = m->client_host[0] != '\0' && !m->host_side;

	p->port = m->port != 0 ? m->port : CONFIG_KMS_PORT;
	if (client && m->client_port != 0)
		p->port = m->client_port;
	if (given != NULL && pub_reg_is_target(given)) {
		(void)plain_name(dns_name_format(given, full), p->target);
		return ERR_OK;
	}
	if (client) {
		memcpy(p->target, m->client_host, sizeof(p->target));
		return note(m,
			    "KeyManagementServiceName: the key is that of a client; the host it is "
			    "told to ask, %s, is taken as the one to publish",
			    p->target);
	}
	p->invented = true;
	(void)snprintf(p->target, sizeof(p->target), PUB_REG_INVENTED ".%.*s",
		       (int)(sizeof(p->target) - sizeof(PUB_REG_INVENTED) - 2),
		       m->n_entries > 0 ? m->entries[0].domain : "example");
	return note(m,
		    "the name of the host: no export holds it; give it (--target NAME), or put it "
		    "where the hosts say %s",
		    p->target);
}

/* Where there is no list, Windows publishes in the domain of the host itself. */
static int home_domain(struct import *m, const struct plan *p)
{
	struct entry e = { 0 };
	const char *dot = strchr(p->target, '.');

	if (m->n_entries > 0)
		return note(m,
			    "the host's own domain is published only if DnsDomainPublishList names "
			    "it: compare with what is in DNS now");
	if (p->invented)
		return note(
			m,
			"the domains: without DnsDomainPublishList the host publishes in its own "
			"domain, which no export holds; --target tells it");
	if (has_labels(dot + 1))
		return note(m, "the domains: %s is no name of a host; give its domain by hand",
			    p->target);
	memcpy(e.domain, dot + 1, strlen(dot + 1) + 1);
	return add_entry(m, &e, 0);
}

static int left_out(struct import *m)
{
	int err = ERR_OK;

	if (m->client_host[0] != '\0' && m->host_side)
		err = note(
			m,
			"KeyManagementServiceName: '%s' is whom this machine asks as a client; it "
			"was left out",
			m->client_host);
	if (err == ERR_OK && m->disabled)
		err = note(m, "DisableDnsPublishing: the host publishes nothing, so no domain is "
			      "published; DnsDomainPublishList stands as comments");
	else if (err == ERR_OK && m->host_side)
		err = note(m, "the Windows host goes on publishing by itself: turn that off there "
			      "(slmgr /cdns, then restart the service sppsvc)");
	if (err == ERR_OK && m->n_sub > 0)
		err = note(m, "%zu values of products or taken away, left out", m->n_sub);
	if (err == ERR_OK && m->n_other > 0)
		err = note(m, "%zu values that say nothing of KMS in DNS, left out", m->n_other);
	return err;
}

/* One host for each pair of priority and weight: a record's two numbers belong to its host. */
static int host_name(const struct import *m, const struct entry *e, struct buf *out)
{
	if (m->n_groups <= 1)
		return buf_printf(out, "windows");
	return buf_printf(out, "windows-%u-%u", e->priority, e->weight);
}

static int write_hosts(const struct import *m, const struct plan *p, struct buf *out)
{
	static const struct entry none = { .group = 0 };
	size_t n = m->n_entries > 0 ? m->n_entries : 1;
	int err = buf_printf(out, "hosts:\n");

	for (size_t i = 0; err == ERR_OK && i < n; i++) {
		const struct entry *e = m->n_entries > 0 ? &m->entries[i] : &none;

		if (e->group != i)
			continue;
		err = buf_printf(out, "  - { name: ");
		if (err == ERR_OK)
			err = host_name(m, e, out);
		if (err == ERR_OK)
			err = buf_printf(out,
					 ", target: \"%s\", port: %u, priority: %u, weight: %u }\n",
					 p->target, p->port, e->priority, e->weight);
	}
	return err;
}

static int write_domains(const struct import *m, struct buf *out)
{
	bool as_comment = m->disabled || m->n_entries == 0;
	int err = buf_printf(out, "publish:\n  domains:%s\n", as_comment ? " []" : "");

	for (size_t i = 0; err == ERR_OK && i < m->n_entries; i++) {
		const struct entry *e = &m->entries[i];

		err = buf_printf(out, "%s    - { domain: \"%s\", hosts: [", as_comment ? "#" : "",
				 e->domain);
		if (err == ERR_OK)
			err = host_name(m, e, out);
		if (err == ERR_OK)
			err = buf_printf(out, "] }\n");
	}
	return err;
}

static int write_rest(const struct import *m, struct buf *out)
{
	int err = ERR_OK;

	if (m->activation_min != 0 || m->renewal_min != 0)
		err = buf_printf(out, "lab:\n");
	if (err == ERR_OK && m->activation_min != 0)
		err = buf_printf(out, "  activation_interval: %um\n", m->activation_min);
	if (err == ERR_OK && m->renewal_min != 0)
		err = buf_printf(out, "  renewal_interval: %um\n", m->renewal_min);
	if (err == ERR_OK && (m->lookup_domain[0] != '\0' || m->no_cache))
		err = buf_printf(out, "discovery:\n");
	if (err == ERR_OK && m->lookup_domain[0] != '\0')
		err = buf_printf(out, "  suffixes: [\"%s\"]\n", m->lookup_domain);
	if (err == ERR_OK && m->no_cache)
		err = buf_printf(out, "  cache: false\n");
	return err;
}

static int write_yaml(const struct import *m, const struct plan *p, struct buf *out)
{
	int err = buf_printf(
		out,
		"# Made by kmsbeacon import. Still to be given: a key for the updates (`keys:` "
		"here, "
		"`key:` of\n"
		"# each domain; `kmsbeacon policy` then prints what the DNS server must allow).\n"
		"service: { mode: \"off\" } # the Windows host answers; its records are kept "
		"here\n");

	if (err == ERR_OK && p->invented)
		err = buf_printf(out,
				 "# The target is invented: put the full name of the Windows host "
				 "in its place.\n");
	if (err == ERR_OK)
		err = write_hosts(m, p, out);
	if (err == ERR_OK)
		err = write_domains(m, out);
	return err == ERR_OK ? write_rest(m, out) : err;
}

int pub_reg_import(const uint8_t *data, size_t len, const struct dns_name *target, struct buf *yaml,
		   struct buf *notes, struct err_info *info)
{
	struct import m = { .notes = notes };
	struct plan p = { .port = 0 };
	int err = reg_text_read(data, len, on_value, &m, info);

	if (err == ERR_OK && !m.found)
		err = err_set(
			info, ERR_NOT_FOUND,
			"it holds no value of HKEY_LOCAL_MACHINE\\SOFTWARE\\Microsoft\\Windows "
			"NT\\CurrentVersion\\SoftwareProtectionPlatform: export that key");
	if (err == ERR_OK)
		err = choose_target(&m, target, &p);
	if (err == ERR_OK)
		err = home_domain(&m, &p);
	if (err == ERR_OK)
		err = left_out(&m);
	if (err == ERR_OK)
		err = write_yaml(&m, &p, yaml);
	free(m.entries);
	return err;
}
