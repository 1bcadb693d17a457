#include "mosaic.h"

#include <string.h>

static uint8_t mixed(uint8_t under, uint8_t over, uint8_t cover) {
  uint32_t t = (uint32_t)under * (255u - cover) + (uint32_t)over * cover + 128u;
  return (uint8_t)((t + (t >> 8)) >> 8);
}

/* The mean of each block of one row of blocks, and of each channel. */
static void measure(const nvr_plane *plane, int64_t band, int32_t channels, int32_t wide, int32_t high, uint8_t *mean) {
  int64_t top = band * high, bottom = top + high < plane->height ? top + high : plane->height;
  int64_t step = (int64_t)wide * channels;
  for (int64_t left = 0, block = 0; left < plane->width; left += step, block++) {
    int64_t right = left + step < plane->width ? left + step : plane->width;
    uint64_t sum[2] = {0, 0}, count[2] = {0, 0};
    for (int64_t row = top; row < bottom; row++) {
      const uint8_t *bytes = plane->bytes + (size_t)row * plane->stride;
      for (int64_t x = left; x < right; x++) {
        sum[x % channels] += bytes[x];
        count[x % channels]++;
      }
    }
    for (int32_t channel = 0; channel < channels; channel++)
      mean[block * channels + channel] =
          count[channel] ? (uint8_t)((sum[channel] + count[channel] / 2) / count[channel]) : 0;
  }
}

int nvr_mosaic(const nvr_plane *plane, const nvr_strip *strip, int32_t channels, int32_t block_width,
               int32_t block_height) {
  uint8_t mean[NVR_MOST_BLOCKS * 2];
  int64_t step = (int64_t)block_width * channels, measured = -1;
  if (((int64_t)plane->width + step - 1) / step > NVR_MOST_BLOCKS) return 0;
  size_t at = 0;
  for (size_t i = 0; i < strip->count; i++) {
    int32_t run[3];
    memcpy(run, strip->runs + i * sizeof run, sizeof run);
    if (run[2] <= 0) continue;
    if ((size_t)run[2] > strip->bytes - at) break;
    const uint8_t *cover = strip->cover + at;
    at += (size_t)run[2];
    int64_t row = run[0], left = run[1];
    int64_t first = left < 0 ? -left : 0;
    int64_t end = left + run[2] > plane->width ? plane->width - left : run[2];
    if (row < 0 || row >= plane->height || first >= end) continue;
    if (row / block_height != measured) {
      measured = row / block_height;
      measure(plane, measured, channels, block_width, block_height, mean);
    }
    uint8_t *bytes = plane->bytes + (size_t)row * plane->stride;
    for (int64_t n = first; n < end; n++) {
      int64_t x = left + n;
      bytes[x] = mixed(bytes[x], mean[x / step * channels + x % channels], cover[n]);
    }
  }
  return 1;
}
