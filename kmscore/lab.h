/**
 * The lab envelope: kmsbeacon's own message protection, for rehearsals between kmsbeacon's lab
 * clients and kmsbeacon's lab hosts. It has nothing in common with Microsoft's and no Windows
 * client or host can be reached with it (design §1, §7.3).
 *
 * A message; integers are little-endian, GUIDs stand in text order (guid.h):
 *
 *   offset size            header: also the associated data, with one byte 'C' or 'S' behind it
 *        0    2  minor     1
 *        2    2  major     0x4C42
 *        4    8  key id    first 8 bytes of SHA-256("kmsbeacon-lab-id" || key)
 *       12   12  nonce     random, for AES-256-GCM
 *       24    n  encrypted fields, below
 *     24+n   16  GCM tag
 *
 * 'C' marks a client's request, 'S' a host's response. Key: HKDF-SHA256 (RFC 5869), no salt, info
 * "kmsbeacon lab c2s" or "kmsbeacon lab s2c", 32 bytes, from the 32 bytes of the lab key.
 *
 *   request fields, n = 232                        response fields, n = 112
 *     0  16  CMID                                    0  16  CMID, echoed
 *    16  16  previous CMID                          16   8  client time, echoed
 *    32  16  application ID                         24  12  nonce of the request, echoed
 *    48  16  activation (SKU) ID                    36   4  current count
 *    64  16  KMS ID                                 40   4  activation interval, minutes
 *    80   8  client time, FILETIME                  44   4  renewal interval, minutes
 *    88   4  licence status, 0..6                   48  64  host PID, ASCII, zero-filled
 *    92   4  minutes left in that status
 *    96   4  N-policy: the count the client needs
 *   100   4  flags: 1 = runs in a virtual machine
 *   104 128  machine name, 64 UTF-16LE units, zero-filled
 *
 * Test vector, made with python3-cryptography (tests/tools/make_lab_vectors.py;
 * tests/unit/test_lab.c has a request too):
 *
 *   lab key  000102...1e1f
 *   key id   06f18656d31f6d03
 *   c2s key  f3665ed49eea114d3df1a1a57b6c98191b06d58c72e2f540230477ab55c1950e
 *   s2c key  4ab729f9ec9803d0ec4ff78f7fb6a0e0ab4dddb7884bc38aa1f145db1a4cd4e6
 *
 * Response with CMID 10111213-...-1e1f, client time 2026-11-21T12:00:00Z, request nonce a0a1...ab,
 * count 26, intervals 120 and 10080, host PID "lab-host-pid", nonce b0b1...bb
 *   0100424c06f18656d31f6d03b0b1b2b3b4b5b6b7b8b9babb6ea95c6536c3c989
 *   0b52b23cdf4b5828eacef0e615f6d3c5747d31ccd675f713c0fdf2bd8e6fd921
 *   db60fa07181d66a8fe943c9eb2a209d94653d45a2b3d61dc3b3817dc037a215b
 *   ddcd217a6ff2cbd20df98b0bf008b262e97005f4949010d7715c7b8934b386dc
 *   c73f6d86017f11f67586bda445a155bb2891bc186f4c065d
 */
#ifndef KMSBEACON_KMSCORE_LAB_H
#define KMSBEACON_KMSCORE_LAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "common/rng.h"
#include "kmscore/guid.h"

#define LAB_VERSION_MINOR 1
#define LAB_VERSION_MAJOR 0x4C42
#define LAB_KEY_LEN       32
#define LAB_KEY_ID_LEN    8
#define LAB_NONCE_LEN     12
#define LAB_TAG_LEN       16
#define LAB_HEADER_LEN    12
#define LAB_REQUEST_LEN   (LAB_HEADER_LEN + LAB_NONCE_LEN + 232 + LAB_TAG_LEN)
#define LAB_RESPONSE_LEN  (LAB_HEADER_LEN + LAB_NONCE_LEN + 112 + LAB_TAG_LEN)

#define LAB_MACHINE_UNITS    64
#define LAB_MACHINE_TEXT_MAX (3 * LAB_MACHINE_UNITS + 1) /* UTF-8 */
#define LAB_PID_MAX          65

/** What is derived from a lab key. Wipe after use. */
struct lab_key {
	uint8_t id[LAB_KEY_ID_LEN];
	struct secret c2s;
	struct secret s2c;
};

int lab_key_derive(const uint8_t raw[LAB_KEY_LEN], struct lab_key *ret);
void lab_key_wipe(struct lab_key *k);
/**
 * Read a lab key file: lines that begin with '#', and one line of 64 hex digits.
 * @return 0, SECRET_READABLE, LAB_MALFORMED or what the kernel said, with the sentence in @p info.
 */
int lab_key_read(const char *path, struct lab_key *ret, struct err_info *info);
/**
 * Write a new key file, mode 0600. Never replaces a file: then -EEXIST. Nothing is left behind on
 * failure. @p info says what and what to do.
 */
int lab_keygen(const char *path, struct rng *rng, struct err_info *info);

struct lab_request {
	struct guid cmid;
	struct guid previous_cmid;
	struct guid application_id;
	struct guid activation_id;
	struct guid kms_id;
	uint64_t client_time; /* FILETIME */
	uint32_t licence;     /* enum kms_licence */
	uint32_t minutes_left;
	uint32_t n_policy;
	bool vm;
	char machine[LAB_MACHINE_TEXT_MAX]; /* UTF-8; what is no text arrives as U+FFFD */
};

struct lab_response {
	struct guid cmid;
	uint64_t client_time;
	uint8_t request_nonce[LAB_NONCE_LEN];
	uint32_t count;
	uint32_t activation_min;
	uint32_t renewal_min;
	char host_pid[LAB_PID_MAX];
};

/** @p nonce from the caller: random, never used twice with one key. A machine name that does not
 * fit is cut. */
int lab_request_seal(const struct lab_key *k, const uint8_t nonce[LAB_NONCE_LEN],
		     const struct lab_request *rq, uint8_t ret[LAB_REQUEST_LEN]);
int lab_response_seal(const struct lab_key *k, const uint8_t nonce[LAB_NONCE_LEN],
		      const struct lab_response *rs, uint8_t ret[LAB_RESPONSE_LEN]);
/**
 * Check and decrypt. @p ret is written on success only.
 * @return 0; LAB_NOT_LAB: another version field, so not ours; LAB_MALFORMED: ours, of a wrong size
 * or with a field out of range; LAB_KEY: made with another lab key; LAB_AUTH: damaged or forged.
 */
int lab_request_open(const struct lab_key *k, const uint8_t *body, size_t len,
		     struct lab_request *ret, uint8_t ret_nonce[LAB_NONCE_LEN]);
int lab_response_open(const struct lab_key *k, const uint8_t *body, size_t len,
		      struct lab_response *ret);

/** FILETIME (100 ns since 1601-01-01 UTC) from and to milliseconds since 1970. Out of range
 * saturates. */
uint64_t lab_filetime(int64_t wall_ms);
int64_t lab_filetime_ms(uint64_t filetime);

#endif
