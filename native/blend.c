#include "blend.h"

#include <string.h>

/* t / 255, rounded, exact for every t a blend can give (0..65025).
 * Source: Blinn, "Three Wrongs Make a Right", IEEE CG&A, November 1995. */
static inline uint8_t divide_255(uint16_t t) {
  t = (uint16_t)(t + 128);
  return (uint8_t)((uint16_t)(t + (t >> 8)) >> 8);
}

/* 16-bit all the way, so that the compiler does 8 or 16 bytes at a time on SSE2 and NEON. */
static void blend_row(uint8_t *restrict dst, const uint8_t *restrict cover, const uint8_t *restrict grey, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint16_t a = cover[i];
    dst[i] = divide_255((uint16_t)((uint16_t)(dst[i] * (uint16_t)(255 - a)) + (uint16_t)(grey[i] * a)));
  }
}

void nvr_blend(const nvr_plane *plane, const nvr_mask *mask, int32_t x, int32_t y) {
  for (int32_t row = 0; row < mask->height; row++) {
    int64_t line = (int64_t)y + row;
    if (line < 0) continue;
    if (line >= plane->height) break;
    int32_t span[2];
    memcpy(span, mask->spans + (size_t)row * sizeof span, sizeof span);
    int64_t first = span[0] < 0 ? 0 : span[0];
    int64_t end = span[1] > mask->width ? mask->width : span[1];
    if (first + x < 0) first = -(int64_t)x;
    if (end + x > plane->width) end = (int64_t)plane->width - x;
    if (first >= end) continue;
    size_t at = (size_t)row * (size_t)mask->width + (size_t)first;
    blend_row(plane->bytes + (size_t)line * plane->stride + (size_t)(first + x), mask->cover + at,
              mask->grey + at, (size_t)(end - first));
  }
}
