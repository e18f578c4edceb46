/**
 * Fuzz targets: one file fuzz_NAME.c each, with stored inputs in tests/fuzz/corpus/NAME/.
 *
 * A target checks an invariant, not only that nothing crashes. `make fuzz FUZZ_SECONDS=10` lets
 * libFuzzer look for new inputs; `make fuzz-check` runs the stored ones and some random changes of
 * them. An input that once failed is stored with its fix, and its rule has a unit test.
 */
#ifndef KMSBEACON_TESTS_FUZZ_FUZZ_H
#define KMSBEACON_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/** What libFuzzer calls. Returns 0. */
__attribute__((visibility("default"))) int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** An invariant: says which, and ends the program as libFuzzer wants it. */
#define FUZZ_CHECK(cond)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,    \
				      #cond);                                                      \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif
