#include "kmscore/lab_product.h"

#include <string.h>

#include "kmscore/kms.h"

/* Ids made for kmsbeacon; no product of Microsoft's has them. */
#define APP_WINDOWS "7c6f8f2e-3f0b-4c43-9d54-6a1f9d4b7e01"
#define APP_OFFICE  "7c6f8f2e-3f0b-4c43-9d54-6a1f9d4b7e02"

static const struct lab_product products[] = {
	{ "windows", "kmsbeacon lab Windows client", "lab product, VOLUME_KMSCLIENT channel",
	  APP_WINDOWS, "0e5a1b9c-52c4-4d0e-8a53-2b8f60a1c101",
	  "b1c9d7f4-9f0e-4a7b-8f6d-1d2c3e4f5a01", KMS_THRESHOLD_CLIENT },
	{ "server", "kmsbeacon lab Windows Server", "lab product, VOLUME_KMSCLIENT channel",
	  APP_WINDOWS, "0e5a1b9c-52c4-4d0e-8a53-2b8f60a1c102",
	  "b1c9d7f4-9f0e-4a7b-8f6d-1d2c3e4f5a02", KMS_THRESHOLD_SERVER },
	{ "office", "kmsbeacon lab Office", "lab product, VOLUME_KMSCLIENT channel", APP_OFFICE,
	  "0e5a1b9c-52c4-4d0e-8a53-2b8f60a1c103", "b1c9d7f4-9f0e-4a7b-8f6d-1d2c3e4f5a03",
	  KMS_THRESHOLD_SERVER },
};

/* The @p i th, in the order of enum config_lab_product; NULL behind the last. */
static const struct lab_product *product_at(size_t i)
{
	return i < sizeof(products) / sizeof(products[0]) ? &products[i] : NULL;
}

const struct lab_product *lab_product_find(const char *key)
{
	const struct lab_product *p;

	for (size_t i = 0; (p = product_at(i)) != NULL; i++)
		if (strcmp(p->key, key) == 0)
			break;
	return p;
}

int lab_product_of(const struct guid *kms_id)
{
	const struct lab_product *p;
	struct guid id;

	for (size_t i = 0; (p = product_at(i)) != NULL; i++)
		if (guid_parse(p->kms_id, &id) == 0 && guid_equal(&id, kms_id))
			return (int)i;
	return -1;
}
