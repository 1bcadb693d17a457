/* What the two halves of the relay share: relay.c makes the session, relay_reader.c sends it. */
#ifndef NVR_RELAY_I_H
#define NVR_RELAY_I_H

#include "ps.h"
#include "relay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <time.h>

#define FRAME 4   /* $ channel length */
#define FRAMED 2  /* length: RFC 4571 */
#define RTP_HEADER 12

/* A sealed run of whole interleaved frames, shared by all readers. Guarded by the relay's lock
 * once it is in a reader's queue. */
typedef struct {
  int refs;
  int has_before;       /* `before` is known */
  uint32_t before;      /* video timestamp of the packet before this chunk */
  ptrdiff_t key;        /* offset of the first key access unit, -1 if none */
  double at_s;          /* sealed; until then, when its first frame came */
  size_t len, room;
  uint8_t data[];
} chunk;

typedef struct {
  chunk *c;
  size_t from, to;
  size_t frame;         /* where the frame begins that holds `from` */
  int text;
  double at_s;          /* queued */
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
  int whole;            /* a picture has ended in `tick` */
  size_t hint;
  uint32_t video_ts;
  int has_video_ts;
  atomic_int readers;
  atomic_int paced;
  pthread_mutex_t lock;
  nvr_reader *first;
  /* of a program stream */
  nvr_ps *ps;           /* NULL: packets are relayed as they come */
  size_t head;          /* bytes before each RTP packet: FRAME, FRAMED */
  int64_t unit_at, front_at; /* of the last unit; of the last one that decoding can begin with */
  int units;
  chunk **kept;         /* from the last key on, the first from its `key`; guarded by `lock` */
  size_t kept_count, kept_room, kept_bytes;
};

struct nvr_reader {
  nvr_relay *r;
  nvr_reader *next, **link;
  int fd;               /* -1: pulled */
  int datagrams;        /* one a packet, without its length */
  int routed;           /* each channel to a socket of its own */
  int to[2 * NVR_RELAY_TRACKS]; /* these, -1 for none */
  int named;
  uint8_t ssrc[4];
  double budget, budget_s; /* bytes that may go now, and as of when */
  double refused_s, refused_last_s;
  int state, end;
  piece *q;             /* ring */
  size_t head, used, room;
  size_t pending, text;
  double progress_s;
  uint64_t sent, dropped, drops;
};

static inline double now_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline uint32_t get32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void put32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

static inline void put16(uint8_t *p, uint16_t v) { p[0] = (uint8_t)(v >> 8), p[1] = (uint8_t)v; }

/* Length of the frame at `at` of a chunk, with what stands before its packet. */
static inline size_t frame_len(const nvr_relay *r, const chunk *c, size_t at) {
  const uint8_t *size = c->data + at + r->head - 2;
  return r->head + (size_t)(size[0] << 8 | size[1]);
}

static inline chunk *chunk_new(size_t room) {
  chunk *c = malloc(sizeof *c + room);
  if (c) *c = (chunk){.refs = 1, .key = -1, .room = room};
  return c;
}

static inline void chunk_drop(chunk *c) {
  if (c && --c->refs == 0) free(c);
}

/* Room for `len` more bytes at the end of the tick buffer; NULL without memory. */
uint8_t *nvr_relay_room(nvr_relay *r, size_t len);
/* Keep a sealed chunk for who comes later; forget all. The lock is held. */
void nvr_relay_keep(nvr_relay *r, chunk *c);
void nvr_relay_forget(nvr_relay *r);
/* Take `n` bytes off what is queued for a reader. */
void nvr_reader_took(nvr_reader *d, size_t n, double now);
/* Send what of the queue may go now; errno of what went wrong, else 0. */
int nvr_reader_send_datagrams(nvr_reader *d, double now);
size_t nvr_reader_gather(const nvr_reader *d, struct iovec *iov, size_t room, size_t *len);

/* Give every reader its share of `c` (NULL: nothing new) and send; the lock is held. */
void nvr_relay_serve(nvr_relay *r, chunk *c, chunk *reports, double now);

#endif
