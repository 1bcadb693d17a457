#define _GNU_SOURCE
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define TEXT_LIMIT 65536
#define IOV 32
#define FRAME 4            /* $ channel length */
#define RTP_HEADER 12
#define REPORT 48          /* SR without blocks (28) and SDES with CNAME "nvr" (20) */
#define NTP_UNIX 2208988800u
#define JUMP_S 10          /* a timestamp further than this from its arrival is a jump */
#define SLEW_S 0.001       /* correction per report for a camera clock that drifts */

/* A sealed run of whole interleaved frames, shared by all readers. Guarded by the relay's lock
 * once it is in a reader's queue. */
typedef struct {
  int refs;
  int has_before;       /* `before` is known */
  uint32_t before;      /* video timestamp of the packet before this chunk */
  ptrdiff_t key;        /* offset of the first key access unit, -1 if none */
  double at_s;
  size_t len, room;
  uint8_t data[];
} chunk;

typedef struct {
  chunk *c;
  size_t from, to;
  int text;
} piece;

typedef struct {
  nvr_relay_track is;
  double origin_s;      /* monotonic time of `is.timestamp` */
  uint32_t shift;       /* ours = camera's + shift, in this run */
  uint16_t seq_shift;
  int anchored, has_sequence;
  uint32_t ssrc_in;
  uint16_t seq_in;      /* newest camera sequence */
  uint16_t last_seq;    /* newest of ours */
  uint32_t last_ts;
  uint32_t packets, octets;
  int synced;
  double sync_s;        /* monotonic time that our time line gives the camera's report */
  double sync_ntp_s;    /* the camera's own time for it */
  double skew_s;        /* our wall time for this track, against arrival */
} track;

struct nvr_relay {
  int count, video;
  track t[NVR_RELAY_TRACKS];
  nvr_relay_limits limits;
  double wall_s;        /* UNIX time of monotonic 0, slewed after the camera's clock */
  double early_s;       /* smallest lateness of a video packet since the last report */
  double lateness_s;    /* the same of the first interval */
  int has_early, has_lateness;
  double reported_s;
  int report_due;       /* tracks have been anchored since the last report */
  chunk *tick;
  size_t hint;
  uint32_t video_ts;
  int has_video_ts;
  atomic_int readers;
  pthread_mutex_t lock;
  nvr_reader *first;
};

struct nvr_reader {
  nvr_relay *r;
  nvr_reader *next, **link;
  int fd;               /* -1: pulled */
  int state, end;
  piece *q;             /* ring */
  size_t head, used, room;
  size_t pending, text;
  double progress_s;
  uint64_t sent, dropped, drops;
};

static double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double unix_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t get32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }

static chunk *chunk_new(size_t room) {
  chunk *c = malloc(sizeof *c + room);
  if (c) *c = (chunk){.refs = 1, .key = -1, .room = room};
  return c;
}

static void chunk_drop(chunk *c) {
  if (c && --c->refs == 0) free(c);
}

/* Room for `len` more bytes at the end of the tick buffer; NULL without memory. */
static uint8_t *tick_room(nvr_relay *r, size_t len) {
  if (!r->tick) {
    r->tick = chunk_new(r->hint > len ? r->hint : len);
    if (!r->tick) return NULL;
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
    uint8_t *p = tick_room(r, FRAME + len);
    if (!p) return 0; /* counted as loss by the readers' own sequence check */
    /* Parameter sets and slices of one key access unit share a timestamp: only the first packet
     * counts, or a reader would start behind its parameter sets or in mid-picture. */
    int begins = video && starts_key && !(r->has_video_ts && our_ts == r->video_ts);
    if ((r->video < 0 || begins) && r->tick->key < 0) r->tick->key = p - r->tick->data;
    p[0] = '$';
    p[1] = (uint8_t)t->is.channel;
    put16(p + 2, (uint16_t)len);
    memcpy(p + FRAME, rtp, len);
    p[FRAME + 1] = (uint8_t)((rtp[1] & 0x80) | t->is.payload_type);
    put16(p + FRAME + 2, our_seq);
    put32(p + FRAME + 4, our_ts);
    put32(p + FRAME + 8, t->is.ssrc);
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

static void clear_queue(nvr_reader *d) {
  for (size_t i = 0; i < d->used; i++) chunk_drop(d->q[(d->head + i) % d->room].c);
  d->used = d->pending = d->text = 0;
}

static void end_reader(nvr_reader *d, int why) {
  if (d->state == NVR_READER_CLOSED) return;
  d->state = NVR_READER_CLOSED;
  d->end = why;
  clear_queue(d);
  if (d->fd >= 0) close(d->fd);
  d->fd = -1;
  if (d->link) {
    *d->link = d->next;
    if (d->next) d->next->link = d->link;
    d->link = NULL;
    atomic_fetch_sub(&d->r->readers, 1);
  }
}

static int push(nvr_reader *d, chunk *c, size_t from, size_t to, int text, double now) {
  if (from >= to) return 0;
  if (d->used == d->room) {
    size_t room = d->room ? d->room * 2 : 16;
    piece *q = malloc(room * sizeof *q);
    if (!q) {
      end_reader(d, NVR_END_MEMORY);
      return -1;
    }
    for (size_t i = 0; i < d->used; i++) q[i] = d->q[(d->head + i) % d->room];
    free(d->q);
    d->q = q, d->room = room, d->head = 0;
  }
  if (d->used == 0) d->progress_s = now;
  c->refs++;
  d->q[(d->head + d->used++) % d->room] = (piece){c, from, to, text};
  d->pending += to - from;
  if (text) d->text += to - from;
  return 0;
}

static void took(nvr_reader *d, size_t n, double now) {
  d->sent += n;
  d->pending -= n;
  d->progress_s = now;
  while (n) {
    piece *p = &d->q[d->head];
    size_t here = p->to - p->from < n ? p->to - p->from : n;
    p->from += here;
    n -= here;
    if (p->text) d->text -= here;
    if (p->from == p->to) {
      chunk_drop(p->c);
      d->head = (d->head + 1) % d->room;
      d->used--;
    }
  }
}

static void send_pending(nvr_reader *d, double now) {
  while (d->fd >= 0 && d->used) {
    struct iovec iov[IOV];
    size_t n = 0, len = 0;
    for (; n < d->used && n < IOV; n++) {
      piece *p = &d->q[(d->head + n) % d->room];
      iov[n] = (struct iovec){p->c->data + p->from, p->to - p->from};
      len += p->to - p->from;
    }
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent = sendmsg(d->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) end_reader(d, NVR_END_SOCKET);
      return;
    }
    took(d, (size_t)sent, now);
    if ((size_t)sent < len) return;
  }
}

/* First offset at or after `from` where a new access unit may begin: before a video packet whose
 * timestamp differs from the one before it, else -1. Chunks hold nothing but whole frames. */
static ptrdiff_t next_unit(const nvr_relay *r, const chunk *c, size_t from) {
  uint32_t before = c->before;
  int known = c->has_before;
  for (size_t at = 0; at + FRAME + RTP_HEADER <= c->len;) {
    const uint8_t *p = c->data + at;
    if (r->video < 0) {
      if (at >= from) return (ptrdiff_t)at;
    } else if (p[1] == r->t[r->video].is.channel) {
      uint32_t ts = get32(p + FRAME + 4);
      if (at >= from && (!known || ts != before)) return (ptrdiff_t)at;
      before = ts;
      known = 1;
    }
    at += FRAME + (size_t)(p[2] << 8 | p[3]);
  }
  return -1;
}

/* Keep the access unit that is on its way and all messages; drop the other pictures. */
static void cut_to_key(nvr_reader *d) {
  size_t kept = 0;
  int cutting = 0;
  for (size_t i = 0; i < d->used; i++) {
    piece p = d->q[(d->head + i) % d->room];
    size_t to = p.to;
    if (!p.text) {
      if (!cutting) {
        /* Nothing of a piece that begins where a unit begins has gone out. */
        ptrdiff_t unit = next_unit(d->r, p.c, p.from);
        if (unit >= 0) to = (size_t)unit < p.to ? (size_t)unit : p.to;
        if (to < p.to) cutting = 1;
      } else {
        to = p.from;
      }
    }
    d->pending -= p.to - to;
    d->dropped += p.to - to;
    if (to > p.from) {
      d->q[(d->head + kept++) % d->room] = (piece){p.c, p.from, to, p.text};
    } else {
      chunk_drop(p.c);
    }
  }
  d->used = kept;
}

static int overfull(const nvr_reader *d, double now) {
  if (d->pending - d->text > d->r->limits.backlog_bytes) return 1;
  for (size_t i = 0; i < d->used; i++) {
    const piece *p = &d->q[(d->head + i) % d->room];
    if (!p->text) return now - p->c->at_s > d->r->limits.backlog_s;
  }
  return 0;
}

static void feed_reader(nvr_reader *d, chunk *c, chunk *reports, double now) {
  if (d->state == NVR_READER_PLAYING) {
    if (push(d, c, 0, c->len, 0, now)) return;
  } else if (d->state == NVR_READER_WAITING) {
    if (c->key >= 0 && !overfull(d, now)) {
      if (reports && push(d, reports, 0, reports->len, 1, now)) return;
      if (push(d, c, (size_t)c->key, c->len, 0, now)) return;
      d->state = NVR_READER_PLAYING;
    } else {
      d->dropped += d->drops ? c->len : 0;
    }
  }
}

static void serve_readers(nvr_relay *r, chunk *c, chunk *reports, double now) {
  int pulled = 0;
  for (nvr_reader *d = r->first, *next; d; d = next) {
    next = d->next;
    if (c) feed_reader(d, c, reports, now);
    send_pending(d, now);
    if (d->state == NVR_READER_PLAYING && overfull(d, now)) {
      cut_to_key(d);
      d->drops++;
      d->state = NVR_READER_WAITING;
    }
    if (d->used && now - d->progress_s > r->limits.stuck_s) end_reader(d, NVR_END_STUCK);
    if (d->fd < 0 && d->used) pulled = 1;
  }
  if (pulled && r->limits.notify_fd >= 0) {
    uint64_t one = 1;
    ssize_t ignored = write(r->limits.notify_fd, &one, sizeof one);
    (void)ignored; /* a full eventfd is already readable */
  }
}

void nvr_relay_flush(nvr_relay *r) {
  double now = now_s();
  int readers = atomic_load(&r->readers);
  if (now - r->reported_s >= r->limits.report_s || r->report_due) {
    if (!r->report_due) follow_drift(r);
    if (!readers || r->tick) {
      uint8_t *p = readers ? tick_room(r, NVR_RELAY_TRACKS * (FRAME + REPORT)) : NULL;
      if (p) r->tick->len -= NVR_RELAY_TRACKS * (FRAME + REPORT) - put_reports(r, now, p);
      r->reported_s = now;
      r->report_due = 0;
    }
  }
  chunk *c = r->tick;
  r->tick = NULL;
  if (!readers) {
    chunk_drop(c);
    return;
  }
  chunk *reports = NULL;
  if (c) {
    c->at_s = now;
    r->hint = c->len + c->len / 4;
    if (c->key >= 0) {
      reports = chunk_new(NVR_RELAY_TRACKS * (FRAME + REPORT));
      if (reports) reports->len = put_reports(r, now, reports->data);
    }
  }
  pthread_mutex_lock(&r->lock);
  serve_readers(r, c, reports, now);
  chunk_drop(c);
  chunk_drop(reports);
  pthread_mutex_unlock(&r->lock);
}

void nvr_relay_restart(nvr_relay *r) {
  nvr_relay_flush(r);
  for (int i = 0; i < r->count; i++) r->t[i].anchored = 0;
  r->has_video_ts = r->has_early = r->has_lateness = 0;
  pthread_mutex_lock(&r->lock);
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
  if (r->limits.notify_fd >= 0) close(r->limits.notify_fd);
  pthread_mutex_destroy(&r->lock);
  free(r);
}

void nvr_relay_pump(nvr_relay *r) {
  pthread_mutex_lock(&r->lock);
  serve_readers(r, NULL, NULL, now_s());
  pthread_mutex_unlock(&r->lock);
}

int nvr_relay_readers(nvr_relay *r) { return atomic_load(&r->readers); }

static int send_text(nvr_reader *d, const void *text, size_t len) {
  if (d->state == NVR_READER_CLOSED) return -1;
  if (d->text + len > TEXT_LIMIT) {
    end_reader(d, NVR_END_TEXT);
    return -1;
  }
  if (!len) return 0;
  double now = now_s();
  chunk *c = chunk_new(len);
  if (!c) {
    end_reader(d, NVR_END_MEMORY);
    return -1;
  }
  memcpy(c->data, text, len);
  c->len = len;
  push(d, c, 0, len, 1, now);
  chunk_drop(c);
  send_pending(d, now);
  return d->state == NVR_READER_CLOSED ? -1 : 0;
}

nvr_reader *nvr_reader_new(nvr_relay *r, int fd, const void *text, size_t len) {
  nvr_reader *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  /* A duplicate: whoever opened the socket may close it at any time without our writing into
   * a descriptor that means something else by then. */
  d->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (fd >= 0 && d->fd < 0) {
    free(d);
    return NULL;
  }
  d->r = r;
  pthread_mutex_lock(&r->lock);
  d->next = r->first;
  d->link = &r->first;
  if (d->next) d->next->link = &d->next;
  r->first = d;
  atomic_fetch_add(&r->readers, 1);
  send_text(d, text, len);
  pthread_mutex_unlock(&r->lock);
  return d;
}

void nvr_reader_play(nvr_reader *d) {
  pthread_mutex_lock(&d->r->lock);
  if (d->state == NVR_READER_PAUSED) d->state = NVR_READER_WAITING;
  pthread_mutex_unlock(&d->r->lock);
}

void nvr_reader_pause(nvr_reader *d) {
  pthread_mutex_lock(&d->r->lock);
  if (d->state != NVR_READER_CLOSED) {
    if (d->state == NVR_READER_PLAYING) cut_to_key(d);
    d->state = NVR_READER_PAUSED;
  }
  pthread_mutex_unlock(&d->r->lock);
}

int nvr_reader_send(nvr_reader *d, const void *text, size_t len) {
  pthread_mutex_lock(&d->r->lock);
  int result = send_text(d, text, len);
  pthread_mutex_unlock(&d->r->lock);
  return result;
}

size_t nvr_reader_pull(nvr_reader *d, uint8_t *to, size_t room) {
  size_t len = 0;
  pthread_mutex_lock(&d->r->lock);
  if (d->state != NVR_READER_CLOSED) {
    for (size_t i = 0; i < d->used && len < room; i++) {
      piece *p = &d->q[(d->head + i) % d->room];
      size_t here = p->to - p->from < room - len ? p->to - p->from : room - len;
      memcpy(to + len, p->c->data + p->from, here);
      len += here;
    }
    if (len) took(d, len, now_s());
  }
  pthread_mutex_unlock(&d->r->lock);
  return len;
}

void nvr_reader_read_stats(nvr_reader *d, nvr_reader_stats *stats) {
  pthread_mutex_lock(&d->r->lock);
  *stats = (nvr_reader_stats){d->state, d->end, d->sent, d->dropped, d->drops, d->pending};
  pthread_mutex_unlock(&d->r->lock);
}

void nvr_reader_close(nvr_reader *d) {
  pthread_mutex_lock(&d->r->lock);
  end_reader(d, NVR_END_NONE);
  pthread_mutex_unlock(&d->r->lock);
}

void nvr_reader_free(nvr_reader *d) {
  if (!d) return;
  nvr_reader_close(d);
  free(d->q);
  free(d);
}
