/* Burning captions: runs of grey bytes with coverage are blended into a plane of bytes. */
#ifndef NVR_BLEND_H
#define NVR_BLEND_H

#include <stddef.h>
#include <stdint.h>

/* A plane of a picture: `height` rows of `width` bytes, `stride` apart. */
typedef struct {
  uint8_t *bytes;
  size_t stride;
  int32_t width, height;
} nvr_plane;

/* What to blend. `runs` holds `count` times three native int32: row, first column, length. Their
 * bytes stand one run after the other in `cover`, which has `bytes` of them, and in `grey`; with
 * `grey` NULL every byte's grey level is `level`. */
typedef struct {
  const uint8_t *cover, *grey, *runs;
  size_t bytes, count;
  uint8_t level;
} nvr_strip;

/* Blend `strip` with its corner at (x, y) of `plane`; what lies outside is cut off. Any x, y and
 * any contents of the runs are safe. Per byte: round((d * (255 - a) + g * a) / 255). */
void nvr_blend(const nvr_plane *plane, const nvr_strip *strip, int32_t x, int32_t y);

#endif
