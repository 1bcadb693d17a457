#include "sps.h"

#include <string.h>

enum { SPS_MAX = 1024, SIDE_MAX = 16384 };

typedef struct {
  const uint8_t *p;
  size_t bits, at; /* `at` beyond `bits` means the data ran out: checked once at the end */
} reader;

static uint32_t get(reader *r, unsigned n) {
  uint32_t v = 0;
  while (n--) {
    uint32_t bit = r->at < r->bits ? (uint32_t)(r->p[r->at >> 3] >> (7 - (r->at & 7))) & 1 : 0;
    v = v << 1 | bit;
    r->at++;
  }
  return v;
}

static int over(const reader *r) { return r->at > r->bits; }

static uint32_t ue(reader *r) {
  unsigned zeros = 0;
  while (!get(r, 1)) {
    if (over(r) || ++zeros > 31) {
      r->at = r->bits + 1;
      return 0;
    }
  }
  return zeros ? (1u << zeros) - 1 + get(r, zeros) : 0;
}

static int32_t se(reader *r) {
  uint32_t k = ue(r);
  return k & 1 ? (int32_t)(k / 2 + 1) : -(int32_t)(k / 2);
}

/* Emulation prevention bytes removed. The scan stops at SPS_MAX: nothing we read lies behind it. */
static size_t unescape(const uint8_t *nal, size_t len, uint8_t *out) {
  size_t n = 0;
  unsigned zeros = 0;
  for (size_t i = 0; i < len && n < SPS_MAX; i++) {
    if (zeros >= 2 && nal[i] == 3) {
      zeros = 0;
      continue;
    }
    zeros = nal[i] ? 0 : zeros + 1;
    out[n++] = nal[i];
  }
  return n;
}

static uint32_t frame_ticks(uint32_t units, uint32_t scale, uint32_t fields) {
  if (!units || !scale) return 0;
  uint64_t ticks = (uint64_t)90000 * units * fields / scale;
  return ticks >= 300 && ticks <= 900000 ? (uint32_t)ticks : 0; /* 300 fps to one in 10 s */
}

static int crop(nvr_sps *s, uint32_t left, uint32_t right, uint32_t top, uint32_t bottom, uint32_t ux,
                uint32_t uy) {
  uint64_t x = ((uint64_t)left + right) * ux, y = ((uint64_t)top + bottom) * uy;
  if (x >= s->width || y >= s->height) return -1;
  s->width -= (uint32_t)x;
  s->height -= (uint32_t)y;
  return 0;
}

/* Shapes of a pixel by aspect_ratio_idc. Source: ITU-T H.264 table E-1, H.265 table E.1. */
static const uint8_t ASPECTS[17][2] = {{1, 1},   {1, 1},   {12, 11}, {10, 11}, {16, 11}, {40, 33},
                                       {24, 11}, {20, 11}, {32, 11}, {80, 33}, {18, 11}, {15, 11},
                                       {64, 33}, {160, 99}, {4, 3},  {3, 2},   {2, 1}};

/* All that stands in front of what is of interest of a VUI; of that the shape of a pixel is kept. */
static void look_of(reader *r, nvr_sps *s) {
  uint32_t known = get(r, 1), index = known ? get(r, 8) : 0, wide = 0, high = 0;
  if (index == 255) {
    wide = get(r, 16);
    high = get(r, 16);
  } else if (index < 17) {
    wide = ASPECTS[index][0];
    high = ASPECTS[index][1];
  }
  /* One that runs out, or is none: nobody would look at such a picture. */
  if (!over(r) && wide && high && wide <= 16 * high && high <= 16 * wide) {
    s->aspect_wide = wide;
    s->aspect_high = high;
  }
  if (get(r, 1)) get(r, 1);                             /* overscan */
  if (get(r, 1) && (get(r, 4), get(r, 1))) get(r, 24);  /* video_signal_type, colour */
  if (get(r, 1)) ue(r), ue(r);                          /* chroma_loc */
}

static void h264_hrd(reader *r) {
  uint32_t count = ue(r);
  get(r, 8);
  for (uint32_t i = 0; i <= count && !over(r); i++) ue(r), ue(r), get(r, 1);
  get(r, 20);
}

static void h264_vui(reader *r, nvr_sps *s) {
  look_of(r, s);
  if (get(r, 1)) {
    uint32_t units = get(r, 32), scale = get(r, 32);
    get(r, 1);
    s->frame_90k = frame_ticks(units, scale, 2);
  }
  uint32_t nal = get(r, 1);
  if (nal) h264_hrd(r);
  uint32_t vcl = get(r, 1);
  if (vcl) h264_hrd(r);
  if (nal || vcl) get(r, 1);
  get(r, 1);
  if (get(r, 1)) { /* bitstream_restriction */
    get(r, 1);
    ue(r), ue(r), ue(r), ue(r);
    uint32_t reorder = ue(r);
    if (!over(r) && reorder <= 16) s->reorder = (int8_t)reorder;
  }
}

static void h264_scaling(reader *r, unsigned lists) {
  for (unsigned i = 0; i < lists; i++) {
    if (!get(r, 1)) continue;
    uint32_t last = 8, next = 8;
    for (unsigned j = 0; j < (i < 6 ? 16u : 64u) && !over(r); j++) {
      if (next) next = (last + (uint32_t)se(r)) & 255;
      if (next) last = next;
    }
  }
}

int nvr_h264_sps(const uint8_t *nal, size_t len, nvr_sps *s) {
  uint8_t raw[SPS_MAX];
  memset(s, 0, sizeof *s);
  s->aspect_wide = s->aspect_high = 1;
  if (len < 4 || (nal[0] & 31) != 7) return -1;
  reader r = {raw, unescape(nal, len, raw) * 8, 8};
  s->profile = (uint8_t)get(&r, 8);
  s->compatibility = (uint8_t)get(&r, 8);
  s->level = (uint8_t)get(&r, 8);
  s->reorder = -1;
  s->chroma_format = 1;
  s->luma_bits = s->chroma_bits = 8;
  s->id = ue(&r);
  if (s->id > 31) return -1;
  int high = s->profile == 100 || s->profile == 110 || s->profile == 122 || s->profile == 244 ||
             s->profile == 44 || s->profile == 83 || s->profile == 86 || s->profile == 118 ||
             s->profile == 128 || s->profile == 138 || s->profile == 139 || s->profile == 134 ||
             s->profile == 135;
  uint32_t separate = 0;
  if (high) {
    uint32_t chroma = ue(&r);
    if (chroma > 3) return -1;
    s->chroma_format = (uint8_t)chroma;
    if (chroma == 3) separate = get(&r, 1);
    uint32_t luma = ue(&r), colour = ue(&r);
    if (luma > 6 || colour > 6) return -1;
    s->luma_bits = (uint8_t)(luma + 8);
    s->chroma_bits = (uint8_t)(colour + 8);
    get(&r, 1);
    if (get(&r, 1)) h264_scaling(&r, chroma == 3 ? 12 : 8);
  }
  ue(&r);
  uint32_t poc = ue(&r);
  if (poc > 2) return -1;
  if (poc == 0) {
    ue(&r);
  } else if (poc == 1) {
    get(&r, 1);
    se(&r), se(&r);
    uint32_t count = ue(&r);
    for (uint32_t i = 0; i < count && !over(&r); i++) se(&r);
  }
  ue(&r);
  get(&r, 1);
  uint32_t width = ue(&r), height = ue(&r), frames_only = get(&r, 1);
  if (width >= SIDE_MAX / 16 || height >= SIDE_MAX / 16) return -1;
  s->width = (width + 1) * 16;
  s->height = (height + 1) * 16 * (2 - frames_only);
  if (!frames_only) get(&r, 1);
  get(&r, 1);
  if (get(&r, 1)) {
    uint32_t left = ue(&r), right = ue(&r), top = ue(&r), bottom = ue(&r);
    uint32_t array = separate ? 0 : s->chroma_format;
    uint32_t ux = array == 1 || array == 2 ? 2 : 1, uy = (array == 1 ? 2 : 1) * (2 - frames_only);
    if (crop(s, left, right, top, bottom, ux, uy) < 0) return -1;
  }
  if (over(&r)) return -1;
  /* A VUI that runs out is forgiven: cameras write such, and all that is lost is a hint. */
  if (get(&r, 1)) h264_vui(&r, s);
  int baseline = s->profile == 66 || poc == 2;
  if (s->reorder < 0 && baseline) s->reorder = 0;
  return 0;
}

static void h265_layer(reader *r, nvr_sps *s, uint32_t layers) {
  s->profile_space = (uint8_t)get(r, 3);
  s->profile = (uint8_t)get(r, 5);
  s->compatible = get(r, 32);
  for (int i = 0; i < 6; i++) s->constraints[i] = (uint8_t)get(r, 8);
  s->level = (uint8_t)get(r, 8);
  uint8_t profile[8] = {0}, level[8] = {0};
  for (uint32_t i = 0; i < layers; i++) profile[i] = (uint8_t)get(r, 1), level[i] = (uint8_t)get(r, 1);
  if (layers)
    for (uint32_t i = layers; i < 8; i++) get(r, 2);
  for (uint32_t i = 0; i < layers; i++) {
    if (profile[i]) r->at += 88;
    if (level[i]) r->at += 8;
  }
}

static void h265_scaling(reader *r) {
  for (unsigned size = 0; size < 4; size++)
    for (unsigned matrix = 0; matrix < 6; matrix += size == 3 ? 3 : 1) {
      if (!get(r, 1)) {
        ue(r);
        continue;
      }
      unsigned n = size == 0 ? 16 : 64;
      if (size > 1) se(r);
      for (unsigned i = 0; i < n && !over(r); i++) se(r);
    }
}

/* Short-term reference picture sets; only their length matters, but that depends on the one before. */
static int h265_sets(reader *r) {
  uint32_t sets = ue(r), pictures[65] = {0};
  if (sets > 64) return -1;
  for (uint32_t i = 0; i < sets; i++) {
    if (i && get(r, 1)) {
      get(r, 1);
      ue(r);
      uint32_t count = 0;
      for (uint32_t j = 0; j <= pictures[i - 1]; j++) {
        uint32_t used = get(r, 1);
        if (used || get(r, 1)) count++;
      }
      pictures[i] = count;
    } else {
      uint32_t before = ue(r), after = ue(r);
      if (before > 16 || after > 16) return -1;
      pictures[i] = before + after;
      for (uint32_t j = 0; j < pictures[i]; j++) ue(r), get(r, 1);
    }
    if (over(r) || pictures[i] > 64) return -1;
  }
  return 0;
}

int nvr_h265_sps(const uint8_t *nal, size_t len, nvr_sps *s) {
  uint8_t raw[SPS_MAX];
  memset(s, 0, sizeof *s);
  s->aspect_wide = s->aspect_high = 1;
  if (len < 15 || ((nal[0] >> 1) & 63) != 33) return -1;
  reader r = {raw, unescape(nal, len, raw) * 8, 16};
  get(&r, 4);
  uint32_t layers = get(&r, 3);
  if (layers > 6) return -1;
  s->temporal_layers = (uint8_t)(layers + 1);
  s->temporal_nested = (uint8_t)get(&r, 1);
  h265_layer(&r, s, layers);
  s->id = ue(&r);
  if (s->id > 15) return -1;
  uint32_t chroma = ue(&r), separate = 0;
  if (chroma > 3) return -1;
  s->chroma_format = (uint8_t)chroma;
  if (chroma == 3) separate = get(&r, 1);
  s->width = ue(&r);
  s->height = ue(&r);
  if (!s->width || !s->height || s->width > SIDE_MAX || s->height > SIDE_MAX) return -1;
  if (get(&r, 1)) {
    uint32_t left = ue(&r), right = ue(&r), top = ue(&r), bottom = ue(&r);
    uint32_t array = separate ? 0 : chroma;
    uint32_t ux = array == 1 || array == 2 ? 2 : 1, uy = array == 1 ? 2 : 1;
    if (crop(s, left, right, top, bottom, ux, uy) < 0) return -1;
  }
  uint32_t luma = ue(&r), colour = ue(&r);
  if (luma > 8 || colour > 8) return -1;
  s->luma_bits = (uint8_t)(luma + 8);
  s->chroma_bits = (uint8_t)(colour + 8);
  uint32_t poc_bits = ue(&r) + 4;
  if (poc_bits > 16) return -1;
  uint32_t all = get(&r, 1), reorder = 0;
  for (uint32_t i = all ? 0 : layers; i <= layers; i++) ue(&r), reorder = ue(&r), ue(&r);
  if (reorder > 16 || over(&r)) return -1;
  s->reorder = (int8_t)reorder;
  for (int i = 0; i < 6; i++) ue(&r);
  if (get(&r, 1) && get(&r, 1)) h265_scaling(&r);
  get(&r, 2);
  if (get(&r, 1)) get(&r, 8), ue(&r), ue(&r), get(&r, 1);
  if (h265_sets(&r) < 0) return 0; /* what follows is only a hint */
  if (get(&r, 1)) {
    uint32_t count = ue(&r);
    for (uint32_t i = 0; i < count && i < 33; i++) get(&r, poc_bits), get(&r, 1);
  }
  get(&r, 2);
  if (get(&r, 1)) {
    look_of(&r, s);
    get(&r, 3);
    if (get(&r, 1)) ue(&r), ue(&r), ue(&r), ue(&r);
    if (get(&r, 1)) {
      uint32_t units = get(&r, 32), scale = get(&r, 32);
      if (!over(&r)) s->frame_90k = frame_ticks(units, scale, 1);
    }
  }
  return 0;
}
