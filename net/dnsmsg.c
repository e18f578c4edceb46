#include "net/dnsmsg.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"
#include "net/dnswire.h"

#define TTL_MAX   0x7fffffffu
#define RCODE_MAX 0xfffu /* 12 bits with EDNS */

/* RDATA, with a reader that ends where it does: nothing in it can run into the next record. */

static bool take_u16(struct dnswire *w, uint16_t *ret)
{
	if (w->len - w->pos < 2)
		return false;
	*ret = dnswire_u16(w->msg + w->pos);
	w->pos += 2;
	return true;
}

static bool take_u32(struct dnswire *w, uint32_t *ret)
{
	if (w->len - w->pos < 4)
		return false;
	*ret = dnswire_u32(w->msg + w->pos);
	w->pos += 4;
	return true;
}

static bool take_bytes(struct dnswire *w, void *ret, size_t n)
{
	if (w->len - w->pos < n)
		return false;
	memcpy(ret, w->msg + w->pos, n);
	w->pos += n;
	return true;
}

static bool take_name(struct dnswire *w, struct dns_name *ret)
{
	return dnswire_name(w, ret) == 0;
}

static bool take_srv(struct dnswire *w, struct dns_srv *srv)
{
	uint8_t raw[DNSNAME_WIRE_MAX];

	if (!take_u16(w, &srv->priority) || !take_u16(w, &srv->weight) ||
	    !take_u16(w, &srv->port) || dnswire_name_raw(w, &srv->target, raw) != 0)
		return false;
	/* Length octets end below 'A', so the whole name can be looked at alike. */
	for (size_t i = 0; i < srv->target.len; i++)
		if (raw[i] >= 'A' && raw[i] <= 'Z')
			srv->capitals[i / 8] |= (uint8_t)(1u << (i % 8));
	return true;
}

static bool take_soa(struct dnswire *w, struct dns_soa *soa)
{
	struct dns_name rname;

	return take_name(w, &soa->mname) && take_name(w, &rname) && take_u32(w, &soa->serial) &&
	       take_u32(w, &soa->refresh) && take_u32(w, &soa->retry) &&
	       take_u32(w, &soa->expire) && take_u32(w, &soa->minimum);
}

/** What of a signature there is to know; that it is one is looked at all the same. */
static bool take_rrsig(struct dnswire *w, uint8_t *ret_labels)
{
	uint8_t head[18]; /* type covered, algorithm, labels, TTL, two times, key tag */
	struct dns_name signer;

	if (!take_bytes(w, head, sizeof(head)) || !take_name(w, &signer) || w->pos == w->len)
		return false;
	*ret_labels = head[3];
	w->pos = w->len; /* the signature */
	return true;
}

/** @return false: too short, too long, or a name that is none. */
static bool take_rdata(struct dnswire *w, struct dns_rr *rr)
{
	switch (rr->type) {
	case DNS_TYPE_A:
		return take_bytes(w, &rr->data.a, sizeof(rr->data.a));
	case DNS_TYPE_AAAA:
		return take_bytes(w, &rr->data.aaaa, sizeof(rr->data.aaaa));
	case DNS_TYPE_NS:
	case DNS_TYPE_CNAME:
	case DNS_TYPE_DNAME:
		return take_name(w, &rr->data.name);
	case DNS_TYPE_SRV:
		return take_srv(w, &rr->data.srv);
	case DNS_TYPE_SOA:
		return take_soa(w, &rr->data.soa);
	case DNS_TYPE_RRSIG:
		return take_rrsig(w, &rr->data.rrsig_labels);
	default: /* not one that we read */
		w->pos = w->len;
		return true;
	}
}

static int decode_rdata(const struct dnswire *w, const struct dnswire_rr *frame, struct dns_rr *rr)
{
	struct dnswire at = { .msg = w->msg, .len = frame->end, .pos = frame->rdata };

	if (rr->rclass != DNS_CLASS_IN && rr->rclass != DNS_CLASS_NONE)
		return 0;
	/* "RRset exists", "delete an RRset" of UPDATE, which a reply may repeat */
	if (rr->rclass == DNS_CLASS_NONE && frame->rdata == frame->end)
		return 0;
	return take_rdata(&at, rr) && at.pos == at.len ? 0 : ERR_DNS_MALFORMED;
}

/* OPT and TSIG are about the message. Sets *ret_meta where the record is one of them. */
static int read_meta(struct dns_msg *m, const struct dnswire_rr *frame, enum dns_section section,
		     bool last, bool *ret_meta)
{
	*ret_meta = false;
	if (frame->type == DNS_TYPE_OPT) {
		if (m->has_edns || section != DNS_ADDITIONAL || !dns_name_is_root(&frame->owner))
			return ERR_DNS_MALFORMED;
		m->has_edns = true;
		m->rcode |= (uint16_t)(frame->ttl >> 24 << 4);
		*ret_meta = true;
	} else if (frame->type == DNS_TYPE_TSIG) {
		if (section != DNS_ADDITIONAL || !last)
			return ERR_DNS_MALFORMED;
		*ret_meta = true;
	}
	return 0;
}

static int read_rr(struct dnswire *w, struct dns_msg *m, enum dns_section section, bool last,
		   struct dns_rr *rr)
{
	struct dnswire_rr frame;
	bool meta;
	int err = dnswire_rr(w, &frame);

	if (err == 0)
		err = read_meta(m, &frame, section, last, &meta);
	if (err != 0 || meta)
		return err;
	memset(rr, 0, sizeof(*rr));
	rr->owner = frame.owner;
	rr->type = frame.type;
	rr->rclass = frame.rclass;
	rr->ttl = frame.ttl > TTL_MAX ? 0 : frame.ttl;
	err = decode_rdata(w, &frame, rr);
	if (err == 0)
		m->count[section]++;
	return err;
}

static int read_sections(struct dnswire *w, struct dns_msg *m, const struct dnswire_header *h)
{
	const unsigned want[DNS_SECTION_COUNT_] = { h->an, h->ns, h->ar };
	size_t total = (size_t)h->an + h->ns + h->ar, room = (w->len - w->pos) / DNSWIRE_RR_MIN;
	size_t n = 0;

	total = total > room ? room : total; /* no memory for what cannot be there */
	if (total > DNSMSG_RR_MAX)
		return ERR_DNS_MALFORMED;
	m->rrs = calloc(total > 0 ? total : 1, sizeof(*m->rrs));
	if (m->rrs == NULL)
		return ERR_NOMEM;
	for (unsigned s = 0; s < DNS_SECTION_COUNT_; s++) {
		for (unsigned i = 0; i < want[s]; i++) {
			size_t before = m->count[s];
			int err = ERR_DNS_MALFORMED;

			if (n < total)
				err = read_rr(w, m, (enum dns_section)s, i + 1 == want[s],
					      &m->rrs[n]);
			if (err == ERR_DNS_MALFORMED && m->tc)
				return 0;
			if (err != 0)
				return err;
			n += m->count[s] - before;
		}
	}
	return w->pos == w->len || m->tc ? 0 : ERR_DNS_MALFORMED;
}

int dnsmsg_parse(const uint8_t *wire, size_t len, struct dns_msg **ret)
{
	struct dnswire w = { .msg = wire, .len = len };
	struct dnswire_header h;
	struct dns_msg *m;
	int err;

	if (len > DNSMSG_MAX || dnswire_header(&w, &h) != 0 || h.qd > 1)
		return ERR_DNS_MALFORMED;
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return ERR_NOMEM;
	m->id = h.id;
	m->opcode = (uint8_t)DNSWIRE_OPCODE(h.flags);
	m->rcode = (uint16_t)DNSWIRE_RCODE(h.flags);
	m->qr = DNSWIRE_QR(h.flags);
	m->aa = DNSWIRE_AA(h.flags);
	m->tc = DNSWIRE_TC(h.flags);
	m->rd = DNSWIRE_RD(h.flags);
	m->ra = DNSWIRE_RA(h.flags);
	m->has_question = h.qd == 1;
	err = m->has_question ? dnswire_question(&w, &m->qname, &m->qtype, &m->qclass) : 0;
	if (err == 0)
		err = read_sections(&w, m, &h);
	if (err != 0) {
		dnsmsg_free(m);
		return err;
	}
	*ret = m;
	return 0;
}

void dnsmsg_free(struct dns_msg *m)
{
	if (m == NULL)
		return;
	free(m->rrs);
	free(m);
}

const struct dns_rr *dnsmsg_section(const struct dns_msg *m, enum dns_section s, size_t *ret_n)
{
	const struct dns_rr *at = m->rrs;

	for (unsigned i = 0; i < (unsigned)s; i++)
		at += m->count[i];
	*ret_n = m->count[s];
	return at;
}

static ldns_rdf *name_to_rdf(const struct dns_name *n)
{
	return ldns_rdf_new_frm_data(LDNS_RDF_TYPE_DNAME, n->len, n->wire);
}

static ldns_rr *new_rr(const struct dns_name *owner, unsigned type, unsigned rclass, uint32_t ttl)
{
	ldns_rr *lrr = ldns_rr_new();
	ldns_rdf *rdf = name_to_rdf(owner);

	if (lrr == NULL || rdf == NULL) {
		ldns_rr_free(lrr);
		ldns_rdf_deep_free(rdf);
		return NULL;
	}
	ldns_rr_set_owner(lrr, rdf);
	ldns_rr_set_type(lrr, (ldns_rr_type)type);
	ldns_rr_set_class(lrr, (ldns_rr_class)rclass);
	ldns_rr_set_ttl(lrr, ttl);
	return lrr;
}

static int push_rdf(ldns_rr *lrr, ldns_rdf *rdf)
{
	if (rdf != NULL && ldns_rr_push_rdf(lrr, rdf))
		return 0;
	ldns_rdf_deep_free(rdf);
	return ERR_NOMEM;
}

static int push_rr(ldns_pkt *pkt, ldns_pkt_section section, ldns_rr *lrr)
{
	if (lrr != NULL && ldns_pkt_push_rr(pkt, section, lrr))
		return 0;
	ldns_rr_free(lrr);
	return ERR_NOMEM;
}

static int push_question(ldns_pkt *pkt, const struct dns_name *name, unsigned type)
{
	ldns_rr *lrr = new_rr(name, type, DNS_CLASS_IN, 0);

	if (lrr != NULL)
		ldns_rr_set_question(lrr, true);
	return push_rr(pkt, LDNS_SECTION_QUESTION, lrr);
}

/* The target with the capitals it was read with: see struct dns_srv. */
static ldns_rdf *target_to_rdf(const struct dns_srv *srv)
{
	struct dns_name n = srv->target;

	for (size_t i = 0; i < n.len; i++)
		if ((srv->capitals[i / 8] & (1u << (i % 8))) != 0 && n.wire[i] >= 'a' &&
		    n.wire[i] <= 'z')
			n.wire[i] = (uint8_t)(n.wire[i] - 'a' + 'A');
	return name_to_rdf(&n);
}

static int push_srv(ldns_pkt *pkt, ldns_pkt_section section, const struct dns_rr *rr,
		    enum dns_class rclass, uint32_t ttl)
{
	const struct dns_srv *srv = &rr->data.srv;
	ldns_rr *lrr;
	int err;

	if (rr->type != DNS_TYPE_SRV || !dns_name_is_set(&rr->owner) ||
	    !dns_name_is_set(&srv->target))
		return ERR_INTERNAL;
	lrr = new_rr(&rr->owner, DNS_TYPE_SRV, rclass, ttl);
	if (lrr == NULL)
		return ERR_NOMEM;
	err = push_rdf(lrr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, srv->priority));
	if (err == 0)
		err = push_rdf(lrr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, srv->weight));
	if (err == 0)
		err = push_rdf(lrr, ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, srv->port));
	if (err == 0)
		err = push_rdf(lrr, target_to_rdf(srv));
	if (err != 0) {
		ldns_rr_free(lrr);
		return err;
	}
	return push_rr(pkt, section, lrr);
}

/* Owner names are compressed, the target of an SRV is not (RFC 2782): ldns knows that. */
static int encode(const ldns_pkt *pkt, struct buf *out)
{
	uint8_t *wire = NULL;
	size_t len = 0;
	int err;

	if (ldns_pkt2wire(&wire, pkt, &len) != LDNS_STATUS_OK) {
		free(wire);
		return ERR_NOMEM;
	}
	err = len > DNSMSG_MAX ? ERR_LIMIT : buf_append(out, wire, len);
	free(wire);
	return err;
}

int dnsmsg_build_query(const struct dns_question *q, uint16_t id, bool edns, struct buf *out)
{
	const uint8_t head[DNSWIRE_HEADER] = {
		(uint8_t)(id >> 8), (uint8_t)id, q->rd ? 1 : 0, 0, 0, 1, [11] = edns ? 1 : 0
	};
	const uint8_t tail[4] = { (uint8_t)(q->type >> 8), (uint8_t)q->type, 0, DNS_CLASS_IN };
	/* the root, type, our UDP size for a class, no flags, no options */
	static const uint8_t opt[11] = { 0, 0, DNS_TYPE_OPT, DNSMSG_EDNS_UDP >> 8,
					 DNSMSG_EDNS_UDP & 0xff };
	int err;

	buf_clear(out);
	if (!dns_name_is_set(&q->name))
		return ERR_INTERNAL;
	err = buf_append(out, head, sizeof(head));
	if (err == ERR_OK)
		err = buf_append(out, q->name.wire, q->name.len);
	if (err == ERR_OK)
		err = buf_append(out, tail, sizeof(tail));
	if (err == ERR_OK && edns)
		err = buf_append(out, opt, sizeof(opt));
	return err;
}

static int push_update(ldns_pkt *pkt, const struct dns_update *u)
{
	int err = push_question(pkt, &u->zone, DNS_TYPE_SOA);

	/* RFC 2136 §2.4.2: class of the zone, TTL 0; sections are prerequisite and update there */
	for (size_t i = 0; err == 0 && i < u->n_prereq; i++)
		err = push_srv(pkt, LDNS_SECTION_ANSWER, &u->prereq[i], DNS_CLASS_IN, 0);
	for (size_t i = 0; err == 0 && i < u->n_changes; i++) {
		const struct dns_change *c = &u->changes[i];

		if (c->op == DNS_ADD)
			err = push_srv(pkt, LDNS_SECTION_AUTHORITY, &c->rr, DNS_CLASS_IN,
				       c->rr.ttl);
		else
			err = push_srv(pkt, LDNS_SECTION_AUTHORITY, &c->rr, DNS_CLASS_NONE, 0);
	}
	return err;
}

int dnsmsg_build_update(const struct dns_update *u, uint16_t id, struct buf *out)
{
	ldns_pkt *pkt;
	int err;

	buf_clear(out);
	if (u->n_prereq > DNSMSG_RR_MAX || u->n_changes > DNSMSG_RR_MAX)
		return ERR_LIMIT;
	pkt = ldns_pkt_new();
	if (pkt == NULL)
		return ERR_NOMEM;
	ldns_pkt_set_id(pkt, id);
	ldns_pkt_set_opcode(pkt, LDNS_PACKET_UPDATE);
	err = push_update(pkt, u);
	if (err == 0)
		err = encode(pkt, out);
	ldns_pkt_free(pkt);
	return err;
}

int dnsmsg_build_notify_answer(const struct dns_msg *m, struct buf *out)
{
	const unsigned flags = 0x8400u | (unsigned)DNS_OPCODE_NOTIFY << 11; /* QR, AA */
	const uint8_t tail[4] = { (uint8_t)(m->qtype >> 8), (uint8_t)m->qtype,
				  (uint8_t)(m->qclass >> 8), (uint8_t)m->qclass };
	uint8_t answer[DNSWIRE_HEADER + DNSNAME_WIRE_MAX + sizeof(tail)] = {
		(uint8_t)(m->id >> 8), (uint8_t)m->id, (uint8_t)(flags >> 8), (uint8_t)flags, 0, 1
	};
	uint8_t *at = answer + DNSWIRE_HEADER;

	memcpy(at, m->qname.wire, m->qname.len);
	memcpy(at + m->qname.len, tail, sizeof(tail));
	buf_clear(out);
	return buf_append(out, answer, DNSWIRE_HEADER + m->qname.len + sizeof(tail));
}

bool dnsmsg_answers(const struct dns_msg *m, const uint8_t *req, size_t req_len)
{
	struct dnswire w = { .msg = req, .len = req_len };
	struct dnswire_header h;
	struct dns_name name;
	uint16_t type, rclass;

	if (dnswire_header(&w, &h) != 0 || h.qd != 1 ||
	    dnswire_question(&w, &name, &type, &rclass) != 0)
		return false;
	if (!m->qr || m->opcode != DNSWIRE_OPCODE(h.flags))
		return false;
	if (!m->has_question)
		return m->opcode == DNS_OPCODE_UPDATE || m->rcode != DNS_RCODE_NOERROR;
	return m->qtype == type && m->qclass == rclass && dns_name_equal(&m->qname, &name);
}

static const char *const rcode_names[] = {
	[DNS_RCODE_NOERROR] = "NOERROR",   [DNS_RCODE_FORMERR] = "FORMERR",
	[DNS_RCODE_SERVFAIL] = "SERVFAIL", [DNS_RCODE_NXDOMAIN] = "NXDOMAIN",
	[DNS_RCODE_NOTIMP] = "NOTIMP",     [DNS_RCODE_REFUSED] = "REFUSED",
	[DNS_RCODE_YXDOMAIN] = "YXDOMAIN", [DNS_RCODE_YXRRSET] = "YXRRSET",
	[DNS_RCODE_NXRRSET] = "NXRRSET",   [DNS_RCODE_NOTAUTH] = "NOTAUTH",
	[DNS_RCODE_NOTZONE] = "NOTZONE",   [DNS_RCODE_BADSIG] = "BADSIG",
	[DNS_RCODE_BADKEY] = "BADKEY",     [DNS_RCODE_BADTIME] = "BADTIME",
	[DNS_RCODE_BADTRUNC] = "BADTRUNC",
};

const char *dns_rcode_name(unsigned rcode)
{
	static char unnamed[RCODE_MAX + 1][sizeof("RCODE4095")];

	if (rcode < sizeof(rcode_names) / sizeof(rcode_names[0]) && rcode_names[rcode] != NULL)
		return rcode_names[rcode];
	rcode &= RCODE_MAX; /* there are no others */
	(void)snprintf(unnamed[rcode], sizeof(unnamed[rcode]), "RCODE%u", rcode);
	return unnamed[rcode];
}

int dns_rcode_err(unsigned rcode)
{
	static const int errs[] = {
		ERR_OK,
		ERR_RCODE_FORMERR,
		ERR_RCODE_SERVFAIL,
		ERR_RCODE_NXDOMAIN,
		ERR_RCODE_NOTIMP,
		ERR_RCODE_REFUSED,
		ERR_RCODE_YXDOMAIN,
		ERR_RCODE_YXRRSET,
		ERR_RCODE_NXRRSET,
		ERR_RCODE_NOTAUTH,
		ERR_RCODE_NOTZONE,
	};

	return rcode < sizeof(errs) / sizeof(errs[0]) ? errs[rcode] : ERR_RCODE_OTHER;
}

const char *dns_type_name(unsigned type, char buf[16])
{
	const ldns_rr_descriptor *d = ldns_rr_descript((uint16_t)type);

	/* ldns calls the query types TYPE251 to TYPE255 */
	if (type == DNS_TYPE_ANY)
		return "ANY";
	if (type <= UINT16_MAX && d->_name != NULL)
		return d->_name;
	(void)snprintf(buf, 16, "TYPE%u", type);
	return buf;
}

const char *dns_srv_format(const struct dns_srv *srv, char buf[DNS_SRV_TEXT_MAX])
{
	char target[DNSNAME_TEXT_MAX];

	(void)snprintf(buf, DNS_SRV_TEXT_MAX, "%u %u %u %s", srv->priority, srv->weight, srv->port,
		       dns_name_format(&srv->target, target));
	return buf;
}

bool dns_srv_equal(const struct dns_srv *a, const struct dns_srv *b)
{
	return a->priority == b->priority && a->weight == b->weight && a->port == b->port &&
	       dns_name_equal(&a->target, &b->target);
}
