/* Parameter sets of both codecs; what is called usable must be usable. */
#include <stdio.h>
#include <stdlib.h>

#include "sps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const nvr_sps *sps) {
  if (!sps->width || !sps->height || sps->reorder < -1 || sps->reorder > 16) {
    printf("fault: %ux%u, reorder %d\n", sps->width, sps->height, sps->reorder);
    abort();
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nvr_sps sps;
  if (nvr_h264_sps(data, size, &sps) == 0) check(&sps);
  if (nvr_h265_sps(data, size, &sps) == 0) check(&sps);
  return 0;
}
