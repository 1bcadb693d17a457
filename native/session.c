#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "relay.h"
#include "session_i.h"

int64_t nvr_to_clock(int64_t ticks, uint32_t hz) {
  return hz == NVR_TICKS ? ticks : ticks / NVR_TICKS * hz + ticks % NVR_TICKS * hz / NVR_TICKS;
}

int64_t nvr_to_ticks(int64_t t, uint32_t hz) {
  return hz == NVR_TICKS ? t : t / hz * NVR_TICKS + t % hz * NVR_TICKS / hz;
}

nvr_session *nvr_session_new(nvr_pool *pool, const nvr_track_setup *tracks, int count) {
  nvr_session *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->pool = pool;
  s->count = count;
  s->video = -1;
  for (int i = 0; i < count; i++) {
    s->tracks[i].setup = tracks[i];
    s->tracks[i].floor = tracks[i].floor;
    s->tracks[i].mux.in_band = 1;
    if (nvr_is_video(tracks[i].codec)) {
      s->video = i;
      s->tables[i].inter = tracks[i].codec != NVR_JPEG;
      s->dts.reorder = tracks[i].reorder;
      s->frame = tracks[i].clock_hz / 25;
    }
  }
  s->hint = 64 * 1024;
  s->buf = nvr_buffer_take(pool, s->hint);
  if (!s->buf) {
    free(s);
    return NULL;
  }
  s->buf->len = 8;
  if (s->video < 0) nvr_sets_event(s);
  return s;
}

void nvr_session_free(nvr_session *s) {
  nvr_session_forget_events(s);
  free(s->events);
  for (int i = 0; i < s->count; i++) {
    free(s->tables[i].samples);
    free(s->tracks[i].bytes);
    free(s->tracks[i].mux.pending);
  }
  for (int i = 0; i < s->set_count; i++) free(s->sets[i].nal);
  free(s->jpeg.kept);
  free(s->config);
  free(s->pending);
  nvr_buffer_drop(s->buf);
  nvr_portion_free(&s->portion);
  free(s);
}

void nvr_session_set(nvr_session *s, const uint8_t *nal, size_t len) { nvr_set_seen(s, nal, len); }

int nvr_session_replay(nvr_session *s, int64_t us, int64_t at) {
  if (s->video < 0) return -1;
  s->replayed = 1;
  s->replay_us = us;
  s->now = s->replay_at = at;
  return 0;
}

/* When bytes came; of a replay its stamps say where on the line they belong. */
static void come(nvr_session *s, int64_t now) {
  if (!s->replayed) s->now = now;
}

void nvr_fail(nvr_session *s) { s->failed = 1; }

nvr_event *nvr_event_add(nvr_session *s, int kind) {
  if (s->event_count == s->event_cap) {
    size_t cap = s->event_cap ? s->event_cap * 2 : 8;
    nvr_event *grown = realloc(s->events, cap * sizeof *grown);
    if (!grown) {
      nvr_fail(s);
      return NULL;
    }
    s->events = grown;
    s->event_cap = cap;
  }
  nvr_event *e = &s->events[s->event_count++];
  memset(e, 0, sizeof *e);
  e->kind = kind;
  return e;
}

const nvr_event *nvr_session_events(nvr_session *s, size_t *count) {
  *count = s->event_count;
  return s->events;
}

void nvr_session_forget_events(nvr_session *s) {
  for (size_t i = 0; i < s->event_count; i++) {
    free(s->events[i].data);
    nvr_buffer_drop(s->events[i].mdat);
  }
  s->event_count = 0;
}

const nvr_stats *nvr_session_stats(const nvr_session *s) { return &s->stats; }
nvr_stats *nvr_session_counts(nvr_session *s) { return &s->stats; }
int nvr_session_ended(const nvr_session *s) { return s->ended; }
int64_t nvr_session_floor(const nvr_session *s, int i) { return s->tracks[i].floor; }
int nvr_session_reorder(const nvr_session *s) { return s->dts.reorder; }
size_t nvr_session_pending(const nvr_session *s) { return s->pending_len; }

void nvr_session_relays(nvr_session *s, struct nvr_relay *const *relays, int count) {
  s->relay_count = count;
  for (int i = 0; i < count; i++) s->relays[i] = relays[i];
}

void nvr_relay_units(nvr_session *s, int i, const uint8_t *data, size_t len, int64_t dts, int64_t pts, int key) {
  for (int r = 0; r < s->relay_count; r++) nvr_relay_unit(s->relays[r], i, data, len, dts, pts, key);
}

void nvr_session_end(nvr_session *s, int error) {
  if (s->ended) return;
  s->ended = 1;
  if (s->au_open) {
    /* Without a marker a complete picture can't be told from half of one; a camera that never sets
     * it would lose its last picture each time, so that one is believed. */
    if ((s->bad_marker || !s->any_marker) && !s->nal_at) nvr_finish_au(s);
    if (s->au_open) s->buf->len = s->au_start;
    s->au_open = 0;
    s->nal_at = 0;
  }
  if (s->held) {
    nvr_table *t = &s->tables[s->video];
    t->samples[t->count - 1].duration = (uint32_t)(s->tracks[s->video].floor - t->last_dts);
    s->held = 0;
    nvr_portion_picture(s, s->buf->len);
  }
  unsigned count = s->video >= 0 ? s->tables[s->video].count : 0;
  if (!s->failed) nvr_emit_part(s, count, s->buf->len, 0, 1);
  nvr_event *e = nvr_event_add(s, NVR_EVENT_CLOSED);
  if (e) e->error = s->failed ? ENOMEM : error;
}

/* RTP */

static unsigned gap(nvr_session *s, nvr_track *t, uint16_t seq, int *drop) {
  uint16_t ahead = (uint16_t)(seq - t->seq);
  *drop = 0;
  if (!t->have_seq || !ahead) {
    t->have_seq = 1;
    t->seq = (uint16_t)(seq + 1);
    t->bad_seq = -1;
    return 0;
  }
  /* Far off, in either direction: a restart if the next packet follows on (RFC 3550, A.1). */
  int far = ahead >= 3000 && ahead < 65536 - 100;
  if (ahead >= 0x8000 || far) {
    if (far && t->bad_seq == seq) {
      t->seq = (uint16_t)(seq + 1);
      t->bad_seq = -1;
      nvr_receipt_restart(&t->receipt);
      s->stats.lost++;
      return 1;
    }
    t->bad_seq = (uint16_t)(seq + 1);
    s->stats.reordered += !far;
    *drop = 1;
    return 0;
  }
  t->seq = (uint16_t)(seq + 1);
  t->bad_seq = -1;
  s->stats.lost += ahead;
  return ahead;
}

static void rtp(nvr_session *s, int i, const uint8_t *p, size_t len) {
  nvr_track *t = &s->tracks[i];
  if (len < 12 || p[0] >> 6 != 2 || (p[1] & 127) != t->setup.payload_type) {
    s->stats.other++;
    return;
  }
  size_t head = 12 + (size_t)(p[0] & 15) * 4, end = len, extension = 0;
  if (p[0] & 0x10) {
    if (head + 4 > len) goto bad;
    extension = head;
    head += 4 + ((size_t)p[head + 2] << 8 | p[head + 3]) * 4;
  }
  if (p[0] & 0x20) {
    if (!p[len - 1] || p[len - 1] > len) goto bad;
    end = len - p[len - 1];
  }
  if (head > end) goto bad;
  uint32_t ssrc = (uint32_t)p[8] << 24 | (uint32_t)p[9] << 16 | (uint32_t)p[10] << 8 | p[11];
  if (t->have_ssrc && ssrc != t->ssrc) { /* the sender began anew: neither numbers nor time go on */
    t->have_seq = 0;
    t->have_sr = t->aligned = 0;
    t->anchored = 0;
    nvr_receipt_restart(&t->receipt);
  }
  t->ssrc = ssrc;
  t->have_ssrc = 1;
  int drop;
  unsigned lost = gap(s, t, (uint16_t)(p[2] << 8 | p[3]), &drop);
  if (drop) goto bad;
  nvr_receipt_packet(&t->receipt, (uint16_t)(p[2] << 8 | p[3]));
  s->stats.packets++;
  s->junk = 0;
  s->stats.sound += i != s->video;
  s->stats.last_packet = s->now;
  uint32_t ts = (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7];
  if (s->replayed && p[0] & 0x10) {
    size_t at = 12 + (size_t)(p[0] & 15) * 4;
    nvr_stamp(s, i, p + at, head - at, ts);
  }
  if (s->relay_count) {
    int key = 0;
    if (i == s->video) {
      if (ts != s->relay_ts) s->relay_keyed = 0;
      s->relay_ts = ts;
      key = !s->relay_keyed && nvr_starts_key(s, p + head, end - head);
      s->relay_keyed |= key;
    }
    for (int r = 0; r < s->relay_count; r++) nvr_relay_packet(s->relays[r], i, p, len, key);
  }
  if (extension && t->setup.codec == NVR_JPEG)
    nvr_jpeg_extension(s, (unsigned)p[extension] << 8 | p[extension + 1], p + extension + 4, head - extension - 4, ts);
  if (i == s->video)
    nvr_video_packet(s, p + head, end - head, ts, p[1] >> 7, lost);
  else
    nvr_audio_packet(s, i, p + head, end - head, ts, p[1] >> 7, lost);
  return;
bad:
  s->stats.other++;
}

static void frame(nvr_session *s, unsigned channel, const uint8_t *p, size_t len) {
  for (int i = 0; i < s->count; i++) {
    if (channel == s->tracks[i].setup.channel) {
      rtp(s, i, p, len);
      return;
    }
    if (channel == s->tracks[i].setup.channel + 1u) {
      nvr_report(s, i, p, len);
      return;
    }
  }
  /* A server that speaks of other channels than it sends on is known by its payload type. */
  for (int i = 0; i < s->count && channel < 255 && len >= 12 && p[0] >> 6 == 2; i++) {
    nvr_track *t = &s->tracks[i];
    if (t->have_ssrc || (p[1] & 127) != t->setup.payload_type) continue;
    t->setup.channel = (uint8_t)channel;
    rtp(s, i, p, len);
    return;
  }
  s->stats.other++;
}

void nvr_session_rtp(nvr_session *s, int i, const uint8_t *p, size_t len, int64_t now) {
  if (s->ended) return;
  come(s, now);
  s->stats.bytes_in += len;
  rtp(s, i, p, len);
  if (s->failed) nvr_session_end(s, ENOMEM);
}

void nvr_session_rtcp(nvr_session *s, int i, const uint8_t *p, size_t len, int64_t now) {
  if (s->ended) return;
  come(s, now);
  s->stats.bytes_in += len;
  nvr_report(s, i, p, len);
}

void nvr_session_arrival(nvr_session *s, int i, uint32_t ts, int64_t at) {
  nvr_track *t = &s->tracks[i];
  nvr_receipt_arrival(&t->receipt, ts, (uint32_t)nvr_to_clock(at, t->setup.clock_hz));
  if (!i) s->stats.jitter_us = (uint32_t)((uint64_t)(t->receipt.jitter >> 4) * 1000000 / t->setup.clock_hz);
}

size_t nvr_session_receipt(nvr_session *s, int i, uint8_t *out, int64_t now) {
  nvr_track *t = &s->tracks[i];
  if (!t->receipt.started) return 0;
  while (!s->ours)
    if (getrandom(&s->ours, sizeof s->ours, GRND_NONBLOCK) != sizeof s->ours) s->ours = 0x6E7672;
  nvr_receipt_write(&t->receipt, s->ours, t->ssrc, now, out);
  return NVR_REPORT_BYTES;
}

const nvr_track_setup *nvr_session_track(const nvr_session *s, int i, int *count) {
  *count = s->count;
  return &s->tracks[i].setup;
}

/* RTSP text */

/* Value of Content-Length in a head of `len` bytes, 0 without one, -1 if unusable. */
static long body_length(const uint8_t *p, size_t len) {
  static const char name[] = "content-length:";
  for (size_t at = 0; at + sizeof name < len; at++) {
    if (p[at] != '\n' || strncasecmp((const char *)p + at + 1, name, sizeof name - 1)) continue;
    at += sizeof name;
    while (at < len && (p[at] == ' ' || p[at] == '\t')) at++;
    long n = 0;
    size_t digits = 0;
    for (; at < len && p[at] >= '0' && p[at] <= '9'; at++, digits++) {
      n = n * 10 + (p[at] - '0');
      if (n > NVR_TEXT_MAX) return -1;
    }
    return digits ? n : -1;
  }
  return 0;
}

/* Length of the message at `p`, 0 if it is not complete yet, -1 if it can't be one. */
static long message_length(const uint8_t *p, size_t len) {
  for (size_t i = 0; i < len && i < 32 && p[i] != '\r' && p[i] != '\n'; i++)
    if (p[i] < 32 || p[i] > 126 || (i == 0 && (p[i] < 'A' || p[i] > 'Z'))) return -1;
  const uint8_t *end = p + (len < NVR_TEXT_MAX ? len : NVR_TEXT_MAX), *at = p;
  while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
    size_t head = (size_t)(++at - p);
    if ((head < 4 || memcmp(at - 4, "\r\n\r\n", 4)) && (head < 2 || at[-2] != '\n')) continue;
    long body = body_length(p, head), whole = (long)head + body;
    if (body < 0 || whole > NVR_TEXT_MAX) return -1;
    return (size_t)whole <= len ? whole : 0;
  }
  return len >= NVR_TEXT_MAX ? -1 : 0;
}

static void message(nvr_session *s, const uint8_t *p, size_t len) {
  uint8_t *copy = malloc(len);
  nvr_event *e = copy ? nvr_event_add(s, NVR_EVENT_MESSAGE) : NULL;
  if (!e) {
    free(copy);
    nvr_fail(s);
    return;
  }
  memcpy(copy, p, len);
  e->data = copy;
  e->len = len;
}

/* Does a frame or message surely begin at `p`? -1 if that takes more bytes to say. */
static int begins(const nvr_session *s, const uint8_t *p, size_t len) {
  static const char *const words[] = {"RTSP/1.", "OPTIONS rtsp", "GET_PARAMETER rtsp", "SET_PARAMETER rtsp",
                                      "TEARDOWN rtsp", "REDIRECT rtsp", "ANNOUNCE rtsp"};
  if (p[0] != '$') {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
      size_t n = strlen(words[i]);
      if (!memcmp(p, words[i], len < n ? len : n)) return len < n ? -1 : 1;
    }
    return 0;
  }
  if (len < 16) return -1;
  for (int i = 0; i < s->count; i++) {
    const nvr_track *t = &s->tracks[i];
    uint32_t ssrc = (uint32_t)p[12] << 24 | (uint32_t)p[13] << 16 | (uint32_t)p[14] << 8 | p[15];
    if (p[4] >> 6 != 2) return 0;
    if (p[1] == t->setup.channel) return (p[5] & 127) == t->setup.payload_type && t->have_ssrc && ssrc == t->ssrc;
    if (p[1] == t->setup.channel + 1u) return p[5] >= 200 && p[5] <= 207;
  }
  return 0;
}

/* Bytes of whole frames and messages at the start of `p`. Between them, once packets have come, up to
 * NVR_JUNK_MAX bytes of something else are passed over: some cameras lie about the length of a frame,
 * or write into their own stream. */
static size_t parse(nvr_session *s, const uint8_t *p, size_t len) {
  size_t at = 0;
  while (at < len && !s->ended && !s->failed) {
    if (s->astray) {
      int found = begins(s, p + at, len - at);
      if (found < 0) break;
      if (!found && ++s->junk > NVR_JUNK_MAX) nvr_session_end(s, NVR_CLOSED_GARBAGE);
      s->astray = !found;
      at += (size_t)!found;
    } else if (p[at] == '$') {
      if (len - at < 4) break;
      size_t size = (size_t)p[at + 2] << 8 | p[at + 3];
      if (len - at < 4 + size) break;
      frame(s, p[at + 1], p + at + 4, size);
      at += 4 + size;
    } else if (p[at] == '\r' || p[at] == '\n') {
      at++; /* between messages; RFC 2326, 4.1 asks us to bear it */
    } else {
      long size = message_length(p + at, len - at);
      if (!size) break;
      if (size < 0 && !s->stats.packets) nvr_session_end(s, NVR_CLOSED_GARBAGE);
      if (size < 0) {
        s->astray = 1; /* beyond where it seemed to begin, or it would be tried again for ever */
        s->stats.other++;
        s->junk++;
        at++;
        continue;
      }
      message(s, p + at, (size_t)size);
      at += (size_t)size;
    }
  }
  if (s->failed) nvr_session_end(s, ENOMEM);
  return s->ended ? len : at;
}

static int keep(nvr_session *s, const uint8_t *p, size_t len) {
  if (len > s->pending_cap) {
    size_t cap = (len + 2047) / 2048 * 2048;
    uint8_t *grown = realloc(s->pending, cap);
    if (!grown) return -1;
    s->pending = grown;
    s->pending_cap = cap;
  }
  memmove(s->pending, p, len);
  s->pending_len = len;
  return 0;
}

void nvr_session_feed_in_place(nvr_session *s, uint8_t *p, size_t len, int64_t now) {
  if (s->ended) return;
  come(s, now);
  s->stats.bytes_in += len;
  p -= s->pending_len;
  len += s->pending_len;
  if (s->pending_len) memcpy(p, s->pending, s->pending_len);
  s->pending_len = 0;
  size_t used = parse(s, p, len);
  if (len > used && keep(s, p + used, len - used) < 0) nvr_fail(s), nvr_session_end(s, ENOMEM);
}

void nvr_session_feed(nvr_session *s, const uint8_t *p, size_t len, int64_t now) {
  if (s->ended) return;
  come(s, now);
  s->stats.bytes_in += len;
  size_t used = 0;
  if (!s->pending_len) {
    used = parse(s, p, len);
    p += used;
    len -= used;
    if (len && keep(s, p, len) < 0) nvr_fail(s), nvr_session_end(s, ENOMEM);
    return;
  }
  size_t before = s->pending_len;
  if (before + len > s->pending_cap) {
    uint8_t *grown = realloc(s->pending, before + len);
    if (!grown) {
      nvr_fail(s);
      nvr_session_end(s, ENOMEM);
      return;
    }
    s->pending = grown;
    s->pending_cap = before + len;
  }
  memcpy(s->pending + before, p, len);
  used = parse(s, s->pending, before + len);
  s->pending_len = before + len - used;
  memmove(s->pending, s->pending + used, s->pending_len);
  if (s->pending_cap > 4 * NVR_PENDING_MAX && s->pending_len <= 2048) {
    uint8_t *shrunk = realloc(s->pending, 2048);
    if (shrunk) s->pending = shrunk, s->pending_cap = 2048;
  }
}
