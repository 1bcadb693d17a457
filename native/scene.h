/* What changes in a camera's picture, and whether it still is a good picture, on luma alone.
 *
 * A picture becomes a grid of 80 x 45 cells, each with its mean and the energy of its edges. Means
 * are compared as logarithms with a background that is learned, less what light did to all of them;
 * so neither noise, nor a cloud, nor a lamp switched on is a motion. Edges are compared with what
 * they were over the last minutes: lens out of focus, covered, turned away.
 *
 * Safe for any pixels, and for any bytes as a memory. */
#ifndef NVR_SCENE_H
#define NVR_SCENE_H

#include <stddef.h>
#include <stdint.h>

enum {
  NVR_GRID_W = 80,
  NVR_GRID_H = 45,
  NVR_CELLS = NVR_GRID_W * NVR_GRID_H,
  NVR_ZONES = 8,
  NVR_SCENE_MEMORY = 8 + NVR_CELLS * 4, /* bytes of nvr_scene_keep */
};

/* Flags of nvr_scene_look. */
enum {
  NVR_LEARN = 1, /* this is how the picture should be */
  NVR_HUSH = 2,  /* the camera itself moves: report no motion, and begin anew with what is seen */
};

/* What was seen; shares are permille, of all cells unless said otherwise. */
typedef struct {
  int32_t zone[NVR_ZONES]; /* cells of each zone that move */
  int32_t moving;          /* cells that move, in any zone */
  int32_t changed;         /* cells that are not as the background is, before any filter */
  int32_t step;            /* 1 if the whole picture changed at once: light, not motion */
  int32_t mean, low, high; /* of the cells' luma, the 10th and the 90th in a hundred, in 1/16 grey levels */
  int32_t flat;            /* cells with no edge, as grey as most others */
  int32_t same;            /* cells that are bit for bit what they were */
  int32_t edged;           /* cells that have edges */
  int32_t textured;        /* cells that should have, and are bright enough to show them */
  int32_t sharp;           /* what is left of their edges: half of them have less; 1000 as learned */
  int32_t lost;            /* share of them that have hardly any left */
  int32_t like;            /* correlation with what was learned, -1000 to 1000 */
  int32_t dx, dy, shifted; /* if it is not like that: by how many cells it is shifted, and how alike it is then */
  int32_t learned;         /* pictures learned from, up to 65535 */
} nvr_seen;

typedef struct nvr_scene nvr_scene;

/* NULL without memory. */
nvr_scene *nvr_scene_new(void);
void nvr_scene_free(nvr_scene *s);

/* What to look for in each cell: `sense` 0 not at all, else 1 (little) to 10; bit n of `zones` if
 * it belongs to zone n. */
void nvr_scene_mask(nvr_scene *s, const uint8_t sense[NVR_CELLS], const uint8_t zones[NVR_CELLS]);

/* Look at a picture of at least 160 x 90 and at most 8192 x 8192 pixels, `dt_s` after the last one. */
void nvr_scene_look(nvr_scene *s, const uint8_t *luma, size_t stride, int32_t width, int32_t height, float dt_s,
                    int flags, nvr_seen *seen);

/* Cells that moved in the last picture: 1, else 0. */
const uint8_t *nvr_scene_map(const nvr_scene *s);

/* What was learned of how the picture should be; 0, or -1 if the bytes are no memory. */
void nvr_scene_keep(const nvr_scene *s, uint8_t memory[NVR_SCENE_MEMORY]);
int nvr_scene_recall(nvr_scene *s, const uint8_t memory[NVR_SCENE_MEMORY]);
/* Forget it: how the picture is from now on is right. */
void nvr_scene_forget(nvr_scene *s);

#endif
