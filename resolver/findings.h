/** Findings of one audit; what each id means stands in common/findings.h. */
#ifndef KMSBEACON_RESOLVER_FINDINGS_H
#define KMSBEACON_RESOLVER_FINDINGS_H

#include "common/findings.h"

#define RSV_FINDINGS_MAX     512 /* of one domain; the rest is counted, not kept */
#define RSV_FINDING_TEXT_MAX 512

struct rsv_finding {
	enum finding_id id;
	char text[RSV_FINDING_TEXT_MAX]; /* one sentence */
};

#endif
