#define _GNU_SOURCE
#include "relay_i.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define TEXT_LIMIT 65536
#define IOV 256

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
  for (int i = 0; d->routed && i < 2 * NVR_RELAY_TRACKS; i++)
    if (d->to[i] >= 0) close(d->to[i]);
  d->routed = 0;
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
  d->q[(d->head + d->used++) % d->room] = (piece){c, from, to, from, text, now};
  d->pending += to - from;
  if (text) d->text += to - from;
  return 0;
}

void nvr_reader_took(nvr_reader *d, size_t n, double now) {
  d->sent += n;
  d->pending -= n;
  d->progress_s = now;
  while (n) {
    piece *p = &d->q[d->head];
    size_t here = p->to - p->from < n ? p->to - p->from : n;
    p->from += here;
    n -= here;
    if (p->text) d->text -= here;
    if (!p->text && d->named)
      while (p->frame < p->to && p->from - p->frame >= frame_len(d->r, p->c, p->frame))
        p->frame += frame_len(d->r, p->c, p->frame);
    if (p->from == p->to) {
      chunk_drop(p->c);
      d->head = (d->head + 1) % d->room;
      d->used--;
    }
  }
}

static void send_pending(nvr_reader *d, double now) {
  if (d->fd >= 0 && d->datagrams) {
    if (nvr_reader_send_datagrams(d, now)) end_reader(d, NVR_END_SOCKET);
    return;
  }
  while (d->fd >= 0 && d->used) {
    struct iovec iov[IOV];
    size_t len, n = nvr_reader_gather(d, iov, IOV, &len);
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = n};
    ssize_t sent = sendmsg(d->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) {
      if (errno != EAGAIN && errno != EWOULDBLOCK) end_reader(d, NVR_END_SOCKET);
      return;
    }
    nvr_reader_took(d, (size_t)sent, now);
    if ((size_t)sent < len) return;
  }
}

/* First offset at or after `from` where a new access unit may begin: before a video packet whose
 * timestamp differs from the one before it, else -1. Chunks hold nothing but whole frames. */
static ptrdiff_t next_unit(const nvr_relay *r, const chunk *c, size_t from) {
  uint32_t before = c->before;
  int known = c->has_before;
  for (size_t at = 0; at + r->head + RTP_HEADER <= c->len; at += frame_len(r, c, at)) {
    const uint8_t *p = c->data + at;
    if (!r->ps && r->video < 0) {
      if (at >= from) return (ptrdiff_t)at;
    } else if (r->ps || p[1] == r->t[r->video].is.channel) {
      uint32_t ts = get32(p + r->head + 4);
      if (at >= from && (!known || ts != before)) return (ptrdiff_t)at;
      before = ts;
      known = 1;
    }
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
      d->q[(d->head + kept++) % d->room] = (piece){p.c, p.from, to, p.frame, p.text, p.at_s};
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
    if (!p->text) return now - p->at_s > d->r->limits.backlog_s;
  }
  return 0;
}

static void feed_reader(nvr_reader *d, chunk *c, chunk *reports, double now) {
  if (d->state == NVR_READER_PLAYING) {
    if (push(d, c, 0, c->len, 0, now)) return;
  } else if (d->state == NVR_READER_WAITING) {
    if (c->key >= 0 && !overfull(d, now)) {
      if (reports && push(d, reports, 0, reports->len, !d->routed, now)) return;
      if (push(d, c, (size_t)c->key, c->len, 0, now)) return;
      d->state = NVR_READER_PLAYING;
    } else {
      d->dropped += d->drops ? c->len : 0;
    }
  }
}

void nvr_relay_serve(nvr_relay *r, chunk *c, chunk *reports, double now) {
  int pulled = 0, paced = 0;
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
    paced |= d->datagrams && d->used;
  }
  atomic_store(&r->paced, paced);
  if (pulled && r->limits.notify_fd >= 0) {
    uint64_t one = 1;
    ssize_t ignored = write(r->limits.notify_fd, &one, sizeof one);
    (void)ignored; /* a full eventfd is already readable */
  }
}

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
  int kind = SOCK_STREAM;
  socklen_t size = sizeof kind;
  if (fd >= 0 && !getsockopt(d->fd, SOL_SOCKET, SO_TYPE, &kind, &size)) d->datagrams = kind == SOCK_DGRAM;
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

void nvr_reader_name(nvr_reader *d, uint32_t ssrc) {
  pthread_mutex_lock(&d->r->lock);
  put32(d->ssrc, ssrc);
  d->named = 1;
  pthread_mutex_unlock(&d->r->lock);
}

int nvr_reader_route(nvr_reader *d, int channel, int fd) {
  if (channel < 0 || channel >= 2 * NVR_RELAY_TRACKS) return -1;
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return -1;
  pthread_mutex_lock(&d->r->lock);
  int fits = d->datagrams && d->fd >= 0;
  for (int i = 0; fits && !d->routed && i < 2 * NVR_RELAY_TRACKS; i++) d->to[i] = -1;
  if (!fits || (d->routed && d->to[channel] >= 0)) {
    close(copy);
    fits = 0;
  } else {
    d->routed = 1;
    d->to[channel] = copy;
  }
  pthread_mutex_unlock(&d->r->lock);
  return fits ? 0 : -1;
}

void nvr_reader_play(nvr_reader *d) {
  pthread_mutex_lock(&d->r->lock);
  if (d->state == NVR_READER_PAUSED) {
    double now = now_s();
    d->state = NVR_READER_WAITING;
    for (size_t i = 0; i < d->r->kept_count && d->state != NVR_READER_CLOSED; i++) {
      chunk *c = d->r->kept[i];
      if (push(d, c, i ? 0 : (size_t)c->key, c->len, 0, now) == 0) d->state = NVR_READER_PLAYING;
    }
    if (d->used) send_pending(d, now);
    if (d->datagrams && d->used) atomic_store(&d->r->paced, 1);
  }
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
    if (len) nvr_reader_took(d, len, now_s());
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
