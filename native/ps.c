#include "ps.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_PES = 65535, FLAGS = 3, ADTS = 7, MOST_ADTS = 8191, VIDEO_ID = 0xE0 };
enum { H264_AUD = 9, H265_AUD = 35, ALIGNED = 0x84, GOES_ON = 0x80 };

typedef struct {
  nvr_ps_track is;
  uint64_t types; /* bit n: a parameter set of type n is in `is.sets` */
} carried;

struct nvr_ps {
  int count;
  carried tracks[NVR_PS_TRACKS];
  uint8_t rate[4], front[NVR_PS_FRONT];
  size_t front_len;
  int64_t lead, sent;
  uint8_t sets[]; /* of all tracks */
};

static const uint8_t start_code[4] = {0, 0, 0, 1};

static unsigned nal_type(int kind, uint8_t head) { return kind == NVR_PS_H265 ? head >> 1 & 63u : head & 31u; }

static size_t get32(const uint8_t *p) { return (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]; }

static uint8_t *put_head(uint8_t *p, uint8_t kind, size_t len) {
  p[0] = 0, p[1] = 0, p[2] = 1, p[3] = kind;
  p[4] = (uint8_t)(len >> 8), p[5] = (uint8_t)len;
  return p + 6;
}

/* Of program stream maps: polynomial 04C11DB7, not reflected, begins with ones. */
static uint32_t crc32(const uint8_t *p, size_t len) {
  uint32_t crc = 0xFFFFFFFF;
  for (size_t i = 0; i < len; i++) {
    crc ^= (uint32_t)p[i] << 24;
    for (int k = 0; k < 8; k++) crc = crc >> 31 ? crc << 1 ^ 0x04C11DB7 : crc << 1;
  }
  return crc;
}

/* System header and program stream map. */
static size_t put_front(const nvr_ps *m, uint32_t rate, uint8_t *front) {
  uint8_t *p = front;
  size_t sound = 0, pictures = 0;
  for (int i = 0; i < m->count; i++) {
    sound += m->tracks[i].is.kind == NVR_PS_SOUND || m->tracks[i].is.kind == NVR_PS_AAC;
    pictures += m->tracks[i].is.kind >= NVR_PS_H264;
  }
  p = put_head(p, 0xBB, 6 + 3 * (sound + pictures));
  uint32_t bound = 1u << 23 | rate << 1 | 1;
  *p++ = (uint8_t)(bound >> 16), *p++ = (uint8_t)(bound >> 8), *p++ = (uint8_t)bound;
  *p++ = (uint8_t)(sound << 2), *p++ = (uint8_t)(0xE0 | pictures), *p++ = 0x7F;
  /* Room that a decoder needs: 4 KiB for sound, 128 KiB for pictures. */
  for (int video = 0; video < 2; video++)
    for (int i = 0; i < m->count; i++) {
      const nvr_ps_track *t = &m->tracks[i].is;
      if (t->kind == NVR_PS_LEFT_OUT || (t->kind >= NVR_PS_H264) != video) continue;
      *p++ = t->stream_id, *p++ = video ? 0xE0 : 0xC0, *p++ = video ? 0x80 : 0x20;
    }
  uint8_t *map = p;
  size_t rows = 4 * (sound + pictures);
  p = put_head(p, 0xBC, 6 + rows + 4);
  *p++ = 0xE0, *p++ = 0xFF, *p++ = 0, *p++ = 0, *p++ = (uint8_t)(rows >> 8), *p++ = (uint8_t)rows;
  for (int id = 255; id >= 0xC0; id--)
    for (int i = 0; i < m->count; i++) {
      const nvr_ps_track *t = &m->tracks[i].is;
      if (t->kind == NVR_PS_LEFT_OUT || t->stream_id != id) continue;
      *p++ = t->stream_type, *p++ = t->stream_id, *p++ = 0, *p++ = 0;
    }
  uint32_t crc = crc32(map, (size_t)(p - map));
  for (int shift = 24; shift >= 0; shift -= 8) *p++ = (uint8_t)(crc >> shift);
  return (size_t)(p - front);
}

/* Types of the units behind start codes. */
static uint64_t types_of(const nvr_ps_track *t) {
  uint64_t types = 0;
  for (size_t at = 0; at + 4 < t->sets_len; at++)
    if (!memcmp(t->sets + at, start_code, 4)) types |= 1ull << nal_type(t->kind, t->sets[at + 4]);
  return types;
}

nvr_ps *nvr_ps_new(const nvr_ps_track *tracks, int count, uint32_t rate, int64_t lead) {
  size_t len = 0;
  for (int i = 0; i < count; i++) len += tracks[i].sets_len;
  nvr_ps *m = calloc(1, sizeof *m + len);
  if (!m) return NULL;
  uint8_t *p = m->sets;
  m->count = count;
  m->lead = lead;
  for (int i = 0; i < count; i++) {
    carried *t = &m->tracks[i];
    t->is = tracks[i];
    t->types = types_of(&tracks[i]);
    if (t->is.sets_len) memcpy(p, t->is.sets, t->is.sets_len);
    t->is.sets = p;
    p += t->is.sets_len;
  }
  uint32_t bits = rate << 2 | 3;
  m->rate[0] = (uint8_t)(bits >> 16), m->rate[1] = (uint8_t)(bits >> 8), m->rate[2] = (uint8_t)bits;
  m->rate[3] = 0xF8;
  m->front_len = put_front(m, rate, m->front);
  return m;
}

void nvr_ps_free(nvr_ps *m) { free(m); }

static size_t times_len(const nvr_ps_unit *u) { return u->pts > u->dts ? 10 : 5; }

/* The NAL units of a sample, up to one whose length is wrong. */
static void look_at_nals(const carried *t, nvr_ps_unit *u, size_t len) {
  uint64_t types = 0;
  unsigned aud = t->is.kind == NVR_PS_H265 ? H265_AUD : H264_AUD;
  size_t at = 0;
  while (len - at > 4) {
    size_t size = get32(u->data + at);
    if (size > len - at - 4) break;
    if (size) {
      unsigned type = nal_type(t->is.kind, u->data[at + 4]);
      if (!u->payload && type == aud) u->first = at + 4 + size;
      u->payload += 4 + size;
      types |= 1ull << type;
    }
    at += 4 + size;
  }
  u->len = at;
  if (!u->starts || !u->payload || !(t->types & ~types)) return;
  u->with_sets = 1;
  u->payload += t->is.sets_len;
}

size_t nvr_ps_measure(nvr_ps *m, nvr_ps_unit *u, int track, const uint8_t *data, size_t len, int64_t dts,
                      int64_t pts, int starts) {
  *u = (nvr_ps_unit){.track = track, .starts = starts, .data = data, .len = len, .dts = dts, .pts = pts};
  if (track < 0 || track >= m->count || !len) return 0;
  const carried *t = &m->tracks[track];
  if (t->is.kind >= NVR_PS_H264) {
    look_at_nals(t, u, len);
  } else if (t->is.kind == NVR_PS_AAC) {
    size_t whole = len + ADTS;
    if (whole > MOST_ADTS) return 0;
    memcpy(u->adts, t->is.adts, ADTS);
    u->adts[3] = (uint8_t)((u->adts[3] & 0xFC) | whole >> 11);
    u->adts[4] = (uint8_t)(whole >> 3);
    u->adts[5] = (uint8_t)((u->adts[5] & 0x1F) | (whole & 7) << 5);
    u->payload = whole;
  } else if (t->is.kind == NVR_PS_SOUND) {
    u->payload = len;
  }
  if (!u->payload) return 0;
  /* Sound that comes a little late must not turn the clock back. */
  if (dts - m->lead > m->sent) m->sent = dts - m->lead;
  u->sent = m->sent;
  size_t first = MOST_PES - FLAGS - times_len(u), pes = 1;
  if (u->payload > first) pes += (u->payload - first + MOST_PES - FLAGS - 1) / (MOST_PES - FLAGS);
  u->total = 14 + (starts ? m->front_len : 0) + pes * (6 + FLAGS) + times_len(u) + u->payload;
  return u->total;
}

static void put_stamp(uint8_t *p, unsigned mark, int64_t at) {
  uint64_t t = (uint64_t)at;
  p[0] = (uint8_t)(mark << 4 | (t >> 30 & 7) << 1 | 1);
  p[1] = (uint8_t)(t >> 22);
  p[2] = (uint8_t)((t >> 14 & 0xFE) | 1);
  p[3] = (uint8_t)(t >> 7);
  p[4] = (uint8_t)(t << 1 | 1);
}

static void put_pack(uint8_t *p, int64_t sent, const uint8_t *rate) {
  uint64_t at = (uint64_t)sent & ((1ull << 33) - 1);
  uint64_t bits = 1ull << 46 | at >> 30 << 43 | 1ull << 42 | (at >> 15 & 0x7FFF) << 27 | 1ull << 26 |
                  (at & 0x7FFF) << 11 | 1ull << 10 | 1;
  p[0] = 0, p[1] = 0, p[2] = 1, p[3] = 0xBA;
  for (int i = 0; i < 6; i++) p[4 + i] = (uint8_t)(bits >> (40 - 8 * i));
  memcpy(p + 10, rate, 4);
}

/* PES packets being filled. */
typedef struct {
  nvr_ps_put *put;
  void *to;
  const nvr_ps_unit *u;
  uint8_t stream_id;
  size_t room, rest; /* left in this packet; not in a packet yet */
} pes;

static void open_pes(pes *w) {
  uint8_t head[6 + FLAGS + 10];
  size_t times = w->rest == w->u->payload ? times_len(w->u) : 0;
  size_t most = MOST_PES - FLAGS - times, size = w->rest < most ? w->rest : most;
  uint8_t *p = put_head(head, w->stream_id, FLAGS + times + size);
  p[0] = times ? ALIGNED : GOES_ON;
  p[1] = times == 10 ? 0xC0 : times ? 0x80 : 0;
  p[2] = (uint8_t)times;
  if (times) put_stamp(p + 3, times == 10 ? 3 : 2, w->u->pts);
  if (times == 10) put_stamp(p + 8, 1, w->u->dts);
  w->put(w->to, head, 6 + FLAGS + times);
  w->room = size;
  w->rest -= size;
}

static void fill(pes *w, const uint8_t *p, size_t len) {
  while (len) {
    if (!w->room) open_pes(w);
    size_t here = len < w->room ? len : w->room;
    w->put(w->to, p, here);
    w->room -= here;
    p += here;
    len -= here;
  }
}

void nvr_ps_write(const nvr_ps *m, const nvr_ps_unit *u, nvr_ps_put *put, void *to) {
  const nvr_ps_track *t = &m->tracks[u->track].is;
  uint8_t pack[14];
  put_pack(pack, u->sent, m->rate);
  put(to, pack, sizeof pack);
  if (u->starts) put(to, m->front, m->front_len);
  pes w = {put, to, u, t->stream_id, 0, u->payload};
  if (t->kind < NVR_PS_H264) {
    if (t->kind == NVR_PS_AAC) fill(&w, u->adts, ADTS);
    fill(&w, u->data, u->len);
    return;
  }
  if (u->with_sets && !u->first) fill(&w, t->sets, t->sets_len);
  for (size_t at = 0; at < u->len;) {
    size_t size = get32(u->data + at);
    if (size) {
      fill(&w, start_code, 4);
      fill(&w, u->data + at + 4, size);
    }
    at += 4 + size;
    if (u->with_sets && at == u->first) fill(&w, t->sets, t->sets_len);
  }
}
