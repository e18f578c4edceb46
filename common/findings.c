#include "common/findings.h"

static const struct finding_info table[FINDING_COUNT_] = {
#define X(name, id, severity, meaning, hint)                                                       \
	[FINDING_##name] = { id, FINDING_##severity, meaning, hint },
	FINDING_MAP(X)
#undef X
};

const char *finding_severity_name(enum finding_severity s)
{
	static const char *const names[FINDING_SEVERITY_COUNT_] = {
		[FINDING_INFO] = "info",
		[FINDING_WARNING] = "warning",
		[FINDING_CRITICAL] = "critical",
	};

	return s < FINDING_SEVERITY_COUNT_ ? names[s] : "unknown";
}

const struct finding_info *finding_info(enum finding_id id)
{
	return &table[id];
}
