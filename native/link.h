/* A session's socket: the ingest thread is its only reader and writer. */
#ifndef NVR_LINK_H
#define NVR_LINK_H

#include "session.h"

enum {
  NVR_READ_BYTES = 128 * 1024, /* one recv: half of a second-level cache, a burst takes several */
  NVR_READ_ROOM = NVR_PENDING_MAX + NVR_READ_BYTES,
  NVR_READS = 64,              /* of one socket in one tick, so that a flood starves nobody */
  NVR_OUT_MAX = 256 * 1024
};

typedef struct {
  nvr_session *session;
  int fd; /* -1: bytes are fed */
  uint8_t *out;
  size_t out_len, out_at, out_cap;
} nvr_link;

/* Read what is there. `room` has NVR_READ_ROOM bytes and is shared by all links. */
void nvr_link_read(nvr_link *l, uint8_t *room, int64_t now);
/* Queue `len` bytes whole and send what the socket takes. 0, or -1 if too much is queued. */
int nvr_link_send(nvr_link *l, const void *data, size_t len);
/* Send what is left over from before. */
void nvr_link_flush(nvr_link *l);

#endif
