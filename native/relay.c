#define _GNU_SOURCE
#include "relay_i.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define REPORT 48          /* SR without blocks (28) and SDES with CNAME "nvr" (20) */
#define NTP_UNIX 2208988800u
#define JUMP_S 10          /* a timestamp further than this from its arrival is a jump */
#define SLEW_S 0.001       /* correction per report for a camera clock that drifts */

static double unix_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

uint8_t *nvr_relay_room(nvr_relay *r, size_t len) {
  if (!r->tick) {
    r->tick = chunk_new(r->hint > len ? r->hint : len);
    if (!r->tick) return NULL;
    r->tick->at_s = now_s();
    r->tick->before = r->video_ts;
    r->tick->has_before = r->has_video_ts;
  } else if (r->tick->room - r->tick->len < len) {
    size_t room = r->tick->room * 2 > r->tick->len + len ? r->tick->room * 2 : r->tick->len + len;
    chunk *grown = realloc(r->tick, sizeof *grown + room);
    if (!grown) return NULL;
    grown->room = room;
    r->tick = grown;
  }
  uint8_t *p = r->tick->data + r->tick->len;
  r->tick->len += len;
  return p;
}

static uint32_t time_at(const track *t, double now) {
  return t->is.timestamp + (uint32_t)(int64_t)((now - t->origin_s) * t->is.clock_hz);
}

static void anchor(nvr_relay *r, track *t, uint32_t ssrc, uint16_t seq, uint32_t ts, double now) {
  uint32_t ours = time_at(t, now);
  /* Never back: a run that was shorter than its own buffering would overlap the next one. */
  if (t->has_sequence && (int32_t)(ours - t->last_ts) <= 0) ours = t->last_ts + 1;
  t->shift = ours - ts;
  t->seq_shift = (uint16_t)((t->has_sequence ? t->last_seq + 1 : t->is.sequence) - seq);
  t->ssrc_in = ssrc;
  t->seq_in = (uint16_t)(seq - 1);
  t->anchored = 1;
  t->has_sequence = 1;
  t->synced = 0;
  t->skew_s = 0;
  t->last_seq = (uint16_t)(seq - 1 + t->seq_shift);
  t->last_ts = ours;
  r->report_due = 1;
}

int nvr_relay_packet(nvr_relay *r, int index, const uint8_t *rtp, size_t len, int starts_key) {
  if (r->ps) return 0;
  if (index < 0 || index >= r->count || len < RTP_HEADER || len > 65535 || rtp[0] >> 6 != 2) return -1;
  track *t = &r->t[index];
  if (t->is.channel < 0) return 0;
  uint16_t seq = (uint16_t)(rtp[2] << 8 | rtp[3]);
  uint32_t ts = get32(rtp + 4), ssrc = get32(rtp + 8);
  double now = now_s();
  int32_t late = (int32_t)(time_at(t, now) - (ts + t->shift));
  int32_t jump = JUMP_S * (int32_t)t->is.clock_hz;
  if (!t->anchored || ssrc != t->ssrc_in || late > jump || late < -jump) {
    anchor(r, t, ssrc, seq, ts, now);
    late = 0;
  }
  uint16_t our_seq = (uint16_t)(seq + t->seq_shift);
  uint32_t our_ts = ts + t->shift;
  if ((int16_t)(seq - t->seq_in) > 0) {
    t->seq_in = seq;
    t->last_seq = our_seq;
  }
  if ((int32_t)(our_ts - t->last_ts) > 0) t->last_ts = our_ts;
  t->packets++;
  t->octets += (uint32_t)(len - RTP_HEADER);
  int video = index == r->video;
  if (video) {
    double late_s = (double)late / t->is.clock_hz;
    if (!r->has_early || late_s < r->early_s) r->early_s = late_s;
    r->has_early = 1;
  }
  if (atomic_load_explicit(&r->readers, memory_order_relaxed) > 0) {
    uint8_t *p = nvr_relay_room(r, FRAME + len);
    if (!p) return 0; /* counted as loss by the readers' own sequence check */
    /* A delimiter may come before the parameter sets, so the flag counts wherever it stands in the
     * access unit; who feeds us sets it once a unit. */
    if ((r->video < 0 || (video && starts_key)) && r->tick->key < 0) r->tick->key = p - r->tick->data;
    p[0] = '$';
    p[1] = (uint8_t)t->is.channel;
    put16(p + 2, (uint16_t)len);
    memcpy(p + FRAME, rtp, len);
    p[FRAME + 1] = (uint8_t)((rtp[1] & 0x80) | t->is.payload_type);
    put16(p + FRAME + 2, our_seq);
    put32(p + FRAME + 4, our_ts);
    put32(p + FRAME + 8, t->is.ssrc);
    r->whole |= video && rtp[1] >> 7;
  }
  if (video) {
    r->video_ts = our_ts;
    r->has_video_ts = 1;
  }
  return 0;
}

void nvr_relay_sync(nvr_relay *r, int index, uint32_t timestamp, uint64_t ntp) {
  if (index < 0 || index >= r->count) return;
  track *t = &r->t[index], *lead = &r->t[r->video < 0 ? 0 : r->video];
  /* Take the camera's relation once per run and track: a report that moves a track's clock moves
   * its samples too, and readers notice. The video track is the reference. */
  if (!t->anchored || t->synced) return;
  double now = now_s();
  t->sync_s = now - (double)(int32_t)(time_at(t, now) - (timestamp + t->shift)) / t->is.clock_hz;
  t->sync_ntp_s = (double)(ntp >> 32) + (double)(uint32_t)ntp / 4294967296.0;
  t->synced = 1;
  if (!lead->synced) return;
  for (int i = 0; i < r->count; i++) {
    t = &r->t[i];
    if (t == lead || t->synced != 1) continue;
    double skew = t->sync_ntp_s - lead->sync_ntp_s - (t->sync_s - lead->sync_s);
    if (skew > -JUMP_S && skew < JUMP_S) { /* a camera whose clock stepped between the two */
      t->skew_s = skew;
      r->report_due = 1;
    }
    t->synced = 2;
  }
}

static void put_report(nvr_relay *r, track *t, double now, uint8_t *p) {
  double unix_time = r->wall_s + now + t->skew_s;
  uint32_t seconds = (uint32_t)(uint64_t)unix_time;
  static const uint8_t cname[] = {1, 3, 'n', 'v', 'r', 0, 0, 0, 0, 0, 0, 0};
  p[0] = '$';
  p[1] = (uint8_t)(t->is.channel + 1);
  put16(p + 2, REPORT);
  p += FRAME;
  p[0] = 0x80, p[1] = 200;
  put16(p + 2, 6);
  put32(p + 4, t->is.ssrc);
  put32(p + 8, seconds + NTP_UNIX);
  put32(p + 12, (uint32_t)((unix_time - (double)(uint64_t)unix_time) * 4294967296.0));
  put32(p + 16, time_at(t, now));
  put32(p + 20, t->packets);
  put32(p + 24, t->octets);
  p += 28;
  p[0] = 0x81, p[1] = 202;
  put16(p + 2, 4);
  put32(p + 4, t->is.ssrc);
  memcpy(p + 8, cname, sizeof cname);
}

static size_t put_reports(nvr_relay *r, double now, uint8_t *p) {
  size_t len = 0;
  for (int i = 0; i < r->count; i++)
    if (r->t[i].is.channel >= 0 && r->t[i].anchored) {
      put_report(r, &r->t[i], now, p + len);
      len += FRAME + REPORT;
    }
  return len;
}

/* The camera's crystal is not ours: follow it, slowly, so that sender reports stay true. */
static void follow_drift(nvr_relay *r) {
  if (!r->has_early) return;
  if (!r->has_lateness) {
    r->lateness_s = r->early_s;
    r->has_lateness = 1;
  } else {
    double off = r->early_s - r->lateness_s;
    double step = off > SLEW_S ? SLEW_S : off < -SLEW_S ? -SLEW_S : off;
    for (int i = 0; i < r->count; i++) r->t[i].origin_s += step;
  }
  r->has_early = 0;
}

int nvr_relay_due(const nvr_relay *r) {
  return !r->tick || r->whole || r->video < 0 || now_s() - r->tick->at_s >= NVR_RELAY_HOLD_S;
}

void nvr_relay_flush(nvr_relay *r) {
  double now = now_s();
  int readers = atomic_load(&r->readers);
  if (!r->ps && (now - r->reported_s >= r->limits.report_s || r->report_due)) {
    if (!r->report_due) follow_drift(r);
    if (!readers || r->tick) {
      uint8_t *p = readers ? nvr_relay_room(r, NVR_RELAY_TRACKS * (FRAME + REPORT)) : NULL;
      if (p) r->tick->len -= NVR_RELAY_TRACKS * (FRAME + REPORT) - put_reports(r, now, p);
      r->reported_s = now;
      r->report_due = 0;
    }
  }
  chunk *c = r->tick;
  r->tick = NULL;
  r->whole = 0;
  if (!readers && !r->ps) {
    chunk_drop(c);
    return;
  }
  chunk *reports = NULL;
  if (c) {
    c->at_s = now;
    r->hint = c->len + c->len / 4;
    if (c->key >= 0 && !r->ps) {
      reports = chunk_new(NVR_RELAY_TRACKS * (FRAME + REPORT));
      if (reports) reports->len = put_reports(r, now, reports->data);
    }
  }
  pthread_mutex_lock(&r->lock);
  if (r->ps && c) nvr_relay_keep(r, c);
  nvr_relay_serve(r, c, reports, now);
  chunk_drop(c);
  chunk_drop(reports);
  pthread_mutex_unlock(&r->lock);
}

void nvr_relay_restart(nvr_relay *r) {
  nvr_relay_flush(r);
  for (int i = 0; i < r->count; i++) r->t[i].anchored = 0;
  r->has_video_ts = r->has_early = r->has_lateness = 0;
  pthread_mutex_lock(&r->lock);
  nvr_relay_forget(r);
  for (nvr_reader *d = r->first; d; d = d->next)
    if (d->state == NVR_READER_PLAYING) d->state = NVR_READER_WAITING;
  pthread_mutex_unlock(&r->lock);
}

nvr_relay *nvr_relay_new(const nvr_relay_track *tracks, int count, const nvr_relay_limits *limits) {
  nvr_relay *r = calloc(1, sizeof *r);
  if (!r) return NULL;
  double now = now_s();
  r->count = count;
  r->video = -1;
  r->head = FRAME;
  r->limits = *limits;
  /* A duplicate, for the same reason as with readers: a flush may still run when it is closed. */
  if (limits->notify_fd >= 0) {
    r->limits.notify_fd = fcntl(limits->notify_fd, F_DUPFD_CLOEXEC, 3);
    if (r->limits.notify_fd < 0) {
      free(r);
      return NULL;
    }
  }
  r->wall_s = unix_s() - now;
  r->reported_s = now;
  for (int i = 0; i < count; i++) {
    r->t[i].is = tracks[i];
    r->t[i].origin_s = now;
    if (tracks[i].video && tracks[i].channel >= 0 && r->video < 0) r->video = i;
  }
  pthread_mutex_init(&r->lock, NULL);
  return r;
}

void nvr_relay_free(nvr_relay *r) {
  if (!r) return;
  chunk_drop(r->tick);
  nvr_relay_forget(r);
  free(r->kept);
  if (r->limits.notify_fd >= 0) close(r->limits.notify_fd);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

void nvr_relay_pump(nvr_relay *r) {
  pthread_mutex_lock(&r->lock);
  nvr_relay_serve(r, NULL, NULL, now_s());
  pthread_mutex_unlock(&r->lock);
}

int nvr_relay_paced(const nvr_relay *r) { return atomic_load(&r->paced); }

int nvr_relay_readers(nvr_relay *r) { return atomic_load(&r->readers); }
