#include "resolver/findings.h"

static const struct rsv_finding_info table[RSV_FINDING_COUNT_] = {
#define X(name, id, severity, text, hint) { id, RSV_##severity, text, hint },
	RSV_FINDING_MAP(X)
#undef X
};

const char *rsv_severity_name(enum rsv_severity s)
{
	static const char *const names[RSV_SEVERITY_COUNT_] = {
		[RSV_INFO] = "info",
		[RSV_WARNING] = "warning",
		[RSV_CRITICAL] = "critical",
	};

	return s < RSV_SEVERITY_COUNT_ ? names[s] : "unknown";
}

const struct rsv_finding_info *rsv_finding_info(enum rsv_finding_id id)
{
	return &table[id];
}
