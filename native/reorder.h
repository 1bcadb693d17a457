/* Puts one track's RTP datagrams back into the order they were sent in.
 *
 * A packet that is next goes out at once, uncopied. One that is ahead is kept, and what is missing
 * before it is waited for: 40 ms, and up to 200 after packets came later than that, until a quiet
 * minute; beyond, or with NVR_REORDER_SLOTS packets or NVR_REORDER_BYTES kept, it counts as lost.
 * A packet that comes after it was given up is `late`, one that came before `repeated`; both go
 * nowhere. Times are 90 kHz ticks. No sockets, no clock: what is there at `now` is all it knows. */
#ifndef NVR_REORDER_H
#define NVR_REORDER_H

#include <stddef.h>
#include <stdint.h>

enum {
  NVR_REORDER_SLOTS = 512, /* a power of two */
  NVR_REORDER_BYTES = 1 << 20,
  NVR_REORDER_WAIT = 3600,
  NVR_REORDER_WAIT_MAX = 18000
};

typedef struct {
  uint8_t *p;
  size_t len;
  int64_t at;
} nvr_held;

typedef struct {
  int started, held, bad_seq; /* bad_seq: what would follow a packet from far off, -1 none */
  uint16_t next, newest;      /* newest: the highest number kept */
  uint32_t ssrc;
  size_t bytes;
  nvr_held *slots; /* by sequence number, made when first needed */
  uint8_t missed[NVR_REORDER_SLOTS / 8]; /* numbers given up */
  int64_t wait, calm_at;
  uint64_t reordered, late, repeated;
} nvr_reorder;

typedef void nvr_reorder_out(void *to, const uint8_t *p, size_t len);

/* Take the packet of `len` >= 12 bytes that arrived `at`; what is in order now goes to `out`. */
void nvr_reorder_take(nvr_reorder *r, const uint8_t *p, size_t len, int64_t at, nvr_reorder_out *out, void *to);
/* Give up what has been waited for long enough. */
void nvr_reorder_settle(nvr_reorder *r, int64_t now, nvr_reorder_out *out, void *to);
/* Everything kept goes out. */
void nvr_reorder_flush(nvr_reorder *r, nvr_reorder_out *out, void *to);
void nvr_reorder_clear(nvr_reorder *r);

#endif
