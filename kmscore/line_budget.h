/**
 * How many lines the log gets of what clients cause in numbers: so many in a second; of further
 * ones only how many they were, in one line when the second is over. Pure but for that line.
 */
#ifndef KMSBEACON_KMSCORE_LINE_BUDGET_H
#define KMSBEACON_KMSCORE_LINE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "common/log.h"

#define LINE_BUDGET 100 /* lines in a second */

/** Zeroed before use, but for the first three. */
struct line_budget {
	const struct log_ctx *log; /* borrowed */
	const char *event;         /* of the line that sums up: fixed text */
	const char *text;
	/* private */
	uint64_t second_ms; /* when the second began */
	uint32_t lines;
	uint32_t held, held_failed;
};

/** May a request have a line of its own? Else it is counted. What an earlier second held back is
 * told first. */
bool line_budget_pass(struct line_budget *b, uint64_t mono_ms, bool failed);
/** Are there requests that line_budget_tell() has to be called for, a second from now? */
bool line_budget_holds(const struct line_budget *b);
/** The line, where it is due. */
void line_budget_tell(struct line_budget *b);

#endif
