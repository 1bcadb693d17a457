/* What a receiver tells an RTP sender of one track: receiver reports (RFC 3550, 6.4.2 and A.3, A.8).
 *
 * Many cameras take them for the sign that somebody still listens. */
#ifndef NVR_RECEIPT_H
#define NVR_RECEIPT_H

#include <stddef.h>
#include <stdint.h>

enum { NVR_REPORT_BYTES = 48 };

typedef struct {
  int started, timed;
  uint32_t first, highest; /* sequence numbers, extended */
  uint32_t received, expected_then, received_then;
  uint32_t transit, jitter; /* in the track's clock; jitter times 16 */
  uint32_t sent;            /* middle of the last sender report's NTP time, 0 none */
  int64_t sent_at;          /* when that came, 90 kHz ticks */
} nvr_receipt;

/* Forget the sender: another begins. */
void nvr_receipt_restart(nvr_receipt *r);
/* A packet was taken. */
void nvr_receipt_packet(nvr_receipt *r, uint16_t seq);
/* A packet with RTP time `ts` arrived, by our clock in the track's units. */
void nvr_receipt_arrival(nvr_receipt *r, uint32_t ts, uint32_t arrival);
/* Write RR and SDES of `ours` about `theirs`, NVR_REPORT_BYTES. */
void nvr_receipt_write(nvr_receipt *r, uint32_t ours, uint32_t theirs, int64_t now, uint8_t *out);

#endif
