/* RTP payloads of JPEG to whole pictures (RFC 2435), each a key frame.
 *
 * Main header: type-specific(8), offset(24), type(8), Q(8), width(8), height(8), sizes in blocks of 8;
 * of types from 64 on: restart interval(16), first(1), last(1), count(14); of Q from 128 on, in the
 * first packet: reserved(8), precision(8), length(16), quantisation tables. Then a piece of the scan.
 * What a JPEG file needs before and after it is written anew, with the Huffman tables of T.81 K.3.
 *
 * Pieces behind one that is missing are left out: without the bits before them a decoder would draw
 * them at the wrong place. So a damaged picture has its upper part.
 *
 * ONVIF's header extension has segments of a JPEG file for what RFC 2435 knows no place for: sizes above
 * 2040, grey pictures, Huffman tables, tables and intervals of one picture. What else is in it (APPn, COM)
 * is left out. Pictures that are fields are counted and left out: nothing here joins them.
 *
 * Source: RFC 2435 (1998); ITU-T T.81 (1992), annexes B and K; ONVIF Streaming 23.06, "JPEG over RTP". */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { MAIN = 8, DYNAMIC_Q = 255, HEADER_MAX = 1024 + NVR_JPEG_EXTRA };

/* T.81, tables K.1 and K.2, in the zigzag order of a DQT. */
static const uint8_t quantisers[2][64] = {
    {16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58,
     51, 61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103,
     62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99},
    {17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99, 99,
     99, 99, 99, 99, 99, 99, 99, 99, 99, 99},
};

/* DHT segment of T.81, tables K.3 to K.6. */
static const uint8_t huffman[] = {
    255, 196, 1, 162, 0, 0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11,
    1, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 0, 2, 1, 3, 3,
    2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34, 113, 20, 50,
    129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37,
    38, 39, 40, 41, 42, 52, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89,
    90, 99, 100, 101, 102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135,
    136, 137, 138, 146, 147, 148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170,
    178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212,
    213, 214, 215, 216, 217, 218, 225, 226, 227, 228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245,
    246, 247, 248, 249, 250, 17, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119, 0, 1, 2, 3, 17, 4, 5, 33, 49,
    6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177, 193, 9, 35, 51, 82, 240, 21, 98, 114,
    209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54, 55, 56, 57, 58, 67, 68, 69,
    70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105, 106, 115, 116, 117,
    118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151, 152,
    153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194,
    195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229,
    230, 231, 232, 233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250
};

typedef struct {
  uint32_t offset;
  unsigned width, height, interval;
  uint8_t specific, type, q, precision;
  const uint8_t *tables; /* in this packet */
  size_t tables_len;
  const uint8_t *scan;
  size_t scan_len;
} piece;

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

/* 0, or -1 if it is no packet of a picture that can be put together. */
static int parse(const uint8_t *p, size_t len, piece *out) {
  memset(out, 0, sizeof *out);
  if (len < MAIN) return -1;
  out->specific = p[0];
  out->offset = (uint32_t)p[1] << 16 | get16(p + 2);
  out->type = p[4];
  out->q = p[5];
  out->width = p[6] * 8u;
  out->height = p[7] * 8u;
  p += MAIN;
  len -= MAIN;
  if (out->type >= 128 || (out->type & 63) > 1) return -1;
  if (out->type >= 64) {
    if (len < 4) return -1;
    out->interval = get16(p);
    p += 4;
    len -= 4;
  }
  if (out->q >= 128 && !out->offset) {
    if (len < 4) return -1;
    out->precision = p[1];
    out->tables_len = get16(p + 2);
    if (out->tables_len > len - 4) return -1;
    out->tables = p + 4;
    p += 4 + out->tables_len;
    len -= 4 + out->tables_len;
  }
  out->scan = p;
  out->scan_len = len;
  return 0;
}

/* RFC 2435, appendix A. */
static void scaled(uint8_t q, nvr_quantisers *out) {
  int factor = q < 1 ? 1 : q > 99 ? 99 : q;
  int scale = factor < 50 ? 5000 / factor : 200 - factor * 2;
  out->count = 2;
  out->precision = 0;
  for (int t = 0; t < 2; t++)
    for (int i = 0; i < 64; i++) {
      int value = (quantisers[t][i] * scale + 50) / 100;
      out->data[t][i] = (uint8_t)(value < 1 ? 1 : value > 255 ? 255 : value);
    }
}

/* The tables of a packet; 0, or -1 if they do not fill it. Of more than two none is used. */
static int told(const piece *one, nvr_quantisers *out) {
  const uint8_t *p = one->tables;
  size_t left = one->tables_len;
  out->count = 0;
  out->precision = one->precision & 3;
  for (int i = 0; left && i < 4; i++) {
    size_t size = one->precision >> i & 1 ? 128 : 64;
    if (size > left) return -1;
    if (i < 2) memcpy(out->data[out->count++], p, size);
    p += size;
    left -= size;
  }
  return left ? -1 : 0;
}

/* The tables of a picture that begins; NULL if they were never told, or without memory. */
static const nvr_quantisers *tables_of(nvr_session *s, const piece *one) {
  nvr_jpeg *j = &s->jpeg;
  if (one->q < 128) {
    scaled(one->q, &j->now);
    return &j->now;
  }
  if (one->tables_len) {
    if (told(one, &j->now) < 0) return NULL;
    if (one->q == DYNAMIC_Q) return &j->now;
    if (!j->kept && !(j->kept = calloc(DYNAMIC_Q - 128, sizeof *j->kept))) {
      nvr_fail(s);
      return NULL;
    }
    j->kept[one->q - 128] = j->now;
  }
  return one->q == DYNAMIC_Q || !j->kept || !j->kept[one->q - 128].count ? NULL : &j->kept[one->q - 128];
}

static uint8_t *segment(uint8_t *p, uint8_t marker, size_t len) {
  p[0] = 0xFF;
  p[1] = marker;
  p[2] = (uint8_t)(len >> 8);
  p[3] = (uint8_t)len;
  return p + 4;
}

/* The frame that RFC 2435 has no words for. */
static void usual(const piece *one, int tables, nvr_jpeg_frame *out) {
  out->width = (uint16_t)one->width;
  out->height = (uint16_t)one->height;
  out->count = 3;
  for (int i = 0; i < 3; i++) {
    out->components[i][0] = (uint8_t)(i + 1);
    out->components[i][1] = i ? 0x11 : one->type & 1 ? 0x22 : 0x21;
    out->components[i][2] = i && tables > 1;
  }
}

/* What comes before the scan; its length. */
static size_t header(const nvr_jpeg *j, const piece *one, const nvr_jpeg_frame *frame, const nvr_quantisers *tables,
                     uint8_t *out) {
  uint8_t *p = out;
  *p++ = 0xFF;
  *p++ = 0xD8;
  if (one->interval) {
    p = segment(p, 0xDD, 4);
    *p++ = (uint8_t)(one->interval >> 8);
    *p++ = (uint8_t)one->interval;
  }
  for (int i = 0; i < tables->count; i++) {
    int wide = tables->precision >> i & 1;
    size_t size = wide ? 128 : 64;
    p = segment(p, 0xDB, 3 + size);
    *p++ = (uint8_t)(wide << 4 | i);
    memcpy(p, tables->data[i], size);
    p += size;
  }
  /* Baseline has tables of 8 bits only. */
  p = segment(p, tables->precision ? 0xC1 : 0xC0, 8 + 3u * frame->count);
  *p++ = 8;
  *p++ = (uint8_t)(frame->height >> 8);
  *p++ = (uint8_t)frame->height;
  *p++ = (uint8_t)(frame->width >> 8);
  *p++ = (uint8_t)frame->width;
  *p++ = frame->count;
  memcpy(p, frame->components, 3u * frame->count);
  p += 3u * frame->count;
  memcpy(p, huffman, sizeof huffman);
  p += sizeof huffman;
  memcpy(p, j->huffman, j->huffman_len);
  p += j->huffman_len;
  p = segment(p, 0xDA, 6 + 2u * frame->count);
  *p++ = frame->count;
  for (int i = 0; i < frame->count; i++) {
    *p++ = frame->components[i][0];
    *p++ = i ? 0x11 : 0;
  }
  *p++ = 0;
  *p++ = 63;
  *p++ = 0;
  return (size_t)(p - out);
}

void nvr_jpeg_extension(nvr_session *s, unsigned type, const uint8_t *p, size_t len, uint32_t ts) {
  nvr_jpeg *j = &s->jpeg;
  if (type != 0xFFD8 && type != 0xFFFF) return;
  if (s->au_open && ts == s->au_ts) return; /* a picture begins with what stands before its first piece */
  if (ts != j->extra_ts) j->extra_len = j->extra_over = 0;
  j->extra_ts = ts;
  if (len > sizeof j->extra - j->extra_len) {
    j->extra_over = 1;
    return;
  }
  memcpy(j->extra + j->extra_len, p, len);
  j->extra_len = (uint16_t)(j->extra_len + len);
}

/* A SOF; 0, or -1 if it is of no picture that is taken: eight bits, grey or of three components. */
static int framed(const uint8_t *p, size_t len, nvr_jpeg_frame *out) {
  if (len < 9 || p[0] != 8 || (p[5] != 1 && p[5] != 3) || len != 6 + 3u * p[5]) return -1;
  out->height = (uint16_t)get16(p + 1);
  out->width = (uint16_t)get16(p + 3);
  out->count = p[5];
  memcpy(out->components, p + 6, 3u * p[5]);
  for (int i = 0; i < out->count; i++)
    if (out->components[i][2] > 1) return -1;
  return out->width && out->height ? 0 : -1;
}

/* A DQT over the tables so far; 0, or -1 if it is none. */
static int overridden(const uint8_t *p, size_t len, nvr_quantisers *out) {
  while (len) {
    int i = p[0] & 15, wide = p[0] >> 4;
    size_t size = wide ? 128 : 64;
    if (i > 1 || wide > 1 || len < 1 + size || i > out->count) return -1;
    memcpy(out->data[i], p + 1, size);
    out->precision = (uint8_t)((out->precision & ~(1 << i)) | wide << i);
    if (i == out->count) out->count++;
    p += 1 + size;
    len -= 1 + size;
  }
  return 0;
}

/* DHT segments hold until others come; 0, or -1 if there is no room for them. */
static int kept(nvr_jpeg *j, const uint8_t *p, size_t len) {
  if (len > sizeof j->huffman - j->huffman_len) return -1;
  memcpy(j->huffman + j->huffman_len, p, len);
  j->huffman_len = (uint16_t)(j->huffman_len + len);
  return 0;
}

/* What the extension says of a picture; 0, or -1 if it is nothing that can be taken. */
static int extended(nvr_jpeg *j, piece *one, nvr_quantisers *tables) {
  const uint8_t *p = j->extra, *end = p + j->extra_len;
  int tabled = 0;
  if (j->extra_over) return -1;
  while (end - p >= 2) {
    if (p[0] != 0xFF) return -1;
    uint8_t marker = p[1];
    if (marker == 0xFF) { /* what fills up to a whole word */
      p++;
      continue;
    }
    p += 2;
    if (marker == 0xD8) continue;
    if (marker == 0xDA || marker == 0xD9) break;
    if (end - p < 2) return -1;
    size_t len = get16(p);
    if (len < 2 || len > (size_t)(end - p)) return -1;
    const uint8_t *body = p + 2;
    switch (marker) {
      case 0xC0:
      case 0xC1:
        if (framed(body, len - 2, &j->frame) < 0) return -1;
        one->width = one->height = 0; /* it goes before the packet's own */
        break;
      case 0xC4:
        if (!tabled) j->huffman_len = 0;
        tabled = 1;
        if (kept(j, p - 2, len + 2) < 0) return -1;
        break;
      case 0xDB:
        if (overridden(body, len - 2, tables) < 0) return -1;
        break;
      case 0xDD:
        if (len != 4) return -1;
        one->interval = get16(body);
        break;
      default:
        if ((marker & 0xF0) == 0xC0) return -1; /* another kind of JPEG */
    }
    p += len;
  }
  return 0;
}

void nvr_jpeg_size(nvr_session *s, const uint8_t *p, size_t len) {
  if (len != 4) return;
  s->jpeg.told_width = (uint16_t)get16(p);
  s->jpeg.told_height = (uint16_t)get16(p + 2);
}

/* 0, or -1 if it can't be begun with. */
static int begin(nvr_session *s, piece *one, uint32_t ts) {
  nvr_jpeg *j = &s->jpeg;
  uint8_t head[HEADER_MAX];
  if (one->offset || !one->scan_len) return -1;
  int more = (j->extra_len || j->extra_over) && j->extra_ts == ts;
  const nvr_quantisers *tables = more && !one->q ? &j->now : tables_of(s, one);
  nvr_quantisers made;
  if (tables && more) {
    made = *tables;
    if (extended(j, one, &made) < 0) made.count = j->frame.count = j->huffman_len = 0;
    j->extra_len = j->extra_over = 0;
    j->now = made; /* what a Q of 0 goes on with */
    tables = &made;
  }
  if (!tables || !tables->count) {
    s->stats.setless++;
    return -1;
  }
  nvr_jpeg_frame frame = j->frame;
  if ((!one->width || !one->height) && !frame.count) { /* over 2040 pixels: the SDP has it */
    one->width = j->told_width;
    one->height = j->told_height;
  }
  if (one->width && one->height) usual(one, tables->count, &frame);
  if (!frame.count || !frame.width || !frame.height) return -1;
  size_t len = header(j, one, &frame, tables, head);
  nvr_au_begin(s, ts);
  if (frame.width != j->width || frame.height != j->height) s->sets_changed = 1;
  j->width = frame.width;
  j->height = frame.height;
  j->next = 0;
  nvr_au_picture(s, 1);
  nvr_au_put(s, head, len);
  return 0;
}

/* A picture whose beginning is missing, counted once. */
static void missed(nvr_session *s, uint32_t ts) {
  s->stats.damaged += !s->jpeg.missing || s->jpeg.missed_ts != ts;
  s->jpeg.missing = 1;
  s->jpeg.missed_ts = ts;
}

void nvr_jpeg_packet(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost) {
  piece one;
  if (parse(p, len, &one) < 0) {
    s->stats.other++;
    s->au_damaged |= s->au_open;
    return;
  }
  if (one.specific >= 1 && one.specific <= 3) {
    s->stats.fields += !one.offset;
    return;
  }
  if (s->au_open && (ts != s->au_ts || !one.offset)) { /* without a marker */
    s->au_damaged |= lost != 0;
    nvr_finish_au(s);
  }
  if (!s->au_open && begin(s, &one, ts) < 0) {
    missed(s, ts);
    return;
  }
  if (one.offset == s->jpeg.next) {
    nvr_au_put(s, one.scan, one.scan_len);
    s->jpeg.next += (uint32_t)one.scan_len;
  } else if (one.offset > s->jpeg.next) {
    s->au_damaged = 1;
  }
  if (marker) {
    s->any_marker = 1;
    nvr_finish_au(s);
  }
}

void nvr_jpeg_end(nvr_session *s) {
  static const uint8_t end[] = {0xFF, 0xD9};
  if (memcmp(s->buf->data + s->buf->len - 2, end, 2)) nvr_au_put(s, end, 2);
}

int nvr_jpeg_starts(const uint8_t *p, size_t len) {
  piece one;
  return parse(p, len, &one) == 0 && !one.offset && (one.q < 128 || one.tables_len);
}
