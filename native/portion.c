#include <stdlib.h>
#include <string.h>

#include "session_i.h"

enum { ROOM = 64 * 1024, ALONE_S = 2 };

static void empty(nvr_portion *p, int tracks) {
  for (int i = 0; i < tracks; i++) {
    nvr_table_drop(&p->tables[i], p->tables[i].count, 0);
    p->len[i] = 0;
  }
}

void nvr_portion_free(nvr_portion *p) {
  for (int i = 0; i < NVR_TRACKS; i++) {
    free(p->bytes[i]);
    free(p->tables[i].samples);
  }
  memset(p, 0, sizeof *p);
}

/* Add a sample whose bytes are at `data`. */
static int put(nvr_session *s, int i, int64_t dts, nvr_sample sample, const uint8_t *data) {
  nvr_portion *p = &s->portion;
  size_t want = p->len[i] + sample.size;
  if (want > p->cap[i]) {
    size_t cap = (want + want / 2 + ROOM) / ROOM * ROOM;
    uint8_t *grown = realloc(p->bytes[i], cap);
    if (!grown) return nvr_fail(s), -1;
    p->bytes[i] = grown;
    p->cap[i] = cap;
  }
  if (nvr_table_add(&p->tables[i], dts, sample) < 0) return nvr_fail(s), -1;
  memcpy(p->bytes[i] + p->len[i], data, sample.size);
  p->len[i] = want;
  return 0;
}

static int64_t lasts(const nvr_session *s, int i) {
  const nvr_table *t = &s->portion.tables[i];
  return nvr_to_ticks((int64_t)nvr_table_ticks(t, t->count), s->tracks[i].setup.clock_hz);
}

void nvr_portion_cut(nvr_session *s, int force, int ends) {
  nvr_portion *p = &s->portion;
  unsigned counts[NVR_TRACKS], any = 0;
  const uint8_t *data[NVR_TRACKS];
  size_t len;
  for (int i = 0; i < s->count; i++) {
    any |= counts[i] = p->tables[i].count;
    data[i] = p->bytes[i];
  }
  if (!p->most || !any || s->failed) return;
  if (!force && s->video >= 0 && !counts[s->video]) return; /* sound waits for its picture */
  uint8_t *out = nvr_fragment(p->tables, counts, s->count, data, p->len, &len);
  nvr_event *e = out ? nvr_event_add(s, NVR_EVENT_PORTION) : NULL;
  if (!e) {
    free(out);
    nvr_fail(s);
    return;
  }
  e->data = out;
  e->len = len;
  nvr_describe(s, p->tables, e, counts);
  e->ends_gop = ends;
  empty(p, s->count);
}

void nvr_portion_picture(nvr_session *s, size_t end) {
  nvr_portion *p = &s->portion;
  if (!p->most) return;
  const nvr_table *t = &s->tables[s->video];
  const nvr_sample *sample = &t->samples[t->count - 1];
  nvr_table *to = &p->tables[s->video];
  uint32_t hz = s->tracks[s->video].setup.clock_hz;
  to->inter = t->inter;
  /* It may be shown longer than was to be expected when the one before was added. */
  if (to->count && lasts(s, s->video) + nvr_to_ticks(sample->duration, hz) > p->most) nvr_portion_cut(s, 0, 0);
  if (!to->count) to->key = t->count == 1 && t->key; /* every key frame begins a table */
  if (put(s, s->video, t->last_dts, *sample, s->buf->data + end - sample->size) < 0) return;
  if (lasts(s, s->video) + nvr_to_ticks(s->frame, hz) > p->most || p->len[s->video] > NVR_AU_MAX) nvr_portion_cut(s, 0, 0);
}

void nvr_portion_sound(nvr_session *s, int i, int64_t at, nvr_sample sample, const uint8_t *data) {
  nvr_portion *p = &s->portion;
  nvr_table *to = &p->tables[i];
  if (!p->most || p->len[i] + sample.size > NVR_AUDIO_MAX) return;
  if (to->count && at > to->last_dts) to->samples[to->count - 1].duration = (uint32_t)(at - to->last_dts);
  if (put(s, i, at, sample, data) < 0) return;
  int alone = s->video >= 0 && !p->tables[s->video].count && lasts(s, i) > (int64_t)ALONE_S * NVR_TICKS;
  if (alone || (s->video < 0 && lasts(s, i) >= p->most)) nvr_portion_cut(s, 1, 0);
}

/* What the open part has so far, so that the parts before and the portions from here on are all of it. */
static void begin(nvr_session *s) {
  for (int i = 0; i < s->count; i++) {
    const nvr_table *t = &s->tables[i];
    unsigned count = t->count - (unsigned)(i == s->video && s->held);
    const uint8_t *data = i == s->video ? s->buf->data + 8 : s->tracks[i].bytes;
    int64_t at = t->first_dts;
    s->portion.tables[i].inter = t->inter;
    if (count) s->portion.tables[i].key = t->key;
    for (unsigned k = 0; k < count && put(s, i, at, t->samples[k], data) == 0; k++) {
      at += t->samples[k].duration;
      data += t->samples[k].size;
    }
  }
}

void nvr_session_portions(nvr_session *s, int64_t most) {
  int fresh = !s->portion.most;
  if (!most) {
    nvr_portion_free(&s->portion);
    return;
  }
  s->portion.most = most;
  if (fresh && !s->ended) begin(s);
}
