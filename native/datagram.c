#define _GNU_SOURCE
#include "datagram.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "link.h"

enum {
  BATCH = 64,
  SLOT = 2048,      /* of a datagram; one that is longer makes it LONG_SLOT from then on */
  LONG_SLOT = 65536,
  READS = 64,       /* batches of one socket in one tick, so that a flood starves nobody */
  SECOND = 90000,
  REPORT = 5 * SECOND,
  PUNCH = 20 * SECOND,
  RTCP_EACH = SECOND / 4,
  JITTER_MAX = SECOND /* an arrival longer ago than that is a clock that was set */
};

typedef struct {
  nvr_datagrams *all;
  nvr_port_setup is;
  uint8_t payload_type;
  nvr_address sender; /* of what was taken last */
  int64_t heard;      /* when, 0 never */
  uint32_t dropped;   /* as the kernel counts, since the socket was made */
  nvr_reorder order;
} port;

struct nvr_datagrams {
  nvr_session *session;
  int count;
  size_t slot;
  int64_t now, rtcp_at, report_at, punch_at;
  port ports[NVR_TRACKS];
};

static socklen_t address_len(const nvr_address *a) { return a->any.sa_family == AF_INET ? sizeof a->v4 : sizeof a->v6; }

static int same_host(const nvr_address *a, const nvr_address *b) {
  if (a->any.sa_family != b->any.sa_family) return 0;
  if (a->any.sa_family == AF_INET) return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
  return !memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16);
}

static int same(const nvr_address *a, const nvr_address *b) {
  return same_host(a, b) && a->v4.sin_port == b->v4.sin_port; /* at the same place in both */
}

static int is_group(const nvr_address *a) {
  if (a->any.sa_family == AF_INET) return IN_MULTICAST(ntohl(a->v4.sin_addr.s_addr));
  return a->any.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&a->v6.sin6_addr);
}

static int allowed(const port *p, const nvr_address *from) {
  for (int i = 0; i < p->is.senders; i++)
    if (same_host(&p->is.from[i], from)) return 1;
  return 0;
}

static void set_up(int fd) {
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
}

nvr_datagrams *nvr_datagrams_new(nvr_session *s, const nvr_port_setup *ports, int count) {
  nvr_datagrams *d = calloc(1, sizeof *d);
  if (!d) return NULL;
  int tracks;
  d->session = s;
  d->count = count;
  d->slot = SLOT;
  for (int i = 0; i < count; i++) {
    d->ports[i].all = d;
    d->ports[i].is = ports[i];
    d->ports[i].payload_type = nvr_session_track(s, ports[i].track, &tracks)->payload_type;
    set_up(ports[i].rtp);
  }
  return d;
}

void nvr_datagrams_free(nvr_datagrams *d) {
  for (int i = 0; i < d->count; i++) nvr_reorder_clear(&d->ports[i].order);
  free(d);
}

int nvr_datagrams_fds(const nvr_datagrams *d, int *fds) {
  int n = 0;
  for (int i = 0; i < d->count; i++) {
    fds[n++] = d->ports[i].is.rtp;
    if (d->ports[i].is.rtcp >= 0) fds[n++] = d->ports[i].is.rtcp;
  }
  return n;
}

/* Packets */

static void in_order(void *to, const uint8_t *p, size_t len) {
  port *o = to;
  nvr_session_rtp(o->all->session, o->is.track, p, len, o->all->now);
}

static int is_rtcp(const uint8_t *p, size_t len) { return len >= 8 && p[0] >> 6 == 2 && p[1] >= 200 && p[1] <= 207; }

static void take_rtcp(port *o, const uint8_t *p, size_t len, const nvr_address *from) {
  if (!is_rtcp(p, len)) {
    nvr_session_counts(o->all->session)->other++;
    return;
  }
  /* Reports go to where reports come from (RFC 4961), whatever port the server spoke of. */
  if (p[1] == 200 && !is_group(&o->is.report)) o->is.report = *from;
  nvr_session_rtcp(o->all->session, o->is.track, p, len, o->all->now);
}

static void take(port *o, const uint8_t *p, size_t len, const nvr_address *from, int64_t at) {
  nvr_session *s = o->all->session;
  nvr_stats *stats = nvr_session_counts(s);
  if (!allowed(o, from)) {
    stats->foreign++;
    return;
  }
  if (is_rtcp(p, len)) {
    take_rtcp(o, p, len, from);
    return;
  }
  if (len < 12 || p[0] >> 6 != 2 || (p[1] & 127) != o->payload_type) {
    stats->other++;
    return;
  }
  if (o->heard && !same(&o->sender, from) && at - o->heard < SECOND) {
    stats->foreign++;
    return;
  }
  o->sender = *from;
  o->heard = at;
  nvr_session_arrival(s, o->is.track, (uint32_t)p[4] << 24 | (uint32_t)p[5] << 16 | (uint32_t)p[6] << 8 | p[7], at);
  uint64_t restored = o->order.reordered, behind = o->order.late + o->order.repeated;
  uint64_t late = o->order.late;
  nvr_reorder_take(&o->order, p, len, at, in_order, o);
  stats->restored += o->order.reordered - restored;
  stats->reordered += o->order.late - late;
  stats->other += o->order.late + o->order.repeated - behind;
}

/* Sockets */

typedef union {
  char room[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(uint32_t))];
  struct cmsghdr align;
} control;

static int64_t wall_ticks(const struct timespec *t) { return (int64_t)t->tv_sec * SECOND + t->tv_nsec / 1000 * 9 / 100; }

/* When the kernel took it, on our clock; and how many it had to drop before. */
static int64_t arrival(port *o, struct msghdr *m, int64_t now, int64_t wall) {
  int64_t at = now;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
    if (c->cmsg_level != SOL_SOCKET) continue;
    if (c->cmsg_type == SCM_TIMESTAMPNS) {
      struct timespec t;
      memcpy(&t, CMSG_DATA(c), sizeof t);
      int64_t ago = wall - wall_ticks(&t);
      if (ago > 0 && ago < JITTER_MAX) at = now - ago;
    } else if (c->cmsg_type == SO_RXQ_OVFL) {
      uint32_t dropped;
      memcpy(&dropped, CMSG_DATA(c), sizeof dropped);
      nvr_session_counts(o->all->session)->overrun += dropped - o->dropped;
      o->dropped = dropped;
    }
  }
  return at;
}

static void read_socket(port *o, int fd, int rtcp, uint8_t *room, int64_t now) {
  nvr_datagrams *d = o->all;
  struct mmsghdr m[BATCH];
  struct iovec v[BATCH];
  nvr_address from[BATCH];
  control c[BATCH];
  for (int reads = 0; reads < READS && !nvr_session_ended(d->session); reads++) {
    size_t slot = d->slot;
    int most = (int)(NVR_READ_ROOM / slot) < BATCH ? (int)(NVR_READ_ROOM / slot) : BATCH;
    for (int i = 0; i < most; i++) {
      v[i] = (struct iovec){room + (size_t)i * slot, slot};
      m[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &v[i], .msg_iovlen = 1,
                                     .msg_control = rtcp ? NULL : &c[i], .msg_controllen = rtcp ? 0 : sizeof c[i]};
    }
    int n = recvmmsg(fd, m, (unsigned)most, MSG_DONTWAIT, NULL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return; /* an ICMP error tells of a punch, not of the stream: silence tells of that */
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t wall = wall_ticks(&t);
    for (int i = 0; i < n && !nvr_session_ended(d->session); i++) {
      int64_t at = rtcp ? now : arrival(o, &m[i].msg_hdr, now, wall);
      if (m[i].msg_hdr.msg_flags & MSG_TRUNC) {
        d->slot = LONG_SLOT;
        nvr_session_counts(d->session)->other++;
      } else if (!rtcp) {
        take(o, v[i].iov_base, m[i].msg_len, &from[i], at);
      } else if (allowed(o, &from[i])) {
        take_rtcp(o, v[i].iov_base, m[i].msg_len, &from[i]);
      } else {
        nvr_session_counts(d->session)->foreign++;
      }
    }
    if (n < most) return; /* saves the call that would say EAGAIN */
  }
}

void nvr_datagrams_flush(nvr_datagrams *d) {
  for (int i = 0; i < d->count; i++) nvr_reorder_flush(&d->ports[i].order, in_order, &d->ports[i]);
}

static void send_to(int fd, const void *p, size_t len, const nvr_address *to) {
  if (to->any.sa_family) (void)!sendto(fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL, &to->any, address_len(to));
}

static void report(nvr_datagrams *d, int64_t now) {
  uint8_t out[NVR_REPORT_BYTES];
  for (int i = 0; i < d->count; i++) {
    port *o = &d->ports[i];
    size_t len = o->is.rtcp < 0 ? 0 : nvr_session_receipt(d->session, o->is.track, out, now);
    if (len) send_to(o->is.rtcp, out, len, &o->is.report);
  }
}

static void punch(nvr_datagrams *d) {
  static const uint8_t empty[12] = {0x80};
  for (int i = 0; i < d->count; i++) send_to(d->ports[i].is.rtp, empty, sizeof empty, &d->ports[i].is.punch);
}

void nvr_datagrams_read(nvr_datagrams *d, uint8_t *room, int64_t now) {
  int rtcp = now - d->rtcp_at >= RTCP_EACH;
  d->now = now;
  for (int i = 0; i < d->count; i++) {
    port *o = &d->ports[i];
    read_socket(o, o->is.rtp, 0, room, now);
    nvr_reorder_settle(&o->order, now, in_order, o);
    if (rtcp && o->is.rtcp >= 0) read_socket(o, o->is.rtcp, 1, room, now);
  }
  if (rtcp) d->rtcp_at = now;
  if (!d->report_at) d->report_at = now + SECOND, d->punch_at = now + PUNCH;
  if (now >= d->report_at) {
    d->report_at = now + REPORT;
    report(d, now);
  }
  if (now >= d->punch_at) {
    d->punch_at = now + PUNCH;
    punch(d);
  }
}
