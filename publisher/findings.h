/** Things worth telling about a target that do not decide its state; what each id means stands in
 * common/findings.h. */
#ifndef KMSBEACON_PUBLISHER_FINDINGS_H
#define KMSBEACON_PUBLISHER_FINDINGS_H

#include <stddef.h>

#include "common/findings.h"

struct pub_finding {
	enum finding_id id;
	char *text; /* one clause with the facts */
};

#define PUB_FINDINGS_MAX 64 /* of one target; further ones are dropped */

struct pub_findings {
	struct pub_finding *list;
	size_t n;
};

/** 0 or ERR_NOMEM. The same id with the same text is kept once. */
int pub_findings_add(struct pub_findings *f, enum finding_id id, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void pub_findings_done(struct pub_findings *f);

#endif
