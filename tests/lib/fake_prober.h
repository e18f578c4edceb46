/** A struct prober that answers from a table, from the loop, and counts. */
#ifndef KMSBEACON_TESTS_LIB_FAKE_PROBER_H
#define KMSBEACON_TESTS_LIB_FAKE_PROBER_H

#include "net/prober.h"

struct fake_probe_rule {
	const char *addr; /* "127.0.0.1:1688"; NULL: any other */
	enum probe_state state;
};

struct fake_prober {
	struct prober prober;                /* hand out &f->prober */
	const struct fake_probe_rule *rules; /* first match; none: up */
	size_t n_rules;
	bool silent; /* never answers, but to cancel */
	unsigned started;
	char order[2048]; /* "127.0.0.1:1688 127.0.0.2:1688" */
};

void fake_prober_init(struct fake_prober *f);

#endif
