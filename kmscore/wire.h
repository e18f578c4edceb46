/** Integers in bytes, in either order, at any alignment. */
#ifndef KMSBEACON_KMSCORE_WIRE_H
#define KMSBEACON_KMSCORE_WIRE_H

#include <stdbool.h>
#include <stdint.h>

static inline uint16_t wire_get_u16(const uint8_t *p, bool be)
{
	return (uint16_t)(be ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static inline uint32_t wire_get_u32(const uint8_t *p, bool be)
{
	uint32_t a = wire_get_u16(p, be), b = wire_get_u16(p + 2, be);

	return be ? a << 16 | b : b << 16 | a;
}

static inline uint64_t wire_get_u64le(const uint8_t *p)
{
	return (uint64_t)wire_get_u32(p + 4, false) << 32 | wire_get_u32(p, false);
}

static inline void wire_put_u16(uint8_t *p, uint16_t v, bool be)
{
	p[be ? 0 : 1] = (uint8_t)(v >> 8);
	p[be ? 1 : 0] = (uint8_t)v;
}

static inline void wire_put_u32(uint8_t *p, uint32_t v, bool be)
{
	wire_put_u16(p + (be ? 0 : 2), (uint16_t)(v >> 16), be);
	wire_put_u16(p + (be ? 2 : 0), (uint16_t)v, be);
}

static inline void wire_put_u64le(uint8_t *p, uint64_t v)
{
	wire_put_u32(p, (uint32_t)v, false);
	wire_put_u32(p + 4, (uint32_t)(v >> 32), false);
}

#endif
