/* LATM, G.726 and FLAC, fed with anything.
 *
 * First byte: bit 0 in band, bits 1-2 width of G.726 less 2, bits 3-5 channels of FLAC less 1. The rest is
 * an AudioMuxElement, a StreamMuxConfig, and sound, each for itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flac.h"
#include "g726.h"
#include "latm.h"

static void fault(const char *what) {
  fprintf(stderr, "%s\n", what);
  abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
  if (!len) return 0;
  uint8_t mode = data[0];
  data++;
  len--;
  nvr_mux mux = {0};
  nvr_bits b = {data, 0, len * 8, 0};
  mux.in_band = mode & 1;
  if (nvr_mux_read(&mux, &b) == 0) {
    if (mux.config_len > sizeof mux.config || !mux.rate_hz || !mux.frame || !mux.units || mux.units > 64)
      fault("a configuration that is none");
    if (b.at > b.end) fault("read beyond the end");
  }
  uint8_t *room = malloc(len + 1);
  if (!room) return 0;
  if (nvr_latm_begin(&mux, &b, data, len) == 0) {
    for (unsigned k = 0; k < mux.units; k++) {
      long size = nvr_latm_next(&b, room, len);
      if (size < 0) break;
      if ((size_t)size > len) fault("more than there is");
    }
  }
  free(room);
  if (len > 4096) len = 4096;
  unsigned width = 2 + (mode >> 1 & 3), channels = 1 + (mode >> 3 & 7);
  size_t samples = nvr_g726_samples(len, width);
  int16_t *pcm = malloc((samples + 1) * sizeof *pcm);
  uint8_t *frame = malloc(nvr_flac_most(samples + 1, channels));
  if (pcm && frame) {
    nvr_g726 state;
    nvr_g726_begin(&state);
    nvr_g726_decode(&state, width, data, len, pcm);
    size_t each = samples / channels;
    if (each && nvr_flac_frame(frame, pcm, each, channels, 8000, mode) > nvr_flac_most(each, channels))
      fault("a frame longer than the longest");
  }
  free(pcm);
  free(frame);
  return 0;
}
