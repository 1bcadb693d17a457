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

/* A camera that goes back to an SPS of another number sends what is known already: it is in use again. */
static void again(nvr_session *s, int at) {
  nvr_set set = s->sets[at];
  int newer = 0;
  for (int i = at + 1; i < s->set_count; i++) newer |= s->sets[i].type == set.type;
  if (!newer) return;
  memmove(&s->sets[at], &s->sets[at + 1], (size_t)(s->set_count - at - 1) * sizeof *s->sets);
  s->sets[s->set_count - 1] = set;
  s->sets_changed = 1;
  nvr_sps sps;
  int h265 = s->tracks[s->video].setup.codec == NVR_H265;
  if ((h265 ? nvr_h265_sps : nvr_h264_sps)(set.nal, set.len, &sps) == 0) learn(s, &sps);
}

void nvr_set_seen(nvr_session *s, const uint8_t *nal, size_t len) {
  if (s->video >= 0 && s->tracks[s->video].setup.codec == NVR_JPEG) {
    nvr_jpeg_size(s, nal, len);
    return;
  }
  if (s->video < 0 || len < 4 || len > NVR_SET_MAX) return;
  int h265 = s->tracks[s->video].setup.codec == NVR_H265;
  uint8_t type = h265 ? nal[0] >> 1 & 63 : nal[0] & 31;
  int is_sps = type == (h265 ? H265_SPS : H264_SPS);
  if (!is_sps && type != (h265 ? H265_PPS : H264_PPS) && !(h265 && type == H265_VPS)) return;
  for (int i = 0; i < s->set_count; i++) {
    if (s->sets[i].len != len || memcmp(s->sets[i].nal, nal, len)) continue;
    if (is_sps) again(s, i);
    return;
  }
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
  if (s->jpeg.width) return 1;
  int h265 = s->tracks[s->video].setup.codec == NVR_H265, vps = !h265, sps = 0, pps = 0;
  for (int i = 0; i < s->set_count; i++) {
    uint8_t type = s->sets[i].type;
    vps |= type == H265_VPS;
    sps |= type == (h265 ? H265_SPS : H264_SPS);
    pps |= type == (h265 ? H265_PPS : H264_PPS);
  }
  return vps && sps && pps;
}

static uint8_t *entry(uint8_t *p, int track, const uint8_t *data, size_t len) {
  *p++ = (uint8_t)track;
  *p++ = (uint8_t)(len >> 8);
  *p++ = (uint8_t)len;
  memcpy(p, data, len);
  return p + len;
}

/* What nvr_event says of a configuration; to be freed, NULL without memory. */
static uint8_t *written(const nvr_session *s, size_t *len) {
  size_t room = 1 + 3 + 4;
  for (int i = 0; i < s->set_count; i++) room += 3u + s->sets[i].len;
  for (int i = 0; i < s->count; i++) room += 3u + s->tracks[i].mux.config_len;
  uint8_t *data = malloc(room), *p = data;
  if (!data) return NULL;
  for (int type = H264_SPS; type <= H265_PPS; type++)
    for (int i = s->set_count - 1; i >= 0; i--) /* the newest first: it is the one in use */
      if (s->sets[i].type == type) p = entry(p, s->video, s->sets[i].nal, s->sets[i].len);
  const uint8_t size[] = {(uint8_t)(s->jpeg.width >> 8), (uint8_t)s->jpeg.width, (uint8_t)(s->jpeg.height >> 8),
                          (uint8_t)s->jpeg.height};
  if (s->jpeg.width) p = entry(p, s->video, size, sizeof size);
  for (int i = 0; i < s->count; i++)
    if (s->tracks[i].mux.known) p = entry(p, i, s->tracks[i].mux.config, s->tracks[i].mux.config_len);
  *len = (size_t)(p - data);
  return data;
}

int nvr_sets_new(nvr_session *s) {
  size_t len;
  if (!s->config) return 1;
  uint8_t *data = written(s, &len);
  if (!data) {
    nvr_fail(s);
    return 0;
  }
  int same = len == s->config_len && !memcmp(data, s->config, len);
  free(data);
  if (same) s->sets_changed = s->mux_changed = 0;
  return !same;
}

void nvr_sets_event(nvr_session *s) {
  nvr_portion_cut(s, 1, 0);
  size_t len;
  uint8_t *data = written(s, &len), *copy = data ? malloc(len + 1) : NULL;
  nvr_event *e = copy ? nvr_event_add(s, NVR_EVENT_CONFIG) : NULL;
  if (!e) {
    free(data);
    free(copy);
    nvr_fail(s);
    return;
  }
  memcpy(copy, data, len);
  e->data = copy;
  e->len = len;
  free(s->config);
  s->config = data;
  s->config_len = len;
  s->sets_changed = s->mux_changed = 0;
  for (int i = 0; i < s->count; i++) s->tracks[i].mux.told = s->tracks[i].mux.known;
}
