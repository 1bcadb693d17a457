/* LATM: MPEG-4 audio with its configuration in the stream, as RTP carries it.
 *
 * AudioMuxElement: [useSameStreamMux(1) [StreamMuxConfig]] (length(8)* payload)* other data, all of it
 * packed by the bit. One program of one layer is taken, of frame length type 0: what RFC 6416 asks of
 * senders that other receivers are to understand.
 *
 * Source: ISO/IEC 14496-3:2019 sections 1.6.2 and 1.7.3; RFC 6416 section 6. */
#ifndef NVR_LATM_H
#define NVR_LATM_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  int in_band;          /* the elements say whether a StreamMuxConfig follows */
  int known;            /* one was read */
  int told;             /* whoever takes the samples knows `config` */
  uint8_t config[32];   /* AudioSpecificConfig */
  uint8_t config_len;
  uint32_t rate_hz, frame; /* samples of an access unit at that rate */
  unsigned units;       /* of an element */
  uint8_t *pending;     /* an element that comes in fragments, NVR_LATM_MAX bytes once it is used */
  size_t pending_len;
  int marked;           /* a packet with marker came */
} nvr_mux;

/* A reader of bits; `bad` once it was asked for more than there is. */
typedef struct {
  const uint8_t *p;
  size_t at, end; /* bits */
  int bad;
} nvr_bits;

uint32_t nvr_bits_take(nvr_bits *b, unsigned n); /* n at most 32 */

/* Read a StreamMuxConfig. 0, or -1 if it is cut off or not one that is taken; `m` is then as before. */
int nvr_mux_read(nvr_mux *m, nvr_bits *b);
/* Begin an element: reads its configuration where one is in band. 0 or -1. */
int nvr_latm_begin(nvr_mux *m, nvr_bits *b, const uint8_t *p, size_t len);
/* Copy the next access unit to `out`, of `room` bytes. Its length, or -1. */
long nvr_latm_next(nvr_bits *b, uint8_t *out, size_t room);

#endif
