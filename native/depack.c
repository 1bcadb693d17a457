/* RTP payloads of video to samples: H.264 (RFC 6184), H.265 (RFC 7798); JPEG is in jpeg.c.
 *
 * Interleaved packets (STAP-B, MTAP, FU-B, decoding order numbers of H.265) are taken in the order they
 * come in: none of the senders seen changes it. */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { SEI = 6, REFRESH_S = 5 };
enum { SOUND_WAIT_S = 2, MOST_FPS = 300 };
enum { STAP_A = 24, STAP_B, MTAP16, MTAP24, FU_A, FU_B };
enum { AP = 48, FU };

static int is_jpeg(const nvr_session *s) { return s->tracks[s->video].setup.codec == NVR_JPEG; }

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

void nvr_au_put(nvr_session *s, const uint8_t *p, size_t len) {
  nvr_buffer *b = s->buf;
  if (s->au_skip || s->au_over || s->failed) return;
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

/* Sound that says in band what it is should have said so before recording begins: a configuration that
 * changes later costs a block. It is not waited for longer than a sender may take to say it. */
static int sound_known(const nvr_session *s) {
  if (s->now - s->began > (int64_t)SOUND_WAIT_S * NVR_TICKS) return 1;
  for (int i = 0; i < s->count; i++)
    if (s->tracks[i].setup.codec == NVR_LATM && !s->tracks[i].mux.known) return 0;
  return 1;
}

/* The access unit turns out to hold a picture: its time is known now, and with it the duration of
 * the one before. A key frame, a jump in time or new parameter sets end the open part. */
void nvr_au_picture(nvr_session *s, int key) {
  nvr_track *t = &s->tracks[s->video];
  nvr_table *table = &s->tables[s->video];
  s->au_vcl = 1;
  s->au_key = key;
  if (!s->started && !(key && nvr_sets_ready(s) && sound_known(s))) {
    s->stats.keyless += !key;
    s->stats.setless += key && !nvr_sets_ready(s);
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
    if (duration < t->setup.clock_hz && duration > t->setup.clock_hz / MOST_FPS) s->frame = duration;
    s->held = 0;
    nvr_portion_picture(s, s->au_start);
  }
  int gone_on = !s->replayed || nvr_stamped(s, s->au_ts, anew);
  int changed = !s->started || (s->sets_changed && nvr_sets_ready(s)) || (key && s->mux_changed);
  if (changed && s->started) changed = nvr_sets_new(s);
  if (table->count && ((key && table->inter) || anew || changed || !gone_on)) nvr_emit_part(s, table->count, s->au_start, key, 1);
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
  if (is_slice(h265, type) && !s->au_vcl) nvr_au_picture(s, is_key(h265, type) || recovers(s));
  if (s->au_skip || s->au_over) return;
  size_t at = s->buf->len;
  nvr_au_put(s, length, 4);
  nvr_au_put(s, head, len);
  if (s->au_over || s->failed) {
    s->buf->len = at;
    return;
  }
  s->nal_at = at;
  s->nal_type = type;
}

static void more_nal(nvr_session *s, const uint8_t *p, size_t len) {
  if (s->nal_at) nvr_au_put(s, p, len);
}

static void whole_nal(nvr_session *s, const uint8_t *p, size_t len) {
  int h265 = is_h265(s);
  if (len < 1u + (unsigned)h265) return;
  begin_nal(s, h265 ? p[0] >> 1 & 63 : p[0] & 31, p, len);
  end_nal(s);
}

/* NAL units behind their sizes, `between` bytes of decoding order before all but the first. */
static void aggregate(nvr_session *s, const uint8_t *p, size_t len, size_t between) {
  while (len >= 2) {
    size_t size = (size_t)p[0] << 8 | p[1];
    if (size > len - 2) {
      s->au_damaged = 1;
      return;
    }
    whole_nal(s, p + 2, size);
    p += 2 + size;
    len -= 2 + size;
    if (len < between) return;
    p += between;
    len -= between;
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
    size_t at = s->tracks[s->video].setup.order ? 4 : 2;
    if (type == FU) {
      if (len < 3 || !(p[2] & 0x80)) return len >= 3;
      type = p[2] & 63;
      at++;
    }
    return type < 32 && len > at && !(p[at] & 0x80); /* first_slice_segment_in_pic_flag */
  }
  uint8_t type = p[0] & 31;
  size_t at = 1;
  if (type == FU_A || type == FU_B) {
    if (len < 2 || !(p[1] & 0x80)) return len >= 2;
    at = type == FU_A ? 2 : 4;
    type = p[1] & 31;
  }
  return type >= 1 && type <= 5 && len > at && !(p[at] & 0x80); /* first_mb_in_slice is not 0 */
}

/* A fragment that is not the last one of its NAL unit: some cameras mark these as well. */
static int goes_further(const nvr_session *s, const uint8_t *p, size_t len) {
  if (is_h265(s)) return (p[0] >> 1 & 63) == FU && len >= 3 && !(p[2] & 0x40);
  return ((p[0] & 31) == FU_A || (p[0] & 31) == FU_B) && len >= 2 && !(p[1] & 0x40);
}

void nvr_au_begin(nvr_session *s, uint32_t ts) {
  s->au_open = 1;
  s->au_ts = ts;
  s->au_start = s->buf->len;
  s->au_vcl = s->au_key = s->au_damaged = s->au_skip = s->au_over = 0;
  s->au_recovers = -1;
}

static void begin_au(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts) {
  nvr_table *table = &s->tables[s->video];
  if (s->held && ts == s->au_ts && goes_on(s, p, len)) {
    /* Some cameras mark every slice: take the picture up again, and trust only time from now on. */
    nvr_sample *last = &table->samples[--table->count];
    s->au_open = 1;
    s->au_skip = s->au_over = 0;
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
  nvr_au_begin(s, ts);
}

void nvr_finish_au(nvr_session *s) {
  end_nal(s);
  if (is_jpeg(s)) nvr_jpeg_end(s);
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
  if (table->count == 1) s->part_us = s->au_us;
  s->held_us = s->au_us;
  if (s->relay_count) {
    uint32_t hz = s->tracks[s->video].setup.clock_hz;
    nvr_relay_units(s, s->video, s->buf->data + s->au_start, sample.size, nvr_to_ticks(s->au_dts, hz),
                    nvr_to_ticks(s->au_pts, hz), s->au_key);
  }
  s->held = 1;
  s->tracks[s->video].floor = s->au_dts + s->frame;
  s->stats.frames++;
  s->stats.damaged += (unsigned)s->au_damaged;
  if (s->au_key) {
    if (s->stats.keys && s->au_pts != s->key_pts) { /* not the same one, taken up again */
      s->stats.gop = nvr_to_ticks(s->au_pts - s->key_pts, s->tracks[s->video].setup.clock_hz);
      s->stats.gop_frames = s->stats.frames - s->key_frame;
    }
    s->stats.keys++;
    s->stats.last_key = s->now;
    s->key_pts = s->au_pts;
    s->key_frame = s->stats.frames;
  }
  if (s->watched) nvr_emit_live(s);
}

static void h264(nvr_session *s, const uint8_t *p, size_t len) {
  uint8_t type = p[0] & 31, head;
  switch (type) {
    case STAP_B:
      if (len >= 3) aggregate(s, p + 3, len - 3, 0);
      return;
    case STAP_A:
      aggregate(s, p + 1, len - 1, 0);
      return;
    case FU_B:
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
  int don = s->tracks[s->video].setup.order;
  if (type == AP) {
    size_t at = don ? 4 : 2;
    if (len > at) aggregate(s, p + at, len - at, don ? 1 : 0);
  } else if (type == FU) {
    if (len < 3) return;
    uint8_t head[2] = {(uint8_t)((p[0] & 0x81) | (p[2] & 63) << 1), p[1]};
    size_t at = 3 + (don && p[2] & 0x80 ? 2 : 0);
    if (at > len) return;
    fragment(s, head, 2, p[2] & 63, p[2], p + at, len - at);
  } else if (type > 49) {
    s->stats.other++;
  } else if (don) {
    if (len < 4) return;
    begin_nal(s, type, p, 2);
    more_nal(s, p + 4, len - 4);
    end_nal(s);
  } else {
    whole_nal(s, p, len);
  }
}

/* A packet, or a piece of one, of time `ts` begins: the access unit before may be over. */
static void at_time(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, unsigned lost) {
  int open = s->au_open;
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
}

/* NAL units of several times in one packet: (size(16), order(8), later(16 or 24), NAL)*. */
static void many_times(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, unsigned lost, size_t wide) {
  while (len > 3 + wide) {
    size_t size = (size_t)p[0] << 8 | p[1];
    uint32_t later = (uint32_t)p[3] << 8 | p[4];
    if (wide == 3) later = later << 8 | p[5];
    p += 3 + wide;
    len -= 3 + wide;
    if (!size || size > len) {
      s->au_damaged |= s->au_open;
      return;
    }
    at_time(s, p, size, ts + later, lost);
    whole_nal(s, p, size);
    p += size;
    len -= size;
    lost = 0;
  }
}

void nvr_video_packet(nvr_session *s, const uint8_t *p, size_t len, uint32_t ts, int marker, unsigned lost) {
  if (len < 1u + (unsigned)is_h265(s)) return;
  if (!s->began) s->began = s->now;
  if (is_jpeg(s)) {
    nvr_jpeg_packet(s, p, len, ts, marker, lost);
    return;
  }
  if (lost) {
    if (s->au_open) s->au_damaged = 1;
    end_nal(s); /* what has come of it stays: decoders conceal the rest */
  }
  uint8_t type = p[0] & 31;
  if (!is_h265(s) && (type == MTAP16 || type == MTAP24)) {
    if (len > 3) many_times(s, p + 3, len - 3, ts, lost, type == MTAP16 ? 2 : 3);
  } else {
    at_time(s, p, len, ts, lost);
    if (is_h265(s))
      h265(s, p, len);
    else
      h264(s, p, len);
  }
  if (marker && s->au_open && s->au_vcl && !goes_further(s, p, len)) {
    s->any_marker = 1;
    if (!s->bad_marker) nvr_finish_au(s);
  }
}

int nvr_starts_key(const nvr_session *s, const uint8_t *p, size_t len) {
  int h = is_h265(s);
  if (is_jpeg(s)) return nvr_jpeg_starts(p, len);
  if (len < 3) return 0;
  uint8_t type = h ? p[0] >> 1 & 63 : p[0] & 31;
  if (h ? type == FU : type == FU_A || type == FU_B) {
    uint8_t fu = p[h ? 2 : 1], inner = fu & (h ? 63 : 31);
    return fu & 0x80 && (is_key(h, inner) || is_set(h, inner));
  }
  if (h ? type == AP : type >= STAP_A && type <= MTAP24) {
    int don = h ? s->tracks[s->video].setup.order : type != STAP_A;
    size_t at = (h ? 2 : 1) + (don ? 2 : 0), between = h && don ? 1 : 0;
    size_t inside = type < MTAP16 || h ? 0 : type - MTAP16 + 3u; /* order and time before each unit */
    while (at + inside + 3 <= len) {
      uint8_t head = p[at + 2 + inside], inner = h ? head >> 1 & 63 : head & 31;
      if (is_key(h, inner) || is_set(h, inner)) return 1;
      at += 2 + inside + ((size_t)p[at] << 8 | p[at + 1]) + between;
    }
    return 0;
  }
  return is_key(h, type) || is_set(h, type);
}
