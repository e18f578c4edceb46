/*
 * NOTIFY: any datagram is refused, with nothing to send, or gets one answer: to this very question,
 * no longer than what came but for the header's sake, and itself no NOTIFY request.
 */
#include <string.h>

#include "daemon/notify.h"
#include "tests/fuzz/fuzz.h"

#define ANSWER_MAX 512

static void check_answer(const uint8_t *in, size_t size, const struct buf *answer,
			 const struct dns_name *zone)
{
	struct dns_msg *m = NULL;
	struct dns_name other;
	struct buf again;

	FUZZ_CHECK(answer->len >= 12 && answer->len <= size);
	FUZZ_CHECK(memcmp(answer->data, in, 2) == 0); /* its id */
	FUZZ_CHECK(dnsmsg_parse(answer->data, answer->len, &m) == 0);
	FUZZ_CHECK(m->qr && m->aa && m->opcode == DNS_OPCODE_NOTIFY && m->rcode == 0);
	FUZZ_CHECK(m->has_question && m->qtype == DNS_TYPE_SOA && m->qclass == DNS_CLASS_IN);
	FUZZ_CHECK(dns_name_equal(&m->qname, zone));
	FUZZ_CHECK(m->count[DNS_ANSWER] + m->count[DNS_AUTHORITY] + m->count[DNS_ADDITIONAL] == 0);
	dnsmsg_free(m);
	buf_init(&again, ANSWER_MAX);
	FUZZ_CHECK(notify_read(answer->data, answer->len, &other, &again) == ERR_DNS_MISMATCH);
	FUZZ_CHECK(again.len == 0);
	buf_done(&again);
}

static void check_rate(const uint8_t *data, size_t size)
{
	struct notify_rate r = { 0 };
	uint64_t now_ms = 0;
	unsigned passed = 0;

	for (size_t i = 0; i < size; i++) {
		if (now_ms / 1000 != (now_ms + data[i]) / 1000)
			passed = 0;
		now_ms += data[i];
		passed += notify_rate_take(&r, now_ms);
		FUZZ_CHECK(passed <= NOTIFY_PER_SECOND);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_name zone = { .len = 0 };
	struct buf answer;
	int err;

	buf_init(&answer, ANSWER_MAX);
	err = notify_read(data, size, &zone, &answer);
	FUZZ_CHECK(err == 0 || err == ERR_DNS_MALFORMED || err == ERR_DNS_MISMATCH);
	FUZZ_CHECK((err == 0) == dns_name_is_set(&zone));
	if (err == 0)
		check_answer(data, size, &answer, &zone);
	else
		FUZZ_CHECK(answer.len == 0);
	buf_done(&answer);
	check_rate(data, size);
	return 0;
}
