/* Sample tables of one part, and the `moof` that describes them.
 *
 * moof(mfhd, traf(tfhd, tfdt, trun)*): default-base-is-moof, 64-bit decode time, trun version 1
 * (signed composition offsets) with the flags of the first sample apart where samples depend on others:
 * only the first can be a key frame, because every key frame starts a part. In `mdat` the samples of track 1 come first,
 * then those of track 2, and so on.
 *
 * Source: ISO/IEC 14496-12:2022 section 8.8. */
#ifndef NVR_PART_H
#define NVR_PART_H

#include <stddef.h>
#include <stdint.h>

enum { NVR_TRACKS = 4 };

typedef struct {
  uint32_t size, duration;
  int32_t shift; /* presentation minus decode time */
  int damaged;   /* packets are missing */
} nvr_sample;

typedef struct {
  nvr_sample *samples;
  unsigned count, cap;
  int64_t first_dts; /* of samples[0] */
  int64_t last_dts;  /* of samples[count - 1] */
  int inter, key;    /* inter: samples depend on others, but for the first where it is a key frame */
} nvr_table;

/* 0, or -1 without memory. */
int nvr_table_add(nvr_table *t, int64_t dts, nvr_sample sample);
/* Take the first `count` samples away. `next_dts` is where the rest begins. */
void nvr_table_drop(nvr_table *t, unsigned count, int64_t next_dts);
uint64_t nvr_table_bytes(const nvr_table *t, unsigned count);
uint64_t nvr_table_ticks(const nvr_table *t, unsigned count);

/* Length of the moof for the first counts[i] samples of tables[i]. */
size_t nvr_moof_len(const nvr_table *tables, const unsigned *counts, int tracks);
/* Write it. tfdt[i] becomes the offset of track i's decode time in `out`, or -1. Samples are taken
 * to begin 8 bytes behind the moof. Offset of the sequence number: NVR_SEQUENCE_AT. */
void nvr_moof_write(uint8_t *out, const nvr_table *tables, const unsigned *counts, int tracks, int *tfdt);

enum { NVR_SEQUENCE_AT = 20 };

void nvr_put32(uint8_t *p, uint32_t v);
void nvr_put64(uint8_t *p, uint64_t v);

#endif
