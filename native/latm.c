#include "latm.h"

#include <string.h>

enum { SBR = 5, PS = 29 };

uint32_t nvr_bits_take(nvr_bits *b, unsigned n) {
  if (n > b->end - b->at) {
    b->bad = 1;
    b->at = b->end;
    return 0;
  }
  uint32_t v = 0;
  for (; n; n--, b->at++) v = v << 1 | (b->p[b->at >> 3] >> (7 - (b->at & 7)) & 1);
  return v;
}

static void skip(nvr_bits *b, size_t n) {
  if (n > b->end - b->at) {
    b->bad = 1;
    n = b->end - b->at;
  }
  b->at += n;
}

/* LatmGetValue */
static uint32_t value(nvr_bits *b) {
  unsigned bytes = nvr_bits_take(b, 2) + 1;
  return nvr_bits_take(b, bytes * 8);
}

static uint32_t object_type(nvr_bits *b) {
  uint32_t type = nvr_bits_take(b, 5);
  return type == 31 ? 32 + nvr_bits_take(b, 6) : type;
}

static uint32_t rate(nvr_bits *b) {
  static const uint32_t rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350};
  uint32_t index = nvr_bits_take(b, 4);
  if (index == 15) return nvr_bits_take(b, 24);
  return index < sizeof rates / sizeof *rates ? rates[index] : 0;
}

/* Walk over an AudioSpecificConfig: nothing else says where it ends. */
static int specific(nvr_bits *b, nvr_mux *m) {
  int doubled = 0;
  uint32_t type = object_type(b);
  m->rate_hz = rate(b);
  uint32_t channels = nvr_bits_take(b, 4);
  if (type == SBR || type == PS) {
    uint32_t output = rate(b);
    doubled = output == 2 * m->rate_hz;
    m->rate_hz = output;
    type = object_type(b);
  }
  if (type < 1 || type > 4 || !channels || channels > 7 || !m->rate_hz) return -1; /* the AAC of cameras */
  m->frame = nvr_bits_take(b, 1) ? 960 : 1024;
  m->frame <<= doubled;
  if (nvr_bits_take(b, 1)) skip(b, 14); /* core coder delay */
  skip(b, 1);                           /* an extension: nothing follows for these types */
  return b->bad ? -1 : 0;
}

/* Encoders hand their payloaders a signal of SBR behind the configuration; it has no place in this
 * version, and GStreamer writes it. The frame length type taken here cannot look like it. */
static void sync_extension(nvr_bits *b, nvr_mux *m) {
  nvr_bits ahead = *b;
  if (nvr_bits_take(&ahead, 11) != 0x2b7) return;
  if (object_type(&ahead) == SBR && nvr_bits_take(&ahead, 1)) {
    uint32_t output = rate(&ahead);
    if (output == 2 * m->rate_hz) m->rate_hz = output, m->frame *= 2;
    nvr_bits more = ahead;
    if (nvr_bits_take(&more, 11) == 0x548) nvr_bits_take(&more, 1), ahead = more;
  }
  if (!ahead.bad) *b = ahead;
}

int nvr_mux_read(nvr_mux *m, nvr_bits *b) {
  nvr_mux made = *m;
  unsigned version = nvr_bits_take(b, 1);
  if (version && nvr_bits_take(b, 1)) return -1; /* audioMuxVersionA: not defined */
  if (version) value(b);                         /* buffer fullness */
  nvr_bits_take(b, 1);                           /* all streams in the same time frames */
  made.units = nvr_bits_take(b, 6) + 1;
  if (nvr_bits_take(b, 4) || nvr_bits_take(b, 3)) return -1; /* programs, layers */
  size_t config_bits = version ? value(b) : 0, begin = b->at;
  if (b->bad || specific(b, &made) < 0) return -1;
  if (version) {
    if (begin + config_bits < b->at) return -1;
    skip(b, begin + config_bits - b->at); /* signals of SBR behind it, or fill bits */
  } else {
    sync_extension(b, &made);
    config_bits = b->at - begin;
  }
  if (config_bits > sizeof made.config * 8) return -1;
  nvr_bits copy = {b->p, begin, b->end, 0};
  memset(made.config, 0, sizeof made.config);
  for (size_t i = 0; i < config_bits; i++) made.config[i >> 3] |= (uint8_t)(nvr_bits_take(&copy, 1) << (7 - (i & 7)));
  made.config_len = (uint8_t)((config_bits + 7) / 8);
  if (nvr_bits_take(b, 3)) return -1; /* frame length type: of fixed size, CELP, HVXC */
  skip(b, 8);
  if (nvr_bits_take(b, 1)) { /* other data: its length, which nobody needs who reads one element a packet */
    if (version) {
      value(b);
    } else {
      int more;
      do {
        more = (int)nvr_bits_take(b, 1);
        skip(b, 8);
      } while (more && !b->bad);
    }
  }
  if (nvr_bits_take(b, 1)) skip(b, 8); /* CRC */
  if (b->bad && made.in_band) return -1; /* in an SDP what is cut off is as if it were 0 */
  made.told = m->told && made.config_len == m->config_len && !memcmp(made.config, m->config, sizeof made.config);
  made.known = 1;
  *m = made;
  return 0;
}

int nvr_latm_begin(nvr_mux *m, nvr_bits *b, const uint8_t *p, size_t len) {
  *b = (nvr_bits){p, 0, len * 8, 0};
  if (m->in_band && !nvr_bits_take(b, 1) && nvr_mux_read(m, b) < 0) return -1;
  return m->known && !b->bad ? 0 : -1;
}

long nvr_latm_next(nvr_bits *b, uint8_t *out, size_t room) {
  size_t len = 0;
  uint32_t byte;
  do {
    byte = nvr_bits_take(b, 8);
    len += byte;
  } while (byte == 255 && !b->bad);
  if (b->bad || len > room || len > (b->end - b->at) / 8) {
    b->bad = 1;
    return -1;
  }
  unsigned shift = b->at & 7;
  const uint8_t *p = b->p + (b->at >> 3);
  if (!shift)
    memcpy(out, p, len);
  else
    for (size_t i = 0; i < len; i++) out[i] = (uint8_t)(p[i] << shift | p[i + 1] >> (8 - shift));
  b->at += len * 8;
  return (long)len;
}
