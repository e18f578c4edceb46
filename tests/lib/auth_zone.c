#include "tests/lib/auth_zone.h"

#include <string.h>

static bool within(const char *name, const char *apex)
{
	size_t n = strlen(name), a = strlen(apex);

	if (strcmp(apex, ".") == 0)
		return true;
	return n >= a && strcmp(name + n - a, apex) == 0 && (n == a || name[n - a - 1] == '.');
}

static void add_row(struct fake_reply *r, const struct auth_row *row)
{
	uint32_t ttl = row->ttl != 0 ? row->ttl : 3600;

	switch (row->type) {
	case DNS_TYPE_A:
		fake_reply_a(r, DNS_ANSWER, row->owner, ttl, row->data);
		break;
	case DNS_TYPE_AAAA:
		fake_reply_aaaa(r, DNS_ANSWER, row->owner, ttl, row->data);
		break;
	case DNS_TYPE_NS:
		fake_reply_ns(r, DNS_ANSWER, row->owner, ttl, row->data);
		break;
	case DNS_TYPE_CNAME:
		fake_reply_cname(r, DNS_ANSWER, row->owner, ttl, row->data);
		break;
	case DNS_TYPE_SRV:
		fake_reply_srv(r, DNS_ANSWER, row->owner, ttl, row->priority, row->weight,
			       row->port, row->data);
		break;
	default:
		break;
	}
}

static const struct auth_row *find(const struct auth_zone *z, const char *owner, uint16_t type)
{
	for (size_t i = 0; i < z->n_rows; i++)
		if (z->rows[i].type == type && strcmp(z->rows[i].owner, owner) == 0)
			return &z->rows[i];
	return NULL;
}

static bool exists(const struct auth_zone *z, const char *name)
{
	for (size_t i = 0; i < z->n_rows; i++)
		if (within(z->rows[i].owner, name))
			return true;
	return within(z->apex, name);
}

static void add_soa(struct fake_reply *r, const struct auth_zone *z, enum dns_section s)
{
	fake_reply_soa(r, s, z->apex, 900, z->mname != NULL ? z->mname : "ns1.invalid", z->serial,
		       z->minimum != 0 ? z->minimum : 900);
}

static void answer(struct auth_zone *z, const struct fake_dns_request *rq, const char *qname)
{
	unsigned flags = z->not_authoritative ? FAKE_RA : FAKE_AA;
	const struct auth_row *alias;
	const char *name = qname;
	struct fake_reply r;
	bool any = false;

	for (int i = 0; i < 16 && (alias = find(z, name, DNS_TYPE_CNAME)) != NULL; i++)
		name = alias->data;
	fake_reply_begin(&r, rq, exists(z, name) || !within(name, z->apex) ? 0 : DNS_RCODE_NXDOMAIN,
			 flags);
	name = qname;
	for (int i = 0; i < 16 && (alias = find(z, name, DNS_TYPE_CNAME)) != NULL; i++) {
		add_row(&r, alias);
		name = alias->data;
	}
	for (size_t i = 0; i < z->n_rows; i++) {
		if (z->rows[i].type != rq->msg->qtype || strcmp(z->rows[i].owner, name) != 0)
			continue;
		add_row(&r, &z->rows[i]);
		any = true;
	}
	if (rq->msg->qtype == DNS_TYPE_SOA && strcmp(name, z->apex) == 0) {
		add_soa(&r, z, DNS_ANSWER);
		any = true;
	}
	if (!any && within(name, z->apex))
		add_soa(&r, z, DNS_AUTHORITY);
	fake_dns_send_reply(&rq->from, &r);
}

void auth_zone_serve(struct fake_dns *f, const struct fake_dns_request *rq, void *ctx)
{
	struct auth_zone *z = ctx;
	char qname[DNSNAME_TEXT_MAX];
	struct fake_reply r;

	(void)f;
	if (rq->msg == NULL || z->silent)
		return;
	dns_name_format(&rq->msg->qname, qname);
	if (z->silent_for != NULL && strcmp(qname, z->silent_for) == 0)
		return;
	z->questions++;
	z->srv_questions += rq->msg->qtype == DNS_TYPE_SRV;
	if (z->rcode != 0 || !within(qname, z->apex)) {
		fake_reply_begin(&r, rq, z->rcode != 0 ? z->rcode : DNS_RCODE_REFUSED, 0);
		fake_dns_send_reply(&rq->from, &r);
		return;
	}
	answer(z, rq, qname);
}

struct fake_dns *auth_zone_start(struct test_net *t, const char *ip, uint16_t port,
				 struct auth_zone *z)
{
	struct fake_dns_params p = {
		.ip = ip,
		.port = port,
		.on_message = auth_zone_serve,
		.ctx = z,
	};

	return fake_dns_new(t, &p);
}
