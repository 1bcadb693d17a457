#include "sha256.h"

#include <string.h>

#include "crc32c.h"

/* STEP: what is hashed is checksummed while the first-level cache still has it. */
enum { BLOCK = 64, STEP = 8192 / BLOCK };

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t ror(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void plain(uint32_t h[8], const uint8_t *p, size_t blocks) {
  for (; blocks; blocks--, p += BLOCK) {
    uint32_t w[64], s[8];
    for (int i = 0; i < 16; i++)
      w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 |
             p[4 * i + 3];
    for (int i = 16; i < 64; i++)
      w[i] = w[i - 16] + w[i - 7] + (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
             (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(s, h, sizeof s);
    for (int i = 0; i < 64; i++) {
      uint32_t t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
                    ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
      uint32_t t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
                    ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
      memmove(s + 1, s, 7 * sizeof *s);
      s[4] += t1;
      s[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += s[i];
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define FAST __attribute__((target("sha,sse4.1,ssse3")))

typedef struct {
  __m128i abef, cdgh, m[4];
} lane;

FAST static inline void load_state(lane *l, const uint32_t h[8]) {
  __m128i dcba = _mm_loadu_si128((const __m128i *)h);
  __m128i hgfe = _mm_loadu_si128((const __m128i *)(h + 4));
  __m128i cdab = _mm_shuffle_epi32(dcba, 0xB1);
  __m128i efgh = _mm_shuffle_epi32(hgfe, 0x1B);
  l->abef = _mm_alignr_epi8(cdab, efgh, 8);
  l->cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
}

FAST static inline void store_state(const lane *l, uint32_t h[8]) {
  __m128i feba = _mm_shuffle_epi32(l->abef, 0x1B);
  __m128i dchg = _mm_shuffle_epi32(l->cdgh, 0xB1);
  _mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xF0));
  _mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Four of the 64 rounds, and what they add to the message schedule. */
FAST static inline __attribute__((always_inline)) void rounds(lane *l, const uint8_t *p, int i) {
  const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  __m128i *now = &l->m[i & 3], *before = &l->m[(i - 1) & 3], *after = &l->m[(i + 1) & 3];
  if (i < 4) *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(p + 16 * i)), swap);
  __m128i w = _mm_add_epi32(*now, _mm_loadu_si128((const __m128i *)(K + 4 * i)));
  l->cdgh = _mm_sha256rnds2_epu32(l->cdgh, l->abef, w);
  if (i >= 3 && i < 15)
    *after = _mm_sha256msg2_epu32(_mm_add_epi32(*after, _mm_alignr_epi8(*now, *before, 4)), *now);
  l->abef = _mm_sha256rnds2_epu32(l->abef, l->cdgh, _mm_shuffle_epi32(w, 0x0E));
  if (i >= 1 && i < 13) *before = _mm_sha256msg1_epu32(*before, *now);
}

FAST static void fast_one(uint32_t h[8], const uint8_t *p, size_t blocks) {
  lane l;
  load_state(&l, h);
  for (; blocks; blocks--, p += BLOCK) {
    __m128i abef = l.abef, cdgh = l.cdgh;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) rounds(&l, p, i);
    l.abef = _mm_add_epi32(l.abef, abef);
    l.cdgh = _mm_add_epi32(l.cdgh, cdgh);
  }
  store_state(&l, h);
}

FAST static void fast_two(uint32_t g[8], const uint8_t *p, uint32_t h[8], const uint8_t *q, size_t blocks) {
  lane l, m;
  load_state(&l, g);
  load_state(&m, h);
  for (; blocks; blocks--, p += BLOCK, q += BLOCK) {
    __m128i l_abef = l.abef, l_cdgh = l.cdgh, m_abef = m.abef, m_cdgh = m.cdgh;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      rounds(&l, p, i);
      rounds(&m, q, i);
    }
    l.abef = _mm_add_epi32(l.abef, l_abef);
    l.cdgh = _mm_add_epi32(l.cdgh, l_cdgh);
    m.abef = _mm_add_epi32(m.abef, m_abef);
    m.cdgh = _mm_add_epi32(m.cdgh, m_cdgh);
  }
  store_state(&l, g);
  store_state(&m, h);
}

int nvr_sha256_fast(void) {
  /* CPUID leaf 7, EBX bit 29; older compilers do not know "sha" in __builtin_cpu_supports. */
  unsigned a = 7, b, c = 0, d;
  if (!__builtin_cpu_supports("sse4.1")) return 0;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return b >> 29 & 1;
}

#elif defined(__aarch64__) && (defined(__GNUC__) || defined(__clang__))
#include <arm_neon.h>
#include <sys/auxv.h>

#define FAST __attribute__((target("+crypto")))

typedef struct {
  uint32x4_t abcd, efgh, m[4];
} lane;

FAST static inline __attribute__((always_inline)) void rounds(lane *l, int i) {
  uint32x4_t *now = &l->m[i & 3];
  uint32x4_t w = vaddq_u32(*now, vld1q_u32(K + 4 * i)), abcd = l->abcd;
  if (i < 12)
    *now = vsha256su1q_u32(vsha256su0q_u32(*now, l->m[(i + 1) & 3]), l->m[(i + 2) & 3], l->m[(i + 3) & 3]);
  l->abcd = vsha256hq_u32(abcd, l->efgh, w);
  l->efgh = vsha256h2q_u32(l->efgh, abcd, w);
}

FAST static inline __attribute__((always_inline)) void first_words(lane *l, const uint8_t *p) {
  for (int i = 0; i < 4; i++) l->m[i] = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p + 16 * i)));
}

FAST static void fast_one(uint32_t h[8], const uint8_t *p, size_t blocks) {
  lane l = {vld1q_u32(h), vld1q_u32(h + 4), {vdupq_n_u32(0)}};
  for (; blocks; blocks--, p += BLOCK) {
    uint32x4_t abcd = l.abcd, efgh = l.efgh;
    first_words(&l, p);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) rounds(&l, i);
    l.abcd = vaddq_u32(l.abcd, abcd);
    l.efgh = vaddq_u32(l.efgh, efgh);
  }
  vst1q_u32(h, l.abcd);
  vst1q_u32(h + 4, l.efgh);
}

FAST static void fast_two(uint32_t g[8], const uint8_t *p, uint32_t h[8], const uint8_t *q, size_t blocks) {
  lane l = {vld1q_u32(g), vld1q_u32(g + 4), {vdupq_n_u32(0)}};
  lane m = {vld1q_u32(h), vld1q_u32(h + 4), {vdupq_n_u32(0)}};
  for (; blocks; blocks--, p += BLOCK, q += BLOCK) {
    uint32x4_t l_abcd = l.abcd, l_efgh = l.efgh, m_abcd = m.abcd, m_efgh = m.efgh;
    first_words(&l, p);
    first_words(&m, q);
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
      rounds(&l, i);
      rounds(&m, i);
    }
    l.abcd = vaddq_u32(l.abcd, l_abcd);
    l.efgh = vaddq_u32(l.efgh, l_efgh);
    m.abcd = vaddq_u32(m.abcd, m_abcd);
    m.efgh = vaddq_u32(m.efgh, m_efgh);
  }
  vst1q_u32(g, l.abcd);
  vst1q_u32(g + 4, l.efgh);
  vst1q_u32(h, m.abcd);
  vst1q_u32(h + 4, m.efgh);
}

int nvr_sha256_fast(void) { return (getauxval(AT_HWCAP) >> 6 & 1) != 0; } /* HWCAP_SHA2 */

#else
#define fast_one plain
static void fast_two(uint32_t g[8], const uint8_t *p, uint32_t h[8], const uint8_t *q, size_t blocks) {
  plain(g, p, blocks);
  plain(h, q, blocks);
}
int nvr_sha256_fast(void) { return 0; }
#endif

/* A message on its way: whole blocks come straight out of its chunks, what crosses a chunk's end
 * and the padding come out of `edge`. */
typedef struct {
  nvr_message *message;
  uint32_t h[8];
  const uint8_t *at; /* the blocks that are ready */
  size_t blocks;
  size_t chunk, from; /* what comes next */
  uint64_t bytes;
  uint8_t edge[2 * BLOCK];
  int last;
} stream;

static void start(stream *s, nvr_message *m) {
  static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  memset(s, 0, sizeof *s);
  s->message = m;
  memcpy(s->h, first, sizeof first);
}

/* Make at least one block ready, or give the digest and return 0. */
static int ready(stream *s) {
  if (s->blocks) return 1;
  nvr_message *m = s->message;
  if (s->last) {
    for (int i = 0; i < NVR_SHA256_BYTES; i++)
      m->digest[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
    return 0;
  }
  while (s->chunk < m->count && s->from == m->chunks[s->chunk].len) {
    s->chunk++;
    s->from = 0;
  }
  if (s->chunk < m->count) {
    size_t whole = (m->chunks[s->chunk].len - s->from) / BLOCK;
    if (whole) {
      s->at = m->chunks[s->chunk].data + s->from;
      s->blocks = whole;
      s->from += whole * BLOCK;
      s->bytes += (uint64_t)whole * BLOCK;
      return 1;
    }
  }
  size_t have = 0;
  while (have < BLOCK && s->chunk < m->count) {
    size_t n = m->chunks[s->chunk].len - s->from;
    if (n > BLOCK - have) n = BLOCK - have;
    if (n) memcpy(s->edge + have, m->chunks[s->chunk].data + s->from, n);
    m->crc = nvr_crc32c(m->crc, s->edge + have, n);
    have += n;
    s->from += n;
    if (s->from == m->chunks[s->chunk].len) {
      s->chunk++;
      s->from = 0;
    }
  }
  s->bytes += have;
  s->at = s->edge;
  s->blocks = 1;
  if (have == BLOCK) return 1;
  s->blocks = have + 9 > BLOCK ? 2 : 1;
  memset(s->edge + have, 0, s->blocks * BLOCK - have);
  s->edge[have] = 0x80;
  for (int i = 0; i < 8; i++) s->edge[s->blocks * BLOCK - 1 - (size_t)i] = (uint8_t)(s->bytes * 8 >> 8 * i);
  s->last = 1;
  return 1;
}

static void advance(stream *s, size_t blocks) {
  if (s->at != s->edge && s->at != s->edge + BLOCK)
    s->message->crc = nvr_crc32c(s->message->crc, s->at, blocks * BLOCK);
  s->at += blocks * BLOCK;
  s->blocks -= blocks;
}

void nvr_sums(nvr_message *messages, size_t count) {
  int fast = nvr_sha256_fast();
  stream streams[2], *a = &streams[0], *b = &streams[1];
  size_t next = 0, busy = 0;
  for (;;) {
    if (busy < 2 && next < count) {
      start(busy++ ? b : a, &messages[next++]);
      continue;
    }
    if (!busy) return;
    /* A lane that is through makes room for the next message. */
    if (!ready(a)) {
      stream *through = a;
      a = b;
      b = through;
      busy--;
      continue;
    }
    if (busy == 2 && !ready(b)) {
      busy--;
      continue;
    }
    size_t blocks = a->blocks;
    if (busy == 2 && b->blocks < blocks) blocks = b->blocks;
    if (blocks > STEP) blocks = STEP;
    if (busy == 2 && fast)
      fast_two(a->h, a->at, b->h, b->at, blocks);
    else
      (fast ? fast_one : plain)(a->h, a->at, blocks);
    advance(a, blocks);
    if (busy == 2 && fast) advance(b, blocks);
  }
}
