/* How what is queued for a reader leaves: as a stream, or packet by packet. */
#define _GNU_SOURCE
#include "relay_i.h"

#include <errno.h>
#include <sys/socket.h>

enum { SSRC_AT = 8, BATCH = 32 };
#define LEAST_BUDGET 16384.0 /* a few packets, however low the peak */
#define REFUSED_S 2.0

/* The piece with the reader's own SSRC in each packet. */
static size_t gather_named(const nvr_reader *d, const piece *p, struct iovec *iov, size_t room, size_t *len) {
  size_t n = 0, begin = p->from, frame = p->frame;
  for (; frame < p->to && n + 3 <= room; frame += frame_len(d->r, p->c, frame)) {
    size_t ssrc = frame + d->r->head + SSRC_AT;
    if (p->from >= ssrc + 4) continue;
    if (begin < ssrc) iov[n++] = (struct iovec){p->c->data + begin, ssrc - begin};
    size_t off = p->from > ssrc ? p->from - ssrc : 0;
    iov[n++] = (struct iovec){(uint8_t *)d->ssrc + off, 4 - off};
    begin = ssrc + 4;
  }
  if (begin < frame) iov[n++] = (struct iovec){p->c->data + begin, frame - begin};
  *len += frame - p->from;
  return n;
}

size_t nvr_reader_gather(const nvr_reader *d, struct iovec *iov, size_t room, size_t *len) {
  size_t n = 0;
  *len = 0;
  for (size_t i = 0; i < d->used && n < room; i++) {
    const piece *p = &d->q[(d->head + i) % d->room];
    if (p->text || !d->named) {
      iov[n++] = (struct iovec){p->c->data + p->from, p->to - p->from};
      *len += p->to - p->from;
      continue;
    }
    if (room - n < 3) break;
    size_t before = *len;
    n += gather_named(d, p, iov + n, room - n, len);
    if (*len - before < p->to - p->from) break;
  }
  return n;
}

/* Where the packet at `at` of a chunk goes, -1 nowhere. */
static int target(const nvr_reader *d, const chunk *c, size_t at) {
  if (!d->routed) return d->fd;
  uint8_t channel = c->data[at + 1];
  return channel < 2 * NVR_RELAY_TRACKS ? d->to[channel] : -1;
}

/* Packets at the head of the queue that may go now, all to the same socket. */
static unsigned batch(nvr_reader *d, struct mmsghdr *all, struct iovec *iov, size_t *sizes, int *fd) {
  unsigned count = 0;
  double budget = d->budget;
  for (size_t i = 0; i < d->used && count < BATCH; i++) {
    const piece *p = &d->q[(d->head + i) % d->room];
    for (size_t at = p->from; at < p->to && count < BATCH; count++) {
      size_t len = frame_len(d->r, p->c, at);
      uint8_t *rtp = p->c->data + at + d->r->head;
      struct iovec *v = iov + 3 * count;
      size_t n = 0;
      int to = target(d, p->c, at);
      if (count && to != *fd) return count;
      *fd = to;
      if (d->r->limits.peak_bytes_s > 0 && budget < (double)len) return count;
      budget -= (double)len;
      if (d->named) {
        v[n++] = (struct iovec){rtp, SSRC_AT};
        v[n++] = (struct iovec){d->ssrc, 4};
        v[n++] = (struct iovec){rtp + RTP_HEADER, len - d->r->head - RTP_HEADER};
      } else {
        v[n++] = (struct iovec){rtp, len - d->r->head};
      }
      all[count] = (struct mmsghdr){.msg_hdr = {.msg_iov = v, .msg_iovlen = n}};
      sizes[count] = len;
      at += len;
    }
  }
  return count;
}

/* Nobody listens there: now and then that is a peer about to begin, for long it is one that has gone. */
static int refused(nvr_reader *d, double now) {
  if (now - d->refused_last_s > REFUSED_S) d->refused_s = now;
  d->refused_last_s = now;
  return now - d->refused_s > d->r->limits.stuck_s;
}

int nvr_reader_send_datagrams(nvr_reader *d, double now) {
  double peak = d->r->limits.peak_bytes_s, most = 2 * NVR_RELAY_PACE_S * peak;
  if (most < LEAST_BUDGET) most = LEAST_BUDGET;
  d->budget += d->budget_s > 0 ? (now - d->budget_s) * peak : most;
  d->budget_s = now;
  if (d->budget > most) d->budget = most;
  while (d->used) {
    struct mmsghdr all[BATCH];
    struct iovec iov[3 * BATCH];
    size_t sizes[BATCH], len = 0;
    if (d->q[d->head].text) { /* a message has no place between packets */
      nvr_reader_took(d, d->q[d->head].to - d->q[d->head].from, now);
      continue;
    }
    int fd = -1;
    unsigned count = batch(d, all, iov, sizes, &fd);
    if (!count) return 0;
    int sent = fd < 0 ? (int)count : sendmmsg(fd, all, count, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return 0;
      if (errno != ECONNREFUSED || refused(d, now)) return errno;
      continue; /* the error is of a packet before, and gone with having been told */
    }
    for (int i = 0; i < sent; i++) len += sizes[i];
    d->budget -= (double)len;
    nvr_reader_took(d, len, now);
    if ((unsigned)sent < count) return 0;
  }
  return 0;
}
