/**
 * Everything that `explain` knows, as one list: HRESULTs, the codes of DNS, TSIG and RPC, KMS
 * events, this program's own errors, probe states and findings.
 */
#ifndef KMSBEACON_CLI_EXPLAIN_H
#define KMSBEACON_CLI_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct explain_row {
	const char *kind; /* "HRESULT", "DNS response code", "finding" ... */
	bool has_number;
	uint32_t number;
	char code[16];    /* the number as it is written in its trade; "" without one */
	const char *name; /* "" without one */
	const char *meaning;
	uint32_t hresult;      /* that Windows shows for it; 0: none, or it is one itself */
	const char *cause;     /* "" where the row has none */
	const char *next_step; /* "" where the row has none */
};

#define EXPLAIN_MATCHES_MAX 8

/** @return false behind the last. */
bool explain_at(size_t i, struct explain_row *ret);
/**
 * The rows that @p text means: a name in any case, `NOTAUTH(BADTIME)` with one inside another, or a
 * number: hexadecimal with or without 0x, decimal, negative as PowerShell shows an HRESULT, or the
 * Win32 code inside one (1722 is 0x800706BA), or several status flags in one (0x4000008). A small
 * number can mean several things.
 * @return how many.
 */
size_t explain_find(const char *text, struct explain_row ret[EXPLAIN_MATCHES_MAX]);
/** What may have been meant, nearest first, for a text that nothing was found for. */
size_t explain_near(const char *text, struct explain_row ret[EXPLAIN_MATCHES_MAX]);

#endif
