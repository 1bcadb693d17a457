/* The little RTSP client that the floor and the readers share. */
#ifndef BENCH_RTSP_CLIENT_H
#define BENCH_RTSP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

/* How bytes go out and come in: a socket, or TLS on one. Blocking while the session is set up. */
struct bench_wire {
    int fd;
    void *tls; /* SSL *, NULL for plain */
    long (*send)(struct bench_wire *w, const void *data, size_t n);
    long (*recv)(struct bench_wire *w, void *to, size_t n);
};

struct bench_login {
    const char *user, *password; /* NULL: the server asks for none */
};

/* Connects to 127.0.0.1, blocking, with TCP_NODELAY. Exits with a message when it cannot. */
int bench_connect(int port);

/* DESCRIBE, SETUP of every track on channels 0-1, 2-3 ..., PLAY. Exits with a message when the
 * server refuses. What followed the PLAY answer is left in `rest`.
 * Returns the number of tracks. */
int bench_play(struct bench_wire *w, const char *url, const struct bench_login *login,
               uint8_t *rest, size_t *rest_bytes, size_t room);

#endif
