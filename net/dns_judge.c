#include "net/dns_judge.h"

#include <errno.h>

#include "common/err.h"

#define HEADER_LEN 12

static enum dns_verdict verdict(struct dns_judgement *j, enum dns_verdict v, int err)
{
	j->verdict = v;
	j->err = err;
	if (v != DNS_COUNTS) {
		dnsmsg_free(j->msg);
		j->msg = NULL;
	}
	return v;
}

static enum dns_verdict judge_signature(const struct dns_asked *asked, uint64_t now_s,
					const uint8_t *reply, size_t len, struct dns_judgement *j)
{
	int err = tsig_verify(asked->key, asked->signature, now_s, reply, len, &j->tsig);

	if (err == ERR_OK)
		return DNS_COUNTS;
	if (err == ERR_NOMEM)
		return verdict(j, DNS_JUNK, err);
	if (j->tsig.verified && err != ERR_TSIG_TIME)
		return verdict(j, DNS_COMPLAINT, err);
	/* Nothing is believed but that TCP may tell more, which costs a forger's victim little. */
	if (err == ERR_TSIG_UNSIGNED && j->msg->tc && j->rcode == DNS_RCODE_NOERROR && !asked->tcp)
		return verdict(j, DNS_TRUNCATED, err);
	return verdict(j, DNS_UNPROVEN, err);
}

/** We wanted recursion and got neither that nor an answer, as the C library sees it too. */
static bool is_referral(const struct dns_asked *asked, const struct dns_msg *m)
{
	bool rd = (asked->request[2] & 1) != 0;

	return rd && !m->aa && !m->ra && m->opcode == DNS_OPCODE_QUERY && m->count[DNS_ANSWER] == 0;
}

enum dns_verdict dns_judge(const struct dns_asked *asked, uint64_t now_s, const uint8_t *reply,
			   size_t len, struct dns_judgement *j)
{
	int err;

	*j = (struct dns_judgement){ 0 };
	if (len < HEADER_LEN || (reply[0] << 8 | reply[1]) != asked->id || (reply[2] & 0x80) == 0)
		return verdict(j, DNS_JUNK, ERR_OK);
	err = dnsmsg_parse(reply, len, &j->msg);
	if (err != ERR_OK)
		return verdict(j, DNS_JUNK, err);
	if (!dnsmsg_answers(j->msg, asked->request, asked->request_len))
		return verdict(j, DNS_JUNK, ERR_DNS_MISMATCH);
	j->rcode = j->msg->rcode;
	if (asked->key != NULL && judge_signature(asked, now_s, reply, len, j) != DNS_COUNTS)
		return j->verdict;
	if (j->msg->tc)
		return asked->tcp ? verdict(j, DNS_JUNK, ERR_DNS_MALFORMED)
				  : verdict(j, DNS_TRUNCATED, ERR_OK);
	err = dns_rcode_err(j->rcode);
	if (asked->require_aa && !j->msg->aa && (err == ERR_OK || err == ERR_RCODE_NXDOMAIN))
		err = ERR_DNS_NOT_AUTH;
	if (err == ERR_OK && is_referral(asked, j->msg))
		err = ERR_DNS_NOT_AUTH;
	return verdict(j, DNS_COUNTS, err);
}

bool dns_err_rules_out(int err)
{
	switch (err) {
	case ERR_TSIG_PEER_BADSIG:
	case ERR_TSIG_PEER_BADKEY:
	case ERR_TSIG_PEER_BADTIME:
	case ERR_TSIG_PEER_BADTRUNC:
		return true; /* it would say the same again; another server may have our key */
	default:
		return err_class(err) != ERRC_RETRY;
	}
}

bool dns_err_ends_all(int err)
{
	switch (err) {
	case ERR_TSIG_PEER_BADSIG:
	case ERR_TSIG_PEER_BADKEY:
	case ERR_TSIG_PEER_BADTIME:
	case ERR_TSIG_PEER_BADTRUNC:
	case -EACCES: /* a local packet filter, or a broadcast address: this server's */
	case -EINVAL: /* a link-local address without scope: this server's */
		return false;
	default:
		return err_class(err) == ERRC_FATAL;
	}
}

unsigned dns_err_rank(int err)
{
	if (err <= ERR_RCODE_FORMERR && err >= ERR_RCODE_OTHER)
		return 9;
	if (err <= ERR_TSIG_PEER_BADSIG && err >= ERR_TSIG_PEER_BADTRUNC)
		return 7;
	switch (err) {
	case ERR_DNS_NOT_AUTH:
		return 8;
	case ERR_TSIG_UNSIGNED:
		return 6;
	case ERR_TSIG_BADSIG:
	case ERR_TSIG_KEY:
	case ERR_TSIG_TIME:
		return 5;
	case ERR_DNS_MALFORMED:
		return 4;
	case ERR_DNS_MISMATCH:
		return 3;
	case ERR_TIMEOUT:
		return 1;
	default:
		return 2; /* refused, reset, unreachable, closed */
	}
}

bool dns_turns_next(struct dns_turns *t, size_t *ret_server)
{
	for (; t->round < t->tries; t->round++, t->next = 0) {
		while (t->next < t->n_servers) {
			size_t s = t->next++;

			if (!t->out[s]) {
				*ret_server = s;
				return true;
			}
		}
	}
	return false;
}
