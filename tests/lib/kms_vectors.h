/**
 * RPC PDUs made with impacket and, where it has no encoder (answers, big-endian), with Python's
 * struct after C706 12.6.4. Hex.
 */
#ifndef KMSBEACON_TESTS_LIB_KMS_VECTORS_H
#define KMSBEACON_TESTS_LIB_KMS_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#include "kmscore/guid.h"

/* A real client's bind has these three items: NDR32, NDR64, features with bits 3 (behaviour §8.2).
 */
#define VEC_BIND3                                                                                  \
	"05000b0310000000a000000002000000d016d0160000000003000000000001007521c851"                 \
	"4e845047b0d8ec255555bc0601000000045d888aeb1cc9119fe808002b10486002000000"                 \
	"010001007521c8514e845047b0d8ec255555bc060100000033057171babe37498319b5db"                 \
	"ef9ccc3601000000020001007521c8514e845047b0d8ec255555bc06010000002c1cb76c"                 \
	"12984045030000000000000001000000"
#define VEC_BIND3_ACK /* group 0x11223344, port 1688 */                                            \
	"05000c03100000006c00000002000000d016d01644332211050031363838000003000000"                 \
	"00000000045d888aeb1cc9119fe808002b10486002000000020002000000000000000000"                 \
	"000000000000000000000000030000000000000000000000000000000000000000000000"
#define VEC_ALTER                                                                                  \
	"05000e03100000004800000002000000d016d0160000000001000000000001007521c851"                 \
	"4e845047b0d8ec255555bc0601000000045d888aeb1cc9119fe808002b10486002000000"
#define VEC_ALTER_RESP                                                                             \
	"05000f03100000003800000002000000d016d01644332211000000000100000000000000"                 \
	"045d888aeb1cc9119fe808002b10486002000000"
#define VEC_BIND_BE /* context id 7, call id 9, fragments of 4280 */                               \
	"05000b0300000000004800000000000910b810b800000000010000000007010051c82175"                 \
	"844e4750b0d8ec255555bc06000000018a885d041ceb11c99fe808002b10486000000002"
#define VEC_BIND_BE_ACK                                                                            \
	"05000c0300000000003c00000000000910b810b811223344000531363838000001000000"                 \
	"000000008a885d041ceb11c99fe808002b10486000000002"

#define VEC_GROUP 0x11223344u

struct bytes {
	size_t len;
	uint8_t b[24576];
};
/** From hex; blanks are skipped. */
struct bytes vec(const char *hex);
/** A bind for KMS with one more item, as relays send it. */
struct bytes vec_kin_bind(const struct guid *node_id);

#endif
