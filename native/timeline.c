/* Where RTP time lies on the stream's time line, and what sender reports say about it. */
#include <string.h>

#include "relay.h"
#include "session_i.h"

enum { JUMP_S = 10, LATE_S = 2, STOPPED = 8, STAMP_OFF_US = 200000, NTP_TO_UNIX_S = 2208988800u };

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/* The reports of audio and video, if both are there and near what they speak of: how much later than
 * now the audio track should lie, in its clock. */
static int alignment(const nvr_session *s, int i, int64_t *shift) {
  const nvr_track *a = &s->tracks[i], *v = s->video >= 0 && i != s->video ? &s->tracks[s->video] : NULL;
  if (!v || !a->have_sr || !v->have_sr || !v->anchored) return 0;
  int32_t near_a = (int32_t)(a->sr_ts - a->ts), near_v = (int32_t)(v->sr_ts - v->ts);
  int64_t limit_a = (int64_t)JUMP_S * a->setup.clock_hz, limit_v = (int64_t)JUMP_S * v->setup.clock_hz;
  if (near_a > limit_a || near_a < -limit_a || near_v > limit_v || near_v < -limit_v) return 0;
  int64_t video_at = nvr_to_ticks(v->line + near_v, v->setup.clock_hz);
  int64_t apart = (int64_t)(a->ntp - v->ntp); /* 32.32 fixed point */
  if (apart > (int64_t)JUMP_S << 32 || apart < -((int64_t)JUMP_S << 32)) return 0;
  int64_t want = nvr_to_clock(video_at + apart / 65536 * NVR_TICKS / 65536, a->setup.clock_hz);
  *shift = want - (a->line + near_a);
  return *shift < limit_a && *shift > -limit_a;
}

/* The camera's own relation of sound and picture beats arrival. Small errors are left alone: moving
 * the sound costs a gap or a few dropped access units. */
static void align(nvr_session *s, int i) {
  int64_t shift;
  nvr_track *t = &s->tracks[i];
  if (!t->anchored || !alignment(s, i, &shift)) return;
  int64_t tolerated = (int64_t)t->setup.clock_hz * (t->aligned ? 100 : 40) / 1000;
  if (shift > tolerated || shift < -tolerated) t->line += shift;
  t->aligned = 1;
}

static int64_t unix_us(uint64_t ntp) {
  if (ntp >> 32 < NTP_TO_UNIX_S) return 0; /* a camera that counts from its start */
  return (int64_t)((ntp >> 32) - NTP_TO_UNIX_S) * 1000000 + (int64_t)((ntp & 0xFFFFFFFF) * 1000000 >> 32);
}

/* How long after the earliest, by the camera's own time, the pictures of two seconds come. Pictures
 * shown before others that are here already (B-frames) say nothing of it. */
static void measure_lateness(nvr_session *s, int64_t line, int64_t lead) {
  if (s->now - s->late_at >= (int64_t)LATE_S * NVR_TICKS) {
    s->stats.late = s->late;
    s->late = 0;
    s->late_at = s->now;
  }
  if (line <= s->late_line) return;
  s->late_line = line;
  s->late = larger(s->late, s->lead - lead);
}

/* A camera whose time stands still: pictures follow each other at their usual distance, near arrival. */
static void keep_going(nvr_session *s, nvr_track *t, int32_t delta) {
  s->stopped = delta ? 0 : s->stopped + 1;
  if (s->stopped <= STOPPED) return;
  int64_t arrival = nvr_to_clock(s->now + s->shift, t->setup.clock_hz), off = arrival - (t->line + s->frame);
  t->line = off > t->setup.clock_hz / 2 ? arrival : t->line + (off < -(int64_t)t->setup.clock_hz / 2 ? 1 : s->frame);
}

int nvr_place(nvr_session *s, int i, uint32_t ts) {
  nvr_track *t = &s->tracks[i];
  int32_t delta = (int32_t)(ts - t->ts);
  int64_t hz = t->setup.clock_hz;
  int video = i == s->video, anew = !t->anchored || delta > JUMP_S * hz || delta < -hz;
  if (!anew && video && delta < 0) {
    /* Shown before pictures already here: B-frames, as long as it is before only a few. */
    int most = s->dts.reorder > 4 ? s->dts.reorder : 4;
    anew = nvr_dts_later(&s->dts, t->line + delta) > most;
  }
  if (anew) {
    int64_t floor = t->floor + (video ? s->dts.reorder * s->frame : 0);
    if (t->anchored) t->have_sr = t->aligned = 0;
    t->line = larger(nvr_to_clock(s->now + (video ? 0 : s->shift), t->setup.clock_hz), floor);
    t->ts = ts;
    t->anchored = 1;
    if (video || s->video < 0) {
      s->shift = nvr_to_ticks(t->line, t->setup.clock_hz) - s->now;
      s->lead = s->lead_next = s->shift;
      s->lead_at = s->now;
      s->late = 0;
      s->late_at = s->now;
      s->late_line = t->line;
      s->stats.anchors++;
      s->stats.lead = s->stats.lead_at = 0;
    }
    if (!video) align(s, i);
  } else {
    t->line += delta;
    t->ts = ts;
    if (video) keep_going(s, t, delta);
  }
  if (video || s->video < 0) {
    int64_t lead = nvr_to_ticks(t->line, t->setup.clock_hz) - s->now;
    if (s->now - s->lead_at > JUMP_S * NVR_TICKS) {
      s->stats.lead = s->lead = s->lead_next;
      s->lead_next = lead;
      s->stats.lead_at = s->lead_at = s->now;
    }
    s->lead_next = larger(s->lead_next, lead);
    s->lead = larger(s->lead, lead);
    measure_lateness(s, t->line, lead);
  }
  return anew;
}

void nvr_report(nvr_session *s, int i, const uint8_t *p, size_t len) {
  nvr_track *t = &s->tracks[i];
  while (len >= 8) {
    size_t size = ((size_t)p[2] << 8 | p[3]) * 4 + 4;
    if (p[0] >> 6 != 2 || size > len) return;
    if (p[1] == 200 && size >= 28) {
      t->ntp = 0;
      for (int k = 8; k < 16; k++) t->ntp = t->ntp << 8 | p[k];
      t->sr_ts = (uint32_t)p[16] << 24 | (uint32_t)p[17] << 16 | (uint32_t)p[18] << 8 | p[19];
      t->have_sr = t->ntp != 0; /* 0: the sender has no clock */
      if (i == s->video || s->video < 0) {
        s->stats.ntp_us = unix_us(t->ntp);
        s->stats.ntp_at = s->now;
      }
      t->receipt.sent = (uint32_t)(t->ntp >> 16);
      t->receipt.sent_at = s->now;
      if (t->have_sr)
        for (int r = 0; r < s->relay_count; r++) nvr_relay_sync(s->relays[r], i, t->sr_ts, t->ntp);
      for (int k = 0; k < s->count; k++)
        if (k == i || i == s->video) align(s, k);
    }
    p += size;
    len -= size;
  }
}

/* ONVIF Streaming Specification, 6.3: 0xABAC, 3 words: NTP time(64), C E D T mbz..., CSeq, padding. Of
 * pictures it is kept, for their parts say when they were taken; sound only lies where it belongs. */
void nvr_stamp(nvr_session *s, int i, const uint8_t *p, size_t len, uint32_t ts) {
  if (len < 16 || p[0] != 0xAB || p[1] != 0xAC) return;
  uint64_t ntp = 0;
  for (int k = 4; k < 12; k++) ntp = ntp << 8 | p[k];
  int64_t us = unix_us(ntp);
  if (us <= 0) return;
  if (i == s->video) {
    s->stamped = 1;
    s->stamp_ts = ts;
    s->stamp_us = s->stats.ntp_us = us;
    s->stats.replayed |= p[12] >> 4 & 1;
  }
  int64_t since = us - s->replay_us, most = (int64_t)1 << 38; /* three days: no replay lasts longer */
  if (since < most && since > -most) s->now = s->replay_at + since * 9 / 100;
}

int nvr_stamped(nvr_session *s, uint32_t ts, int anew) {
  if (!s->stamped) return 1;
  int64_t hz = s->tracks[s->video].setup.clock_hz, before = s->au_us;
  int64_t us = s->stamp_us + (int64_t)(int32_t)(ts - s->stamp_ts) * 1000000 / hz;
  us += (s->au_dts - s->au_pts) * 1000000 / hz;
  int64_t step = (s->au_dts - s->tables[s->video].last_dts) * 1000000 / hz;
  s->au_us = us;
  int64_t off = us - before - step;
  return anew || !s->tables[s->video].count || (off < STAMP_OFF_US && off > -STAMP_OFF_US);
}

int64_t nvr_camera_us(const nvr_session *s, int i, int64_t at) {
  const nvr_track *t = &s->tracks[i];
  int64_t us = unix_us(t->ntp);
  if (!t->have_sr || !t->anchored || !us) return 0;
  int64_t from = at - (t->line + (int32_t)(t->sr_ts - t->ts));
  return us + from / t->setup.clock_hz * 1000000 + from % t->setup.clock_hz * 1000000 / t->setup.clock_hz;
}
