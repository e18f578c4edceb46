#include "tests/sim/dns_wire.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POINTERS_MAX 128

/* ---- reading ---- */

struct in {
	const uint8_t *data;
	size_t len, at;
	bool bad;
};

static uint64_t get(struct in *in, size_t bytes)
{
	uint64_t v = 0;

	if (in->bad || in->len - in->at < bytes) {
		in->bad = true;
		return 0;
	}
	while (bytes-- > 0)
		v = v << 8 | in->data[in->at++];
	return v;
}

struct text {
	char *at, *end;
	bool bad;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->at, (size_t)(t->end - t->at), fmt, ap);
	va_end(ap);
	if (n < 0 || n >= t->end - t->at)
		t->bad = true;
	else
		t->at += n;
}

static void add_octet(struct text *t, uint8_t c)
{
	if (isalnum(c) || c == '-' || c == '_' || c == '*')
		add(t, "%c", tolower(c));
	else
		add(t, "\\%03u", c);
}

static void get_name(struct in *in, struct text *t)
{
	size_t back = 0, wire = 1;
	const char *begin = t->at;

	for (unsigned pointers = 0; pointers < POINTERS_MAX;) {
		size_t here = in->at;
		uint64_t n = get(in, 1);

		if (in->bad)
			return;
		if (n >= 0xc0) {
			n = (n & 0x3f) << 8 | get(in, 1);
			if (in->bad || n >= here)
				break;
			if (pointers++ == 0)
				back = in->at;
			in->at = n;
			continue;
		}
		if (n == 0) {
			if (pointers > 0)
				in->at = back;
			return;
		}
		wire += n + 1;
		if (n > 63 || wire > 255 || in->len - in->at < n)
			break;
		if (t->at != begin)
			add(t, ".");
		for (; n > 0; n--)
			add_octet(t, in->data[in->at++]);
	}
	in->bad = true;
}

/** As RDATA has it: the root is ".". */
static void get_target(struct in *in, struct text *t)
{
	const char *begin = t->at;

	get_name(in, t);
	if (t->at == begin)
		add(t, ".");
}

static void get_hex(struct in *in, struct text *t, size_t n)
{
	add(t, "\\# %zu%s", n, n > 0 ? " " : "");
	for (; n > 0 && !in->bad; n--)
		add(t, "%02x", (unsigned)get(in, 1));
}

static void get_txt(struct in *in, struct text *t, size_t end)
{
	for (const char *blank = ""; in->at < end && !in->bad; blank = " ") {
		add(t, "%s\"", blank);
		for (uint64_t n = get(in, 1); n > 0 && !in->bad; n--) {
			unsigned c = (unsigned)get(in, 1);

			if (c < 32 || c > 126 || c == '"' || c == '\\')
				add(t, "\\%03u", c);
			else
				add(t, "%c", (char)c);
		}
		add(t, "\"");
	}
}

static void get_address(struct in *in, struct text *t, int family, size_t n)
{
	char buf[INET6_ADDRSTRLEN];
	const uint8_t *at = in->data + in->at;

	for (size_t i = 0; i < n; i++)
		get(in, 1);
	if (!in->bad && inet_ntop(family, at, buf, sizeof(buf)) != NULL)
		add(t, "%s", buf);
}

/** RDATA of the type, all of it. */
static bool get_rdata(struct in *in, uint16_t type, size_t rdlen, char *ret, size_t size)
{
	struct text t = { .at = ret, .end = ret + size };
	size_t end = in->at + rdlen;

	*ret = '\0';
	switch (type) {
	case T_A:
		get_address(in, &t, AF_INET, 4);
		break;
	case T_AAAA:
		get_address(in, &t, AF_INET6, 16);
		break;
	case T_NS:
	case T_CNAME:
	case T_PTR:
		get_target(in, &t);
		break;
	case T_SRV:
		for (int i = 0; i < 3; i++)
			add(&t, "%u ", (unsigned)get(in, 2));
		get_target(in, &t);
		break;
	case T_SOA:
		get_target(in, &t);
		add(&t, " ");
		get_target(in, &t);
		for (int i = 0; i < 5; i++)
			add(&t, " %u", (unsigned)get(in, 4));
		break;
	case T_TXT:
		get_txt(in, &t, end);
		break;
	default:
		get_hex(in, &t, rdlen);
	}
	return !in->bad && !t.bad && in->at == end;
}

/** The last record, and nothing behind it. */
static bool get_tsig(struct in *in, struct sim_tsig_rr *s, size_t at, const char *owner,
		     size_t rdlen)
{
	struct text alg = { .at = s->alg, .end = s->alg + sizeof(s->alg) };

	if (in->len - in->at != rdlen)
		return false;
	s->at = at;
	memcpy(s->key, owner, sizeof(s->key));
	s->alg[0] = '\0';
	get_name(in, &alg);
	s->time = get(in, 6);
	s->fudge = (uint16_t)get(in, 2);
	s->mac_len = get(in, 2);
	if (in->bad || s->mac_len > SIM_MAC_MAX || in->len - in->at < s->mac_len)
		return false;
	memcpy(s->mac, in->data + in->at, s->mac_len);
	in->at += s->mac_len;
	s->original_id = (uint16_t)get(in, 2);
	s->error = (uint16_t)get(in, 2);
	for (uint64_t n = get(in, 2); n > 0 && !in->bad; n--)
		get(in, 1);
	return !in->bad && !alg.bad && in->at == in->len;
}

static bool get_record(struct in *in, struct sim_msg *m, unsigned section)
{
	struct sim_rr *rr = &m->rrs[m->n_rrs];
	struct text owner = { .at = rr->r.owner, .end = rr->r.owner + sizeof(rr->r.owner) };
	size_t begin = in->at;

	if (m->tsig.at != 0 || m->n_rrs == SIM_MSG_RECORDS_MAX - 1)
		return false; /* a TSIG is the last one */
	rr->r.owner[0] = '\0';
	get_name(in, &owner);
	rr->r.type = (uint16_t)get(in, 2);
	rr->rclass = (uint16_t)get(in, 2);
	rr->r.ttl = (uint32_t)get(in, 4);
	rr->rdlen = (uint16_t)get(in, 2);
	rr->section = (uint8_t)section;
	rr->r.rdata[0] = '\0';
	if (in->bad || owner.bad || in->len - in->at < rr->rdlen)
		return false;
	if (rr->r.type == T_OPT) {
		if (m->has_opt || section != S_ADDITIONAL || rr->r.owner[0] != '\0')
			return false;
		m->has_opt = true;
		m->udp_size = rr->rclass;
		in->at += rr->rdlen;
		return true;
	}
	if (rr->r.type == T_TSIG)
		return section == S_ADDITIONAL && rr->rclass == C_ANY && rr->r.ttl == 0 &&
		       get_tsig(in, &m->tsig, begin, rr->r.owner, rr->rdlen);
	if (rr->rdlen > 0 &&
	    !get_rdata(in, rr->r.type, rr->rdlen, rr->r.rdata, sizeof(rr->r.rdata)))
		return false;
	m->n_rrs++;
	return true;
}

bool sim_msg_parse(struct sim_msg *m, const uint8_t *data, size_t len)
{
	struct in in = { .data = data, .len = len };
	struct text name = { .at = m->qname, .end = m->qname + sizeof(m->qname) };
	uint64_t counts[4];

	memset(m, 0, offsetof(struct sim_msg, rrs));
	m->id = (uint16_t)get(&in, 2);
	m->flags = (uint16_t)get(&in, 2);
	for (int i = 0; i < 4; i++)
		counts[i] = get(&in, 2);
	m->question_end = 12;
	if (in.bad || counts[S_QUESTION] > 1)
		return false;
	if (counts[S_QUESTION] == 1) {
		get_name(&in, &name);
		m->qtype = (uint16_t)get(&in, 2);
		m->qclass = (uint16_t)get(&in, 2);
		if (in.bad || name.bad)
			return false;
		m->has_question = true;
		m->question_end = in.at;
	}
	for (unsigned s = S_ANSWER; s <= S_ADDITIONAL; s++) {
		for (uint64_t i = 0; i < counts[s]; i++) {
			if (!get_record(&in, m, s))
				return false;
		}
	}
	return in.at == len;
}

unsigned sim_msg_opcode(const struct sim_msg *m)
{
	return m->flags >> 11 & 15;
}

/* ---- writing ---- */

void sim_out_bytes(struct sim_out *o, const void *data, size_t len)
{
	if (o->full || o->max - o->len < len) {
		o->full = true;
		return;
	}
	memcpy(o->data + o->len, data, len);
	o->len += len;
}

void sim_out_uint(struct sim_out *o, uint64_t v, size_t bytes)
{
	while (bytes-- > 0) {
		uint8_t b = (uint8_t)(v >> (8 * bytes));

		sim_out_bytes(o, &b, 1);
	}
}

void sim_out_begin(struct sim_out *o, size_t max, const struct sim_msg *to, const uint8_t *to_data,
		   uint16_t flags)
{
	o->len = 0;
	o->max = max;
	o->full = false;
	o->n_names = 0;
	sim_out_uint(o, to->id, 2);
	sim_out_uint(o, (uint64_t)(flags | F_QR | (to->flags & (0x7800 | F_RD))), 2);
	sim_out_uint(o, to->has_question ? 1 : 0, 2);
	sim_out_uint(o, 0, 6);
	if (!to->has_question)
		return;
	sim_out_bytes(o, to_data + 12, to->question_end - 12);
	if (to->qname[0] != '\0') {
		o->names[0].at = 12;
		memcpy(o->names[0].name, to->qname, sizeof(to->qname));
		o->n_names = 1;
	}
}

/** One label of text, with its escapes, as octets. @return its length; 0: none. */
static size_t label(const char **at, uint8_t ret[64])
{
	size_t n = 0;

	for (; **at != '\0' && **at != '.' && n < 63; n++) {
		if (**at == '\\' && isdigit((unsigned char)(*at)[1])) {
			char digits[4] = { (*at)[1], (*at)[2], (*at)[3], '\0' };

			ret[n] = (uint8_t)strtoul(digits, NULL, 10);
			*at += 4;
		} else {
			ret[n] = (uint8_t) * (*at)++;
		}
	}
	if (**at == '.')
		++*at;
	return n;
}

void sim_out_name(struct sim_out *o, const char *name, bool compress)
{
	uint8_t octets[64];

	while (*name != '\0') {
		size_t n;

		for (size_t i = 0; compress && i < o->n_names; i++) {
			if (strcmp(o->names[i].name, name) == 0) {
				sim_out_uint(o, 0xc000u | o->names[i].at, 2);
				return;
			}
		}
		if (!o->full && o->n_names < SIM_OUT_NAMES_MAX && o->len < 0x4000) {
			o->names[o->n_names].at = (uint16_t)o->len;
			snprintf(o->names[o->n_names++].name, SIM_DNS_NAME_MAX, "%s", name);
		}
		n = label(&name, octets);
		if (n == 0)
			break;
		sim_out_uint(o, n, 1);
		sim_out_bytes(o, octets, n);
	}
	sim_out_uint(o, 0, 1);
}

static void put_numbers(struct sim_out *o, const char **at, int n, size_t bytes)
{
	for (char *end; n > 0; n--) {
		sim_out_uint(o, strtoul(*at, &end, 10), bytes);
		*at = end + strspn(end, " ");
	}
}

static void put_hex(struct sim_out *o, const char *at)
{
	char *end;
	unsigned long n = strtoul(at, &end, 10);

	for (end += strspn(end, " "); n > 0 && end[0] != '\0' && end[1] != '\0'; n--, end += 2) {
		char digits[3] = { end[0], end[1], '\0' };

		sim_out_uint(o, strtoul(digits, NULL, 16), 1);
	}
}

static void put_txt(struct sim_out *o, const char *at)
{
	while ((at = strchr(at, '"')) != NULL) {
		uint8_t octets[255];
		size_t n = 0;

		for (at++; *at != '"' && *at != '\0' && n < sizeof(octets); at++) {
			if (*at == '\\' && isdigit((unsigned char)at[1])) {
				char digits[4] = { at[1], at[2], at[3], '\0' };

				octets[n++] = (uint8_t)strtoul(digits, NULL, 10);
				at += 3;
			} else {
				octets[n++] = (uint8_t)*at;
			}
		}
		sim_out_uint(o, n, 1);
		sim_out_bytes(o, octets, n);
		if (*at == '"')
			at++;
	}
}

static void put_rdata(struct sim_out *o, const struct sim_record *r)
{
	const char *at = r->rdata;
	uint8_t ip[16] = { 0 };
	char name[SIM_DNS_NAME_MAX];

	if (strncmp(at, "\\# ", 3) == 0) {
		put_hex(o, at + 3);
		return;
	}
	switch (r->type) {
	case T_A:
	case T_AAAA:
		inet_pton(r->type == T_A ? AF_INET : AF_INET6, at, ip);
		sim_out_bytes(o, ip, r->type == T_A ? 4 : 16);
		break;
	case T_SRV:
		put_numbers(o, &at, 3, 2);
		sim_out_name(o, at, false); /* RFC 2782 */
		break;
	case T_SOA:
		for (int i = 0; i < 2; i++) {
			size_t n = strcspn(at, " ");

			snprintf(name, sizeof(name), "%.*s", (int)n, at);
			sim_out_name(o, name, true);
			at += n + strspn(at + n, " ");
		}
		put_numbers(o, &at, 5, 4);
		break;
	case T_TXT:
		put_txt(o, at);
		break;
	default:
		sim_out_name(o, at, true);
	}
}

void sim_out_count(struct sim_out *o, unsigned section)
{
	size_t at = 4 + 2 * (size_t)section;
	unsigned n = (unsigned)(o->data[at] << 8 | o->data[at + 1]) + 1;

	o->data[at] = (uint8_t)(n >> 8);
	o->data[at + 1] = (uint8_t)n;
}

void sim_out_record(struct sim_out *o, unsigned section, const struct sim_record *r)
{
	size_t begin = o->len, names = o->n_names, length_at, len;

	if (o->full)
		return;
	sim_out_name(o, r->owner, true);
	sim_out_uint(o, r->type, 2);
	sim_out_uint(o, C_IN, 2);
	sim_out_uint(o, r->ttl, 4);
	length_at = o->len;
	sim_out_uint(o, 0, 2);
	put_rdata(o, r);
	if (o->full) {
		o->len = begin;
		o->n_names = names;
		return;
	}
	len = o->len - length_at - 2;
	o->data[length_at] = (uint8_t)(len >> 8);
	o->data[length_at + 1] = (uint8_t)len;
	sim_out_count(o, section);
}

void sim_out_opt(struct sim_out *o, uint16_t udp_size)
{
	sim_out_uint(o, 0, 1);
	sim_out_uint(o, T_OPT, 2);
	sim_out_uint(o, udp_size, 2);
	sim_out_uint(o, 0, 6);
	sim_out_count(o, S_ADDITIONAL);
}

bool sim_record_make(struct sim_record *ret, const char *owner, uint16_t type, uint32_t ttl,
		     const char *rdata)
{
	static struct sim_out o;
	struct in in = { .data = o.data };
	uint8_t ip[16];

	memset(ret, 0, sizeof(*ret));
	if (!sim_name_make(ret->owner, owner) || strlen(rdata) >= sizeof(ret->rdata))
		return false;
	if ((type == T_A && inet_pton(AF_INET, rdata, ip) != 1) ||
	    (type == T_AAAA && inet_pton(AF_INET6, rdata, ip) != 1))
		return false;
	ret->type = type;
	ret->ttl = ttl;
	memcpy(ret->rdata, rdata, strlen(rdata) + 1);
	o.len = 0;
	o.max = sizeof(o.data);
	o.full = false;
	o.n_names = SIM_OUT_NAMES_MAX; /* no compression in here */
	memset(o.names, 0, sizeof(o.names));
	put_rdata(&o, ret);
	in.len = o.len;
	return get_rdata(&in, type, o.len, ret->rdata, sizeof(ret->rdata));
}
