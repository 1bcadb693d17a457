/* The relay: one stream's RTP packets, put once into our own continuous session, for many readers.
 *
 * A packet's 12-byte header is rewritten (our payload type, sequence, timestamp, SSRC), framed as
 * `$ channel length` (RFC 2326, 10.12) and appended to the tick buffer. A flush sends that one
 * buffer to every reader with one non-blocking send each; who can't take it keeps a reference and
 * an offset. A reader begins at a key access unit and, beyond its backlog, loses everything from
 * the end of the access unit in transit to the next key access unit: never half a picture.
 *
 * A relay that carries a program stream is given access units instead, packs each (ps.h) and cuts the
 * pack into RTP packets behind two bytes of length (RFC 4571). It keeps them from the last key access
 * unit on, so that a reader begins at once. A reader may have an SSRC of its own, and may take datagrams:
 * these leave at no more than a peak rate, or a key frame would overrun whoever receives it.
 *
 * Threads: packet, unit, sync, restart and flush belong to the thread that feeds the relay. Everything
 * else may be called from any thread. Source: RFC 3550 (RTP, RTCP), RFC 2326. */
#ifndef NVR_RELAY_H
#define NVR_RELAY_H

#include <stddef.h>
#include <stdint.h>

#define NVR_RELAY_TRACKS 8
#define NVR_RELAY_HOLD_S 0.040
#define NVR_RELAY_PACE_S 0.005

typedef struct nvr_relay nvr_relay;
typedef struct nvr_reader nvr_reader;
struct nvr_ps;

typedef struct {
  uint32_t clock_hz;
  uint32_t ssrc;
  uint32_t timestamp; /* of the moment the relay is made */
  uint16_t sequence;  /* of the first packet */
  uint8_t payload_type;
  int channel; /* interleaved channel of RTP, RTCP on the next; -1: not in this variant */
  int video;
} nvr_relay_track;

typedef struct {
  size_t backlog_bytes;
  double backlog_s;
  double stuck_s;
  double report_s; /* between RTCP sender reports */
  double peak_bytes_s; /* of a reader that takes datagrams; 0: as they come */
  int notify_fd;   /* eventfd written when a reader without a socket has something; -1: none */
} nvr_relay_limits;

enum nvr_reader_state {
  NVR_READER_PAUSED,
  NVR_READER_WAITING, /* for a key access unit */
  NVR_READER_PLAYING,
  NVR_READER_CLOSED
};

enum nvr_reader_end {
  NVR_END_NONE,
  NVR_END_STUCK,  /* no byte taken for stuck_s */
  NVR_END_SOCKET, /* the peer closed or the socket failed */
  NVR_END_TEXT,   /* more than 64 KiB of messages unsent */
  NVR_END_MEMORY
};

typedef struct {
  int state;
  int end;
  uint64_t sent_bytes;
  uint64_t dropped_bytes;
  uint64_t drops; /* times the reader was cut to the next key access unit */
  size_t backlog_bytes;
} nvr_reader_stats;

/* NULL without memory or descriptors. `count` is 1 to NVR_RELAY_TRACKS. */
nvr_relay *nvr_relay_new(const nvr_relay_track *tracks, int count, const nvr_relay_limits *limits);
void nvr_relay_free(nvr_relay *r); /* readers must be removed first */

/* Carry the program stream that `ps` makes, as the one track of this relay; before anything else is done
 * with it. `ps` must outlive the relay. */
void nvr_relay_carry(nvr_relay *r, struct nvr_ps *ps);

/* Take one access unit of `track` of the program stream: 90 kHz ticks, as of nvr_ps_measure. Nothing
 * on a relay that carries none. */
void nvr_relay_unit(nvr_relay *r, int track, const uint8_t *data, size_t len, int64_t dts, int64_t pts, int key);

/* Take one RTP packet of `track` (index as in nvr_relay_new). `starts_key`: the first packet
 * of a key access unit that a decoder needs (parameter sets or slice), once a unit. 0, or -1 if it is no RTP packet of this relay. */
int nvr_relay_packet(nvr_relay *r, int track, const uint8_t *rtp, size_t len, int starts_key);

/* The camera says that RTP time `timestamp` of `track` was at `ntp` (64-bit NTP, RFC 3550 6.4.1):
 * from then on our own sender reports carry the camera's relation between its tracks. */
void nvr_relay_sync(nvr_relay *r, int track, uint32_t timestamp, uint64_t ntp);

/* A new run begins: sequence numbers go on, time goes on by the time that has passed. */
void nvr_relay_restart(nvr_relay *r);

/* Send what came since the last flush, and what is left over from before. */
void nvr_relay_flush(nvr_relay *r);

/* For a feeder that doesn't wait for its tick: 0 while a flush would only send half a picture, or
 * sound that can go with the next picture. Neither waits longer than NVR_RELAY_HOLD_S and a tick. */
int nvr_relay_due(const nvr_relay *r);

/* Send what is left over, without touching the tick buffer. Any thread. */
void nvr_relay_pump(nvr_relay *r);

/* Datagrams wait for their time: nvr_relay_pump is to be called every NVR_RELAY_PACE_S. */
int nvr_relay_paced(const nvr_relay *r);

int nvr_relay_readers(nvr_relay *r);

/* A reader on a duplicate of `fd`, or one that is read by nvr_reader_pull if `fd` is -1. `text`
 * goes out first. NULL without memory or descriptors. */
nvr_reader *nvr_reader_new(nvr_relay *r, int fd, const void *text, size_t len);
/* All packets of this reader have `ssrc` instead of the relay's; before it plays. */
void nvr_reader_name(nvr_reader *d, uint32_t ssrc);
/* Packets of `channel` go to a duplicate of the connected datagram socket `fd`; once one is routed,
 * those that are not go nowhere. Of a reader on a datagram socket, before it plays. 0, or -1. */
int nvr_reader_route(nvr_reader *d, int channel, int fd);
void nvr_reader_play(nvr_reader *d);
void nvr_reader_pause(nvr_reader *d);
int nvr_reader_send(nvr_reader *d, const void *text, size_t len);
size_t nvr_reader_pull(nvr_reader *d, uint8_t *to, size_t room);
void nvr_reader_read_stats(nvr_reader *d, nvr_reader_stats *stats);
void nvr_reader_close(nvr_reader *d); /* stops sending; the reader may still be asked for stats */
void nvr_reader_free(nvr_reader *d);

#endif
