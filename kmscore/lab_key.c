#include "kmscore/lab.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"

#define KEY_FILE_MAX 4096
#define HEX_LEN      (2 * LAB_KEY_LEN)
#define ID_LABEL     "kmsbeacon-lab-id"

static const char file_comment[] =
	"# A kmsbeacon lab key, made by `kmsbeacon lab keygen`. It protects rehearsals between\n"
	"# kmsbeacon's own lab clients and lab hosts; it has no meaning to Windows. Keep it "
	"secret.\n";

/** HKDF-SHA256 without salt, one block. */
static int derive(const uint8_t raw[LAB_KEY_LEN], const char *info, struct secret *ret)
{
	char digest[] = "SHA256", label[32];
	uint8_t ikm[LAB_KEY_LEN];
	OSSL_PARAM params[4];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf != NULL ? EVP_KDF_CTX_new(kdf) : NULL;
	int err = ERR_INTERNAL;

	memcpy(ikm, raw, sizeof(ikm)); /* OSSL_PARAM wants what it may not change non-const */
	memset(label, 0, sizeof(label));
	memcpy(label, info, strnlen(info, sizeof(label) - 1));
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, ikm, sizeof(ikm));
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, label, strlen(label));
	params[3] = OSSL_PARAM_construct_end();
	if (ctx != NULL && EVP_KDF_derive(ctx, ret->bytes, LAB_KEY_LEN, params) == 1) {
		ret->len = LAB_KEY_LEN;
		err = 0;
	}
	mem_wipe(ikm, sizeof(ikm));
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return err;
}

int lab_key_derive(const uint8_t raw[LAB_KEY_LEN], struct lab_key *ret)
{
	uint8_t text[sizeof(ID_LABEL) - 1 + LAB_KEY_LEN], hash[EVP_MAX_MD_SIZE];
	int err = 0;

	memset(ret, 0, sizeof(*ret));
	memcpy(text, ID_LABEL, sizeof(ID_LABEL) - 1);
	memcpy(text + sizeof(ID_LABEL) - 1, raw, LAB_KEY_LEN);
	if (EVP_Digest(text, sizeof(text), hash, NULL, EVP_sha256(), NULL) != 1)
		err = ERR_INTERNAL;
	memcpy(ret->id, hash, LAB_KEY_ID_LEN);
	mem_wipe(text, sizeof(text));
	if (err == 0)
		err = derive(raw, "kmsbeacon lab c2s", &ret->c2s);
	if (err == 0)
		err = derive(raw, "kmsbeacon lab s2c", &ret->s2c);
	if (err != 0)
		lab_key_wipe(ret);
	return err;
}

void lab_key_wipe(struct lab_key *k)
{
	mem_wipe(k, sizeof(*k));
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_hex(const uint8_t *text, uint8_t raw[LAB_KEY_LEN])
{
	for (size_t i = 0; i < LAB_KEY_LEN; i++) {
		int hi = hex_digit(text[2 * i]), lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		raw[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/** Comments, blank lines, and exactly one key. */
static bool parse_file(const uint8_t *text, size_t len, uint8_t raw[LAB_KEY_LEN])
{
	bool found = false;
	size_t at = 0;

	while (at < len) {
		const uint8_t *line = text + at;
		const uint8_t *nl = memchr(line, '\n', len - at);
		size_t n = nl != NULL ? (size_t)(nl - line) : len - at;

		at += n + 1;
		while (n > 0 && (line[n - 1] == '\r' || line[n - 1] == ' ' || line[n - 1] == '\t'))
			n--;
		if (n == 0 || line[0] == '#')
			continue;
		if (found || n != HEX_LEN || !parse_hex(line, raw))
			return false;
		found = true;
	}
	return found;
}

int lab_key_read(const char *path, struct lab_key *ret, struct err_info *info)
{
	uint8_t raw[LAB_KEY_LEN];
	struct buf b;
	int err;

	buf_init(&b, KEY_FILE_MAX);
	err = secret_read_file(path, &b, info);
	if (err == 0 && !parse_file(b.data, b.len, raw))
		err = err_set(
			info, ERR_LAB_MALFORMED,
			"%s is no lab key file: it needs one line of %d hex digits; make one with "
			"`kmsbeacon lab keygen FILE`",
			path, HEX_LEN);
	else if (err == 0 && lab_key_derive(raw, ret) != 0)
		err = err_set(info, ERR_INTERNAL,
			      "OpenSSL cannot derive keys (HKDF with SHA-256) from %s", path);
	mem_wipe(raw, sizeof(raw));
	if (b.data != NULL)
		mem_wipe(b.data, b.cap);
	buf_done(&b);
	return err;
}

static int write_key(int fd, struct rng *rng)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t raw[LAB_KEY_LEN];
	char hex[HEX_LEN + 1];
	int err;

	rng_bytes(rng, raw, sizeof(raw));
	for (size_t i = 0; i < sizeof(raw); i++) {
		hex[2 * i] = digits[raw[i] >> 4];
		hex[2 * i + 1] = digits[raw[i] & 15];
	}
	hex[HEX_LEN] = '\n';
	err = fchmod(fd, 0600) == 0 ? 0 : -errno; /* whatever the umask */
	if (err == 0)
		err = file_write_fd(fd, file_comment, sizeof(file_comment) - 1);
	if (err == 0)
		err = file_write_fd(fd, hex, sizeof(hex));
	if (err == 0 && fsync(fd) != 0)
		err = -errno;
	mem_wipe(raw, sizeof(raw));
	mem_wipe(hex, sizeof(hex));
	return err;
}

int lab_keygen(const char *path, struct rng *rng, struct err_info *info)
{
	int err, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0) {
		err = -errno;
		if (err == -EEXIST)
			return err_set(
				info, err,
				"%s exists and is left as it is; choose another name, or remove "
				"it first",
				path);
		return err_set(info, err, "cannot make %s: %s", path, err_text(err));
	}
	err = write_key(fd, rng);
	if (close(fd) != 0 && err == 0)
		err = -errno;
	if (err != 0) {
		(void)unlink(path);
		(void)err_set(info, err, "cannot write %s: %s", path, err_text(err));
	}
	return err;
}
