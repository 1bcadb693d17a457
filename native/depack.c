/* RTP payloads to samples: H.264 (RFC 6184), H.265 (RFC 7798), AAC (RFC 3640), G.711 (RFC 3551). */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { SEI = 6, REFRESH_S = 5 };
enum { STAP_A = 24, STAP_B = 25, FU_A = 28, FU_B = 29, AP = 48, FU = 49 };

static int is_h265(const nvr_session *s) { return s->tracks[s->video].setup.codec == NVR_H265; }

static int is_slice(int h265, uint8_t type) { return h265 ? type < 32 : type >= 1 && type <= 5; }

/* Decoding can begin here: IDR, or any IRAP picture. */
static int is_key(int h265, uint8_t type) { return h265 ? type >= 16 && type <= 23 : type == 5; }

static int is_set(int h265, uint8_t type) { return h265 ? type >= 32 && type <= 34 : type == 7 || type == 8; }

/* An open group of pictures begins with a recovery point that is right at once. One that is right only
 * after some pictures (intra refresh) does where there is nothing better. */
static int recovers(const nvr_session *s) {
  if (s->au_recovers <= 0) return s->au_recovers == 0;
  return s->now - (s->stats.last_key ? s->stats.last_key : s->began) > (int64_t)REFRESH_S * NVR_TICKS;
}

static void put(nvr_session *s, const uint8_t *p, size_t len) {
  nvr_buffer *b = s->buf;
  if (b->len + len > b->cap) {
    if (nvr_buffer_reserve(b, b->len + len) < 0) {
      nvr_fail(s);
      return;
    }
  }
  if (b->len + len - s->au_start > NVR_AU_MAX) {
    s->au_over = 1;
    return;
  }
  memcpy(b->data + b->len, p, len);
  b->len += len;
}

/* The access unit turns out to hold a picture: its time is known now, and with it the duration of
 * the one before. A key frame, a jump in time or new parameter sets end the open part. */
static void first_slice(nvr_session *s, int key) {
  nvr_track *t = &s->tracks[s->video];
  nvr_table *table = &s->tables[s->video];
  s->au_vcl = 1;
  s->au_key = key;
  if (!s->started && !(key && nvr_sets_ready(s))) {
    s->au_skip = 1;
    return;
  }
  int anew = nvr_place(s, s->video, s->au_ts);
  if (anew) nvr_dts_restart(&s->dts, t->floor);
  s->au_pts = t->line;
  s->au_dts = nvr_dts_next(&s->dts, s->au_pts, s->frame);
  if (s->held) {
    int64_t duration = (anew ? t->floor : s->au_dts) - table->last_dts;
    table->samples[table->count - 1].duration = (uint32_t)duration;
    if (duration < t->setup.clock_hz) s->frame = duration;
    s->held = 0;
  }
  int changed = !s->started || (s->sets_changed && nvr_sets_ready(s));
  if (table->count && (key || anew || changed)) nvr_emit_part(s, table->count, s->au_start, key, 1);
  if (changed) nvr_sets_event(s);
  s->started = 1;
}

static void end_nal(nvr_session *s) {
  if (!s->nal_at) return;
  uint8_t *at = s->buf->data + s->nal_at;
  size_t len = s->buf->len - s->nal_at - 4;
  nvr_put32(at, (uint32_t)len);
  if (is_set(is_h265(s), s->nal_type)) nvr_set_seen(s, at + 4, len);
  if (s->nal_type == SEI && !s->au_vcl && !is_h265(s) && s->au_recovers < 0)
    s->au_recovers = nvr_recovery_point(at + 4, len);
  s->nal_at = 0;
}

static void begin_nal(nvr_session *s, uint8_t type, const uint8_t *head, size_t len) {
  static const uint8_t length[4];
  int h265 = is_h265(s);
  end_nal(s);
  if (is_slice(h265, type) && !s->au_vcl) first_slice(s, is_key(h265, type) || recovers(s));
  if (s->au_skip || s->au_over) return;
  size_t at = s->buf->len;
  put(s, length, 4);
  put(s, head, len);
  if (s->au_over || s->failed) {
    s->buf->len = at;
    return;
  }
  s->nal_at = at;
  s->nal_type = type;
}

static void more_nal(nvr_session *s, const uint8_t *p, size_t len) {
  if (s->nal_at) put(s, p, len);
}

static void whole_nal(nvr_session *s, const uint8_t *p, size_t len) {
  int h265 = is_h265(s);
  if (len < 1u + (unsigned)h265) return;
  begin_nal(s, h265 ? p[0] >> 1 & 63 : p[0] & 31, p, len);
  end_nal(s);
}

static void aggregate(nvr_session *s, const uint8_t *p, size_t len) {
  while (len >= 2) {
    size_t size = (size_t)p[0] << 8 | p[1];
    if (size > len - 2) {
      s->au_damaged = 1;
      return;
    }
    whole_nal(s, p + 2, size);
    p += 2 + size;
    len -= 2 + size;
  }
}

static void fragment(nvr_session *s, const uint8_t *head, size_t head_len, uint8_t type, uint8_t fu,
                     const uint8_t *p, size_t len) {
  if (fu & 0x80) {
    begin_nal(s, type, head, head_len);
  } else if (!s->nal_at) {
    s->au_damaged = 1; /* its start is lost */
    return;
  }
  more_nal(s, p, len);
  if (fu & 0x40) end_nal(s);
}

/* Does this packet belong to the picture before, although that had its marker? */
static int goes_on(const nvr_session *s, const uint8_t *p, size_t len) {
  if (is_h265(s)) {
    uint8_t type = p[0] >> 1 & 63;
    if (type == FU) return len >= 3 && !(p[2] & 0x80);
    return type < 32 && len >= 3 && !(p[2] & 0x80); /* first_slice_segment_in_pic_flag */
  }
  uint8_t type = p[0] & 31;
  if (type == FU_A || type == FU_B) return len >= 2 && !(p[1] & 0x80);
  return type >= 1 && type <= 5 && len >= 2 && !(p[1] & 0x80); /* first_mb_in_slice is not 0 */
}

static void begin_au(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts) {
  nvr_table *table = &s->tables[s->video];
  s->au_open = 1;
  s->au_skip = s->au_over = 0;
  if (s->held && ts == s->au_ts && goes_on(s, p, len)) {
    /* Some cameras mark every slice: take the picture up again, and trust only time from now on. */
    nvr_sample *last = &table->samples[--table->count];
    s->bad_marker = 1;
    s->held = 0;
    s->au_start = s->buf->len - last->size;
    s->au_damaged = last->damaged;
    s->au_vcl = 1;
    s->stats.frames--;
    if (last->damaged) s->stats.damaged--;
    if (s->au_key) s->stats.keys--;
    return;
  }
  s->au_ts = ts;
  s->au_start = s->buf->len;
  s->au_vcl = s->au_key = s->au_damaged = 0;
  s->au_recovers = -1;
}

void nvr_finish_au(nvr_session *s) {
  end_nal(s);
  if (!s->au_vcl) return; /* parameter sets or SEI sent ahead: they go with the picture */
  s->au_open = 0;
  if (s->au_over) {
    s->stats.damaged++;
    s->started = 0;
  }
  if (s->au_skip || s->au_over || s->failed) {
    s->buf->len = s->au_start;
    return;
  }
  nvr_table *table = &s->tables[s->video];
  nvr_sample sample = {(uint32_t)(s->buf->len - s->au_start), 0, (int32_t)(s->au_pts - s->au_dts), s->au_damaged};
  if (nvr_table_add(table, s->au_dts, sample) < 0) {
    nvr_fail(s);
    return;
  }
  if (table->count == 1) table->key = s->au_key;
  s->held = 1;
  s->tracks[s->video].floor = s->au_dts + s->frame;
  s->stats.frames++;
  s->stats.damaged += (unsigned)s->au_damaged;
  if (s->au_key) {
    if (s->stats.keys) s->stats.gop = s->now - s->stats.last_key;
    s->stats.keys++;
    s->stats.last_key = s->now;
  }
  if (s->watched) nvr_emit_live(s);
}

static void h264(nvr_session *s, const uint8_t *p, size_t len) {
  uint8_t type = p[0] & 31, head;
  switch (type) {
    case STAP_B:
      s->stats.other++; /* only interleaved mode has it; the order it tells is the order it came in */
      if (len >= 3) aggregate(s, p + 3, len - 3);
      return;
    case STAP_A:
      aggregate(s, p + 1, len - 1);
      return;
    case FU_B:
      s->stats.other++;
      if (len < 4) return;
      head = (uint8_t)((p[0] & 0xE0) | (p[1] & 31));
      fragment(s, &head, 1, p[1] & 31, p[1], p + 4, len - 4);
      return;
    case FU_A:
      if (len < 2) return;
      head = (uint8_t)((p[0] & 0xE0) | (p[1] & 31));
      fragment(s, &head, 1, p[1] & 31, p[1], p + 2, len - 2);
      return;
    default:
      if (type == 0 || type > 23)
        s->stats.other++;
      else
        whole_nal(s, p, len);
  }
}

static void h265(nvr_session *s, const uint8_t *p, size_t len) {
  uint8_t type = p[0] >> 1 & 63;
  if (type == AP) {
    aggregate(s, p + 2, len - 2);
  } else if (type == FU) {
    if (len < 3) return;
    uint8_t head[2] = {(uint8_t)((p[0] & 0x81) | (p[2] & 63) << 1), p[1]};
    fragment(s, head, 2, p[2] & 63, p[2], p + 3, len - 3);
  } else if (type > 49) {
    s->stats.other++;
  } else {
    whole_nal(s, p, len);
  }
}

void nvr_video_packet(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost) {
  if (len < 1u + (unsigned)is_h265(s)) return;
  int open = s->au_open;
  if (!s->began) s->began = s->now;
  if (lost) {
    if (open) s->au_damaged = 1;
    end_nal(s); /* what has come of it stays: decoders conceal the rest */
  }
  if (s->au_open && ts != s->au_ts) {
    if (s->au_vcl) {
      nvr_finish_au(s);
    } else {
      s->au_ts = ts;
      if (s->au_over) s->buf->len = s->au_start, s->au_over = 0;
    }
  }
  if (!s->au_open) {
    begin_au(s, p, len, ts);
    /* A single packet missing from an open picture was its end; all else may be this one's start. */
    if (lost > (unsigned)open) s->au_damaged = 1;
  }
  if (is_h265(s))
    h265(s, p, len);
  else
    h264(s, p, len);
  if (marker && s->au_vcl) {
    s->any_marker = 1;
    if (!s->bad_marker) nvr_finish_au(s);
  }
}

int nvr_starts_key(const nvr_session *s, const uint8_t *p, size_t len) {
  int h = is_h265(s);
  if (len < 3) return 0;
  uint8_t type = h ? p[0] >> 1 & 63 : p[0] & 31;
  if (h ? type == FU : type == FU_A) {
    uint8_t fu = p[h ? 2 : 1], inner = fu & (h ? 63 : 31);
    return fu & 0x80 && (is_key(h, inner) || is_set(h, inner));
  }
  if (h ? type == AP : type == STAP_A) {
    size_t at = h ? 2 : 1;
    while (at + 3 <= len) {
      uint8_t inner = h ? p[at + 2] >> 1 & 63 : p[at + 2] & 31;
      if (is_key(h, inner) || is_set(h, inner)) return 1;
      at += 2 + ((size_t)p[at] << 8 | p[at + 1]);
    }
    return 0;
  }
  return is_key(h, type) || is_set(h, type);
}

/* Audio */

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
  t->len += len;
  t->floor = at + duration;
  s->stats.damaged += (unsigned)damaged;
}

static uint32_t bits(const uint8_t *p, size_t at, unsigned n) {
  uint32_t v = 0;
  for (unsigned i = 0; i < n; i++, at++) v = v << 1 | (p[at >> 3] >> (7 - (at & 7)) & 1);
  return v;
}

static void aac(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int damaged) {
  nvr_track *t = &s->tracks[i];
  unsigned size_bits = t->setup.aac_size_bits, width = size_bits + t->setup.aac_index_bits;
  if (len < 2) return;
  size_t all = (size_t)p[0] << 8 | p[1], data = 2 + (all + 7) / 8;
  if (data > len) {
    s->stats.other++;
    return;
  }
  unsigned count = (unsigned)(all / width);
  for (unsigned k = 0; k < count; k++) {
    size_t size = bits(p + 2, (size_t)k * width, size_bits), left = len - data;
    if (t->need && (t->fill_ts != ts || size != t->need)) t->fill = t->need = 0; /* its rest never came */
    if (!size) continue;
    size_t want = t->need ? t->need - t->fill : size;
    size_t take = want < left ? want : left;
    if (room(s, t, take) < 0) return;
    memcpy(t->bytes + t->len + t->fill, p + data, take);
    t->fill += take;
    data += take;
    if (take < want) { /* an access unit longer than a packet comes alone, its size in each piece */
      t->need = size;
      t->fill_ts = ts;
      return;
    }
    t->need = 0;
    sound(s, i, t->line + (int64_t)k * t->setup.aac_frame, t->setup.aac_frame, damaged);
  }
}

void nvr_audio_packet(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost) {
  nvr_track *t = &s->tracks[i];
  (void)marker;
  if (lost) t->fill = t->need = 0;
  if (s->video >= 0 && !s->started) return; /* a part begins with a key frame */
  nvr_place(s, i, ts);
  if (t->setup.codec == NVR_AAC) {
    aac(s, i, p, len, ts, lost > 0);
  } else if (len && room(s, t, len) == 0) {
    memcpy(t->bytes + t->len, p, len);
    t->fill = len;
    sound(s, i, t->line, (uint32_t)(len / t->setup.channels), lost > 0);
  }
}
