/* Privacy masks: the covered bytes of a plane become the mean of the block they lie in. */
#ifndef NVR_MOSAIC_H
#define NVR_MOSAIC_H

#include "blend.h"

#define NVR_MOST_BLOCKS 4096

/* Lay a mosaic over what `strip` covers; its grey levels are not looked at. Blocks are `block_width`
 * pixels by `block_height` rows, the first one's corner at (0, 0) of the plane; a pixel is `channels`
 * (1 or 2) bytes wide, each with a mean of its own. Means are of the plane as it was when the first
 * run of a row of blocks came: runs go from top to bottom. Any contents of the runs are safe; false
 * if a row has more blocks than NVR_MOST_BLOCKS, and then nothing was done. */
int nvr_mosaic(const nvr_plane *plane, const nvr_strip *strip, int32_t channels, int32_t block_width,
               int32_t block_height);

#endif
