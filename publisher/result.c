#include "publisher/result.h"

const char *pub_state_name(enum pub_state s)
{
	static const char *const names[PUB_STATE_COUNT_] = {
		[PUB_PROVEN] = "proven",   [PUB_UNCHANGED] = "unchanged",
		[PUB_PLANNED] = "planned", [PUB_LAGGING] = "lagging",
		[PUB_REFUSED] = "refused", [PUB_UNREACHABLE] = "unreachable",
		[PUB_BLOCKED] = "blocked",
	};

	return s < PUB_STATE_COUNT_ ? names[s] : "unknown";
}

const char *pub_proof_state_name(enum pub_proof_state s)
{
	switch (s) {
	case PUB_PROOF_OK:
		return "ok";
	case PUB_PROOF_LAGGING:
		return "lagging";
	case PUB_PROOF_DIFFERS:
		return "differs";
	case PUB_PROOF_UNKNOWN:
		break;
	}
	return "unknown";
}

bool pub_result_ok(const struct pub_result *r)
{
	return r->state == PUB_PROVEN || r->state == PUB_UNCHANGED || r->state == PUB_PLANNED;
}
