/* Samples gathered by a session to parts and to fragments for live viewers. */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { ALONE_S = 2 };

static int64_t sound_ticks(const nvr_session *s) {
  int64_t most = 0;
  for (int i = 0; i < s->count; i++) {
    if (i == s->video) continue;
    int64_t ticks = nvr_to_ticks((int64_t)nvr_table_ticks(&s->tables[i], s->tables[i].count), s->tracks[i].setup.clock_hz);
    if (ticks > most) most = ticks;
  }
  return most;
}

void nvr_describe(nvr_session *s, const nvr_table *tables, nvr_event *e, const unsigned *counts) {
  int lead = -1;
  for (int i = 0; i < s->count; i++)
    if (counts[i] && lead < 0) lead = i;
  const nvr_table *t = &tables[lead];
  uint32_t hz = s->tracks[lead].setup.clock_hz;
  e->track = lead;
  e->start = nvr_to_ticks(t->first_dts, hz);
  e->duration = nvr_to_ticks(t->first_dts + (int64_t)nvr_table_ticks(t, counts[lead]), hz) - e->start;
  e->lead = s->lead;
  e->camera_us = !s->replayed ? nvr_camera_us(s, lead, t->first_dts) : lead == s->video ? s->part_us : 0;
  e->key = s->video < 0 || (lead == s->video && (t->key || !t->inter));
  e->samples = counts[lead];
  for (int i = 0; i < s->count; i++)
    for (unsigned k = 0; k < counts[i]; k++) e->damaged += (unsigned)tables[i].samples[k].damaged;
}

static void clear(nvr_session *s, unsigned video_samples, size_t moved) {
  for (int i = 0; i < s->count; i++) {
    nvr_table *t = &s->tables[i];
    if (i == s->video) {
      nvr_table_drop(t, video_samples, t->last_dts);
      s->part_us = s->held_us; /* of what is left, if anything is */
      continue;
    }
    nvr_table_drop(t, t->count, 0);
    nvr_track *track = &s->tracks[i];
    if (track->fill) memmove(track->bytes, track->bytes + track->len, track->fill);
    track->len = track->live_bytes = 0;
    track->live_from = 0;
  }
  if (s->au_open) s->au_start -= moved;
  if (s->nal_at) s->nal_at -= moved;
}

void nvr_emit_part(nvr_session *s, unsigned video_samples, size_t video_end, int ends_gop, int force) {
  unsigned counts[NVR_TRACKS];
  size_t sound = 0;
  int any = 0;
  if (force) nvr_portion_cut(s, !ends_gop, ends_gop);
  for (int i = 0; i < s->count; i++) {
    counts[i] = i == s->video ? video_samples : s->tables[i].count;
    any |= counts[i] != 0;
    sound += s->tracks[i].len;
  }
  if (!any) return;
  /* Without a picture the sound waits for one, but not for ever. */
  if (!force && s->video >= 0 && !video_samples && sound_ticks(s) < (int64_t)ALONE_S * NVR_TICKS) return;
  if (s->watched)
    for (int i = 0; i < s->count; i++) nvr_emit_live_audio(s, i);
  size_t moof_len = nvr_moof_len(s->tables, counts, s->count), tail = s->buf->len - video_end;
  size_t whole = video_end + sound;
  uint8_t *moof = malloc(moof_len);
  nvr_buffer *next = nvr_buffer_take(s->pool, 8 + tail > s->hint ? 8 + tail : s->hint);
  nvr_event *e = moof && next ? nvr_event_add(s, NVR_EVENT_PART) : NULL;
  if (!e) {
    free(moof);
    nvr_buffer_drop(next);
    nvr_fail(s);
    return;
  }
  e->data = moof;
  e->len = moof_len;
  if (tail) memcpy(next->data + 8, s->buf->data + video_end, tail);
  next->len = 8 + tail;
  s->buf->len = video_end;
  if (nvr_buffer_reserve(s->buf, whole) < 0) {
    s->event_count--;
    free(moof);
    nvr_buffer_drop(s->buf);
    s->buf = next;
    nvr_fail(s);
    return;
  }
  uint8_t *p = s->buf->data + video_end;
  for (int i = 0; i < s->count; i++) {
    if (!s->tracks[i].len) continue;
    memcpy(p, s->tracks[i].bytes, s->tracks[i].len);
    p += s->tracks[i].len;
  }
  nvr_put32(s->buf->data, (uint32_t)whole);
  memcpy(s->buf->data + 4, "mdat", 4);
  s->buf->len = whole;
  nvr_moof_write(moof, s->tables, counts, s->count, e->tfdt);
  nvr_describe(s, s->tables, e, counts);
  e->ends_gop = ends_gop;
  e->mdat = s->buf;
  s->buf = next;
  s->hint = whole;
  clear(s, video_samples, video_end - 8);
}

void nvr_session_cut(nvr_session *s) {
  if (s->ended) return;
  size_t end = s->au_open ? s->au_start : s->buf->len;
  unsigned count = 0;
  if (s->video >= 0) {
    const nvr_table *t = &s->tables[s->video];
    count = t->count - (unsigned)s->held;
    if (s->held) end -= t->samples[t->count - 1].size;
  }
  nvr_emit_part(s, count, end, 0, 0);
}

uint8_t *nvr_fragment(const nvr_table *tables, const unsigned *counts, int tracks, const uint8_t *const *data,
                      const size_t *lens, size_t *len) {
  int tfdt[NVR_TRACKS];
  size_t moof_len = nvr_moof_len(tables, counts, tracks), bytes = 8;
  for (int i = 0; i < tracks; i++) bytes += lens[i];
  uint8_t *out = malloc(moof_len + bytes), *p = out;
  if (!out) return NULL;
  nvr_moof_write(out, tables, counts, tracks, tfdt);
  p += moof_len;
  nvr_put32(p, (uint32_t)bytes);
  memcpy(p + 4, "mdat", 4);
  p += 8;
  for (int i = 0; i < tracks; i++) {
    if (!lens[i]) continue;
    memcpy(p, data[i], lens[i]);
    p += lens[i];
  }
  *len = moof_len + bytes;
  return out;
}

/* `count` samples of track `i` from `from` on, whose bytes are at `data`. */
static void live(nvr_session *s, int i, const nvr_table *samples, const uint8_t *data, size_t bytes) {
  nvr_table tables[NVR_TRACKS] = {{0}};
  unsigned counts[NVR_TRACKS] = {0};
  const uint8_t *all[NVR_TRACKS] = {0};
  size_t lens[NVR_TRACKS] = {0}, len;
  tables[i] = *samples;
  counts[i] = samples->count;
  all[i] = data;
  lens[i] = bytes;
  uint8_t *out = nvr_fragment(tables, counts, s->count, all, lens, &len);
  nvr_event *e = out ? nvr_event_add(s, NVR_EVENT_LIVE) : NULL;
  if (!e) {
    free(out);
    nvr_fail(s);
    return;
  }
  e->data = out;
  e->len = len;
  e->track = i;
  e->start = nvr_to_ticks(samples->first_dts, s->tracks[i].setup.clock_hz);
  e->key = s->video < 0 || (samples->key && i == s->video);
}

void nvr_emit_live(nvr_session *s) {
  const nvr_table *t = &s->tables[s->video];
  nvr_sample sample = t->samples[t->count - 1];
  sample.duration = (uint32_t)s->frame;
  nvr_table one = {&sample, 1, 1, s->au_dts, s->au_dts, t->inter, s->au_key};
  live(s, s->video, &one, s->buf->data + s->au_start, sample.size);
}

void nvr_emit_live_audio(nvr_session *s, int i) {
  nvr_track *t = &s->tracks[i];
  const nvr_table *table = &s->tables[i];
  if (i == s->video || t->live_from >= table->count) return;
  int64_t at = table->first_dts + (int64_t)nvr_table_ticks(table, t->live_from);
  unsigned count = table->count - t->live_from;
  nvr_table rest = {table->samples + t->live_from, count, count, at, table->last_dts, 0, 0};
  live(s, i, &rest, t->bytes + t->live_bytes, t->len - t->live_bytes);
  t->live_from = table->count;
  t->live_bytes = t->len;
}

void nvr_session_flush_live(nvr_session *s) {
  if (!s->watched || s->ended) return;
  for (int i = 0; i < s->count; i++) nvr_emit_live_audio(s, i);
}

int nvr_session_watch(nvr_session *s, int on, nvr_event *open) {
  memset(open, 0, sizeof *open);
  s->watched = on;
  if (!on) return 0;
  unsigned counts[NVR_TRACKS] = {0};
  const uint8_t *data[NVR_TRACKS] = {0};
  size_t lens[NVR_TRACKS] = {0};
  int any = 0;
  for (int i = 0; i < s->count; i++) {
    nvr_track *t = &s->tracks[i];
    nvr_table *table = &s->tables[i];
    counts[i] = table->count;
    any |= table->count > 0;
    if (i == s->video) {
      if (s->held) table->samples[table->count - 1].duration = (uint32_t)s->frame;
      data[i] = s->buf->data + 8;
      lens[i] = (size_t)nvr_table_bytes(table, table->count);
    } else {
      data[i] = t->bytes;
      lens[i] = t->len;
      t->live_from = table->count;
      t->live_bytes = t->len;
    }
  }
  if (!any) return 0;
  open->data = nvr_fragment(s->tables, counts, s->count, data, lens, &open->len);
  if (!open->data) return -1;
  nvr_describe(s, s->tables, open, counts);
  return 0;
}
