#include "blend.h"

#include <string.h>

/* t / 255, rounded, exact for every t a blend can give (0..65025).
 * Source: Blinn, "Three Wrongs Make a Right", IEEE CG&A, November 1995. */
static inline uint8_t divide_255(uint16_t t) {
  t = (uint16_t)(t + 128);
  return (uint8_t)((uint16_t)(t + (t >> 8)) >> 8);
}

/* `grey` NULL: every byte's grey is `level`. */
static inline void blend_bytes(uint8_t *restrict dst, const uint8_t *restrict cover, const uint8_t *restrict grey,
                               uint8_t level, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint16_t a = cover[i], g = grey ? grey[i] : level;
    dst[i] = divide_255((uint16_t)((uint16_t)(dst[i] * (uint16_t)(255 - a)) + (uint16_t)(g * a)));
  }
}

/* Runs are whole tiles, and compilers make twice as much of their loop as there is to do. */
#define TILE 16

#if defined(__x86_64__)
#include <immintrin.h>

#define FAST __attribute__((target("avx2")))

static int fast(void) { return __builtin_cpu_supports("avx2") != 0; }

FAST static inline __m256i words(const uint8_t *p) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

FAST static void blend_tiles(uint8_t *restrict dst, const uint8_t *restrict cover, const uint8_t *restrict grey,
                             uint8_t level, size_t n) {
  const __m256i all = _mm256_set1_epi16(255), half = _mm256_set1_epi16(128), over = _mm256_set1_epi16(257);
  __m256i g = _mm256_set1_epi16(level);
  for (size_t i = 0; i < n; i += TILE) {
    __m256i a = words(cover + i);
    if (grey) g = words(grey + i);
    __m256i t = _mm256_mullo_epi16(words(dst + i), _mm256_sub_epi16(all, a));
    t = _mm256_add_epi16(_mm256_add_epi16(t, half), _mm256_mullo_epi16(g, a));
    t = _mm256_mulhi_epu16(t, over); /* t + (t >> 8) >> 8 */
    t = _mm256_permute4x64_epi64(_mm256_packus_epi16(t, t), 8);
    _mm_storeu_si128((__m128i *)(dst + i), _mm256_castsi256_si128(t));
  }
}

#elif defined(__aarch64__)
#include <arm_neon.h>

static int fast(void) { return 1; }

static void blend_tiles(uint8_t *restrict dst, const uint8_t *restrict cover, const uint8_t *restrict grey,
                        uint8_t level, size_t n) {
  uint8x16_t g = vdupq_n_u8(level);
  for (size_t i = 0; i < n; i += TILE) {
    uint8x16_t a = vld1q_u8(cover + i), d = vld1q_u8(dst + i), rest = vmvnq_u8(a);
    if (grey) g = vld1q_u8(grey + i);
    uint16x8_t low = vmlal_u8(vmull_u8(vget_low_u8(d), vget_low_u8(rest)), vget_low_u8(g), vget_low_u8(a));
    uint16x8_t high = vmlal_high_u8(vmull_high_u8(d, rest), g, a);
    uint8x8_t first = vraddhn_u16(low, vrshrq_n_u16(low, 8)); /* both round: the two 128 of `divide_255` */
    vst1q_u8(dst + i, vraddhn_high_u16(first, high, vrshrq_n_u16(high, 8)));
  }
}

#else
static int fast(void) { return 0; }
#define blend_tiles blend_bytes
#endif

#define AHEAD 4
#define LINE_BYTES 64

/* A picture that was just decoded is cold, and no processor guesses where the next row begins.
 * Measured on such pictures: a tenth of the time. */
static void fetch(const nvr_plane *plane, const uint8_t *run, int32_t x, int32_t y) {
  int32_t ahead[3];
  memcpy(ahead, run, sizeof ahead);
  int64_t row = (int64_t)y + ahead[0], left = (int64_t)x + ahead[1], end = left + ahead[2];
  if (row < 0 || row >= plane->height) return;
  if (left < 0) left = 0;
  if (end > plane->width) end = plane->width;
  const uint8_t *bytes = plane->bytes + (size_t)row * plane->stride;
  for (int64_t at = left; at < end; at += LINE_BYTES) __builtin_prefetch(bytes + at, 1, 3);
}

void nvr_blend(const nvr_plane *plane, const nvr_strip *strip, int32_t x, int32_t y) {
  int tiled = fast();
  size_t at = 0;
  for (size_t i = 0; i < strip->count; i++) {
    int32_t run[3];
    if (i + AHEAD < strip->count) fetch(plane, strip->runs + (i + AHEAD) * sizeof run, x, y);
    memcpy(run, strip->runs + i * sizeof run, sizeof run);
    if (run[2] <= 0) continue;
    if ((size_t)run[2] > strip->bytes - at) return;
    size_t from = at;
    at += (size_t)run[2];
    int64_t row = (int64_t)y + run[0], left = (int64_t)x + run[1];
    int64_t first = left < 0 ? -left : 0;
    int64_t end = left + run[2] > plane->width ? plane->width - left : run[2];
    if (row < 0 || row >= plane->height || first >= end) continue;
    uint8_t *dst = plane->bytes + (size_t)row * plane->stride + (size_t)(left + first);
    const uint8_t *cover = strip->cover + from + (size_t)first;
    const uint8_t *grey = strip->grey ? strip->grey + from + (size_t)first : NULL;
    size_t n = (size_t)(end - first), tiles = tiled ? n / TILE * TILE : 0;
    if (tiles) blend_tiles(dst, cover, grey, strip->level, tiles);
    if (tiles < n)
      blend_bytes(dst + tiles, cover + tiles, grey ? grey + tiles : NULL, strip->level, n - tiles);
  }
}
