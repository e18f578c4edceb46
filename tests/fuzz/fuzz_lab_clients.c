/*
 * The file of lab clients: what loads has each client under its name and is saved and loads again
 * as the same; else a sentence, and nothing is left of it.
 */
#include <string.h>

#include "kmscore/lab_clients.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tmp_input.h"

static void check_same(const struct lab_clients *a, const struct lab_clients *b)
{
	FUZZ_CHECK(a->n == b->n);
	FUZZ_CHECK(json_array_size(a->events) == json_array_size(b->events));
	for (size_t i = 0; i < a->n; i++) {
		json_t *x = lab_client_to_json(&a->c[i]), *y = lab_client_to_json(&b->c[i]);

		FUZZ_CHECK(x != NULL && y != NULL);
		FUZZ_CHECK(json_equal(x, y));
		json_decref(x);
		json_decref(y);
	}
}

static void check_client(const struct lab_clients *t, const struct lab_client *c)
{
	struct buf text;
	json_t *dlv;

	FUZZ_CHECK(lab_clients_find(t, c->machine) == c);
	buf_init(&text, 1u << 20);
	FUZZ_CHECK(lab_client_dlv(c, 1000, &text) == 0);
	buf_done(&text);
	dlv = lab_client_dlv_json(c, 1000);
	FUZZ_CHECK(dlv != NULL);
	json_decref(dlv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = tmp_input(data, size);
	struct err_info info = { "" };
	struct lab_clients t, again;
	int err;

	FUZZ_CHECK(path != NULL);
	err = lab_clients_load(path, &t, &info);
	FUZZ_CHECK((err == 0) == (info.text[0] == '\0'));
	if (err != 0) {
		FUZZ_CHECK(err == ERR_PARSE || err == ERR_STORE_VERSION);
		FUZZ_CHECK(t.c == NULL && t.n == 0 && t.events == NULL);
		return 0;
	}
	for (size_t i = 0; i < t.n; i++)
		check_client(&t, &t.c[i]);
	FUZZ_CHECK(lab_clients_save(path, t.c, t.n, NULL, &info) == 0);
	FUZZ_CHECK(lab_clients_load(path, &again, &info) == 0);
	check_same(&t, &again);
	lab_clients_done(&t);
	lab_clients_done(&again);
	return 0;
}
