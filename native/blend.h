/* Burning captions: a grey picture with coverage is blended into a plane of bytes. */
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

/* What to blend: `cover` and `grey` are height x width without padding; `spans` holds, for each
 * row, the first column with coverage and the one after the last, as two native int32. */
typedef struct {
  const uint8_t *cover, *grey, *spans;
  int32_t width, height;
} nvr_mask;

/* Blend `mask` with its corner at (x, y) of `plane`; what lies outside is cut off. Any x, y and
 * any contents of the spans are safe. Per byte: round((d * (255 - a) + g * a) / 255). */
void nvr_blend(const nvr_plane *plane, const nvr_mask *mask, int32_t x, int32_t y);

#endif
