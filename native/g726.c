#include "g726.h"

#include <string.h>

/* For each code: logarithm of the difference (table 7 to 10 and its inverse), scale factor multiplier
 * W(I) and F(I) of sections 2.5 and 2.6, all as the recommendation scales them. */
static const int16_t log_of[4][16] = {
    {116, 365},
    {-2048, 135, 273, 373},
    {-2048, 4, 135, 213, 273, 323, 373, 425},
    {-2048, -66, 28, 104, 169, 224, 274, 318, 358, 395, 429, 459, 488, 514, 539, 566},
};
static const int16_t weight[4][16] = {
    {-22, 439},
    {-4, 30, 137, 582},
    {-12, 18, 41, 64, 112, 198, 355, 1122},
    {14, 14, 24, 39, 40, 41, 58, 100, 141, 179, 219, 280, 358, 440, 529, 696},
};
static const uint8_t rapid[4][16] = {
    {0, 7},
    {0, 1, 2, 7},
    {0, 0, 0, 1, 1, 1, 3, 7},
    {0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 5, 6, 6},
};

void nvr_g726_begin(nvr_g726 *g) {
  memset(g, 0, sizeof *g);
  g->yl = 34816;
  g->yu = 544;
  for (int i = 0; i < 6; i++) g->dq[i] = 32;
  g->sr[0] = g->sr[1] = 32;
}

size_t nvr_g726_samples(size_t len, unsigned width) { return len * 8 / width; }

static int exponent_of(int magnitude) { /* bits that it needs */
  int e = 0;
  while (magnitude >> e) e++;
  return e;
}

/* Sign, 4 bits exponent, 6 bits mantissa; there is a negative zero. */
static int16_t floating(int magnitude, int negative) {
  int e = exponent_of(magnitude), packed = magnitude ? (e << 6) + ((magnitude << 6) >> e) : 32;
  return (int16_t)(negative ? packed - 1024 : packed);
}

/* FMULT: a coefficient times a floating point signal. */
static int multiplied(int coefficient, int signal) {
  int magnitude = coefficient > 0 ? coefficient : -coefficient & 0x1FFF, e = exponent_of(magnitude) - 6;
  int mantissa = !magnitude ? 32 : e >= 0 ? magnitude >> e : magnitude << -e;
  int exponent = e + ((signal >> 6) & 15) - 13;
  int product = (mantissa * (signal & 63) + 48) >> 4;
  int value = exponent >= 0 ? (product << exponent) & 0x7FFF : product >> -exponent;
  return (coefficient ^ signal) < 0 ? -value : value;
}

static int limited(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

static int scale(const nvr_g726 *g) { /* MIX */
  if (g->ap >= 256) return g->yu;
  int y = g->yl >> 6, dif = g->yu - y, al = g->ap >> 2;
  if (dif > 0) return y + ((dif * al) >> 6);
  if (dif < 0) return y + ((dif * al + 63) >> 6);
  return y;
}

static int difference(int log, int y) { /* ADDA, ANTILOG */
  int sum = log + (y >> 2), exponent = (sum >> 7) & 15;
  if (sum < 0) return 0;
  return exponent > 14 ? (128 + (sum & 127)) << 8 : ((128 + (sum & 127)) << 7) >> (14 - exponent);
}

static void adapt_predictor(nvr_g726 *g, unsigned width, int dq, int negative, int sr, int dqsez, int tone) {
  int sign = dqsez < 0, a2 = 0;
  if (tone) {
    memset(g->a, 0, sizeof g->a);
    memset(g->b, 0, sizeof g->b);
  } else {
    int same = sign ^ g->pk[0]; /* UPA2 */
    a2 = g->a[1] - (g->a[1] >> 7);
    if (dqsez) {
      int f = same ? g->a[0] : -g->a[0];
      f = f < -8191 ? -256 : f > 8191 ? 255 : f >> 5;
      a2 = sign ^ g->pk[1] ? (a2 + f <= -12160 ? -12288 : a2 + f >= 12416 ? 12288 : a2 + f - 128)
                           : (a2 + f <= -12416 ? -12288 : a2 + f >= 12160 ? 12288 : a2 + f + 128);
    }
    g->a[1] = (int16_t)limited(a2, -12288, 12288);
    int a1 = g->a[0] - (g->a[0] >> 8); /* UPA1 */
    if (dqsez) a1 += same ? -192 : 192;
    int most = 15360 - g->a[1];
    g->a[0] = (int16_t)limited(a1, -most, most);
    for (int i = 0; i < 6; i++) { /* UPB */
      int b = g->b[i] - (g->b[i] >> (width == 5 ? 9 : 8));
      if (dq) b += negative == (g->dq[i] < 0) ? 128 : -128;
      g->b[i] = (int16_t)limited(b, -32768, 32767);
    }
  }
  memmove(g->dq + 1, g->dq, 5 * sizeof *g->dq);
  g->dq[0] = floating(dq, negative);
  g->sr[1] = g->sr[0];
  g->sr[0] = sr == -32768 ? (int16_t)(32 - 1024) : floating(sr < 0 ? -sr : sr, sr < 0);
  g->pk[1] = g->pk[0];
  g->pk[0] = (int16_t)sign;
  g->td = (int16_t)(!tone && a2 < -11776);
}

static void adapt_speed(nvr_g726 *g, int fi, int y, int tone) {
  g->dms = (int16_t)(g->dms + (((fi << 9) - g->dms) >> 5));
  g->dml = (int16_t)(g->dml + (((fi << 11) - g->dml) >> 7));
  int apart = (g->dms << 2) - g->dml;
  if (apart < 0) apart = -apart;
  if (tone)
    g->ap = 256;
  else if (y < 1536 || g->td || apart >= g->dml >> 3)
    g->ap = (int16_t)(g->ap + ((0x200 - g->ap) >> 4));
  else
    g->ap = (int16_t)(g->ap + (-g->ap >> 4));
}

static int16_t sample(nvr_g726 *g, unsigned width, unsigned code) {
  unsigned top = 1u << (width - 1), half = top - 1;
  int negative = (code & top) != 0;
  unsigned magnitude = negative ? half - (code & half) : code & half;
  int sezi = 0;
  for (int i = 0; i < 6; i++) sezi += multiplied(g->b[i] >> 2, g->dq[i]);
  int sez = sezi >> 1, sei = sezi;
  for (int i = 0; i < 2; i++) sei += multiplied(g->a[i] >> 2, g->sr[i]);
  int se = sei >> 1, y = scale(g);
  int dq = difference(log_of[width - 2][magnitude], y), step = negative ? -dq : dq;
  int sr = limited(se + step, -32768, 32767);
  int tone = 0; /* TRANS */
  if (g->td) {
    int yl = g->yl >> 15, threshold = yl > 9 ? 31 << 10 : (32 + ((g->yl >> 10) & 31)) << yl;
    tone = dq > (threshold + (threshold >> 1)) >> 1;
  }
  int yu = y + ((weight[width - 2][magnitude] * 32 - y) >> 5); /* FUNCTW, FILTD */
  g->yu = (int16_t)limited(yu, 544, 5120);
  g->yl += g->yu + (-g->yl >> 6); /* FILTE */
  adapt_predictor(g, width, dq, negative, sr, step + sez, tone);
  adapt_speed(g, rapid[width - 2][magnitude], y, tone);
  return (int16_t)limited(sr * 4, -32768, 32767);
}

void nvr_g726_decode(nvr_g726 *g, unsigned width, const uint8_t *p, size_t len, int16_t *out) {
  size_t count = nvr_g726_samples(len, width);
  uint32_t held = 0;
  unsigned bits = 0;
  for (size_t i = 0; i < count; i++) {
    while (bits < width) {
      held = held << 8 | *p++;
      bits += 8;
    }
    bits -= width;
    out[i] = sample(g, width, held >> bits & ((1u << width) - 1));
  }
}
