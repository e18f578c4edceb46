/**
 * DNS messages of the played name servers: bytes to struct and back, pure. Written from the RFCs
 * (1035, 2136, 2782, 6891, 8945) over text, apart from net/dnswire.c and net/dnsmsg.c.
 *
 * A name is text in lower case, without the last dot, the root ""; an octet that is none of letter,
 * digit, '-', '_' and '*' is "\DDD". RDATA is text as in a zone file; of a type that is not known
 * here it is "\# LENGTH HEX" (RFC 3597).
 */
#ifndef KMSBEACON_TESTS_SIM_DNS_WIRE_H
#define KMSBEACON_TESTS_SIM_DNS_WIRE_H

#include "tests/sim/sim_dns.h"

#define SIM_MSG_RECORDS_MAX 512 /* a message with more is malformed here */
#define SIM_OUT_NAMES_MAX   128 /* suffixes a name may be compressed to */
#define SIM_MAC_MAX         64

enum {
	T_A = 1,
	T_NS = 2,
	T_CNAME = 5,
	T_SOA = 6,
	T_PTR = 12,
	T_TXT = 16,
	T_AAAA = 28,
	T_SRV = 33,
	T_OPT = 41,
	T_TSIG = 250,
	T_IXFR = 251,
	T_AXFR = 252,
	T_ANY = 255
};
enum { C_IN = 1, C_NONE = 254, C_ANY = 255 };
enum { OP_QUERY = 0, OP_NOTIFY = 4, OP_UPDATE = 5 };
enum {
	R_NOERROR = 0,
	R_FORMERR = 1,
	R_SERVFAIL = 2,
	R_NXDOMAIN = 3,
	R_NOTIMP = 4,
	R_REFUSED = 5,
	R_YXDOMAIN = 6,
	R_YXRRSET = 7,
	R_NXRRSET = 8,
	R_NOTAUTH = 9,
	R_NOTZONE = 10,
	R_BADSIG = 16,
	R_BADKEY = 17,
	R_BADTIME = 18
};
enum { F_QR = 0x8000, F_AA = 0x0400, F_TC = 0x0200, F_RD = 0x0100, F_RA = 0x0080 };
/** Of an UPDATE: zone, prerequisites, changes, additional. */
enum { S_QUESTION, S_ANSWER, S_AUTHORITY, S_ADDITIONAL };

struct sim_rr {
	struct sim_record r;
	uint16_t rclass, rdlen;
	uint8_t section;
};

/** A TSIG record as it came; `at` 0: there is none. */
struct sim_tsig_rr {
	size_t at; /* where it begins */
	char key[SIM_DNS_NAME_MAX], alg[SIM_DNS_NAME_MAX];
	uint64_t time;
	uint16_t fudge, original_id, error;
	size_t mac_len;
	uint8_t mac[SIM_MAC_MAX];
};

struct sim_msg {
	uint16_t id, flags;
	bool has_question;
	char qname[SIM_DNS_NAME_MAX];
	uint16_t qtype, qclass;
	size_t question_end; /* the question's octets, as they came, are 12 .. here */
	bool has_opt;
	uint16_t udp_size;
	struct sim_tsig_rr tsig;
	size_t n_rrs; /* without OPT and TSIG */
	struct sim_rr rrs[SIM_MSG_RECORDS_MAX];
};

/** False: malformed; id, flags and question are as far as they could be read. */
bool sim_msg_parse(struct sim_msg *m, const uint8_t *data, size_t len);
unsigned sim_msg_opcode(const struct sim_msg *m);

struct sim_out {
	size_t len, max;
	bool full; /* something did not fit: it is not there, nor what follows */
	size_t n_names;
	struct {
		uint16_t at;
		char name[SIM_DNS_NAME_MAX];
	} names[SIM_OUT_NAMES_MAX];
	uint8_t data[SIM_PACKET_MAX];
};

/** A header with these flags, and the question of @p to, as it came, if there is one. */
void sim_out_begin(struct sim_out *o, size_t max, const struct sim_msg *to, const uint8_t *to_data,
		   uint16_t flags);
void sim_out_bytes(struct sim_out *o, const void *data, size_t len);
void sim_out_uint(struct sim_out *o, uint64_t v, size_t bytes);
void sim_out_name(struct sim_out *o, const char *name, bool compress);
/** A record and the count of its section. Whole, or not at all. */
void sim_out_record(struct sim_out *o, unsigned section, const struct sim_record *r);
void sim_out_opt(struct sim_out *o, uint16_t udp_size);
/** One more record of the section that was written by hand. */
void sim_out_count(struct sim_out *o, unsigned section);

/** Text of a zone file to the form above. False: it cannot be read, or is too long. */
bool sim_record_make(struct sim_record *ret, const char *owner, uint16_t type, uint32_t ttl,
		     const char *rdata);
/** Name in the form above. */
bool sim_name_make(char ret[SIM_DNS_NAME_MAX], const char *text);
/** @p name is @p zone or below it. */
bool sim_name_in(const char *name, const char *zone);
/** Name that an SRV, NS, CNAME or PTR points to; NULL for others. */
const char *sim_record_target(const struct sim_record *r);

const char *sim_type_text(uint16_t type, char buf[16]);
uint16_t sim_type_parse(const char *text); /* 0: none of the known ones, nor TYPEn */
const char *sim_rcode_text(unsigned rcode);

#endif
