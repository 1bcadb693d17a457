/* RTSP/TCP cameras for the benches: /cam0 .. /camN-1, one prepared stream looped without a seam.
 *
 * Each camera has its own phase, in the loop and within a frame. Sequence numbers and time stamps
 * run on over the loops. One process, one epoll, one timerfd, so that the cameras take as little
 * of the machine as they can. A peer that does not read loses whole units, counted, once 4 MiB
 * wait for it.
 *
 * usage: camsim CONTENT CAMERAS bursts|packets PORT
 * Prints "port N" when it listens, its counters as one JSON object for each line on standard input,
 * and once more when that ends, which ends it.
 * The layout of CONTENT is in tests/bench/content.py.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { TRACKS = 2, PENDING_BYTES = 4 << 20, REQUEST_BYTES = 8192, SR_EVERY_US = 5000000 };

struct unit {
    uint64_t due_us;
    uint32_t track, ticks, packets, bytes;
    uint8_t *frames; /* interleaved frames, the variable fields still zero */
};

struct track {
    uint32_t clock_hz, payload_type, loop_ticks;
};

struct peer {
    int fd, camera, playing;
    char in[REQUEST_BYTES];
    size_t in_bytes, skip_bytes;
    uint8_t *out;
    size_t out_from, out_to;
    int writable_wanted;
    struct {
        int on;
        uint8_t channel;
        uint16_t seq;
        uint32_t ssrc, packets, bytes;
        uint64_t sr_at_us;
    } track[TRACKS];
    struct peer *next;
};

struct camera {
    uint64_t start_us; /* of the current loop */
    uint32_t next, loops, base[TRACKS];
};

static struct unit *units;
static uint32_t unit_count;
static uint64_t loop_us;
static struct track tracks[TRACKS];
static char *sdp;
static struct camera *cameras;
static int camera_count, packet_mode, epoll_fd, timer_fd;
static struct peer *peers;
static uint8_t *scratch;
static uint64_t sent_packets, dropped_units, writes;
static int listen_mark, timer_mark, stdin_mark;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p + 2, v & 0xffff);
}

static void *must(void *p)
{
    if (!p)
        fail("memory");
    return p;
}

static void get(FILE *f, void *to, size_t n)
{
    if (fread(to, 1, n, f) != n) {
        fprintf(stderr, "camsim: the content file is cut off\n");
        exit(1);
    }
}

static uint32_t get32(FILE *f)
{
    uint32_t v;
    get(f, &v, 4);
    return v;
}

static void load(const char *path)
{
    FILE *f = fopen(path, "rb");
    char magic[8];
    uint32_t n, largest = 0;

    if (!f)
        fail(path);
    get(f, magic, 8);
    if (memcmp(magic, "camsim1\n", 8) != 0) {
        fprintf(stderr, "camsim: %s is not a content file\n", path);
        exit(1);
    }
    n = get32(f);
    sdp = must(calloc(1, n + 1));
    get(f, sdp, n);
    loop_us = get32(f);
    for (int t = 0; t < TRACKS; t++) {
        tracks[t].clock_hz = get32(f);
        tracks[t].payload_type = get32(f);
        tracks[t].loop_ticks = get32(f);
    }
    unit_count = get32(f);
    units = must(calloc(unit_count, sizeof *units));
    for (uint32_t i = 0; i < unit_count; i++) {
        struct unit *u = &units[i];
        u->due_us = get32(f);
        u->track = get32(f);
        u->ticks = get32(f);
        u->packets = get32(f);
        u->bytes = get32(f);
        if (u->track >= TRACKS || u->bytes > 8 << 20) {
            fprintf(stderr, "camsim: unit %u of the content file is damaged\n", i);
            exit(1);
        }
        u->frames = must(malloc(u->bytes));
        get(f, u->frames, u->bytes);
        if (u->bytes > largest)
            largest = u->bytes;
    }
    fclose(f);
    scratch = must(malloc(largest + 64));
}

static void want(struct peer *p, int writable)
{
    struct epoll_event e = {.events = EPOLLIN | (writable ? EPOLLOUT : 0), .data.ptr = p};
    if (writable != p->writable_wanted)
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &e);
    p->writable_wanted = writable;
}

static void drop(struct peer *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1; /* swept after the events, which may still name it */
    p->playing = 0;
}

static void push(struct peer *p)
{
    while (p->out_from < p->out_to) {
        ssize_t n = send(p->fd, p->out + p->out_from, p->out_to - p->out_from, MSG_NOSIGNAL);
        writes++;
        if (n < 0) {
            if (errno != EAGAIN)
                drop(p);
            else
                want(p, 1);
            return;
        }
        p->out_from += (size_t)n;
    }
    p->out_from = p->out_to = 0;
    want(p, 0);
}

/* All or nothing: what is queued keeps frame borders. */
static int queue(struct peer *p, const void *data, size_t n)
{
    if (p->fd < 0)
        return 0;
    if (p->out_from == p->out_to) {
        ssize_t done = send(p->fd, data, n, MSG_NOSIGNAL);
        writes++;
        if (done < 0 && errno != EAGAIN) {
            drop(p);
            return 0;
        }
        if (done < 0)
            done = 0;
        if ((size_t)done == n)
            return 1;
        data = (const uint8_t *)data + done;
        n -= (size_t)done;
        p->out_from = p->out_to = 0;
    } else if (p->out_to - p->out_from + n > PENDING_BYTES) {
        return 0;
    }
    if (!p->out)
        p->out = must(malloc(2 * PENDING_BYTES));
    if (p->out_to + n > 2 * PENDING_BYTES) {
        memmove(p->out, p->out + p->out_from, p->out_to - p->out_from);
        p->out_to -= p->out_from;
        p->out_from = 0;
    }
    memcpy(p->out + p->out_to, data, n);
    p->out_to += n;
    want(p, 1);
    return 1;
}

static void send_report(struct peer *p, uint32_t t, uint32_t ticks, uint64_t now)
{
    struct timespec wall;
    uint8_t b[4 + 28] = {'$', (uint8_t)(p->track[t].channel + 1), 0, 28, 0x80, 200, 0, 6};
    clock_gettime(CLOCK_REALTIME, &wall);
    put32(b + 8, p->track[t].ssrc);
    put32(b + 12, (uint32_t)wall.tv_sec + 2208988800u);
    put32(b + 16, (uint32_t)(((uint64_t)wall.tv_nsec << 32) / 1000000000u));
    put32(b + 20, ticks);
    put32(b + 24, p->track[t].packets);
    put32(b + 28, p->track[t].bytes);
    queue(p, b, sizeof b);
    p->track[t].sr_at_us = now + SR_EVERY_US;
}

static void send_unit(struct peer *p, const struct unit *u, uint32_t ticks, uint64_t now)
{
    uint32_t t = u->track;
    size_t at = 0;
    uint32_t waiting = (uint32_t)(p->out_to - p->out_from);

    if (!p->track[t].on)
        return;
    if (waiting + u->bytes > PENDING_BYTES) {
        /* A gap in the sequence numbers, as a camera that drops would show it. */
        p->track[t].seq = (uint16_t)(p->track[t].seq + u->packets);
        dropped_units++;
        return;
    }
    if (now >= p->track[t].sr_at_us)
        send_report(p, t, ticks, now);
    memcpy(scratch, u->frames, u->bytes);
    for (uint32_t i = 0; i < u->packets; i++) {
        uint8_t *f = scratch + at;
        size_t n = 4 + (size_t)(f[2] << 8 | f[3]);
        f[1] = p->track[t].channel;
        put16(f + 6, p->track[t].seq++);
        put32(f + 8, ticks);
        put32(f + 12, p->track[t].ssrc);
        p->track[t].bytes += (uint32_t)(n - 16);
        if (packet_mode)
            queue(p, f, n);
        at += n;
    }
    p->track[t].packets += u->packets;
    sent_packets += u->packets;
    if (!packet_mode)
        queue(p, scratch, u->bytes);
}

static void run_due(uint64_t now)
{
    for (int c = 0; c < camera_count; c++) {
        struct camera *cam = &cameras[c];
        while (cam->start_us + units[cam->next].due_us <= now) {
            const struct unit *u = &units[cam->next];
            uint32_t ticks =
                cam->base[u->track] + cam->loops * tracks[u->track].loop_ticks + u->ticks;
            for (struct peer *p = peers; p; p = p->next)
                if (p->playing && p->camera == c)
                    send_unit(p, u, ticks, now);
            if (++cam->next == unit_count) {
                cam->next = 0;
                cam->loops++;
                cam->start_us += loop_us;
            }
        }
    }
}

static void set_timer(void)
{
    uint64_t first = UINT64_MAX;
    for (int c = 0; c < camera_count; c++) {
        uint64_t due = cameras[c].start_us + units[cameras[c].next].due_us;
        if (due < first)
            first = due;
    }
    struct itimerspec at = {.it_value = {(time_t)(first / 1000000), (long)(first % 1000000) * 1000}};
    timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void answer(struct peer *p, const char *cseq, const char *headers, const char *body)
{
    char out[4096];
    int n = snprintf(out, sizeof out, "RTSP/1.0 200 OK\r\nCSeq: %s\r\n%sContent-Length: %zu\r\n\r\n%s",
                     cseq, headers, strlen(body), body);
    queue(p, out, (size_t)n);
}

static void refuse(struct peer *p, const char *cseq, const char *status)
{
    char out[256];
    int n = snprintf(out, sizeof out, "RTSP/1.0 %s\r\nCSeq: %s\r\n\r\n", status, cseq);
    queue(p, out, (size_t)n);
}

/* Copies the value of a header, without its line end; "" when absent. */
static void header(const char *head, const char *name, char *to, size_t room)
{
    size_t n = strlen(name);
    to[0] = 0;
    for (const char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, n) == 0 && line[2 + n] == ':') {
            const char *value = line + 3 + n + strspn(line + 3 + n, " ");
            size_t bytes = strcspn(value, "\r");
            if (bytes >= room)
                bytes = room - 1;
            memcpy(to, value, bytes);
            to[bytes] = 0;
            return;
        }
    }
}

static void request(struct peer *p, const char *head)
{
    char method[32], url[1024], cseq[32], transport[512], out[2048];
    int camera = -1, t = 0;

    header(head, "CSeq", cseq, sizeof cseq);
    if (sscanf(head, "%31s %1023s", method, url) != 2) {
        drop(p);
        return;
    }
    const char *path = strstr(url, "/cam");
    if (path)
        camera = atoi(path + 4);
    if (strcmp(method, "OPTIONS") == 0) {
        answer(p, cseq,
               "Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN\r\n", "");
        return;
    }
    if (strcmp(method, "GET_PARAMETER") == 0 || strcmp(method, "SET_PARAMETER") == 0) {
        answer(p, cseq, "Session: 12345678;timeout=60\r\n", "");
        return;
    }
    if (camera < 0 || camera >= camera_count) {
        refuse(p, cseq, "404 Not Found");
        return;
    }
    if (strcmp(method, "DESCRIBE") == 0) {
        url[strcspn(url, "?")] = 0;
        snprintf(out, sizeof out, "Content-Base: %s/\r\nContent-Type: application/sdp\r\n", url);
        answer(p, cseq, out, sdp);
    } else if (strcmp(method, "SETUP") == 0) {
        const char *control = strstr(url, "trackID=");
        const char *channels;
        header(head, "Transport", transport, sizeof transport);
        channels = strstr(transport, "interleaved=");
        t = control ? atoi(control + 8) : -1;
        if (t < 0 || t >= TRACKS || !strstr(transport, "TCP") || !channels) {
            refuse(p, cseq, "461 Unsupported Transport");
            return;
        }
        p->camera = camera;
        p->track[t].on = 1;
        p->track[t].channel = (uint8_t)atoi(channels + 12);
        p->track[t].seq = (uint16_t)random();
        p->track[t].ssrc = (uint32_t)random();
        snprintf(out, sizeof out,
                 "Session: 12345678;timeout=60\r\n"
                 "Transport: RTP/AVP/TCP;unicast;interleaved=%u-%u;ssrc=%08X\r\n",
                 p->track[t].channel, p->track[t].channel + 1u, p->track[t].ssrc);
        answer(p, cseq, out, "");
    } else if (strcmp(method, "PLAY") == 0) {
        answer(p, cseq, "Session: 12345678;timeout=60\r\nRange: npt=now-\r\n", "");
        p->playing = 1;
    } else if (strcmp(method, "TEARDOWN") == 0) {
        answer(p, cseq, "Session: 12345678\r\n", "");
        push(p);
        drop(p);
    } else {
        refuse(p, cseq, "405 Method Not Allowed");
    }
}

static void take(struct peer *p)
{
    for (;;) {
        ssize_t n = recv(p->fd, p->in + p->in_bytes, sizeof p->in - 1 - p->in_bytes, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(p);
            return;
        }
        p->in_bytes += (size_t)n;
        for (;;) {
            size_t used;
            if (p->skip_bytes) {
                used = p->skip_bytes < p->in_bytes ? p->skip_bytes : p->in_bytes;
                p->skip_bytes -= used;
            } else if (p->in_bytes >= 4 && p->in[0] == '$') {
                /* A receiver report: nothing here depends on it. */
                used = 4;
                p->skip_bytes = (size_t)((uint8_t)p->in[2] << 8 | (uint8_t)p->in[3]);
            } else {
                char value[32];
                char *end = p->in_bytes && p->in[0] != '$'
                                ? memmem(p->in, p->in_bytes, "\r\n\r\n", 4) : NULL;
                if (!end)
                    break;
                used = (size_t)(end - p->in) + 4;
                end[2] = 0;
                header(p->in, "Content-Length", value, sizeof value);
                p->skip_bytes = (size_t)strtoul(value, NULL, 10);
                request(p, p->in);
                if (p->fd < 0)
                    return;
            }
            p->in_bytes -= used;
            memmove(p->in, p->in + used, p->in_bytes);
            if (!p->in_bytes)
                break;
        }
        if (p->in_bytes == sizeof p->in - 1) {
            drop(p);
            return;
        }
    }
}

static void admit(int listener)
{
    for (;;) {
        int on = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct peer *p;
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        p = must(calloc(1, sizeof *p));
        p->fd = fd;
        p->next = peers;
        peers = p;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = p};
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
    }
}

static void sweep(void)
{
    for (struct peer **at = &peers; *at;) {
        struct peer *p = *at;
        if (p->fd >= 0) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        free(p->out);
        free(p);
    }
}

static void report(void)
{
    int playing = 0;
    for (struct peer *p = peers; p; p = p->next)
        playing += p->playing;
    printf("{\"sent_packets\": %llu, \"dropped_units\": %llu, \"writes\": %llu, \"playing\": %d}\n",
           (unsigned long long)sent_packets, (unsigned long long)dropped_units,
           (unsigned long long)writes, playing);
    fflush(stdout);
}

static void watch(int fd, void *mark)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0)
        fail("epoll_ctl");
}

int main(int argc, char **argv)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof name;
    int on = 1, listener;
    uint64_t start;

    if (argc != 5) {
        fprintf(stderr, "usage: camsim CONTENT CAMERAS bursts|packets PORT\n");
        return 2;
    }
    load(argv[1]);
    camera_count = atoi(argv[2]);
    packet_mode = strcmp(argv[3], "packets") == 0;
    name.sin_port = htons((uint16_t)atoi(argv[4]));
    srandom(1);
    signal(SIGPIPE, SIG_IGN);

    cameras = must(calloc((size_t)camera_count, sizeof *cameras));
    start = now_us();
    for (int c = 0; c < camera_count; c++) {
        /* Spread over the loop, and within one frame of 40 ms: cameras do not tick together. */
        uint64_t phase = loop_us * (uint64_t)c / (uint64_t)camera_count +
                         40000 * (uint64_t)c / (uint64_t)camera_count;
        phase %= loop_us;
        cameras[c].start_us = start - phase;
        while (cameras[c].next + 1 < unit_count && units[cameras[c].next].due_us < phase)
            cameras[c].next++;
        for (int t = 0; t < TRACKS; t++)
            cameras[c].base[t] = (uint32_t)random();
    }
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&name, sizeof name) < 0 || listen(listener, 512) < 0)
        fail("listen");
    getsockname(listener, (struct sockaddr *)&name, &size);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch(listener, &listen_mark);
    watch(timer_fd, &timer_mark);
    watch(STDIN_FILENO, &stdin_mark);
    printf("port %u\n", ntohs(name.sin_port));
    fflush(stdout);

    for (int ended = 0; !ended;) {
        struct epoll_event events[64];
        set_timer();
        int n = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < n; i++) {
            void *mark = events[i].data.ptr;
            struct peer *p = mark;
            char waste[256];
            uint64_t times;
            if (mark == &listen_mark) {
                admit(listener);
            } else if (mark == &timer_mark) {
                if (read(timer_fd, &times, sizeof times) > 0)
                    run_due(now_us());
            } else if (mark == &stdin_mark) {
                ended = read(STDIN_FILENO, waste, sizeof waste) <= 0;
                if (!ended)
                    report();
            } else {
                if (p->fd >= 0 && events[i].events & EPOLLOUT)
                    push(p);
                if (p->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                    take(p);
            }
        }
        sweep();
    }
    report();
    return 0;
}
