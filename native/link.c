#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void nvr_link_read(nvr_link *l, uint8_t *room, int64_t now) {
  for (int i = 0; i < NVR_READS && !nvr_session_ended(l->session); i++) {
    ssize_t n = recv(l->fd, room + NVR_PENDING_MAX, NVR_READ_BYTES, MSG_DONTWAIT);
    if (n > 0) {
      nvr_session_feed_in_place(l->session, room + NVR_PENDING_MAX, (size_t)n, now);
      if (n < NVR_READ_BYTES) return; /* saves the recv that would say EAGAIN */
    } else if (n == 0) {
      nvr_session_end(l->session, 0);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      nvr_session_end(l->session, errno);
    }
  }
}

void nvr_link_flush(nvr_link *l) {
  while (l->out_at < l->out_len && !nvr_session_ended(l->session)) {
    ssize_t n = send(l->fd, l->out + l->out_at, l->out_len - l->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) {
      l->out_at += (size_t)n;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      nvr_session_end(l->session, errno);
    }
  }
  l->out_at = l->out_len = 0;
}

int nvr_link_send(nvr_link *l, const void *data, size_t len) {
  if (l->out_at) {
    memmove(l->out, l->out + l->out_at, l->out_len - l->out_at);
    l->out_len -= l->out_at;
    l->out_at = 0;
  }
  if (l->out_len + len > NVR_OUT_MAX) return -1;
  if (l->out_len + len > l->out_cap) {
    uint8_t *grown = realloc(l->out, l->out_len + len);
    if (!grown) return -1;
    l->out = grown;
    l->out_cap = l->out_len + len;
  }
  memcpy(l->out + l->out_len, data, len);
  l->out_len += len;
  nvr_link_flush(l);
  return 0;
}
