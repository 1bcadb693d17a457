/* What a relay does that carries a program stream: packs units, and keeps them for who comes later. */
#define _GNU_SOURCE
#include "relay_i.h"

#include <string.h>

enum { PAYLOAD = 1400, FRONT_TICKS = 90000 };

/* RTP packets being filled with a pack. */
typedef struct {
  track *t;
  uint8_t *p;
  size_t room, rest; /* left in this packet; of the pack, not in a packet yet */
  uint32_t ts;
} cutter;

static void open_packet(cutter *w) {
  track *t = w->t;
  size_t size = w->rest < PAYLOAD ? w->rest : PAYLOAD;
  w->rest -= size;
  w->room = size;
  put16(w->p, (uint16_t)(RTP_HEADER + size));
  uint8_t *rtp = w->p + FRAMED;
  rtp[0] = 0x80;
  rtp[1] = (uint8_t)((w->rest ? 0 : 0x80) | t->is.payload_type);
  put16(rtp + 2, t->last_seq++);
  put32(rtp + 4, w->ts);
  put32(rtp + 8, t->is.ssrc);
  w->p += FRAMED + RTP_HEADER;
  t->packets++;
  t->octets += (uint32_t)size;
}

static void put(void *to, const uint8_t *p, size_t len) {
  cutter *w = to;
  while (len) {
    if (!w->room) open_packet(w);
    size_t here = len < w->room ? len : w->room;
    memcpy(w->p, p, here);
    w->p += here;
    w->room -= here;
    p += here;
    len -= here;
  }
}

void nvr_relay_carry(nvr_relay *r, nvr_ps *ps) {
  r->ps = ps;
  r->head = FRAMED;
  r->t[0].last_seq = r->t[0].is.sequence;
}

void nvr_relay_unit(nvr_relay *r, int index, const uint8_t *data, size_t len, int64_t dts, int64_t pts, int key) {
  if (!r->ps) return;
  track *t = &r->t[0];
  int begins = !r->units;
  /* Who hears sound only must be told now and then what it is. */
  if (r->video < 0) key = begins || dts - r->front_at >= FRONT_TICKS;
  if (begins && !key) return;
  nvr_ps_unit unit;
  size_t total = nvr_ps_measure(r->ps, &unit, index, data, len, dts, pts, key);
  if (!total) return;
  /* Packets of one unit have one time and those of another have another; it never goes back. */
  int64_t at = begins || dts > r->unit_at ? dts : r->unit_at + 1;
  if (begins) t->shift = t->is.timestamp - (uint32_t)(uint64_t)at;
  size_t packets = (total + PAYLOAD - 1) / PAYLOAD;
  uint8_t *p = nvr_relay_room(r, total + packets * (FRAMED + RTP_HEADER));
  if (!p) return;
  if (key && r->tick->key < 0) r->tick->key = p - r->tick->data;
  if (key) r->front_at = dts;
  cutter w = {t, p, 0, total, (uint32_t)(uint64_t)at + t->shift};
  nvr_ps_write(r->ps, &unit, put, &w);
  r->unit_at = at;
  r->units = 1;
  r->video_ts = w.ts;
  r->has_video_ts = 1;
  r->whole = 1;
}

void nvr_relay_forget(nvr_relay *r) {
  for (size_t i = 0; i < r->kept_count; i++) chunk_drop(r->kept[i]);
  r->kept_count = r->kept_bytes = 0;
}

void nvr_relay_keep(nvr_relay *r, chunk *c) {
  if (c->key >= 0) nvr_relay_forget(r);
  if (c->key < 0 && !r->kept_count) return;
  /* Half of what a reader may be behind: more would be cut as soon as it is queued. */
  if (r->kept_bytes + c->len > r->limits.backlog_bytes / 2) {
    nvr_relay_forget(r);
    return;
  }
  if (r->kept_count == r->kept_room) {
    size_t room = r->kept_room ? r->kept_room * 2 : 32;
    chunk **grown = realloc(r->kept, room * sizeof *grown);
    if (!grown) {
      nvr_relay_forget(r);
      return;
    }
    r->kept = grown;
    r->kept_room = room;
  }
  c->refs++;
  r->kept[r->kept_count++] = c;
  r->kept_bytes += c->len;
}
