#include "dts.h"

void nvr_dts_restart(nvr_dts *d, int64_t floor) {
  d->count = 0;
  d->last = floor - 1;
  d->started = 1;
}

int nvr_dts_later(const nvr_dts *d, int64_t pts) {
  int later = 0;
  while (later < d->count && d->shown[later] > pts) later++;
  return later;
}

int64_t nvr_dts_next(nvr_dts *d, int64_t pts, int64_t frame) {
  int at = nvr_dts_later(d, pts);
  if (at > d->reorder && at <= NVR_REORDER_MAX) d->reorder = at;
  if (at <= NVR_REORDER_MAX) {
    if (d->count <= NVR_REORDER_MAX) d->count++;
    for (int i = d->count - 1; i > at; i--) d->shown[i] = d->shown[i - 1];
    d->shown[at] = pts;
  }
  int64_t dts = d->count > d->reorder ? d->shown[d->reorder]
                                      : d->shown[d->count - 1] - (d->reorder + 1 - d->count) * frame;
  if (d->started && dts <= d->last) dts = d->last + 1;
  d->last = dts;
  d->started = 1;
  return dts;
}
