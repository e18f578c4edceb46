#include "kmscore/kin.h"

#include <string.h>

const struct rpc_syntax kms_kin_syntax = {
	{ { 0xed, 0x9e, 0xc1, 0xe3, 0x6a, 0x0d, 0x4c, 0x2a, 0x9c, 0x5f, 0x0a, 0x36, 0xb7, 0xf0,
	    0xd6, 0xc1 } },
	1,
	0,
};

void kms_kin_offer(struct rpc_ctx_item *ret, uint16_t id, const struct guid *node_id)
{
	memset(ret, 0, sizeof(*ret));
	ret->id = id;
	ret->n_transfer = 1;
	ret->abstract = kms_kin_syntax;
	ret->transfer[0].uuid = *node_id;
}

bool kms_kin_is_offer(const struct rpc_ctx_item *item)
{
	return item->n_transfer == 1 && rpc_syntax_equal(&item->abstract, &kms_kin_syntax);
}

void kms_kin_accept(struct rpc_ctx_answer *ret, const struct guid *node_id, uint16_t role)
{
	memset(ret, 0, sizeof(*ret));
	ret->result = RPC_CTX_ACCEPT;
	ret->transfer.uuid = *node_id;
	ret->transfer.major = role;
}

enum kms_kin kms_kin_judge(const struct rpc_ctx_answer *a, const struct guid *node_id)
{
	const struct rpc_syntax *t = &a->transfer;

	/* Some servers accept all that they are offered: with NDR, or as it was offered. */
	if (a->result != RPC_CTX_ACCEPT || t->major == 0 ||
	    guid_equal(&t->uuid, &rpc_syntax_ndr32.uuid) ||
	    guid_equal(&t->uuid, &rpc_syntax_ndr64.uuid))
		return KMS_KIN_NONE;
	if (guid_equal(&t->uuid, node_id))
		return KMS_KIN_SELF;
	return t->major == KMS_KIN_ROLE_LAB ? KMS_KIN_LAB : KMS_KIN_RELAY;
}
