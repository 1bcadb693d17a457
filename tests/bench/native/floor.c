/* The least a recorder can do for the same durability: no RTP, no MP4, no index, no Python.
 *
 * Reads every camera each 100 ms, the recorder's tick while nobody watches, and, each 0.5 s, pads
 * what came to 4 KiB, takes its CRC-32C and SHA-256 and writes it to one zeroed file a camera; then sync_file_range on all, wait, ONE
 * fdatasync: the recorder's own bytes, sums and flushes. CRC-32C is the recorder's kernel; SHA-256
 * is libcrypto, which uses the processor's instructions where there are any.
 *
 * usage: floor PORT CAMERAS DIRECTORY
 * Prints "ready" after the first group, its counters for each line on standard input; the end of
 * that ends it.
 */
#define _GNU_SOURCE
#include "crc32c.h"
#include "rtsp_client.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 100, GROUP_MS = 500, PAGE = 4096, ROOM = 2 << 20, BLOCK = 32 << 20 };

struct camera {
    struct bench_wire wire;
    int file;
    uint8_t *buffer;
    size_t bytes;
    off_t at;
};

static long plain_send(struct bench_wire *w, const void *data, size_t n)
{
    return send(w->fd, data, n, MSG_NOSIGNAL);
}

static long plain_recv(struct bench_wire *w, void *to, size_t n)
{
    return recv(w->fd, to, n, 0);
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void open_block(struct camera *c, const char *directory, int number)
{
    char path[512];
    static const uint8_t zeros[1 << 20];
    snprintf(path, sizeof path, "%s/%d.mp4", directory, number);
    c->file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (c->file < 0)
        fail(path);
    for (size_t done = 0; done < BLOCK; done += sizeof zeros)
        if (write(c->file, zeros, sizeof zeros) != (ssize_t)sizeof zeros)
            fail(path);
    if (fsync(c->file) < 0)
        fail(path);
}

int main(int argc, char **argv)
{
    struct camera *cameras;
    struct timespec next;
    struct bench_login nobody = {0};
    unsigned long long received = 0, written = 0, groups = 0, ticks = 0, lost = 0;
    volatile uint32_t crc = 0; /* so that nothing is optimised away */
    int count;

    if (argc != 4) {
        fprintf(stderr, "usage: floor PORT CAMERAS DIRECTORY\n");
        return 2;
    }
    count = atoi(argv[2]);
    cameras = calloc((size_t)count, sizeof *cameras);
    for (int i = 0; cameras && i < count; i++)
        open_block(&cameras[i], argv[3], i);
    for (int i = 0; cameras && i < count; i++) {
        struct camera *c = &cameras[i];
        char url[128];
        snprintf(url, sizeof url, "rtsp://127.0.0.1:%s/cam%d", argv[1], i);
        c->wire = (struct bench_wire){bench_connect(atoi(argv[1])), NULL, plain_send, plain_recv};
        c->buffer = malloc(ROOM);
        if (!c->buffer)
            fail("memory");
        bench_play(&c->wire, url, &nobody, c->buffer, &c->bytes, ROOM);
        fcntl(c->wire.fd, F_SETFL, O_NONBLOCK);
    }
    if (!cameras || count < 1)
        fail("cameras");
    clock_gettime(CLOCK_MONOTONIC, &next);
    for (;;) {
        next.tv_nsec += TICK_MS * 1000000L;
        if (next.tv_nsec >= 1000000000L) {
            next.tv_nsec -= 1000000000L;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        ticks++;
        for (int i = 0; i < count; i++) {
            struct camera *c = &cameras[i];
            for (;;) {
                size_t room = ROOM - PAGE - c->bytes;
                ssize_t n = recv(c->wire.fd, c->buffer + c->bytes, room, 0);
                if (n > 0) {
                    c->bytes += (size_t)n;
                    received += (size_t)n;
                }
                if (n == 0 || (n < 0 && errno != EAGAIN))
                    lost++;
                if (n < (ssize_t)room)
                    break;
            }
        }
        if (ticks * TICK_MS < (groups + 1) * GROUP_MS)
            continue;
        groups++;
        for (int i = 0; i < count; i++) {
            struct camera *c = &cameras[i];
            uint8_t sha[EVP_MAX_MD_SIZE];
            size_t padded = (c->bytes + PAGE - 1) / PAGE * PAGE;
            memset(c->buffer + c->bytes, 0, padded - c->bytes);
            c->bytes = padded;
            crc ^= nvr_crc32c(0, c->buffer, padded);
            EVP_Digest(c->buffer, padded, sha, NULL, EVP_sha256(), NULL);
            crc ^= sha[0];
            if (c->at + (off_t)padded > BLOCK)
                c->at = 0;
            if (pwrite(c->file, c->buffer, padded, c->at) != (ssize_t)padded)
                fail("pwrite");
            written += padded;
            sync_file_range(c->file, c->at, (off_t)padded, SYNC_FILE_RANGE_WRITE);
        }
        for (int i = 0; i < count; i++) {
            struct camera *c = &cameras[i];
            sync_file_range(c->file, c->at, (off_t)c->bytes,
                            SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                SYNC_FILE_RANGE_WAIT_AFTER);
            c->at += (off_t)c->bytes;
            c->bytes = 0;
        }
        if (fdatasync(cameras[count - 1].file) < 0)
            fail("fdatasync");
        if (groups == 1) {
            printf("ready\n");
            fflush(stdout);
        }
        struct pollfd in = {STDIN_FILENO, POLLIN, 0};
        if (poll(&in, 1, 0) > 0) {
            char waste[64];
            if (read(STDIN_FILENO, waste, sizeof waste) <= 0)
                return 0;
            printf("{\"received\": %llu, \"written\": %llu, \"groups\": %llu, \"lost\": %llu, "
                   "\"sum\": %u}\n", received, written, groups, lost, crc);
            fflush(stdout);
        }
    }
}
