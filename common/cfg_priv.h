/** Between the files of the configuration engine. */
#ifndef KMSBEACON_COMMON_CFG_PRIV_H
#define KMSBEACON_COMMON_CFG_PRIV_H

#include "common/cfg.h"

#define CFG_VALUE_MAX 1100 /* a value as text; CFG_STR may have 1024 bytes */

/** Parse @p text into the field (or the item of a list) at @p at, whose old value is freed. Where
 * it is wrong, @p why says so and what is allowed. 0, ERR_PARSE, ERR_NOMEM. */
int cfg_value_parse(const struct cfg_item *item, const char *text, void *at,
		    char why[CFG_TEXT_MAX]);
/** Back to text. false where there is no value (NULL, unset): then @p buf is "". */
bool cfg_value_format(const struct cfg_item *item, const void *at, char *buf, size_t size);
bool cfg_value_equal(const struct cfg_item *item, const void *a, const void *b);
/** What is allowed, such as "100ms to 1h" or "off, lab or relay"; "" where nothing needs saying. */
void cfg_value_allowed(const struct cfg_item *item, char *buf, size_t size);

/** Room for a list of @p n items; the old one is freed. 0 or ERR_NOMEM. */
int cfg_list_new(const struct cfg_item *item, void *base, size_t n);
void *cfg_list_at(const struct cfg_item *item, const void *base, size_t i);
size_t cfg_list_count(const struct cfg_item *item, const void *base);

static inline void *cfg_field(const struct cfg_item *item, void *base)
{
	return (char *)base + item->offset;
}

static inline const void *cfg_cfield(const struct cfg_item *item, const void *base)
{
	return (const char *)base + item->offset;
}

#endif
