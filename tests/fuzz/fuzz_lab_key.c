/*
 * Lab key files: a key exactly where one line of 64 hex digits stands between comments, and no
 * sentence holds a part of what stands in the file.
 */
#include <ctype.h>
#include <string.h>

#include "kmscore/lab.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tmp_input.h"

#define PART 8

/* What the header says, said another way: lines that are no comment, without white space behind. */
static int keys_in(const uint8_t *data, size_t size, int *ret_other)
{
	int keys = 0;
	size_t at = 0;

	*ret_other = 0;
	while (at < size) {
		size_t end = at, digits = 0;

		while (end < size && data[end] != '\n')
			end++;
		while (at + digits < end && isxdigit(data[at + digits]))
			digits++;
		if (data[at] != '#') {
			size_t rest = at + digits;

			while (rest < end && strchr(" \t\r", data[rest]) != NULL && data[rest] != 0)
				rest++;
			if (rest == end && digits == 2 * LAB_KEY_LEN)
				keys++;
			else if (rest != end || digits > 0)
				(*ret_other)++;
		}
		at = end + 1;
	}
	return keys;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zero[LAB_KEY_LEN];
	const char *path = tmp_input(data, size);
	struct err_info info = { "" };
	struct lab_key key;
	int other, keys = keys_in(data, size, &other), err;

	FUZZ_CHECK(path != NULL);
	err = lab_key_read(path, &key, &info);
	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	if (size <= 4096)
		FUZZ_CHECK((err == 0) == (keys == 1 && other == 0));
	if (err != 0) {
		for (size_t i = 0; i + PART <= size; i++)
			FUZZ_CHECK(memmem(info.text, strlen(info.text), data + i, PART) == NULL ||
				   memmem(path, strlen(path), data + i, PART) != NULL || keys == 0);
		return 0;
	}
	FUZZ_CHECK(key.c2s.len == LAB_KEY_LEN && key.s2c.len == LAB_KEY_LEN);
	FUZZ_CHECK(memcmp(key.c2s.bytes, key.s2c.bytes, LAB_KEY_LEN) != 0);
	FUZZ_CHECK(memcmp(key.c2s.bytes, zero, LAB_KEY_LEN) != 0);
	lab_key_wipe(&key);
	return 0;
}
