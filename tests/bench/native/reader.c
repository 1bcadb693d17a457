/* Many RTSP readers of one address: each checks that it gets the stream whole, and throws it away.
 *
 * usage: reader PORT PATH READERS plain|tls|gb [USER PASSWORD]
 * Prints "ready" when all of them play. With gb they are platforms of GB/T 28181 that listen: it prints
 * "port N" and waits there for as many connections, whose packets come behind two bytes of length;
 * PORT and PATH say nothing then. Each line on standard input prints the counters since the
 * line before as one JSON object; the end of standard input ends it.
 */
#define _GNU_SOURCE
#include "rtsp_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 20, CHANNELS = 8, RTP = 12, HEAD = 4 + RTP, ROOM = 1 << 20, FRAME_TICKS = 90000 / 25 };

static size_t before = 4; /* bytes before each RTP packet: '$' channel length, or length alone */

struct reader {
    struct bench_wire wire;
    uint8_t head[HEAD]; /* of the frame that is being read, then RTP */
    size_t head_bytes, skip;
    unsigned long long bytes, packets, gaps, jumps;
    int closed;
    struct {
        int seen;
        uint16_t seq;
        uint32_t ticks;
    } channel[CHANNELS];
};

static long plain_send(struct bench_wire *w, const void *data, size_t n)
{
    return send(w->fd, data, n, MSG_NOSIGNAL);
}

static long plain_recv(struct bench_wire *w, void *to, size_t n)
{
    return recv(w->fd, to, n, 0);
}

static long tls_send(struct bench_wire *w, const void *data, size_t n)
{
    return SSL_write(w->tls, data, (int)n);
}

static long tls_recv(struct bench_wire *w, void *to, size_t n)
{
    int got = SSL_read(w->tls, to, (int)n);
    if (got <= 0 && SSL_get_error(w->tls, got) == SSL_ERROR_WANT_READ) {
        errno = EAGAIN;
        return -1;
    }
    return got <= 0 ? 0 : got;
}

static void packet(struct reader *r)
{
    unsigned c = before == 4 ? r->head[1] : 0;
    const uint8_t *rtp = r->head + before;
    uint16_t seq = (uint16_t)(rtp[2] << 8 | rtp[3]);
    uint32_t ticks = (uint32_t)rtp[4] << 24 | (uint32_t)rtp[5] << 16 | (uint32_t)rtp[6] << 8 | rtp[7];
    if (c & 1 || c >= CHANNELS) /* RTCP */
        return;
    r->packets++;
    if (r->channel[c].seen) {
        if (seq != (uint16_t)(r->channel[c].seq + 1))
            r->gaps++;
        /* Video comes first and runs at 25 frames a second: a lost group shows here even if the
         * server renumbers what is left. */
        if (before == 4 && c == 0 && ticks != r->channel[c].ticks && ticks - r->channel[c].ticks != FRAME_TICKS)
            r->jumps++;
    }
    r->channel[c].seen = 1;
    r->channel[c].seq = seq;
    r->channel[c].ticks = ticks;
}

static void take(struct reader *r, const uint8_t *p, size_t n)
{
    r->bytes += n;
    while (n) {
        size_t part;
        if (r->skip) {
            part = r->skip < n ? r->skip : n;
            r->skip -= part;
        } else {
            size_t whole = before + RTP;
            part = whole - r->head_bytes < n ? whole - r->head_bytes : n;
            memcpy(r->head + r->head_bytes, p, part);
            r->head_bytes += part;
            if (r->head_bytes == whole) {
                size_t length = (size_t)(r->head[before - 2] << 8 | r->head[before - 1]);
                if ((before == 4 && r->head[0] != '$') || length < RTP || r->head[before] != 0x80) {
                    fprintf(stderr, "reader: not a packet\n");
                    exit(1);
                }
                packet(r);
                r->skip = length - RTP;
                r->head_bytes = 0;
            }
        }
        p += part;
        n -= part;
    }
}

static void drain(struct reader *r)
{
    static uint8_t buffer[ROOM];
    while (!r->closed) {
        long n = r->wire.recv(&r->wire, buffer, ROOM);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            r->closed = 1;
        if (n <= 0)
            return;
        take(r, buffer, (size_t)n);
        if (!r->wire.tls && n < ROOM) /* a TLS read never gives more than a record */
            return;
    }
}

static void report(struct reader *readers, int count)
{
    unsigned long long bytes = 0, packets = 0, gaps = 0, jumps = 0, least = ~0ull, closed = 0;
    unsigned long long least_bytes = ~0ull;
    for (int i = 0; i < count; i++) {
        struct reader *r = &readers[i];
        bytes += r->bytes;
        packets += r->packets;
        gaps += r->gaps;
        jumps += r->jumps;
        closed += (unsigned)r->closed;
        if (r->packets < least)
            least = r->packets;
        if (r->bytes < least_bytes)
            least_bytes = r->bytes;
        r->bytes = r->packets = r->gaps = r->jumps = 0;
    }
    printf("{\"bytes\": %llu, \"packets\": %llu, \"least_packets\": %llu, \"least_bytes\": %llu, "
           "\"gaps\": %llu, \"jumps\": %llu, \"closed\": %llu}\n",
           bytes, packets, least, least_bytes, gaps, jumps, closed);
    fflush(stdout);
}

/* Take as many connections as there are readers. */
static void listen_for(struct reader *readers, int count)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, count) ||
        getsockname(listener, (struct sockaddr *)&at, &size)) {
        perror("reader");
        exit(1);
    }
    printf("port %d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            perror("reader");
            exit(1);
        }
        fcntl(fd, F_SETFL, O_NONBLOCK);
        readers[i].wire = (struct bench_wire){fd, NULL, plain_send, plain_recv};
    }
    close(listener);
}

int main(int argc, char **argv)
{
    struct reader *readers;
    struct bench_login login = {0};
    struct timespec next;
    SSL_CTX *context = NULL;
    char url[256];
    static uint8_t rest[1 << 20];
    int count, tls;

    if (argc != 5 && argc != 7) {
        fprintf(stderr, "usage: reader PORT PATH READERS plain|tls|gb [USER PASSWORD]\n");
        return 2;
    }
    count = atoi(argv[3]);
    tls = strcmp(argv[4], "tls") == 0;
    if (argc == 7)
        login = (struct bench_login){argv[5], argv[6]};
    struct rlimit files = {65536, 65536};
    if (count > 900)
        setrlimit(RLIMIT_NOFILE, &files);
    readers = calloc((size_t)count, sizeof *readers);
    if (!readers)
        return 1;
    if (strcmp(argv[4], "gb") == 0) {
        before = 2;
        listen_for(readers, count);
    }
    if (tls)
        context = SSL_CTX_new(TLS_client_method());
    snprintf(url, sizeof url, "%s://127.0.0.1:%s%s", tls ? "rtsps" : "rtsp", argv[1], argv[2]);
    for (int i = 0; i < count && before == 4; i++) {
        struct bench_wire *w = &readers[i].wire;
        size_t n;
        *w = (struct bench_wire){bench_connect(atoi(argv[1])), NULL, plain_send, plain_recv};
        if (tls) {
            w->tls = SSL_new(context);
            SSL_set_fd(w->tls, w->fd);
            if (SSL_connect(w->tls) != 1) {
                fprintf(stderr, "reader: TLS was refused\n");
                return 1;
            }
            w->send = tls_send;
            w->recv = tls_recv;
        }
        bench_play(w, url, &login, rest, &n, sizeof rest);
        fcntl(w->fd, F_SETFL, O_NONBLOCK);
        take(&readers[i], rest, n);
    }
    printf("ready\n");
    fflush(stdout);
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        struct pollfd in = {STDIN_FILENO, POLLIN, 0};
        next.tv_nsec += TICK_MS * 1000000L;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_nsec -= 1000000000L;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        for (int i = 0; i < count; i++)
            drain(&readers[i]);
        if (poll(&in, 1, 0) > 0) {
            char waste[64];
            if (read(STDIN_FILENO, waste, sizeof waste) <= 0)
                return 0;
            report(readers, count);
        }
    }
}
