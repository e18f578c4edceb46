/**
 * What a lab client pretends to be, and what a lab host serves. The ids are kmsbeacon's own; the
 * products differ in the count they need.
 */
#ifndef KMSBEACON_KMSCORE_LAB_PRODUCT_H
#define KMSBEACON_KMSCORE_LAB_PRODUCT_H

#include <stdint.h>

#include "kmscore/guid.h"

struct lab_product {
	const char *key; /* "windows", "server", "office" */
	const char *name;
	const char *description;
	const char *application_id;
	const char *activation_id;
	const char *kms_id;
	uint32_t n_policy;
};

/** NULL: no such product. */
const struct lab_product *lab_product_find(const char *key);
/** Which of these has this KMS id; -1: none. */
int lab_product_of(const struct guid *kms_id);

#endif
