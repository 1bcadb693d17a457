/* Numbers out of a fuzzer's bytes; zeros when they are used up. */
#ifndef NVR_FUZZ_TAKE_H
#define NVR_FUZZ_TAKE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
  const uint8_t *at, *end;
} bytes;

static inline void take(bytes *b, void *to, size_t n) {
  size_t left = (size_t)(b->end - b->at), some = n < left ? n : left;
  memset(to, 0, n);
  memcpy(to, b->at, some);
  b->at += some;
}

static inline uint8_t take8(bytes *b) {
  uint8_t v;
  take(b, &v, sizeof v);
  return v;
}

static inline int32_t take32(bytes *b) {
  int32_t v;
  take(b, &v, sizeof v);
  return v;
}

/* Mostly near the edges of `limit`, sometimes anything. */
static inline int32_t take_near(bytes *b, int32_t limit) {
  uint8_t how = take8(b);
  if (how & 1) return (int32_t)(take8(b) % (limit + 8)) - 4;
  return how & 2 ? take32(b) : (int32_t)(int16_t)take32(b);
}

#endif
