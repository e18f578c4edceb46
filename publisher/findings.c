#include "publisher/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/err.h"

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

int pub_findings_add(struct pub_findings *f, enum finding_id id, const char *fmt, ...)
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
