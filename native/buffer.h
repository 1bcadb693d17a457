/* Growing buffers for parts, shared by reference and recycled with their pages already faulted in.
 *
 * Measured: a fresh page costs about half a microsecond to fault and zero, a quarter of what the
 * whole of a stream costs at 4 Mbit/s; so a few buffers are kept for the next part. Growing moves
 * page tables (mremap), not bytes. Any thread may drop a reference. */
#ifndef NVR_BUFFER_H
#define NVR_BUFFER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

typedef struct nvr_pool nvr_pool;

typedef struct nvr_buffer {
  uint8_t *data;
  size_t len, cap;
  nvr_pool *pool;
  struct nvr_buffer *next; /* in the pool's free list */
  atomic_int refs;
} nvr_buffer;

/* Keeps at most `keep_bytes` of free buffers. Lives until it and all its buffers are dropped. */
nvr_pool *nvr_pool_new(size_t keep_bytes);
void nvr_pool_keep(nvr_pool *pool, size_t keep_bytes);
void nvr_pool_drop(nvr_pool *pool);

/* A buffer of length 0 and at least `want` bytes of room. NULL without memory. */
nvr_buffer *nvr_buffer_take(nvr_pool *pool, size_t want);
/* Room for `cap` bytes in all. 0, or -1 without memory: nothing changed. */
int nvr_buffer_reserve(nvr_buffer *b, size_t cap);
void nvr_buffer_drop(nvr_buffer *b);

#endif
