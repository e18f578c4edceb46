/** A struct prober that answers from a table, from the loop, and counts. */
#ifndef KMSBEACON_TESTS_LIB_FAKE_PROBER_H
#define KMSBEACON_TESTS_LIB_FAKE_PROBER_H

#include "net/prober.h"

struct fake_probe_rule {
	const char *addr; /* "127.0.0.1:1688"; NULL: any other */
	enum probe_state state;
};

/** A host that is asked for activation: as struct probe_result. */
struct fake_activation {
	const char *addr; /* as above */
	uint32_t hresult;
	bool final;
};

struct fake_prober {
	struct prober prober;                /* hand out &f->prober */
	const struct fake_probe_rule *rules; /* first match; none: up */
	size_t n_rules;
	const struct fake_activation *activations; /* first match; none: a mere probe */
	size_t n_activations;
	bool silent; /* never answers, but to cancel */
	unsigned started;
	char order[2048]; /* "127.0.0.1:1688 127.0.0.2:1688" */
};

void fake_prober_init(struct fake_prober *f);

#endif
