/* A program stream made of anything: what is measured is what is written, and every packet of it says its
 * own length. */
#include <stdio.h>
#include <stdlib.h>

#include "ps.h"
#include "take.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
  uint8_t *data;
  size_t len, room;
} sink;

static void fault(const char *what) {
  fprintf(stderr, "%s\n", what);
  abort();
}

static void put(void *to, const uint8_t *p, size_t len) {
  sink *s = to;
  if (len > s->room - s->len) fault("more than was measured");
  memcpy(s->data + s->len, p, len);
  s->len += len;
}

static void check(const sink *s) {
  if (s->len != s->room) fault("less than was measured");
  for (size_t at = 14; at < s->len;) {
    if (s->len - at < 6 || s->data[at] || s->data[at + 1] || s->data[at + 2] != 1) fault("a packet that is none");
    at += 6 + ((size_t)s->data[at + 4] << 8 | s->data[at + 5]);
    if (at > s->len) fault("a packet that goes on beyond its pack");
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, data + size};
  nvr_ps_track tracks[NVR_PS_TRACKS] = {0};
  uint8_t sets[NVR_PS_TRACKS][64];
  int count = 1 + take8(&b) % NVR_PS_TRACKS;
  for (int i = 0; i < count; i++) {
    nvr_ps_track *t = &tracks[i];
    t->kind = take8(&b) % (NVR_PS_H265 + 1);
    t->stream_id = (uint8_t)(0xC0 | take8(&b));
    t->stream_type = take8(&b);
    take(&b, t->adts, sizeof t->adts);
    t->sets_len = take8(&b) % sizeof sets[i];
    take(&b, sets[i], t->sets_len);
    t->sets = sets[i];
  }
  nvr_ps *ps = nvr_ps_new(tracks, count, (uint32_t)take32(&b) & 0x3FFFFF, take8(&b));
  while (ps && b.at < b.end) {
    int track = take8(&b) % (count + 1), starts = take8(&b) & 1;
    int64_t dts = (int64_t)take32(&b) * (1ll << (take8(&b) % 32)), pts = dts + take32(&b);
    size_t len = (size_t)take8(&b) << (take8(&b) % 10);
    uint8_t *unit = calloc(1, len ? len : 1);
    if (!unit) break;
    take(&b, unit, len);
    nvr_ps_unit u;
    sink s = {NULL, 0, nvr_ps_measure(ps, &u, track, unit, len, dts, pts, starts)};
    s.data = malloc(s.room ? s.room : 1);
    if (s.data && s.room) {
      nvr_ps_write(ps, &u, put, &s);
      check(&s);
    }
    free(s.data);
    free(unit);
  }
  nvr_ps_free(ps);
  return 0;
}
