/* Pictures of any size and pixels, any masks and memories, in memory that ends where they end.
 * usage: scene_fuzz SEED ROUNDS */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

static uint64_t state;

static uint32_t any(uint32_t below) {
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return (uint32_t)(state >> 16) % below;
}

static void fill(uint8_t *at, size_t n) {
  int kind = (int)any(4);
  uint8_t grey = (uint8_t)any(256);
  for (size_t i = 0; i < n; i++) at[i] = kind == 0 ? grey : kind == 1 ? (uint8_t)any(256) : (uint8_t)(i / 7 + grey);
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  state = strtoull(argv[1], NULL, 10) * 2654435761u + 1;
  long rounds = strtol(argv[2], NULL, 10), n;
  for (n = 0; n < rounds; n++) {
    nvr_scene *s = nvr_scene_new();
    if (!s) return 3;
    uint8_t *a = malloc(NVR_CELLS), *b = malloc(NVR_CELLS), *memory = malloc(NVR_SCENE_MEMORY);
    fill(a, NVR_CELLS), fill(b, NVR_CELLS), fill(memory, NVR_SCENE_MEMORY);
    nvr_scene_mask(s, a, b);
    if (any(2)) memcpy(memory, "scn1", 4);
    int32_t width = 160 + (int32_t)any(any(8) ? 700 : 8033), height = 90 + (int32_t)any(600);
    for (int frames = 0; frames < 12; frames++) {
      if (any(6) == 0) nvr_scene_recall(s, memory);
      if (any(9) == 0) width = 160 + (int32_t)any(500), height = 90 + (int32_t)any(400);
      if (any(9) == 0) nvr_scene_forget(s);
      size_t stride = (size_t)width + any(40), size = stride * (size_t)(height - 1) + (size_t)width;
      uint8_t *luma = malloc(size);
      fill(luma, size);
      static const float apart[] = {0.2f, 0.04f, 2.0f, 0.0f, -1.0f, 1e30f, (float)INFINITY, (float)NAN};
      nvr_seen seen;
      nvr_scene_look(s, luma, stride, width, height, apart[any(8)], (int)any(4), &seen);
      if (seen.moving < 0 || seen.moving > NVR_CELLS || seen.same < 0 || seen.same > 1000) return 4;
      free(luma);
    }
    nvr_scene_keep(s, memory);
    if (nvr_scene_recall(s, memory)) return 5;
    nvr_scene_free(s);
    free(a), free(b), free(memory);
  }
  printf("ok %ld\n", n);
  return 0;
}
