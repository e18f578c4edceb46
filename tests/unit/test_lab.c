#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kmscore/kms.h"
#include "kmscore/lab.h"
#include "kmscore/utf16.h"
#include "tests/lib/kms_vectors.h"

/* Printed by tests/tools/make_lab_vectors.py. */
#define LAB_VECTOR_KEY_ID "06f18656d31f6d03"
#define LAB_VECTOR_C2S    "f3665ed49eea114d3df1a1a57b6c98191b06d58c72e2f540230477ab55c1950e"
#define LAB_VECTOR_S2C    "4ab729f9ec9803d0ec4ff78f7fb6a0e0ab4dddb7884bc38aa1f145db1a4cd4e6"
#define LAB_VECTOR_REQUEST                                                                         \
	"0100424c06f18656d31f6d03a0a1a2a3a4a5a6a7a8a9aaab02abd72086c3deb6"                         \
	"d906377b17c28cc0f9eef0af5090d73df6fcc29a7c7719eed81b58b1b43fc5c5"                         \
	"c19a0addb1ba9f2266de7b5a4346f1ac78e6dcc8635a86769c3890bbb390781b"                         \
	"5bb504d9ef6055a43f2234e97828050f6f5c8c1da466fe5de546655f3f1fe188"                         \
	"fbc0faa702ee80cfd73c6a7aa4c9a720bcd88a7282e3fbc4b95212d9af4d47ce"                         \
	"c405fa03037491162df10176eaf751c7c469fcb00b0b1377b50bbba6349c8f66"                         \
	"1bc929a10d5e374e347e25ed0c782c65ecadc3bc2cb4689d6c021bd05cf77679"                         \
	"e52165ab26af45c0aa49983099ec693028f0d6e4f6eab5165eb2aee01d206630"                         \
	"74b0bc027910c4dc460f1e421e607883"
#define LAB_VECTOR_RESPONSE                                                                        \
	"0100424c06f18656d31f6d03b0b1b2b3b4b5b6b7b8b9babb6ea95c6536c3c989"                         \
	"0b52b23cdf4b5828eacef0e615f6d3c5747d31ccd675f713c0fdf2bd8e6fd921"                         \
	"db60fa07181d66a8fe943c9eb2a209d94653d45a2b3d61dc3b3817dc037a215b"                         \
	"ddcd217a6ff2cbd20df98b0bf008b262e97005f4949010d7715c7b8934b386dc"                         \
	"c73f6d86017f11f67586bda445a155bb2891bc186f4c065d"
#define LAB_VECTOR_TIME INT64_C(1795262400000)

static void run_of_bytes(uint8_t *p, size_t len, unsigned first)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(first + i);
}

static struct lab_key vector_key(void)
{
	uint8_t raw[LAB_KEY_LEN];
	struct lab_key k;

	run_of_bytes(raw, sizeof(raw), 0);
	assert_int_equal(lab_key_derive(raw, &k), 0);
	return k;
}

static struct lab_request vector_request(void)
{
	struct lab_request rq = {
		.client_time = lab_filetime(LAB_VECTOR_TIME),
		.licence = KMS_OOB_GRACE,
		.minutes_left = 43200,
		.n_policy = 25,
		.vm = true,
		.machine = "lab-\xc3\xbc\xf0\x9f\x96\xa5.corp.example",
	};

	run_of_bytes(rq.cmid.b, 16, 0x10);
	run_of_bytes(rq.previous_cmid.b, 16, 0x20);
	run_of_bytes(rq.application_id.b, 16, 0x30);
	run_of_bytes(rq.activation_id.b, 16, 0x40);
	run_of_bytes(rq.kms_id.b, 16, 0x50);
	return rq;
}

static void t_key_derivation(void **state)
{
	struct bytes id = vec(LAB_VECTOR_KEY_ID), c2s = vec(LAB_VECTOR_C2S);
	struct bytes s2c = vec(LAB_VECTOR_S2C);
	struct lab_key k = vector_key(), zero;

	(void)state;
	assert_memory_equal(k.id, id.b, sizeof(k.id));
	assert_int_equal(k.c2s.len, 32);
	assert_memory_equal(k.c2s.bytes, c2s.b, 32);
	assert_memory_equal(k.s2c.bytes, s2c.b, 32);
	lab_key_wipe(&k);
	memset(&zero, 0, sizeof(zero));
	assert_memory_equal(&k, &zero, sizeof(k));
}

static void t_request_vector(void **state)
{
	struct bytes want = vec(LAB_VECTOR_REQUEST);
	struct lab_request rq = vector_request(), got;
	uint8_t nonce[LAB_NONCE_LEN], got_nonce[LAB_NONCE_LEN], body[LAB_REQUEST_LEN];
	struct lab_key k = vector_key();

	(void)state;
	run_of_bytes(nonce, sizeof(nonce), 0xa0);
	assert_int_equal(want.len, LAB_REQUEST_LEN);
	assert_int_equal(lab_request_seal(&k, nonce, &rq, body), 0);
	assert_memory_equal(body, want.b, want.len);
	memset(&got, 0, sizeof(got));
	assert_int_equal(lab_request_open(&k, want.b, want.len, &got, got_nonce), 0);
	assert_memory_equal(got_nonce, nonce, sizeof(nonce));
	assert_true(guid_equal(&got.cmid, &rq.cmid));
	assert_true(guid_equal(&got.previous_cmid, &rq.previous_cmid));
	assert_true(guid_equal(&got.application_id, &rq.application_id));
	assert_true(guid_equal(&got.activation_id, &rq.activation_id));
	assert_true(guid_equal(&got.kms_id, &rq.kms_id));
	assert_int_equal(lab_filetime_ms(got.client_time), LAB_VECTOR_TIME);
	assert_int_equal(got.licence, KMS_OOB_GRACE);
	assert_int_equal(got.minutes_left, 43200);
	assert_int_equal(got.n_policy, 25);
	assert_true(got.vm);
	assert_string_equal(got.machine, rq.machine);
}

static void t_response_vector(void **state)
{
	struct bytes want = vec(LAB_VECTOR_RESPONSE);
	struct lab_response rs = {
		.client_time = lab_filetime(LAB_VECTOR_TIME),
		.count = 26,
		.activation_min = 120,
		.renewal_min = 10080,
		.host_pid = "lab-host-pid",
	};
	uint8_t nonce[LAB_NONCE_LEN], body[LAB_RESPONSE_LEN];
	struct lab_key k = vector_key();
	struct lab_response got;

	(void)state;
	run_of_bytes(rs.cmid.b, 16, 0x10);
	run_of_bytes(rs.request_nonce, LAB_NONCE_LEN, 0xa0);
	run_of_bytes(nonce, sizeof(nonce), 0xb0);
	assert_int_equal(want.len, LAB_RESPONSE_LEN);
	assert_int_equal(lab_response_seal(&k, nonce, &rs, body), 0);
	assert_memory_equal(body, want.b, want.len);
	assert_int_equal(lab_response_open(&k, want.b, want.len, &got), 0);
	assert_true(guid_equal(&got.cmid, &rs.cmid));
	assert_memory_equal(got.request_nonce, rs.request_nonce, LAB_NONCE_LEN);
	assert_true(got.client_time == rs.client_time);
	assert_int_equal(got.count, 26);
	assert_int_equal(got.activation_min, 120);
	assert_int_equal(got.renewal_min, 10080);
	assert_string_equal(got.host_pid, "lab-host-pid");
}

/* One flipped bit anywhere, or another length, and nothing is believed. */
static void t_damage(void **state)
{
	struct bytes v = vec(LAB_VECTOR_REQUEST);
	uint8_t nonce[LAB_NONCE_LEN];
	struct lab_key k = vector_key();
	struct lab_request rq;

	(void)state;
	for (size_t i = 0; i < v.len; i++) {
		int want = i < 2    ? ERR_LAB_MALFORMED
			   : i < 4  ? ERR_LAB_NOT_LAB
			   : i < 12 ? ERR_LAB_KEY
				    : ERR_LAB_AUTH;

		v.b[i] ^= 0x10;
		assert_int_equal(lab_request_open(&k, v.b, v.len, &rq, nonce), want);
		v.b[i] ^= 0x10;
	}
	for (size_t n = 0; n < v.len; n++)
		assert_int_equal(lab_request_open(&k, v.b, n, &rq, nonce),
				 n < 4 ? ERR_LAB_NOT_LAB : ERR_LAB_MALFORMED);
	assert_int_equal(lab_request_open(&k, v.b, v.len + 1, &rq, nonce), ERR_LAB_MALFORMED);
}

/* A request cannot come back as a response, nor with another lab's key. */
static void t_direction_and_key(void **state)
{
	struct bytes rs = vec(LAB_VECTOR_RESPONSE);
	struct lab_key k = vector_key(), other;
	struct lab_response got;
	uint8_t raw[LAB_KEY_LEN] = { 9 };
	struct secret swap;

	(void)state;
	assert_int_equal(lab_key_derive(raw, &other), 0);
	assert_int_equal(lab_response_open(&other, rs.b, rs.len, &got), ERR_LAB_KEY);
	swap = k.s2c;
	k.s2c = k.c2s;
	assert_int_equal(lab_response_open(&k, rs.b, rs.len, &got), ERR_LAB_AUTH);
	k.s2c = swap;
	assert_int_equal(lab_response_open(&k, rs.b, rs.len, &got), 0);
}

static void t_fields_out_of_range(void **state)
{
	uint8_t nonce[LAB_NONCE_LEN] = { 1 }, body[LAB_RESPONSE_LEN], rq_body[LAB_REQUEST_LEN];
	struct lab_response rs = { .host_pid = "a\nb" };
	struct lab_request rq = vector_request();
	struct lab_key k = vector_key();

	(void)state;
	rq.licence = KMS_LICENCE_COUNT_;
	assert_int_equal(lab_request_seal(&k, nonce, &rq, rq_body), 0);
	assert_int_equal(lab_request_open(&k, rq_body, sizeof(rq_body), &rq, nonce),
			 ERR_LAB_MALFORMED);
	assert_int_equal(lab_response_seal(&k, nonce, &rs, body), 0);
	assert_int_equal(lab_response_open(&k, body, sizeof(body), &rs), ERR_LAB_MALFORMED);
}

static void t_machine_names(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{ "", "" },
		{ "pc1", "pc1" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x96\xa5", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x96\xa5" },
		{ "a\xff"
		  "b",
		  "a\xef\xbf\xbd"
		  "b" },
		{ "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* a surrogate */
		{ "x\xe2\x82", "x\xef\xbf\xbd\xef\xbf\xbd" },               /* cut */
	};
	static const uint8_t halves[] = { 0x00, 0xd8, 'a', 0, 0x00, 0xdc, 0x00, 0xd8 };
	char text[LAB_MACHINE_TEXT_MAX], longest[200];
	uint8_t units[2 * LAB_MACHINE_UNITS];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		utf16_put(units, LAB_MACHINE_UNITS, rows[i].in);
		utf16_get(units, LAB_MACHINE_UNITS, text);
		assert_string_equal(text, rows[i].out);
	}
	utf16_get(halves, 4, text);
	assert_string_equal(text, "\xef\xbf\xbd"
				  "a\xef\xbf\xbd\xef\xbf\xbd");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest + 63, "\xf0\x9f\x96\xa5", 4); /* would need units 63 and 64 */
	utf16_put(units, LAB_MACHINE_UNITS, longest);
	utf16_get(units, LAB_MACHINE_UNITS, text);
	assert_int_equal(strlen(text), 63);
	memset(units, 0xff, sizeof(units)); /* the longest text: 64 times U+FFFF */
	utf16_get(units, LAB_MACHINE_UNITS, text);
	assert_int_equal(strlen(text), LAB_MACHINE_TEXT_MAX - 1);
}

static void t_filetime(void **state)
{
	(void)state;
	assert_true(lab_filetime(0) == UINT64_C(116444736000000000));
	assert_int_equal(lab_filetime_ms(lab_filetime(LAB_VECTOR_TIME)), LAB_VECTOR_TIME);
	assert_int_equal(lab_filetime_ms(lab_filetime(-1)), -1);
	assert_true(lab_filetime(INT64_MIN) == 0);
	assert_true(lab_filetime(INT64_MAX) == INT64_MAX);
	assert_true(lab_filetime_ms(UINT64_MAX) > 0);
}

struct dir {
	char path[64];
	char file[96];
};

static void dir_make(struct dir *d)
{
	(void)snprintf(d->path, sizeof(d->path), "/tmp/kmsbeacon-lab-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	(void)snprintf(d->file, sizeof(d->file), "%s/lab.key", d->path);
}

static void dir_remove(struct dir *d)
{
	(void)unlink(d->file);
	assert_int_equal(rmdir(d->path), 0);
}

static void t_keygen(void **state)
{
	struct lab_key k, k2;
	struct err_info info;
	struct stat st;
	struct rng rng;
	struct dir d;

	(void)state;
	rng_init_system(&rng);
	dir_make(&d);
	assert_int_equal(lab_keygen(d.file, &rng, &info), 0);
	assert_int_equal(stat(d.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(lab_key_read(d.file, &k, &info), 0);
	assert_int_equal(lab_keygen(d.file, &rng, &info), -EEXIST);
	assert_non_null(strstr(info.text, "left as it is"));
	assert_int_equal(lab_key_read(d.file, &k2, &info), 0);
	assert_memory_equal(&k, &k2, sizeof(k));
	assert_int_equal(chmod(d.file, 0640), 0);
	assert_int_equal(lab_key_read(d.file, &k, &info), ERR_SECRET_READABLE);
	assert_non_null(strstr(info.text, "chmod 600"));
	dir_remove(&d);
	assert_int_equal(lab_keygen(d.file, &rng, &info), -ENOENT);
}

static void t_key_files(void **state)
{
#define KEY_TEXT "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{ KEY_TEXT "\n", 0 },
		{ KEY_TEXT, 0 },
		{ "# a comment\n\n" KEY_TEXT " \r\n", 0 },
		{ "", ERR_LAB_MALFORMED },
		{ "# " KEY_TEXT "\n", ERR_LAB_MALFORMED },
		{ KEY_TEXT "0\n", ERR_LAB_MALFORMED },
		{ KEY_TEXT "\n" KEY_TEXT "\n", ERR_LAB_MALFORMED },
		{ "z" KEY_TEXT "\n", ERR_LAB_MALFORMED },
		{ "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
		  ERR_LAB_MALFORMED },
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1z\n",
		  ERR_LAB_MALFORMED },
	};
	struct lab_key want = vector_key(), k;
	struct err_info info;
	struct dir d;

	(void)state;
	dir_make(&d);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		FILE *f = fopen(d.file, "w");

		assert_non_null(f);
		assert_true(fputs(rows[i].text, f) >= 0);
		assert_int_equal(fchmod(fileno(f), 0600), 0);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(lab_key_read(d.file, &k, &info), rows[i].err);
		if (rows[i].err == 0)
			assert_memory_equal(&k, &want, sizeof(k));
		else
			assert_null(strstr(info.text, "0102")); /* no part of it is shown */
	}
	dir_remove(&d);
	assert_int_equal(lab_key_read(d.file, &k, &info), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_key_derivation),
		cmocka_unit_test(t_request_vector),
		cmocka_unit_test(t_response_vector),
		cmocka_unit_test(t_damage),
		cmocka_unit_test(t_direction_and_key),
		cmocka_unit_test(t_fields_out_of_range),
		cmocka_unit_test(t_machine_names),
		cmocka_unit_test(t_filetime),
		cmocka_unit_test(t_keygen),
		cmocka_unit_test(t_key_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
