#include "tests/sim/kms_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/err.h"

#define VERSION_MAJOR 6 /* of the bodies: any, but of a lab message */

struct watcher {
	void (*seen)(void *ctx, const char *line);
	void *ctx;
};
static struct watcher watcher; /* set before the first life: the same in all of them */

void sim_kms_watch(void (*seen)(void *ctx, const char *line), void *ctx)
{
	watcher = (struct watcher){ seen, ctx };
}

void kms_tell(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (watcher.seen == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	watcher.seen(watcher.ctx, line);
}

void kms_must(int err, const char *what)
{
	if (err != 0)
		sim_fail("the played KMS hosts: %s: %s", what, err_text(err));
}

bool kms_in_take(struct kms_in *in, const uint8_t *data, size_t len,
		 bool (*pdu)(void *ctx, const uint8_t *pdu, const struct rpc_hdr *h), void *ctx)
{
	struct rpc_hdr h;
	size_t n;

	while (len > 0) {
		size_t part = sizeof(in->data) - in->len;

		if (part > len)
			part = len;
		memcpy(in->data + in->len, data, part);
		in->len += part;
		data += part;
		len -= part;
		for (;;) {
			if (rpc_frame_length(in->data, in->len, RPC_FRAG_MAX, &n) != 0)
				return false;
			if (n == 0 || n > in->len)
				break;
			if (rpc_hdr_decode(in->data, n, &h) != 0)
				return false;
			if (!pdu(ctx, in->data, &h))
				return true;
			memmove(in->data, in->data + n, in->len - n);
			in->len -= n;
		}
	}
	return true;
}

void kms_send(struct sim_conn *c, struct buf *out)
{
	if (out->len > 0)
		sim_conn_write(c, out->data, out->len);
	buf_done(out);
}

size_t kms_label_body(const char *label, uint8_t ret[KMS_LABEL_MAX + 4])
{
	size_t len = strlen(label);

	memset(ret, 0, KMS_LABEL_MAX + 4);
	ret[2] = VERSION_MAJOR;
	memcpy(ret + 4, label, len);
	return len + 4;
}

bool kms_label_read(const uint8_t *body, size_t len, char ret[KMS_LABEL_MAX])
{
	struct kms_version v;

	if (!kms_body_version(body, len, &v) || v.major != VERSION_MAJOR ||
	    len - 4 >= KMS_LABEL_MAX)
		return false;
	memcpy(ret, body + 4, len - 4);
	ret[len - 4] = '\0';
	return strlen(ret) == len - 4;
}
