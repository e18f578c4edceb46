#include "tests/lib/fake_zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

void fake_zone_record(struct fake_reply *r, enum dns_section s, const struct fake_record *rec)
{
	unsigned long n[3];
	char *at = NULL, name[256];

	switch (rec->type) {
	case DNS_TYPE_A:
		fake_reply_a(r, s, rec->owner, rec->ttl, rec->data);
		return;
	case DNS_TYPE_AAAA:
		fake_reply_aaaa(r, s, rec->owner, rec->ttl, rec->data);
		return;
	case DNS_TYPE_NS:
		fake_reply_ns(r, s, rec->owner, rec->ttl, rec->data);
		return;
	case DNS_TYPE_CNAME:
		fake_reply_cname(r, s, rec->owner, rec->ttl, rec->data);
		return;
	case DNS_TYPE_SRV:
		n[0] = strtoul(rec->data, &at, 10);
		n[1] = strtoul(at, &at, 10);
		n[2] = strtoul(at, &at, 10);
		fake_reply_srv(r, s, rec->owner, rec->ttl, (uint16_t)n[0], (uint16_t)n[1],
			       (uint16_t)n[2], at + strspn(at, " "));
		return;
	case DNS_TYPE_SOA:
		n[0] = strcspn(rec->data, " ");
		assert_true(n[0] < sizeof(name));
		memcpy(name, rec->data, n[0]);
		name[n[0]] = '\0';
		fake_reply_soa(r, s, rec->owner, rec->ttl, name,
			       (uint32_t)strtoul(rec->data + n[0], NULL, 10), 300);
		return;
	default:
		fail_msg("fake_zone: no form for type %u", rec->type);
	}
}

/** Whether @p owner is @p name, or below it (which makes @p name exist). */
static bool is_at_or_below(const char *owner, const char *name)
{
	size_t o = strlen(owner), n = strlen(name);

	return o >= n && strcmp(owner + o - n, name) == 0 && (o == n || owner[o - n - 1] == '.');
}

void fake_zone_reply(struct fake_reply *r, const struct fake_dns_request *rq,
		     const struct fake_zone *z)
{
	char text[DNSNAME_TEXT_MAX];
	const char *name = text;
	bool found = false, exists = false, again = true;

	assert_non_null(rq->msg);
	fake_reply_begin(r, rq, DNS_RCODE_NOERROR, z->flags);
	dns_name_format(&rq->msg->qname, text);
	for (int hops = 0; again && hops < 32; hops++) {
		again = exists = false;
		for (size_t i = 0; i < z->n_records; i++) {
			const struct fake_record *rec = &z->records[i];

			exists = exists || is_at_or_below(rec->owner, name);
			if (strcmp(rec->owner, name) != 0)
				continue;
			if (rec->type == rq->msg->qtype) {
				fake_zone_record(r, DNS_ANSWER, rec);
				found = true;
			} else if (rec->type == DNS_TYPE_CNAME) {
				fake_zone_record(r, DNS_ANSWER, rec);
				name = rec->data;
				again = z->follow_cnames;
				found = !again;
				break;
			}
		}
	}
	if (!exists && !found)
		r->data[3] = (uint8_t)((r->data[3] & 0xf0) | DNS_RCODE_NXDOMAIN);
	if (!found && z->origin != NULL)
		fake_reply_soa(r, DNS_AUTHORITY, z->origin, 300, "ns.invalid", 1, 300);
}
