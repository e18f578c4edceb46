#include "tests/lib/kms_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* after the above, which it needs */
#include <cmocka.h>

#include "kmscore/kin.h"
#include "tests/lib/hex.h"

struct bytes vec(const char *hex)
{
	struct bytes v = { 0 };

	v.len = hex_decode(hex, v.b, sizeof(v.b));
	return v;
}

struct bytes vec_kin_bind(const struct guid *node_id)
{
	struct rpc_hdr h = { .ptype = RPC_BIND, .call_id = 2 };
	struct rpc_bind b = { .max_xmit = RPC_FRAG_MAX, .max_recv = RPC_FRAG_MAX, .n_ctx = 2 };
	struct bytes v = { 0 };
	struct buf out;

	b.ctx[0] = (struct rpc_ctx_item){ .n_transfer = 1, .abstract = rpc_syntax_kms };
	b.ctx[0].transfer[0] = rpc_syntax_ndr32;
	kms_kin_offer(&b.ctx[1], 1, node_id);
	buf_init(&out, sizeof(v.b));
	assert_int_equal(rpc_bind_encode(&out, &h, &b), 0);
	memcpy(v.b, out.data, out.len);
	v.len = out.len;
	buf_done(&out);
	return v;
}
