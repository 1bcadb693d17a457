/* ADPCM of telephone sound, decoded: ITU-T G.726 (12/90) at 16, 24, 32 and 40 kbit/s.
 *
 * Codes of 2 to 5 bits, the first one in the high bits of a byte. Its arithmetic is the one of the
 * recommendation: 16 bits, floating point of 4 bits exponent and 6 bits mantissa where it says so. */
#ifndef NVR_G726_H
#define NVR_G726_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  int32_t yl;         /* slow scale factor, 19 bits */
  int16_t yu;         /* fast scale factor */
  int16_t dms, dml;   /* short and long average of F(I) */
  int16_t ap;         /* how much the fast one counts */
  int16_t a[2], b[6]; /* predictor coefficients */
  int16_t pk[2];      /* signs of the last two */
  int16_t dq[6];      /* last six differences, floating point */
  int16_t sr[2];      /* last two samples, floating point */
  int16_t td;         /* a tone with a sudden change is likely */
} nvr_g726;

void nvr_g726_begin(nvr_g726 *g);
/* The number of samples in `len` bytes. */
size_t nvr_g726_samples(size_t len, unsigned width);
/* Decode all whole codes of `width` bits (2 to 5) in `p` to 16-bit samples. */
void nvr_g726_decode(nvr_g726 *g, unsigned width, const uint8_t *p, size_t len, int16_t *out);

#endif
