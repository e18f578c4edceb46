#include "resolver/order.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const profile_names[RSV_PROFILE_COUNT_] = {
	[RSV_MODERN] = "modern",
	[RSV_VISTA] = "vista",
};

const char *rsv_profile_name(enum rsv_profile p)
{
	return p < RSV_PROFILE_COUNT_ ? profile_names[p] : "unknown";
}

bool rsv_profile_parse(const char *text, enum rsv_profile *ret)
{
	for (unsigned i = 0; i < RSV_PROFILE_COUNT_; i++) {
		if (strcasecmp(text, profile_names[i]) == 0) {
			*ret = (enum rsv_profile)i;
			return true;
		}
	}
	return false;
}

static int compare_u32(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

int rsv_record_compare(const void *a, const void *b)
{
	const struct rsv_record *x = a, *y = b;
	int c = compare_u32(x->srv.priority, y->srv.priority);

	if (c == 0)
		c = dns_name_compare(&x->srv.target, &y->srv.target);
	if (c == 0)
		c = compare_u32(x->srv.port, y->srv.port);
	if (c == 0)
		c = compare_u32(x->srv.weight, y->srv.weight);
	if (c == 0)
		c = compare_u32(x->ttl, y->ttl);
	return c;
}

bool rsv_record_same_host(const struct rsv_record *a, const struct rsv_record *b)
{
	return a->srv.port == b->srv.port && dns_name_equal(&a->srv.target, &b->srv.target);
}

size_t rsv_record_canonicalize(struct rsv_record *r, size_t n)
{
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(r, n, sizeof(*r), rsv_record_compare);
	for (size_t i = 1; i < n; i++)
		if (!dns_srv_equal(&r[i].srv, &r[kept].srv))
			r[++kept] = r[i];
	return kept + 1;
}

static void swap(struct rsv_record *a, struct rsv_record *b)
{
	struct rsv_record t = *a;

	*a = *b;
	*b = t;
}

static void shuffle(struct rsv_record *r, size_t n, struct rng *rng)
{
	for (size_t i = n; i > 1; i--)
		swap(&r[i - 1], &r[rng_below(rng, (uint32_t)i)]);
}

/** Put r[from] at r[to], to <= from, keeping the order of those between. */
static void move_up(struct rsv_record *r, size_t from, size_t to)
{
	struct rsv_record t = r[from];

	memmove(&r[to + 1], &r[to], (from - to) * sizeof(*r));
	r[to] = t;
}

static void zeros_first(struct rsv_record *r, size_t n)
{
	size_t zeros = 0;

	for (size_t i = 0; i < n; i++)
		if (r[i].srv.weight == 0)
			move_up(r, i, zeros++);
}

static uint32_t weight_sum(const struct rsv_record *r, size_t n)
{
	uint32_t sum = 0; /* 65535 times as many records as a 64 KiB message can hold fits */

	for (size_t i = 0; i < n; i++)
		sum += r[i].srv.weight;
	return sum;
}

/*
 * One priority. RFC 2782 leaves open the order of the records before the running sum; a shuffle
 * keeps the record that r = 0 picks from being always the same one. One shuffle serves all picks:
 * given which record was taken, the others are in every relative order equally often.
 */
static void draw_group(struct rsv_record *r, size_t n, struct rng *rng)
{
	uint32_t left = weight_sum(r, n);

	shuffle(r, n, rng);
	zeros_first(r, n);
	for (size_t at = 0; at + 1 < n; at++) {
		uint32_t point = rng_below(rng, left + 1);
		uint32_t sum = 0;
		size_t pick = at;

		for (size_t i = at; i < n; i++) {
			sum += r[i].srv.weight;
			pick = i;
			if (sum >= point)
				break;
		}
		left -= r[pick].srv.weight;
		move_up(r, pick, at);
	}
}

static size_t group_end(const struct rsv_record *r, size_t n, size_t at)
{
	size_t end = at + 1;

	while (end < n && r[end].srv.priority == r[at].srv.priority)
		end++;
	return end;
}

void rsv_order(struct rsv_record *r, size_t n, enum rsv_profile profile, struct rng *rng)
{
	if (n == 0)
		return;
	qsort(r, n, sizeof(*r), rsv_record_compare);
	if (profile == RSV_VISTA) {
		shuffle(r, n, rng);
		return;
	}
	for (size_t at = 0, end; at < n; at = end) {
		end = group_end(r, n, at);
		draw_group(&r[at], end - at, rng);
	}
}

/** Of a record of weight @p w among @p n of its priority, @p zeros of them without weight. */
static double first_pick(uint32_t w, uint32_t sum, size_t n, size_t zeros)
{
	double points = (double)sum + 1.0; /* r is one of 0..S */

	if (sum == 0)
		return 1.0 / (double)n;
	if (zeros == 0)
		return ((double)w + 1.0 / (double)n) / points;
	return w > 0 ? (double)w / points : 1.0 / (points * (double)zeros);
}

void rsv_probability(const struct rsv_record *r, size_t n, enum rsv_profile profile, double *ret)
{
	uint32_t lowest = UINT16_MAX, sum = 0;
	size_t group = 0, zeros = 0;

	for (size_t i = 0; i < n; i++)
		if (r[i].srv.priority < lowest)
			lowest = r[i].srv.priority;
	for (size_t i = 0; i < n; i++) {
		if (r[i].srv.priority != lowest)
			continue;
		group++;
		zeros += r[i].srv.weight == 0;
		sum += r[i].srv.weight;
	}
	for (size_t i = 0; i < n; i++) {
		if (profile == RSV_VISTA)
			ret[i] = 1.0 / (double)n;
		else if (r[i].srv.priority != lowest)
			ret[i] = 0.0;
		else
			ret[i] = first_pick(r[i].srv.weight, sum, group, zeros);
	}
}
