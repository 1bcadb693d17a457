#include "flac.h"

static uint8_t crc8(const uint8_t *p, size_t len) {
  uint8_t crc = 0;
  for (size_t i = 0; i < len; i++) {
    crc ^= p[i];
    for (int k = 0; k < 8; k++) crc = (uint8_t)(crc & 0x80 ? crc << 1 ^ 0x07 : crc << 1);
  }
  return crc;
}

static uint16_t crc16(const uint8_t *p, size_t len) {
  uint16_t table[16], crc = 0; /* polynomial 8005, four bits a step */
  for (unsigned n = 0; n < 16; n++) {
    unsigned v = n << 12;
    for (int k = 0; k < 4; k++) v = v & 0x8000 ? v << 1 ^ 0x8005 : v << 1;
    table[n] = (uint16_t)v;
  }
  for (size_t i = 0; i < len; i++) {
    crc = (uint16_t)(crc << 4 ^ table[(crc >> 12 ^ p[i] >> 4) & 15]);
    crc = (uint16_t)(crc << 4 ^ table[(crc >> 12 ^ p[i]) & 15]);
  }
  return crc;
}

/* As UTF-8, of at most 31 bits: ffmpeg takes no longer ones, and nobody looks at the number. */
static uint8_t *number(uint8_t *p, uint64_t v) {
  if (v < 0x80) {
    *p++ = (uint8_t)v;
    return p;
  }
  unsigned more = 1;
  while (more < 5 && v >> (6 * more + 6 - more)) more++;
  *p++ = (uint8_t)(0xFF80u >> more | v >> (6 * more));
  while (more--) *p++ = (uint8_t)(0x80 | (v >> (6 * more) & 63));
  return p;
}

static unsigned rate_code(uint32_t hz) {
  switch (hz) {
    case 8000: return 4;
    case 16000: return 5;
    case 22050: return 6;
    case 24000: return 7;
    case 32000: return 8;
    case 44100: return 9;
    case 48000: return 10;
    default: return 0; /* as the stream says */
  }
}

size_t nvr_flac_most(size_t samples, unsigned channels) { return 16 + channels * (1 + 2 * samples) + 2; }

static int constant(const int16_t *pcm, size_t samples, unsigned channels) {
  for (size_t i = 1; i < samples; i++)
    if (pcm[i * channels] != pcm[0]) return 0;
  return 1;
}

size_t nvr_flac_frame(uint8_t *out, const int16_t *pcm, size_t samples, unsigned channels, uint32_t rate_hz,
                      uint64_t first) {
  uint8_t *p = out;
  *p++ = 0xFF;
  *p++ = 0xF9; /* sync; blocks of any length */
  *p++ = (uint8_t)(7 << 4 | rate_code(rate_hz));
  *p++ = (uint8_t)((channels - 1) << 4 | 4 << 1); /* independent, 16 bits */
  p = number(p, first & 0x7FFFFFFF);
  *p++ = (uint8_t)((samples - 1) >> 8);
  *p++ = (uint8_t)(samples - 1);
  *p = crc8(out, (size_t)(p - out));
  p++;
  for (unsigned c = 0; c < channels; c++) {
    size_t count = constant(pcm + c, samples, channels) ? 1 : samples;
    *p++ = count == 1 && samples > 1 ? 0 : 1 << 1;
    for (size_t i = 0; i < count; i++) {
      uint16_t v = (uint16_t)pcm[i * channels + c];
      *p++ = (uint8_t)(v >> 8);
      *p++ = (uint8_t)v;
    }
  }
  uint16_t crc = crc16(out, (size_t)(p - out));
  *p++ = (uint8_t)(crc >> 8);
  *p++ = (uint8_t)crc;
  return (size_t)(p - out);
}
