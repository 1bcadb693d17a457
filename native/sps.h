/* Sequence parameter sets of H.264 and H.265: what MP4 and the DTS rebuild need of them.
 *
 * Source: ITU-T H.264 (08/2021) 7.3.2.1.1, E.1.1; ITU-T H.265 (08/2021) 7.3.2.2, E.2.1. */
#ifndef NVR_SPS_H
#define NVR_SPS_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  uint8_t profile;         /* profile_idc, general_profile_idc */
  uint8_t profile_space;   /* H.265 general_profile_space and tier flag as in the stream: 3 bits */
  uint8_t compatibility;   /* H.264 constraint_set flags byte */
  uint8_t level;
  uint32_t compatible;     /* H.265 general_profile_compatibility_flags */
  uint8_t constraints[6];  /* H.265 general constraint bytes */
  uint8_t chroma_format;   /* 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4 */
  uint8_t luma_bits, chroma_bits;
  uint8_t temporal_layers, temporal_nested; /* H.265 */
  int8_t reorder;          /* pictures shown later than decoded; -1: the stream does not say */
  uint32_t id;
  uint32_t width, height;  /* after cropping */
  uint32_t frame_90k;      /* duration of a frame by the VUI, 0 if it does not say */
  uint32_t aspect_wide, aspect_high; /* shape of a pixel; 1 and 1 if the VUI does not say */
} nvr_sps;

/* Parse a NAL unit with its header and without a start code. 0, or -1 if it is not a usable SPS. */
int nvr_h264_sps(const uint8_t *nal, size_t len, nvr_sps *out);
int nvr_h265_sps(const uint8_t *nal, size_t len, nvr_sps *out);

#endif
