/**
 * From what happened to what to say: the state, the HRESULT and one sentence with the next step.
 * Pure (design §5 last bullet, behaviour §1.6).
 */
#ifndef KMSBEACON_PUBLISHER_EXPLAIN_H
#define KMSBEACON_PUBLISHER_EXPLAIN_H

#include "net/tsig.h"
#include "publisher/result.h"

/** What was being done when it failed. */
enum pub_stage {
	PUB_STAGE_WALK,    /* finding the zone */
	PUB_STAGE_HOST,    /* finding an address of the primary */
	PUB_STAGE_CONFIRM, /* SOA at the primary */
	PUB_STAGE_READ,    /* the record set at the primary */
	PUB_STAGE_UPDATE,
	PUB_STAGE_PROOF,
};

/** A fact that a person must settle, where one was found. */
enum pub_block {
	PUB_BLOCK_NONE,
	PUB_BLOCK_CNAME,      /* the record set is hidden by a CNAME; other: where it leads */
	PUB_BLOCK_DELEGATED,  /* the name lies in a child zone; other: that zone */
	PUB_BLOCK_TOP,        /* the zone found is the root or a top-level domain */
	PUB_BLOCK_NOT_AUTH,   /* the primary does not answer with authority */
	PUB_BLOCK_LARGE,      /* more records than can be handled with care */
	PUB_BLOCK_RACE,       /* the set changed under each try */
	PUB_BLOCK_NO_EFFECT,  /* NOERROR, but the primary does not show it */
	PUB_BLOCK_DOT,        /* "." in the set */
	PUB_BLOCK_TARGET,     /* a wanted record has no usable target */
	PUB_BLOCK_LAST,       /* a drain would leave the set empty */
	PUB_BLOCK_ELSEWHERE,  /* something else publishes a drained host; other: the record */
	PUB_BLOCK_ALIAS_LOOP, /* the CNAMEs at the owner do not end */
};

struct pub_failure {
	enum pub_stage stage;
	enum pub_block block;
	int err;             /* of the exchange; 0 where block says all */
	unsigned hint_rcode; /* of a reply that proves nothing, or behind ERR_RCODE_OTHER */
	struct tsig_result tsig;
	const char *server; /* who was asked, for a person; may be "" */
	bool by_server;     /* the configuration named the server */
	const char *key;    /* its name on the wire; "" for none */
	const char *mname;  /* "" unknown */
	bool is_secondary;  /* the server is not the one that MNAME names */
	bool worked_before; /* an UPDATE of this zone succeeded earlier */
	const char *domain; /* names as text, "" where not known */
	const char *zone;
	const char *owner;
	const char *other; /* see enum pub_block */
};

struct pub_verdict {
	enum pub_state state;
	bool has_rcode;
	unsigned rcode; /* a TSIG error stands for NOTAUTH */
	uint32_t hresult;
	char hint[PUB_HINT_MAX];
};

void pub_explain(const struct pub_failure *f, struct pub_verdict *ret);

/** The hint where the primary that said no is a domain controller. */
void pub_explain_ad(const char *zone, const char *mname, char hint[PUB_HINT_MAX]);

/** Add to the hint where the configured server, which does not know the key, is not the one that
 * the SOA names as the primary. */
void pub_explain_secondary(const char *mname, const char *domain, char hint[PUB_HINT_MAX]);

/** The hint of a result that is not yet what it should be on every server. */
void pub_explain_lagging(const struct pub_proof *proof, size_t n, uint32_t ttl_s,
			 char hint[PUB_HINT_MAX]);

#endif
