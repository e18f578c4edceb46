#include "publisher/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

static const struct {
	const char *name;
	const char *severity;
	const char *hint;
} table[PUB_F_COUNT_] = {
#define X(id, name, severity, hint) [PUB_F_##id] = { name, severity, hint },
	PUB_FINDING_MAP(X)
#undef X
};

const char *pub_finding_name(enum pub_finding_id id)
{
	return id < PUB_F_COUNT_ ? table[id].name : "unknown";
}

const char *pub_finding_severity(enum pub_finding_id id)
{
	return id < PUB_F_COUNT_ ? table[id].severity : "info";
}

const char *pub_finding_hint(enum pub_finding_id id)
{
	return id < PUB_F_COUNT_ ? table[id].hint : "";
}

static int grow(struct pub_findings *f)
{
	struct pub_finding *list;

	if ((f->n & (f->n - 1)) != 0) /* grows at powers of two only */
		return ERR_OK;
	list = realloc(f->list, (f->n == 0 ? 1 : 2 * f->n) * sizeof(*list));
	if (list == NULL)
		return ERR_NOMEM;
	f->list = list;
	return ERR_OK;
}

int pub_findings_add(struct pub_findings *f, enum pub_finding_id id, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int n;

	if (f->n >= PUB_FINDINGS_MAX)
		return ERR_OK;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return ERR_NOMEM;
	for (size_t i = 0; i < f->n; i++) {
		if (f->list[i].id == id && strcmp(f->list[i].text, text) == 0) {
			free(text);
			return ERR_OK;
		}
	}
	if (grow(f) != ERR_OK) {
		free(text);
		return ERR_NOMEM;
	}
	f->list[f->n].id = id;
	f->list[f->n].text = text;
	f->n++;
	return ERR_OK;
}

void pub_findings_done(struct pub_findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		free(f->list[i].text);
	free(f->list);
	memset(f, 0, sizeof(*f));
}
