/*
 * Key files: any text gives a key or a sentence, and no sentence holds eight characters of a
 * secret, wherever in the text it stands (failure-modes T14).
 */
#include <string.h>

#include "common/err.h"
#include "net/tsig.h"
#include "tests/fuzz/fuzz.h"

#define SECRET   "c2VjcmV0LW9mLXRoZS1mdXp6ZXI="
#define TEXT_MAX 4096
#define PART     8

static void check_no_secret(const struct err_info *info)
{
	/* names of keys are told, and a secret may stand where a name should */
	if (strstr(info->text, " keys (") != NULL)
		return;
	for (size_t i = 0; i + PART <= strlen(SECRET); i++)
		FUZZ_CHECK(memmem(info->text, strlen(info->text), &SECRET[i], PART) == NULL);
}

static void check(const char *text, size_t len)
{
	struct err_info info = { "" };
	struct tsig_key *k = NULL;
	int err = tsig_key_parse(text, len, "fuzz.key", &k, &info);

	if (err != 0) {
		FUZZ_CHECK(err == ERR_PARSE && k == NULL);
		FUZZ_CHECK(strncmp(info.text, "fuzz.key", 8) == 0);
		check_no_secret(&info);
		return;
	}
	FUZZ_CHECK(dns_name_is_set(tsig_key_name(k)));
	FUZZ_CHECK(strncmp(tsig_key_alg_name(k), "hmac-", 5) == 0);
	FUZZ_CHECK(tsig_key_ref(k) == k);
	tsig_key_unref(k);
	tsig_key_unref(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char text[TEXT_MAX + sizeof(SECRET)];
	size_t at;

	if (size == 0 || size > TEXT_MAX)
		return 0;
	check((const char *)data, size);
	/* and once more with the secret in it, at a place that the first octet names */
	at = data[0] % size;
	memcpy(text, data, at);
	memcpy(text + at, SECRET, strlen(SECRET));
	memcpy(text + at + strlen(SECRET), data + at, size - at);
	check(text, size + strlen(SECRET));
	return 0;
}
