#include "kmscore/line_budget.h"

bool line_budget_holds(const struct line_budget *b)
{
	return b->held > 0;
}

void line_budget_tell(struct line_budget *b)
{
	if (b->held > 0)
		log_info(b->log, b->event, "requests=%u failed=%u text=%s", b->held, b->held_failed,
			 b->text);
	b->held = 0;
	b->held_failed = 0;
}

bool line_budget_pass(struct line_budget *b, uint64_t mono_ms, bool failed)
{
	if (mono_ms - b->second_ms >= 1000) {
		line_budget_tell(b);
		b->second_ms = mono_ms;
		b->lines = 0;
	}
	if (b->lines < LINE_BUDGET) {
		b->lines++;
		return true;
	}
	b->held++;
	b->held_failed += failed;
	return false;
}
