#include "net/prober.h"

const char *probe_state_name(enum probe_state s)
{
	static const char *const names[PROBE_STATE_COUNT_] = {
		[PROBE_UP] = "up",
		[PROBE_NO_KMS_INTERFACE] = "no-kms-interface",
		[PROBE_RPC_REFUSED] = "rpc-refused",
		[PROBE_NOT_RPC] = "not-rpc",
		[PROBE_REFUSED] = "refused",
		[PROBE_TIMEOUT] = "timeout",
		[PROBE_UNRESOLVED] = "unresolved",
	};

	return s < PROBE_STATE_COUNT_ ? names[s] : "unknown";
}
