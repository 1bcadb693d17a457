/* Captions, masks, polygons and blur: any numbers, on planes that end where they end. */
#include <stdlib.h>

#include "blend.h"
#include "mosaic.h"
#include "paint.h"
#include "take.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void lay(bytes *b) {
  int32_t width = 1 + take8(b) % 70, height = 1 + take8(b) % 40;
  size_t stride = (size_t)width + take8(b) % 5, count = take8(b) % 24, held = take8(b) * 4u;
  uint8_t *plane = malloc(stride * (size_t)height), *cover = malloc(held + 1), *grey = malloc(held + 1);
  uint8_t *runs = malloc(count * 12 + 1);
  if (plane && cover && grey && runs) {
    memset(plane, take8(b), stride * (size_t)height);
    memset(grey, take8(b), held + 1);
    memset(cover, take8(b), held + 1);
    for (size_t i = 0; i < count; i++) {
      int32_t run[3] = {take_near(b, height), take_near(b, width), take_near(b, width)};
      memcpy(runs + i * 12, run, 12);
    }
    nvr_plane into = {plane, stride, width, height};
    nvr_strip strip = {cover, take8(b) & 1 ? grey : NULL, runs, held, count, take8(b)};
    int32_t x = take_near(b, width), y = take_near(b, height);
    if (take8(b) & 1) nvr_blend(&into, &strip, x, y);
    else nvr_mosaic(&into, &strip, 1 + (x & 1), 1 + take8(b) % 20, 1 + take8(b) % 20);
  }
  free(plane), free(cover), free(grey), free(runs);
}

static void paint(bytes *b) {
  int32_t width = 1 + take8(b) % 70, height = 1 + take8(b) % 40;
  nvr_picture picture = {{0}, {0}, width, height};
  int whole = 1;
  for (int i = 0; i < 3; i++) {
    size_t rows = (size_t)(i ? (height + 1) / 2 : height);
    picture.stride[i] = (size_t)(i ? (width + 1) / 2 : width) + take8(b) % 3;
    picture.bytes[i] = calloc(rows, picture.stride[i]);
    whole &= picture.bytes[i] != NULL;
  }
  size_t points = take8(b) % 24, contours = take8(b) % 5;
  double m[9], near = take8(b) / 16.0;
  for (int i = 0; i < 9; i++) m[i] = take8(b) & 7 ? (take32(b) % 4096) / 16.0 : (double)take32(b) * 1e300;
  float *p = malloc(points * 3 * sizeof *p + 1);
  uint8_t *c = malloc(contours * sizeof(nvr_contour) + 1);
  if (whole && p && c) {
    for (size_t i = 0; i < points * 3; i++) {
      if (take8(b) & 7) p[i] = (float)(int8_t)take8(b);
      else take(b, &p[i], sizeof p[i]); /* infinities and NaN, too */
    }
    for (size_t i = 0; i < contours; i++) {
      nvr_contour one = {take_near(b, (int32_t)points), take_near(b, (int32_t)points), take8(b), 0, 0, 0, 0};
      take(b, &one.y, 4);
      memcpy(c + i * sizeof one, &one, sizeof one);
    }
    nvr_paint(&picture, m, near, p, points, c, contours);
    nvr_blur(picture.bytes[0], picture.stride[0], width, height, take_near(b, width));
  }
  free(p), free(c);
  for (int i = 0; i < 3; i++) free(picture.bytes[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  bytes b = {data, data + size};
  if (take8(&b) & 1) lay(&b);
  else paint(&b);
  return 0;
}
