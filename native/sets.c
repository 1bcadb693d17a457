/* Parameter sets: what the sample entry needs, kept current while they pass by. */
#include <stdlib.h>
#include <string.h>

#include "session_i.h"
#include "sps.h"

enum { H264_SPS = 7, H264_PPS = 8, H265_VPS = 32, H265_SPS = 33, H265_PPS = 34 };

static uint32_t exp_golomb(const uint8_t *p, size_t len) {
  unsigned zeros = 0, at = 0;
  while (at < len * 8 && !(p[at >> 3] >> (7 - (at & 7)) & 1)) at++, zeros++;
  if (zeros > 16 || (at + zeros) / 8 >= len) return ~0u;
  uint32_t v = 0;
  for (unsigned i = 0; i <= zeros; i++, at++) v = v << 1 | (p[at >> 3] >> (7 - (at & 7)) & 1);
  return v - 1;
}

int nvr_recovery_point(const uint8_t *nal, size_t len) {
  uint8_t raw[256]; /* what comes before it is small: buffering period, timing */
  size_t n = 0, at = 0;
  unsigned zeros = 0;
  for (size_t i = 1; i < len && n < sizeof raw; i++) {
    int escape = zeros >= 2 && nal[i] == 3;
    zeros = nal[i] ? 0 : zeros + 1;
    if (!escape) raw[n++] = nal[i];
  }
  while (at + 2 < n) {
    unsigned type = 0, size = 0;
    while (at < n && raw[at] == 255) type += raw[at++];
    if (at < n) type += raw[at++];
    while (at < n && raw[at] == 255) size += raw[at++];
    if (at < n) size += raw[at++];
    if (type == 6 && at < n) {
      uint32_t count = exp_golomb(raw + at, n - at);
      return count < 65536 ? (int)count : -1;
    }
    at += size;
  }
  return -1;
}

static void learn(nvr_session *s, const nvr_sps *sps) {
  uint32_t hz = s->tracks[s->video].setup.clock_hz;
  if (sps->reorder >= 0) s->dts.reorder = sps->reorder;
  if (sps->frame_90k) s->frame = nvr_to_clock(sps->frame_90k, hz);
  if (s->frame < 1) s->frame = 1;
}

void nvr_set_seen(nvr_session *s, const uint8_t *nal, size_t len) {
  if (s->video < 0 || len < 4 || len > NVR_SET_MAX) return;
  int h265 = s->tracks[s->video].setup.codec == NVR_H265;
  uint8_t type = h265 ? nal[0] >> 1 & 63 : nal[0] & 31;
  int is_sps = type == (h265 ? H265_SPS : H264_SPS);
  if (!is_sps && type != (h265 ? H265_PPS : H264_PPS) && !(h265 && type == H265_VPS)) return;
  for (int i = 0; i < s->set_count; i++)
    if (s->sets[i].len == len && !memcmp(s->sets[i].nal, nal, len)) return;
  nvr_sps sps;
  uint32_t id;
  if (is_sps) {
    if ((h265 ? nvr_h265_sps : nvr_h264_sps)(nal, len, &sps) < 0) return;
    id = sps.id;
  } else if (type == H265_VPS && h265) {
    id = nal[2] >> 4;
  } else {
    id = exp_golomb(nal + (h265 ? 2 : 1), len - (h265 ? 2 : 1));
    if (id > 255) return;
  }
  uint8_t *copy = malloc(len);
  if (!copy) {
    nvr_fail(s);
    return;
  }
  memcpy(copy, nal, len);
  int at = 0, same = -1, of_type = 0;
  for (; at < s->set_count; at++) {
    of_type += s->sets[at].type == type;
    if (s->sets[at].type == type && s->sets[at].id == id) same = at;
  }
  if (same < 0 && (s->set_count == NVR_SETS || of_type == NVR_SETS / 2)) {
    for (int i = s->set_count - 1; i >= 0; i--) /* the oldest of its type makes room, else of all */
      if (s->sets[i].type == type) same = i;
    if (same < 0) same = 0;
  }
  if (same >= 0) {
    free(s->sets[same].nal);
    memmove(&s->sets[same], &s->sets[same + 1], (size_t)(s->set_count - same - 1) * sizeof *s->sets);
    s->set_count--;
  }
  s->sets[s->set_count++] = (nvr_set){copy, (uint16_t)len, type, id};
  s->sets_changed = 1;
  if (is_sps) learn(s, &sps);
}

int nvr_sets_ready(const nvr_session *s) {
  int h265 = s->tracks[s->video].setup.codec == NVR_H265, vps = !h265, sps = 0, pps = 0;
  for (int i = 0; i < s->set_count; i++) {
    uint8_t type = s->sets[i].type;
    vps |= type == H265_VPS;
    sps |= type == (h265 ? H265_SPS : H264_SPS);
    pps |= type == (h265 ? H265_PPS : H264_PPS);
  }
  return vps && sps && pps;
}

void nvr_sets_event(nvr_session *s) {
  size_t len = 0;
  for (int i = 0; i < s->set_count; i++) len += 2u + s->sets[i].len;
  uint8_t *data = malloc(len + 1), *p = data;
  nvr_event *e = data ? nvr_event_add(s, NVR_EVENT_CONFIG) : NULL;
  if (!e) {
    free(data);
    nvr_fail(s);
    return;
  }
  for (int i = s->set_count - 1; i >= 0; i--) { /* the newest first: it is the one in use */
    *p++ = (uint8_t)(s->sets[i].len >> 8);
    *p++ = (uint8_t)s->sets[i].len;
    memcpy(p, s->sets[i].nal, s->sets[i].len);
    p += s->sets[i].len;
  }
  e->data = data;
  e->len = len;
  s->sets_changed = 0;
}
