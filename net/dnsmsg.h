/**
 * DNS messages: bytes to struct and back. The only file that includes ldns; pure (no I/O, no
 * clock).
 *
 * RFC 1035 (messages), RFC 2136 (UPDATE), RFC 2782 (SRV), RFC 6891 (EDNS), RFC 1996 (NOTIFY).
 * ldns builds UPDATEs and knows the names of types. Its ldns_update_pkt_new() (RD set, ID 0;
 * failure-modes L01) is not used, and it sees no byte of a peer's: it accepts short RDATA, RDATA
 * that runs past its length, and names that cost 65,535 pointers each, and it costs more than all
 * the rest of a lookup. Questions and what is read are ours (net/dnswire.h).
 */
#ifndef KMSBEACON_NET_DNSMSG_H
#define KMSBEACON_NET_DNSMSG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/mem.h"
#include "net/dnsname.h"

#define DNSMSG_MAX      65535
#define DNSMSG_RR_MAX   4096 /* records kept of one message; more is malformed for our purposes */
#define DNSMSG_EDNS_UDP 1232

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_DNAME = 39,
	DNS_TYPE_OPT = 41,
	DNS_TYPE_RRSIG = 46,
	DNS_TYPE_TSIG = 250,
	DNS_TYPE_ANY = 255,
};
enum dns_class { DNS_CLASS_IN = 1, DNS_CLASS_NONE = 254, DNS_CLASS_ANY = 255 };
enum dns_opcode { DNS_OPCODE_QUERY = 0, DNS_OPCODE_NOTIFY = 4, DNS_OPCODE_UPDATE = 5 };
enum dns_rcode {
	DNS_RCODE_NOERROR = 0,
	DNS_RCODE_FORMERR = 1,
	DNS_RCODE_SERVFAIL = 2,
	DNS_RCODE_NXDOMAIN = 3,
	DNS_RCODE_NOTIMP = 4,
	DNS_RCODE_REFUSED = 5,
	DNS_RCODE_YXDOMAIN = 6,
	DNS_RCODE_YXRRSET = 7,
	DNS_RCODE_NXRRSET = 8,
	DNS_RCODE_NOTAUTH = 9,
	DNS_RCODE_NOTZONE = 10,
	DNS_RCODE_BADSIG = 16,
	DNS_RCODE_BADKEY = 17,
	DNS_RCODE_BADTIME = 18,
	DNS_RCODE_BADTRUNC = 22,
};
enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL, DNS_SECTION_COUNT_ };

struct dns_srv {
	uint16_t priority;
	uint16_t weight;
	uint16_t port;
	struct dns_name target;
	/** Which octets of the target a server has in capitals. Names compare without it, but
	 * PowerDNS deletes only RDATA that matches to the letter, so a record that was read is
	 * written back as it was. Zero in records of our own. */
	uint8_t capitals[(DNSNAME_WIRE_MAX + 7) / 8];
};

struct dns_soa {
	struct dns_name mname;
	uint32_t serial, refresh, retry, expire, minimum; /* seconds, but serial */
};

/**
 * One record. `data` is set for the types named below in class IN, or NONE (which only an UPDATE
 * has); of all others owner, type, class and TTL are kept, and `data` is zero.
 */
struct dns_rr {
	struct dns_name owner;
	uint16_t type;
	uint16_t rclass;
	uint32_t ttl; /* seconds; above 2^31-1 read as 0 (RFC 2181 §8) */
	union {
		struct in_addr a;
		struct in6_addr aaaa;
		struct dns_name name; /* NS, CNAME, DNAME */
		struct dns_srv srv;
		struct dns_soa soa;
		uint8_t rrsig_labels; /* RRSIG: tells a wildcard answer (RFC 4035 §5.3.1) */
	} data;
};

/** A parsed message. OPT and TSIG are not among the records. */
struct dns_msg {
	uint16_t id;
	uint8_t opcode;
	uint16_t rcode; /* with the EDNS high bits */
	bool qr, aa, tc, rd, ra;
	bool has_edns;
	bool has_question;
	struct dns_name qname;
	uint16_t qtype, qclass;
	struct dns_rr *rrs; /* answer, then authority, then additional */
	size_t count[DNS_SECTION_COUNT_];
};

/**
 * Parse what a peer sent. 0, ERR_DNS_MALFORMED or ERR_NOMEM. On success the caller frees.
 *
 * Malformed are also: two questions, trailing bytes, RDATA of a type that we read and that is not
 * exactly as long as its content, an OPT or TSIG in a wrong place, more than DNSMSG_RR_MAX records.
 * A message with TC=1 may end anywhere: the records that are whole are kept.
 */
int dnsmsg_parse(const uint8_t *wire, size_t len, struct dns_msg **ret);
void dnsmsg_free(struct dns_msg *m);
/** The records of a section; *ret_n may be 0. */
const struct dns_rr *dnsmsg_section(const struct dns_msg *m, enum dns_section s, size_t *ret_n);

struct dns_question {
	struct dns_name name;
	uint16_t type;
	bool rd;
};

/** One change of an UPDATE: nothing but these two forms ever leaves the process (failure-modes
 * U08). */
struct dns_change {
	enum { DNS_ADD, DNS_DELETE } op; /* class IN with the TTL; class NONE, TTL 0, exact RDATA */
	struct dns_rr rr;                /* type SRV only */
};

/** An UPDATE message (RFC 2136) for one zone. Borrowed arrays. */
struct dns_update {
	struct dns_name zone;
	/** Value-dependent prerequisite: the RRset must be exactly these (RFC 2136 §2.4.2); 0:
	 * none. */
	const struct dns_rr *prereq;
	size_t n_prereq;
	const struct dns_change *changes;
	size_t n_changes;
};

/** Build into @p out (cleared first). @p edns adds OPT with a UDP size of 1232. 0, ERR_LIMIT,
 * ERR_NOMEM. */
int dnsmsg_build_query(const struct dns_question *q, uint16_t id, bool edns, struct buf *out);
/**
 * Build into @p out (cleared first); RD 0, no EDNS; changes in the order given.
 * 0, ERR_LIMIT, ERR_NOMEM; ERR_INTERNAL where a record is not a whole SRV.
 */
int dnsmsg_build_update(const struct dns_update *u, uint16_t id, struct buf *out);

/** The answer to a NOTIFY (RFC 1996 §3.8): its ID and question, QR and AA, NOERROR. Into @p out
 * (cleared first). 0, ERR_LIMIT, ERR_NOMEM. */
int dnsmsg_build_notify_answer(const struct dns_msg *m, struct buf *out);

/**
 * Whether @p m can be an answer to the request in @p req (its bytes, before signing): QR set, same
 * opcode, and the same question - or none at all, for an UPDATE or an error (RFC 2136 §3.8). The ID
 * is the caller's.
 */
bool dnsmsg_answers(const struct dns_msg *m, const uint8_t *req, size_t req_len);

/** "SERVFAIL", "NOTAUTH"; "RCODE23" for one without a name (in a static buffer for each code). */
const char *dns_rcode_name(unsigned rcode);
/** ERR_OK for NOERROR, else ERR_RCODE_*. */
int dns_rcode_err(unsigned rcode);
/** "SRV", "SOA"; "TYPE65535" form otherwise. */
const char *dns_type_name(unsigned type, char buf[16]);
/** "10 0 1688 kms1.corp.example" */
#define DNS_SRV_TEXT_MAX (DNSNAME_TEXT_MAX + 24)
const char *dns_srv_format(const struct dns_srv *srv, char buf[DNS_SRV_TEXT_MAX]);
bool dns_srv_equal(const struct dns_srv *a, const struct dns_srv *b);

#endif
