#include "common/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* libuv's UV_EOF; the other libuv codes that reach us are -errno. */
#define UV_EOF_CODE (-4095)

struct err_row {
	int code;
	enum err_class cls;
	const char *name;
	const char *text;
};

static const struct err_row err_rows[] = {
	{ ERR_OK, ERRC_NONE, "OK", "success" },
#define X(n, c, k, t) { (c), ERRC_##k, #n, (t) },
	ERR_MAP(X)
#undef X
		{ UV_EOF_CODE, ERRC_NEXT_SERVER, "EOF", "the peer closed the connection" },
};

static const struct err_row *err_find(int err)
{
	for (size_t i = 0; i < sizeof(err_rows) / sizeof(err_rows[0]); i++)
		if (err_rows[i].code == err)
			return &err_rows[i];
	return NULL;
}

static int is_errno(int err)
{
	return err < 0 && err > UV_EOF_CODE && strerrorname_np(-err) != NULL;
}

const char *err_name(int err)
{
	const struct err_row *row = err_find(err);

	if (row != NULL)
		return row->name;
	return is_errno(err) ? strerrorname_np(-err) : "UNKNOWN";
}

const char *err_text(int err)
{
	const struct err_row *row = err_find(err);

	if (row != NULL)
		return row->text;
	return is_errno(err) ? strerrordesc_np(-err) : "unknown error";
}

enum err_class err_class(int err)
{
	const struct err_row *row = err_find(err);

	if (row != NULL)
		return row->cls;
	switch (err) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EACCES:
	case -EINVAL:
		return ERRC_FATAL;
	case -EAGAIN:
	case -EINTR:
		return ERRC_RETRY;
	default: /* refused, unreachable, reset ...: the fault of one path to one server */
		return ERRC_NEXT_SERVER;
	}
}

int err_set(struct err_info *info, int err, const char *fmt, ...)
{
	va_list ap;

	if (info == NULL)
		return err;
	va_start(ap, fmt);
	(void)vsnprintf(info->text, sizeof(info->text), fmt, ap);
	va_end(ap);
	return err;
}
