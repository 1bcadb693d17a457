/* A relay that is given any packets or units, restarts, reports and readers that come, go and don't read.
 * Those with an SSRC of their own must get whole packets that have it. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ps.h"
#include "relay.h"
#include "take.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { READERS = 4, NAME = 0x4E564E56 };

/* What came to a reader of a program stream that has a name: whole packets, or the beginning of one. */
static void check_packets(int fd) {
  static uint8_t got[1 << 20];
  int kind = SOCK_STREAM;
  socklen_t size = sizeof kind;
  size_t len = 0;
  getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size);
  for (ssize_t n; len < sizeof got && (n = recv(fd, got + len, sizeof got - len, MSG_DONTWAIT)) > 0;) {
    if (kind == SOCK_STREAM) {
      len += (size_t)n;
      continue;
    }
    if (n < 12 || got[0] != 0x80) abort();
  }
  for (size_t at = 0; at + 14 <= len;) {
    if (got[at + 2] != 0x80) abort();
    at += 2 + ((size_t)got[at] << 8 | got[at + 1]);
  }
}

static void check(nvr_reader *d, const nvr_relay_limits *limits) {
  nvr_reader_stats stats;
  nvr_reader_read_stats(d, &stats);
  if (stats.backlog_bytes > limits->backlog_bytes + (1 << 20)) {
    printf("fault: a backlog of %zu bytes\n", stats.backlog_bytes);
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, data + size};
  nvr_relay_track tracks[2] = {
      {.clock_hz = 90000, .ssrc = 1, .timestamp = (uint32_t)take32(&b), .sequence = (uint16_t)take32(&b),
       .payload_type = 96, .channel = 0, .video = 1},
      {.clock_hz = 8000, .ssrc = 2, .payload_type = 8, .channel = 2}};
  uint8_t how = take8(&b);
  nvr_relay_limits limits = {4096, 1.0, 5.0, how & 1 ? 0.0 : 5.0, how & 4 ? 1e4 : 0.0, -1};
  nvr_relay *relay = nvr_relay_new(tracks, 1 + (take8(&b) & 1), &limits);
  nvr_ps_track carried[2] = {{.kind = NVR_PS_H264, .stream_id = 0xE0}, {.kind = NVR_PS_SOUND, .stream_id = 0xC0}};
  nvr_ps *ps = how & 2 ? nvr_ps_new(carried, 2, 1000, 0) : NULL;
  if (relay && ps) nvr_relay_carry(relay, ps);
  nvr_reader *readers[READERS] = {0};
  int peers[READERS] = {-1, -1, -1, -1};
  while (relay && b.at < b.end) {
    uint8_t what = take8(&b), which = take8(&b) % READERS;
    uint8_t packet[300], *exact;
    size_t len = take8(&b);
    switch (what % 13) {
      case 0: case 1: case 2: case 3: case 4:
        take(&b, packet, len);
        if (what & 16) packet[0] = 0x80;
        exact = malloc(len ? len : 1);
        if (!exact) break;
        memcpy(exact, packet, len);
        nvr_relay_packet(relay, what & 32 ? 1 : 0, exact, len, what >> 6 & 1);
        free(exact);
        break;
      case 5: nvr_relay_sync(relay, what & 32 ? 1 : 0, (uint32_t)take32(&b), (uint64_t)take32(&b) << 20); break;
      case 6: nvr_relay_restart(relay); break;
      case 7: nvr_relay_due(relay); nvr_relay_flush(relay); nvr_relay_pump(relay); break;
      case 8:
        if (!readers[which]) {
          int ends[2] = {-1, -1};
          if (what & 16 && socketpair(AF_UNIX, what & 32 ? SOCK_DGRAM : SOCK_STREAM, 0, ends)) break;
          readers[which] = nvr_reader_new(relay, ends[0], "RTSP/1.0 200 OK\r\n\r\n", ps ? 0 : 19);
          if (readers[which] && what & 64) nvr_reader_name(readers[which], NAME);
          if (ends[0] >= 0) close(ends[0]);
          peers[which] = ends[1];
          if (readers[which]) nvr_reader_play(readers[which]);
        }
        break;
      case 9:
        if (readers[which]) {
          check(readers[which], &limits);
          if (ps && peers[which] >= 0) check_packets(peers[which]);
          nvr_reader_free(readers[which]);
          readers[which] = NULL;
          if (peers[which] >= 0) close(peers[which]);
          peers[which] = -1;
        }
        break;
      case 10:
        len *= 1 + (size_t)(what >> 4) * 8;
        exact = calloc(1, len ? len : 1);
        if (!exact) break;
        take(&b, exact, len < 64 ? len : 64);
        nvr_relay_unit(relay, what & 32 ? 1 : 0, exact, len, take32(&b), take32(&b), what >> 6 & 1);
        free(exact);
        break;
      case 11:
        if (!readers[which]) break;
        exact = malloc(len + 1);
        if (exact && peers[which] < 0 && nvr_reader_pull(readers[which], exact, len) > len) abort();
        free(exact);
        break;
      default:
        if (!readers[which]) break;
        if (what & 16) nvr_reader_pause(readers[which]);
        else if (what & 32) nvr_reader_send(readers[which], packet, 0);
        else if (what & 64) nvr_reader_close(readers[which]);
        else nvr_reader_play(readers[which]);
    }
  }
  for (int i = 0; i < READERS; i++) {
    if (readers[i]) nvr_reader_free(readers[i]);
    if (peers[i] >= 0) close(peers[i]);
  }
  if (relay) nvr_relay_free(relay);
  nvr_ps_free(ps);
  return 0;
}
