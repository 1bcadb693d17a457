#include "reorder.h"

#include <stdlib.h>
#include <string.h>

enum { MASK = NVR_REORDER_SLOTS - 1, CALM = 60 * 90000 };

static int missed(const nvr_reorder *r, uint16_t seq) { return r->missed[(seq & MASK) >> 3] >> (seq & 7) & 1; }

static void set_missed(nvr_reorder *r, uint16_t seq, int on) {
  uint8_t bit = (uint8_t)(1u << (seq & 7)), *at = &r->missed[(seq & MASK) >> 3];
  *at = (uint8_t)(on ? *at | bit : *at & ~bit);
}

/* What is kept and in order now. */
static void release(nvr_reorder *r, nvr_reorder_out *out, void *to) {
  while (r->held) {
    nvr_held *h = &r->slots[r->next & MASK];
    if (!h->p) return;
    set_missed(r, r->next, 0);
    r->next++;
    r->held--;
    r->bytes -= h->len;
    out(to, h->p, h->len);
    free(h->p);
    h->p = NULL;
  }
}

/* Give up what is missing before the first packet kept. */
static void skip(nvr_reorder *r, nvr_reorder_out *out, void *to) {
  while (r->held && !r->slots[r->next & MASK].p) set_missed(r, r->next++, 1);
  release(r, out, to);
}

void nvr_reorder_flush(nvr_reorder *r, nvr_reorder_out *out, void *to) {
  while (r->held) skip(r, out, to);
}

static void keep(nvr_reorder *r, uint16_t seq, const uint8_t *p, size_t len, int64_t at) {
  if (!r->slots) r->slots = calloc(NVR_REORDER_SLOTS, sizeof *r->slots);
  nvr_held *h = r->slots ? &r->slots[seq & MASK] : NULL;
  if (h && h->p) {
    r->repeated++;
    return;
  }
  uint8_t *copy = h ? malloc(len) : NULL;
  if (!copy) return; /* without memory it is as good as lost */
  memcpy(copy, p, len);
  *h = (nvr_held){copy, len, at};
  if (r->held && (int16_t)(seq - r->newest) < 0)
    r->reordered++;
  else
    r->newest = seq;
  r->held++;
  r->bytes += len;
}

static void begin(nvr_reorder *r, uint16_t seq, uint32_t ssrc, int64_t at) {
  r->started = 1;
  r->next = seq;
  r->ssrc = ssrc;
  r->bad_seq = -1;
  memset(r->missed, 0, sizeof r->missed);
  if (!r->wait) r->wait = NVR_REORDER_WAIT, r->calm_at = at;
}

static void came_late(nvr_reorder *r, uint16_t seq, int64_t at) {
  if (!missed(r, seq)) {
    r->repeated++;
    return;
  }
  set_missed(r, seq, 0);
  r->late++;
  r->calm_at = at;
  r->wait = r->wait * 2 > NVR_REORDER_WAIT_MAX ? NVR_REORDER_WAIT_MAX : r->wait * 2;
}

void nvr_reorder_take(nvr_reorder *r, const uint8_t *p, size_t len, int64_t at, nvr_reorder_out *out, void *to) {
  uint16_t seq = (uint16_t)(p[2] << 8 | p[3]);
  uint32_t ssrc = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
  if (!r->started || ssrc != r->ssrc) {
    nvr_reorder_flush(r, out, to);
    begin(r, seq, ssrc, at);
  }
  int ahead = (int16_t)(seq - r->next);
  if (ahead <= -NVR_REORDER_SLOTS || ahead >= NVR_REORDER_SLOTS) {
    /* Another place: ahead it is believed at once, behind if the next packet follows on. Who gets
     * the packets judges for himself whether the stream began anew. */
    if (ahead > 0 || r->bad_seq == seq) {
      nvr_reorder_flush(r, out, to);
      begin(r, (uint16_t)(seq + 1), ssrc, at);
    } else {
      r->bad_seq = (uint16_t)(seq + 1);
    }
    out(to, p, len);
    return;
  }
  if (ahead < 0) {
    came_late(r, seq, at);
    return;
  }
  r->bad_seq = -1;
  if (ahead) {
    while (r->held && r->bytes + len > NVR_REORDER_BYTES) skip(r, out, to);
    ahead = (int16_t)(seq - r->next);
    if (ahead > 0) {
      keep(r, seq, p, len, at);
      return;
    }
    if (ahead < 0) { /* what was given up reached beyond it */
      came_late(r, seq, at);
      return;
    }
  }
  if (r->held) r->reordered++;
  set_missed(r, seq, 0);
  r->next++;
  out(to, p, len);
  release(r, out, to);
}

void nvr_reorder_settle(nvr_reorder *r, int64_t now, nvr_reorder_out *out, void *to) {
  if (r->wait > NVR_REORDER_WAIT && now - r->calm_at > CALM) {
    r->wait /= 2;
    if (r->wait < NVR_REORDER_WAIT) r->wait = NVR_REORDER_WAIT;
    r->calm_at = now;
  }
  while (r->held) {
    uint16_t seq = r->next;
    while (!r->slots[seq & MASK].p) seq++;
    if (now - r->slots[seq & MASK].at < r->wait) return;
    skip(r, out, to);
  }
}

void nvr_reorder_clear(nvr_reorder *r) {
  for (int i = 0; r->slots && i < NVR_REORDER_SLOTS; i++) free(r->slots[i].p);
  free(r->slots);
  r->slots = NULL;
  r->held = r->started = 0;
  r->bytes = 0;
}
