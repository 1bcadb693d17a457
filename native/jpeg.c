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
 * Source: RFC 2435 (1998); ITU-T T.81 (1992), annexes B and K. */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { MAIN = 8, DYNAMIC_Q = 255, HEADER_MAX = 1536 };

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
  uint8_t type, q, precision;
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

/* What comes before the scan; its length. */
static size_t header(const piece *one, const nvr_quantisers *tables, uint8_t *out) {
  static const uint8_t components[] = {1, 0, 2, 0x11, 3, 0x11}, scan[] = {3, 1, 0, 2, 0x11, 3, 0x11, 0, 63, 0};
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
  p = segment(p, tables->precision ? 0xC1 : 0xC0, 17); /* baseline has tables of 8 bits only */
  *p++ = 8;
  *p++ = (uint8_t)(one->height >> 8);
  *p++ = (uint8_t)one->height;
  *p++ = (uint8_t)(one->width >> 8);
  *p++ = (uint8_t)one->width;
  *p++ = 3;
  for (int i = 0; i < 3; i++) {
    *p++ = components[2 * i];
    *p++ = i ? components[2 * i + 1] : one->type & 1 ? 0x22 : 0x21;
    *p++ = i && tables->count > 1;
  }
  memcpy(p, huffman, sizeof huffman);
  p += sizeof huffman;
  p = segment(p, 0xDA, 2 + sizeof scan);
  memcpy(p, scan, sizeof scan);
  return (size_t)(p + sizeof scan - out);
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
  if (!one->width || !one->height) { /* over 2040 pixels: the SDP has it */
    one->width = j->told_width;
    one->height = j->told_height;
  }
  if (one->offset || !one->scan_len || !one->width || !one->height) return -1;
  const nvr_quantisers *tables = tables_of(s, one);
  if (!tables) {
    s->stats.setless++;
    return -1;
  }
  size_t len = header(one, tables, head);
  nvr_au_begin(s, ts);
  if (one->width != j->width || one->height != j->height) s->sets_changed = 1;
  j->width = (uint16_t)one->width;
  j->height = (uint16_t)one->height;
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
