#include "receipt.h"

#include <string.h>

void nvr_receipt_restart(nvr_receipt *r) { memset(r, 0, sizeof *r); }

void nvr_receipt_packet(nvr_receipt *r, uint16_t seq) {
  if (!r->started) {
    r->started = 1;
    r->first = r->highest = seq;
  }
  int ahead = (int16_t)(seq - (uint16_t)r->highest);
  if (ahead > 0) r->highest += (uint32_t)ahead;
  r->received++;
}

void nvr_receipt_arrival(nvr_receipt *r, uint32_t ts, uint32_t arrival) {
  uint32_t transit = arrival - ts;
  if (r->timed) {
    int32_t d = (int32_t)(transit - r->transit);
    uint32_t off = d < 0 ? 0u - (uint32_t)d : (uint32_t)d;
    if (off < 1u << 24) r->jitter += off - ((r->jitter + 8) >> 4);
  }
  r->timed = 1;
  r->transit = transit;
}

static uint8_t *put(uint8_t *at, uint32_t v) {
  at[0] = (uint8_t)(v >> 24), at[1] = (uint8_t)(v >> 16), at[2] = (uint8_t)(v >> 8), at[3] = (uint8_t)v;
  return at + 4;
}

void nvr_receipt_write(nvr_receipt *r, uint32_t ours, uint32_t theirs, int64_t now, uint8_t *out) {
  uint32_t expected = r->started ? r->highest - r->first + 1 : 0;
  uint32_t expected_now = expected - r->expected_then, received_now = r->received - r->received_then;
  uint32_t fraction = expected_now > received_now && expected_now ? ((expected_now - received_now) << 8) / expected_now : 0;
  int64_t lost = (int64_t)expected - r->received;
  r->expected_then = expected;
  r->received_then = r->received;
  if (fraction > 255) fraction = 255;
  if (lost > 0x7FFFFF) lost = 0x7FFFFF;
  if (lost < -0x800000) lost = -0x800000;
  int64_t since = now - r->sent_at;
  uint8_t *at = put(out, 0x81C90007); /* V=2, one block, RR, 8 words */
  at = put(at, ours);
  at = put(at, theirs);
  at = put(at, fraction << 24 | ((uint32_t)lost & 0xFFFFFF));
  at = put(at, r->highest);
  at = put(at, r->jitter >> 4);
  at = put(at, r->sent);
  at = put(at, r->sent && since >= 0 && since < (int64_t)90000 * 65535 ? (uint32_t)(since * 65536 / 90000) : 0);
  at = put(at, 0x81CA0003); /* SDES, one source, 4 words: CNAME "nvr", end */
  at = put(at, ours);
  memcpy(at, "\1\3nvr\0\0\0", 8);
}
