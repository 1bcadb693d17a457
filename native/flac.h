/* 16-bit samples as FLAC that any decoder takes: verbatim, or constant where nothing is heard.
 *
 * For sound that browsers have no decoder for in MP4: they all have one for FLAC, and writing it so
 * needs no encoder. Blocks of any length, numbered by their first sample.
 *
 * Source: RFC 9639 section 9. */
#ifndef NVR_FLAC_H
#define NVR_FLAC_H

#include <stddef.h>
#include <stdint.h>

enum { NVR_FLAC_SAMPLES = 65535, NVR_FLAC_CHANNELS = 8 };

/* Most bytes of a frame. */
size_t nvr_flac_most(size_t samples, unsigned channels);
/* Write one frame of 16 to NVR_FLAC_SAMPLES samples of each channel, interleaved in `pcm`. Its length. */
size_t nvr_flac_frame(uint8_t *out, const int16_t *pcm, size_t samples, unsigned channels, uint32_t rate_hz,
                      uint64_t first);

#endif
