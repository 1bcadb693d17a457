/* RTP payloads of sound to samples: AAC (RFC 3640 and, as LATM, RFC 6416), Opus (RFC 7587), and what
 * has so many bits a sample: G.711, G.726, L16 (RFC 3551). */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { MOST_AHEAD = 256 }; /* access units between the first and the last of a packet */

static int room(nvr_session *s, nvr_track *t, size_t len) {
  if (t->len + t->fill + len > NVR_AUDIO_MAX) return -1;
  if (t->len + t->fill + len <= t->cap) return 0;
  size_t cap = (t->len + t->fill + len + 4095) / 4096 * 4096;
  uint8_t *grown = realloc(t->bytes, cap);
  if (!grown) {
    nvr_fail(s);
    return -1;
  }
  t->bytes = grown;
  t->cap = cap;
  return 0;
}

/* The `fill` bytes behind the samples are an access unit of `duration`, shown at `at`. */
static void sound(nvr_session *s, int i, int64_t at, uint32_t duration, int damaged) {
  nvr_track *t = &s->tracks[i];
  nvr_table *table = &s->tables[i];
  size_t len = t->fill;
  t->fill = 0;
  if (!len || !duration) return;
  /* Cameras stamp sound with jitter; up to half an access unit of it is smoothed away. */
  int64_t off = at - t->floor, slack = duration / 2, most = t->setup.clock_hz / 50;
  if (slack > most) slack = most;
  if (t->floor && off <= slack && off >= -slack) at = t->floor;
  if (at < t->floor) return; /* lies over what is there already */
  if (table->count && at > table->last_dts) table->samples[table->count - 1].duration = (uint32_t)(at - table->last_dts);
  if (nvr_table_add(table, at, (nvr_sample){(uint32_t)len, duration, 0, damaged}) < 0) {
    nvr_fail(s);
    return;
  }
  if (s->relay_count) {
    int64_t ticks = nvr_to_ticks(at, t->setup.clock_hz);
    nvr_relay_units(s, i, t->bytes + t->len, len, ticks, ticks, 0);
  }
  nvr_portion_sound(s, i, at, table->samples[table->count - 1], t->bytes + t->len);
  t->len += len;
  t->floor = at + duration;
  s->stats.damaged += (unsigned)damaged;
}

/* Add bytes to the access unit being gathered; 0 or -1. */
static int gather(nvr_session *s, nvr_track *t, const uint8_t *p, size_t len) {
  if (room(s, t, len) < 0) return -1;
  if (len) memcpy(t->bytes + t->len + t->fill, p, len);
  t->fill += len;
  return 0;
}

static int has_header(const nvr_au_header *h) {
  return h->size || h->index || h->delta || h->cts || h->dts || h->random || h->state;
}

/* What does not fit into its own header section reads as zeros and ends it. */
typedef struct {
  size_t size;
  unsigned ahead; /* access units between this and the one before, of interleaved ones */
} au_head;

static au_head next_head(const nvr_au_header *h, nvr_bits *b, int first) {
  au_head found = {nvr_bits_take(b, h->size), 0};
  uint32_t index = nvr_bits_take(b, first ? h->index : h->delta);
  if (h->cts && nvr_bits_take(b, 1)) nvr_bits_take(b, h->cts);
  if (h->dts && nvr_bits_take(b, 1)) nvr_bits_take(b, h->dts);
  if (h->random) nvr_bits_take(b, 1);
  nvr_bits_take(b, h->state);
  if (!first) found.ahead = index;
  return found;
}

/* Access units without headers: one a packet or in pieces up to the marker, or all of one size. */
static void headless(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int marker, int damaged) {
  nvr_track *t = &s->tracks[i];
  size_t size = t->setup.au.constant;
  if (t->fill && t->fill_ts != ts) t->fill = 0;
  t->fill_ts = ts;
  for (unsigned k = 0; len; k++) {
    size_t take = size && size - t->fill < len ? size - t->fill : len;
    if (gather(s, t, p, take) < 0) return;
    p += take;
    len -= take;
    if (size ? t->fill < size : !marker) return;
    sound(s, i, t->line + (int64_t)k * t->setup.aac_frame, t->setup.aac_frame, damaged);
  }
}

static void aac(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int marker, int damaged) {
  nvr_track *t = &s->tracks[i];
  const nvr_au_header *h = &t->setup.au;
  if (!has_header(h)) {
    headless(s, i, p, len, ts, marker, damaged);
    return;
  }
  if (len < 2) return;
  size_t all = (size_t)p[0] << 8 | p[1], data = 2 + (all + 7) / 8;
  if (data > len) {
    s->stats.other++;
    return;
  }
  nvr_bits heads = {p + 2, 0, all, 0};
  if (h->auxiliary) {
    nvr_bits extra = {p + data, 0, (len - data) * 8, 0};
    size_t more = nvr_bits_take(&extra, h->auxiliary);
    data += (h->auxiliary + more + 7) / 8;
    if (data > len) {
      s->stats.other++;
      return;
    }
  }
  int64_t place = 0;
  for (int first = 1; heads.at < heads.end; first = 0) {
    au_head au = next_head(h, &heads, first);
    if (heads.bad) break;
    size_t left = len - data, size = h->size ? au.size : h->constant ? h->constant : left;
    if (!first) place += 1 + (int64_t)au.ahead;
    if (place > MOST_AHEAD) break;
    if (t->need && (t->fill_ts != ts || size != t->need)) t->fill = t->need = 0; /* its rest never came */
    if (!size) continue;
    size_t want = t->need ? t->need - t->fill : size;
    size_t take = want < left ? want : left;
    if (gather(s, t, p + data, take) < 0) return;
    data += take;
    if (take < want) { /* an access unit longer than a packet comes alone, its size in each piece */
      t->need = size;
      t->fill_ts = ts;
      return;
    }
    t->need = 0;
    sound(s, i, t->line + place * t->setup.aac_frame, t->setup.aac_frame, damaged);
  }
}

/* LATM */

static void element(nvr_session *s, int i, const uint8_t *p, size_t len, int damaged) {
  nvr_track *t = &s->tracks[i];
  nvr_mux *m = &t->mux;
  nvr_bits b;
  if (nvr_latm_begin(m, &b, p, len) < 0) {
    if (s->video < 0 || s->started) s->stats.other++;
    return;
  }
  if (!m->told) {
    if (s->video >= 0) {
      s->mux_changed = 1; /* told with the next key frame; until then nobody could play it */
      return;
    }
    nvr_emit_part(s, 0, s->buf->len, 0, 1);
    nvr_sets_event(s);
  }
  if (s->video >= 0 && !s->started) return;
  uint32_t frame = (uint32_t)((uint64_t)m->frame * t->setup.clock_hz / m->rate_hz);
  for (unsigned k = 0; k < m->units; k++) {
    if (room(s, t, len) < 0) return;
    long size = nvr_latm_next(&b, t->bytes + t->len, len);
    if (size < 0) {
      s->stats.other++;
      return;
    }
    t->fill = (size_t)size;
    sound(s, i, t->line + (int64_t)k * frame, frame ? frame : 1, damaged);
  }
}

static void pending(nvr_session *s, int i, int damaged) {
  nvr_mux *m = &s->tracks[i].mux;
  size_t len = m->pending_len;
  m->pending_len = 0;
  if (len) element(s, i, m->pending, len, damaged);
}

static void latm(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int marker, int damaged) {
  nvr_track *t = &s->tracks[i];
  nvr_mux *m = &t->mux;
  if (m->pending_len && t->fill_ts != ts) {
    /* Its last packet had no marker: of a sender that has none at all, this was it. */
    if (m->marked) m->pending_len = 0;
    pending(s, i, damaged);
  }
  if (s->video < 0 || s->started) nvr_place(s, i, ts);
  m->marked |= marker;
  if (marker && !m->pending_len) {
    element(s, i, p, len, damaged);
    return;
  }
  if (!m->pending && !(m->pending = malloc(NVR_LATM_MAX))) {
    nvr_fail(s);
    return;
  }
  if (len > NVR_LATM_MAX - m->pending_len) {
    m->pending_len = 0;
    s->stats.other++;
    return;
  }
  memcpy(m->pending + m->pending_len, p, len);
  m->pending_len += len;
  t->fill_ts = ts;
  if (marker) pending(s, i, damaged);
}

int nvr_session_mux(nvr_session *s, int i, const uint8_t *p, size_t len) {
  nvr_bits b = {p, 0, len * 8, 0};
  nvr_mux *m = &s->tracks[i].mux;
  m->in_band = 0;
  if (s->tracks[i].setup.codec != NVR_LATM || nvr_mux_read(m, &b) < 0) return -1;
  if (s->video < 0) nvr_sets_event(s);
  return 0;
}

/* Opus */

/* Samples at 48 kHz of a packet, 0 if it is not one: RFC 6716, 3.1 and 3.2. */
static uint32_t opus_samples(const uint8_t *p, size_t len) {
  static const uint16_t silk[] = {480, 960, 1920, 2880}, celt[] = {120, 240, 480, 960};
  if (!len) return 0;
  unsigned config = p[0] >> 3, code = p[0] & 3;
  uint32_t frame = config < 12 ? silk[config & 3] : config < 16 ? silk[config & 1] : celt[config & 3];
  uint32_t count = code == 0 ? 1 : code < 3 ? 2 : len > 1 ? p[1] & 63 : 0;
  return count * frame <= 5760 ? count * frame : 0;
}

/* Codes of `width` bits from RFC 3551's order, in which the first has the low bits of a byte, to that of
 * ITU-T I.366.2 and of files, in which it has the high ones. Eight codes fill whole bytes. */
static void turn(uint8_t *p, size_t len, unsigned width) {
  for (size_t at = 0; at < len; at += width) {
    size_t bytes = len - at < width ? len - at : width;
    uint64_t low = 0, high = 0;
    for (size_t k = 0; k < bytes; k++) low |= (uint64_t)p[at + k] << (8 * k);
    unsigned codes = (unsigned)(bytes * 8 / width), spare = (unsigned)(bytes * 8 - codes * width);
    for (unsigned k = 0; k < codes; k++) high = high << width | (low >> (k * width) & ((1u << width) - 1));
    high <<= spare;
    for (size_t k = 0; k < bytes; k++) p[at + k] = (uint8_t)(high >> (8 * (bytes - 1 - k)));
  }
}

void nvr_audio_packet(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost) {
  nvr_track *t = &s->tracks[i];
  int damaged = lost > 0;
  if (lost) t->fill = t->need = t->mux.pending_len = 0;
  if (!len) return;
  if (t->setup.codec == NVR_LATM) {
    latm(s, i, p, len, ts, marker, damaged);
    return;
  }
  if (s->video >= 0 && !s->started) return; /* a part begins with a key frame */
  nvr_place(s, i, ts);
  if (t->setup.codec == NVR_AAC) {
    aac(s, i, p, len, ts, marker, damaged);
    return;
  }
  uint64_t samples = t->setup.codec == NVR_OPUS ? (uint64_t)opus_samples(p, len) * t->setup.clock_hz / 48000
                                                : (uint64_t)len * 8 / t->setup.sample_bits;
  if (!samples) {
    s->stats.other++;
    return;
  }
  if (gather(s, t, p, len) < 0) return;
  if (t->setup.order) turn(t->bytes + t->len, t->fill, t->setup.sample_bits);
  sound(s, i, t->line, (uint32_t)samples, damaged);
}
