/* Decode times from presentation times.
 *
 * RTP carries when a picture is shown, MP4 when it is decoded. With `reorder` pictures that may be
 * shown later than decoded, the n-th picture is decoded at the (reorder + 1)-th latest presentation
 * time seen so far: no picture waits for a later one. A stream that reorders more than it says is
 * followed: the depth is then what was seen. */
#ifndef NVR_DTS_H
#define NVR_DTS_H

#include <stdint.h>

enum { NVR_REORDER_MAX = 16 };

typedef struct {
  int64_t shown[NVR_REORDER_MAX + 1]; /* the latest presentation times, falling */
  int count;
  int reorder;
  int64_t last;
  int started;
} nvr_dts;

/* Forget the past but not the depth; decode times go on from `floor`. */
void nvr_dts_restart(nvr_dts *d, int64_t floor);
/* How many of the pictures seen are shown after `pts`. */
int nvr_dts_later(const nvr_dts *d, int64_t pts);
/* Decode time of the next picture in decode order, above the one before. `frame` is the duration
 * of a picture, needed while fewer than `reorder` pictures were seen. */
int64_t nvr_dts_next(nvr_dts *d, int64_t pts, int64_t frame);

#endif
