#define _GNU_SOURCE
#include "buffer.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { STEP = 64 * 1024 };

struct nvr_pool {
  pthread_mutex_t lock;
  nvr_buffer *free;
  size_t free_bytes, keep_bytes;
  size_t refs; /* one of the owner, one a buffer in use */
};

static size_t rounded(size_t n) { return (n + STEP - 1) / STEP * STEP; }

static void unmap(nvr_buffer *b) {
  munmap(b->data, b->cap);
  free(b);
}

nvr_pool *nvr_pool_new(size_t keep_bytes) {
  nvr_pool *pool = calloc(1, sizeof *pool);
  if (!pool) return NULL;
  if (pthread_mutex_init(&pool->lock, NULL)) {
    free(pool);
    return NULL;
  }
  pool->keep_bytes = keep_bytes;
  pool->refs = 1;
  return pool;
}

/* Called with the lock held; gives it back, and the pool with it when nobody is left. */
static void let_go(nvr_pool *pool) {
  int last = --pool->refs == 0;
  pthread_mutex_unlock(&pool->lock);
  if (!last) return;
  for (nvr_buffer *b = pool->free, *next; b; b = next) {
    next = b->next;
    unmap(b);
  }
  pthread_mutex_destroy(&pool->lock);
  free(pool);
}

void nvr_pool_keep(nvr_pool *pool, size_t keep_bytes) {
  pthread_mutex_lock(&pool->lock);
  pool->keep_bytes = keep_bytes;
  while (pool->free_bytes > keep_bytes) {
    nvr_buffer *b = pool->free;
    pool->free = b->next;
    pool->free_bytes -= b->cap;
    unmap(b);
  }
  pthread_mutex_unlock(&pool->lock);
}

void nvr_pool_drop(nvr_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  pool->keep_bytes = 0;
  let_go(pool);
}

nvr_buffer *nvr_buffer_take(nvr_pool *pool, size_t want) {
  pthread_mutex_lock(&pool->lock);
  nvr_buffer **at = &pool->free, *b;
  while (*at && (*at)->cap < want) at = &(*at)->next;
  if (!*at) at = &pool->free; /* growing one that has pages beats a new one without */
  b = *at;
  if (b) {
    *at = b->next;
    pool->free_bytes -= b->cap;
  }
  pool->refs++;
  pthread_mutex_unlock(&pool->lock);
  if (!b && (b = calloc(1, sizeof *b))) {
    b->cap = rounded(want ? want : 1);
    b->data = mmap(NULL, b->cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b->data == MAP_FAILED) {
      free(b);
      b = NULL;
    } else {
      madvise(b->data, b->cap, MADV_NOHUGEPAGE); /* one 2 MiB page would be the whole budget of a camera */
    }
  }
  if (!b) {
    pthread_mutex_lock(&pool->lock);
    let_go(pool);
    return NULL;
  }
  b->pool = pool;
  b->next = NULL;
  b->len = 0;
  atomic_init(&b->refs, 1);
  if (nvr_buffer_reserve(b, want) < 0) {
    nvr_buffer_drop(b);
    return NULL;
  }
  return b;
}

int nvr_buffer_reserve(nvr_buffer *b, size_t cap) {
  if (cap <= b->cap) return 0;
  /* An eighth to spare, so that a growing picture does not pay a system call a packet. */
  size_t grown = rounded(cap + b->cap / 8);
  void *data = mremap(b->data, b->cap, grown, MREMAP_MAYMOVE);
  if (data == MAP_FAILED) return -1;
  b->data = data;
  b->cap = grown;
  return 0;
}

void nvr_buffer_drop(nvr_buffer *b) {
  if (!b || atomic_fetch_sub(&b->refs, 1) != 1) return;
  nvr_pool *pool = b->pool;
  pthread_mutex_lock(&pool->lock);
  int keep = pool->free_bytes + b->cap <= pool->keep_bytes;
  if (keep) {
    b->next = pool->free;
    pool->free = b;
    pool->free_bytes += b->cap;
  } else {
    unmap(b);
  }
  let_go(pool);
}
