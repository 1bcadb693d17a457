/* MPEG program streams as GB/T 28181 wants them: every access unit is one pack.
 *
 * pack header | system header, program stream map where decoding can begin | PES... A unit over 65,535
 * bytes takes several PES packets, of which the first has the times. Pictures come as MP4 has them, NAL
 * units behind four bytes of length, and go with start codes, key frames with their parameter sets; AAC
 * goes with ADTS headers, other sound as it is. Nothing here allocates but nvr_ps_new.
 *
 * Source: GB/T 28181-2022 annex C; ISO/IEC 13818-1:2019, 2.4.3.6 and 2.5.3. */
#ifndef NVR_PS_H
#define NVR_PS_H

#include <stddef.h>
#include <stdint.h>

enum { NVR_PS_TRACKS = 8, NVR_PS_FRONT = 12 + 3 * NVR_PS_TRACKS + 16 + 4 * NVR_PS_TRACKS };
enum nvr_ps_kind { NVR_PS_LEFT_OUT, NVR_PS_SOUND, NVR_PS_AAC, NVR_PS_H264, NVR_PS_H265 };

typedef struct {
  int kind;
  uint8_t stream_id, stream_type;
  uint8_t adts[7];     /* of NVR_PS_AAC; the length is filled in */
  const uint8_t *sets; /* of pictures: parameter sets, each behind a start code; copied */
  size_t sets_len;
} nvr_ps_track;

typedef struct nvr_ps nvr_ps;

/* An access unit on its way: what nvr_ps_measure found out for nvr_ps_write. */
typedef struct {
  int track, starts, with_sets;
  const uint8_t *data;
  size_t len;     /* up to a length that lies */
  size_t first;   /* bytes of an access unit delimiter, before the sets */
  size_t payload; /* bytes in PES packets, all together */
  size_t total;   /* bytes of the pack */
  int64_t dts, pts, sent;
  uint8_t adts[7];
} nvr_ps_unit;

typedef void nvr_ps_put(void *to, const uint8_t *p, size_t len);

/* `rate`: bound of the bit rate in units of 400 bits a second, below 1 << 22. `lead`: 90 kHz ticks from
 * when a unit is sent to when it is decoded. NULL without memory. */
nvr_ps *nvr_ps_new(const nvr_ps_track *tracks, int count, uint32_t rate, int64_t lead);
void nvr_ps_free(nvr_ps *m);

/* Look at an access unit. Bytes of its pack; 0 if there is nothing to send: it is empty, its track is
 * left out, or it is longer than only damage makes it. */
size_t nvr_ps_measure(nvr_ps *m, nvr_ps_unit *u, int track, const uint8_t *data, size_t len, int64_t dts,
                      int64_t pts, int starts);
/* Hand the `u->total` bytes of the pack over in pieces. */
void nvr_ps_write(const nvr_ps *m, const nvr_ps_unit *u, nvr_ps_put *put, void *to);

#endif
