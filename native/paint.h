/* Painting flat polygons of a three-dimensional scene into a yuv420p picture. */
#ifndef NVR_PAINT_H
#define NVR_PAINT_H

#include <stddef.h>
#include <stdint.h>

/* A yuv420p picture; chroma planes are (width + 1) / 2 by (height + 1) / 2. */
typedef struct {
  uint8_t *bytes[3];
  size_t stride[3];
  int32_t width, height;
} nvr_picture;

/* One contour; 16 bytes, as Python packs them. */
typedef struct {
  int32_t first, count; /* points */
  uint32_t flags;
  uint8_t y, u, v, alpha;
} nvr_contour;

enum {
  NVR_JOINED = 1, /* the next contour belongs to the same shape (holes run the other way round) */
  NVR_ONE_SIDED = 2, /* not painted when seen from behind (clockwise on the screen is the front) */
};

/* Paint shapes in order. Each point p = (x, y, z) falls on the pixel (m0 p / m2 p, m1 p / m2 p) of
 * the row-major 3 x 3 `m`; what lies nearer than m2 p = near is cut off. Edges are antialiased by
 * exact coverage. Safe for any numbers, NaN included.
 * Returns the number of shapes drawn, or -1 when out of memory. */
long nvr_paint(const nvr_picture *picture, const double m[9], double near, const float *points, size_t point_count,
               const uint8_t *contours, size_t contour_count);

/* Box blur of a plane in place, twice, `radius` pixels; `radius` is cut to the size of the plane.
 * Returns 0, or -1 when out of memory. */
int nvr_blur(uint8_t *bytes, size_t stride, int32_t width, int32_t height, int32_t radius);

#endif
