/* See scene.h. Sums of columns first, over the rows of a cell: loops that compilers turn into
 * vector code; what is per cell is small. */
#include "scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_WIDTH 8192
#define ROWS_A_CELL 4 /* more rows than that are skipped: 32 pixels a cell are enough, and more cost */
#define LUT 4096
#define OFFSET 12.0f      /* grey levels added before the logarithm, or the dark would be all noise */
#define FAST_S 0.8f       /* what stands still for as long as that does not move */
#define SLOW_S 12.0f      /* background where nothing moves */
#define FOREIGN_S 45.0f   /* background where something stands that was not there */
#define NOISE_S 25.0f
#define MOVING_NOISE_S 150.0f /* of a cell that moves: a tree becomes noise, people in a street hardly */
#define NOISES 7.5f
#define BEGIN_S 3.0f      /* nothing moves so soon after the first picture */
#define MEMORY_S 600.0f
#define QUICK_S 20.0f     /* the first memory is an average of so long */
#define SETTLE_S 1.0f     /* after a step of light */
#define MOST_SETTLE_S 3.0f
#define TILES_X 5
#define TILES_Y 5
#define TILE_W (NVR_GRID_W / TILES_X)
#define TILE_H (NVR_GRID_H / TILES_Y)
#define REGIONAL 0.10f    /* most that the light of a region is believed to differ from all of it */
#define STEP_SHARE 0.55f
#define EDGE_LEAST 24.0f  /* 1/16 levels: cells with more edge than that, and than noise, have texture */
#define DARK 40.0f        /* grey levels below which nothing is said of a cell's edges */
#define REACH_X 14
#define REACH_Y 9
#define LIKE_ENOUGH 0.80f
#define HEALTH_S 0.9f /* between two looks at health, which is no matter of a second */

struct nvr_scene {
  float log2[LUT];
  float level[NVR_CELLS];   /* logarithm of the mean */
  float grey[NVR_CELLS];    /* mean, grey levels */
  float edge[NVR_CELLS];    /* 1/16 levels, noise taken off */
  float slow[NVR_CELLS], fast[NVR_CELLS], noise[NVR_CELLS], around[TILES_X * TILES_Y];
  float watched_s;
  float ref_level[NVR_CELLS], ref_edge[NVR_CELLS];
  float light[TILES_X * TILES_Y], all_light;
  float across[NVR_GRID_W], down[NVR_GRID_H]; /* place among the middles of tiles */
  uint32_t sums[NVR_CELLS], edges[NVR_CELLS];
  uint8_t sense[NVR_CELLS], zones[NVR_CELLS];
  uint8_t raw[NVR_CELLS], core[NVR_CELLS], map[NVR_CELLS];
  uint16_t column[MOST_WIDTH], slope[MOST_WIDTH];
  float scratch[NVR_CELLS], other[NVR_CELLS];
  float base[11];
  float settle_s, settled_s, floor;
  int32_t width, height;
  float health_s; /* since health was looked at; motion is, in each picture */
  nvr_seen health;
  uint32_t pictures, learned;
};

nvr_scene *nvr_scene_new(void) {
  nvr_scene *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  for (int i = 0; i < LUT; i++) s->log2[i] = log2f((float)i / 16.0f + OFFSET);
  /* By how much a cell must differ, logarithm to the base of 2: 0.32 (25 %) down to 0.045 (3 %). */
  for (int i = 1; i <= 10; i++) s->base[i] = 0.32f * exp2f(-(float)(i - 1) * (2.83f / 9.0f));
  for (int x = 0; x < NVR_GRID_W; x++)
    s->across[x] = fminf(fmaxf(((float)x + 0.5f) / TILE_W - 0.5f, 0.0f), TILES_X - 1.001f);
  for (int y = 0; y < NVR_GRID_H; y++)
    s->down[y] = fminf(fmaxf(((float)y + 0.5f) / TILE_H - 0.5f, 0.0f), TILES_Y - 1.001f);
  memset(s->sense, 5, sizeof s->sense);
  memset(s->zones, 1, sizeof s->zones);
  return s;
}

void nvr_scene_free(nvr_scene *s) { free(s); }

void nvr_scene_mask(nvr_scene *s, const uint8_t sense[NVR_CELLS], const uint8_t zones[NVR_CELLS]) {
  for (int c = 0; c < NVR_CELLS; c++) s->sense[c] = sense[c] > 10 ? 10 : sense[c];
  memcpy(s->zones, zones, NVR_CELLS);
}

const uint8_t *nvr_scene_map(const nvr_scene *s) { return s->map; }

void nvr_scene_forget(nvr_scene *s) { s->learned = 0; }

/* Without the care for what is no number that makes fmaxf and fminf a call each. */
static float maxf(float a, float b) { return a > b ? a : b; }
static float minf(float a, float b) { return a < b ? a : b; }
static float clampf(float x, float low, float high) { return x < low ? low : x > high ? high : x; }

/* The k-th smallest of `n`; reorders them. Numbers must be finite. */
static float kth(float *a, int n, int k) {
  int low = 0, high = n - 1;
  while (low < high) {
    float pivot = a[(low + high) / 2];
    int i = low, j = high;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i <= j) {
        float t = a[i];
        a[i++] = a[j];
        a[j--] = t;
      }
    }
    if (k <= j) high = j;
    else if (k >= i) low = i;
    else return a[k];
  }
  return a[k];
}

/* Add a row to the sums of columns. Not inlined: compilers forget then that nothing overlaps, and take twice as long. */
__attribute__((noinline)) static void add_row(uint16_t *restrict column, uint16_t *restrict slope,
                                              const uint8_t *restrict row, size_t width) {
  for (size_t x = 0; x < width; x++) column[x] = (uint16_t)(column[x] + row[x]);
  for (size_t x = 0; x + 2 < width; x++) {
    uint8_t more = row[x + 2] > row[x] ? row[x + 2] : row[x], less = row[x + 2] > row[x] ? row[x] : row[x + 2];
    slope[x] = (uint16_t)(slope[x] + (uint8_t)(more - less));
  }
}

/* Means and edges of all cells; returns how many are bit for bit as before. */
static int measure(nvr_scene *s, const uint8_t *luma, size_t stride, int32_t width, int32_t height) {
  int same = 0;
  int32_t lefts[NVR_GRID_W + 1]; /* dividing for each cell took longer than adding its pixels */
  for (int cx = 0; cx <= NVR_GRID_W; cx++) lefts[cx] = (int32_t)((int64_t)cx * width / NVR_GRID_W);
  for (int cy = 0; cy < NVR_GRID_H; cy++) {
    int32_t top = (int32_t)((int64_t)cy * height / NVR_GRID_H);
    int32_t end = (int32_t)((int64_t)(cy + 1) * height / NVR_GRID_H);
    int32_t every = (end - top + ROWS_A_CELL - 1) / ROWS_A_CELL;
    uint32_t rows = 0;
    memset(s->column, 0, (size_t)width * sizeof s->column[0]);
    memset(s->slope, 0, (size_t)width * sizeof s->slope[0]);
    for (int32_t y = top; y < end; y += every, rows++) add_row(s->column, s->slope, luma + (size_t)y * stride, (size_t)width);
    for (int cx = 0; cx < NVR_GRID_W; cx++) {
      int32_t left = lefts[cx], right = lefts[cx + 1];
      uint32_t sum = 0, edge = 0, pixels = rows * (uint32_t)(right - left);
      for (int32_t x = left; x < right; x++) sum += s->column[x], edge += s->slope[x];
      int c = cy * NVR_GRID_W + cx;
      same += sum == s->sums[c] && edge == s->edges[c];
      s->sums[c] = sum, s->edges[c] = edge;
      s->grey[c] = (float)sum / (float)pixels;
      s->level[c] = s->log2[sum * 16 / pixels];
    }
  }
  return same;
}

/* Edges of all cells, as far as they are more than noise, which flat cells show. */
static void find_edges(nvr_scene *s) {
  for (int c = 0; c < NVR_CELLS; c++) {
    float pixels = s->grey[c] > 0 ? (float)s->sums[c] / s->grey[c] : 1.0f;
    s->edge[c] = (float)s->edges[c] * 16.0f / pixels;
  }
  memcpy(s->scratch, s->edge, sizeof s->scratch);
  s->floor = kth(s->scratch, NVR_CELLS, NVR_CELLS / 10) * 1.2f;
  for (int c = 0; c < NVR_CELLS; c++) s->edge[c] = s->edge[c] > s->floor ? s->edge[c] - s->floor : 0.0f;
}

/* What light did: to all cells, and to those of a region a little more or less. */
static void find_light(nvr_scene *s) {
  float *d = s->other;
  int n = 0;
  for (int c = 0; c < NVR_CELLS; c++) d[c] = s->level[c] - s->slow[c];
  for (int c = 0; c < NVR_CELLS; c += 3) s->scratch[n++] = d[c];
  s->all_light = kth(s->scratch, n, n / 2);
  for (int t = 0; t < TILES_X * TILES_Y; t++) {
    n = 0;
    for (int y = t / TILES_X * TILE_H; y < (t / TILES_X + 1) * TILE_H; y++)
      for (int x = t % TILES_X * TILE_W + (y & 1); x < (t % TILES_X + 1) * TILE_W; x += 2)
        s->scratch[n++] = d[y * NVR_GRID_W + x];
    float here = kth(s->scratch, n, n / 2) - s->all_light;
    s->light[t] = s->all_light + clampf(here, -REGIONAL, REGIONAL);
  }
}

/* Light of a row of cells, between the middles of tiles. */
static void light_of(const nvr_scene *s, int y, float out[NVR_GRID_W]) {
  float here[TILES_X];
  int iy = (int)s->down[y];
  float ay = s->down[y] - (float)iy;
  for (int t = 0; t < TILES_X; t++)
    here[t] = s->light[iy * TILES_X + t] * (1 - ay) + s->light[(iy + 1) * TILES_X + t] * ay;
  for (int x = 0; x < NVR_GRID_W; x++) {
    int ix = (int)s->across[x];
    float ax = s->across[x] - (float)ix;
    out[x] = here[ix] * (1 - ax) + here[ix + 1] * ax;
  }
}

static void begin_anew(nvr_scene *s) {
  memcpy(s->slow, s->level, sizeof s->slow);
  memcpy(s->fast, s->level, sizeof s->fast);
  memset(s->map, 0, sizeof s->map);
}

/* Which cells move, and what the background becomes. Returns how many were not as it was. */
static int find_motion(nvr_scene *s, float dt_s) {
  float keep_fast = expf(-dt_s / FAST_S), keep_slow = expf(-dt_s / SLOW_S);
  float keep_foreign = expf(-dt_s / FOREIGN_S), keep_noise = expf(-dt_s / NOISE_S);
  float keep_moving = expf(-dt_s / MOVING_NOISE_S), sum[TILES_X * TILES_Y] = {0};
  int changed = 0;
  /* The first noise is an average. */
  keep_noise = fminf(keep_noise, s->watched_s / (s->watched_s + dt_s));
  if (s->watched_s < BEGIN_S) keep_moving = keep_noise;
  s->watched_s = fminf(s->watched_s + dt_s, 2 * NOISE_S);
  find_light(s);
  float light[NVR_GRID_W];
  for (int y = 0; y < NVR_GRID_H; y++) {
    light_of(s, y, light);
    for (int x = 0; x < NVR_GRID_W; x++) {
      int c = y * NVR_GRID_W + x;
      float off = fabsf(s->level[c] - s->slow[c] - light[x]);
      float lately = fabsf(s->level[c] - s->fast[c]);
      float least = s->base[s->sense[c] ? s->sense[c] : 5];
      int tile = y / TILE_H * TILES_X + x / TILE_W;
      float limit = least + NOISES * maxf(s->noise[c], s->around[tile]);
      int foreign = off > limit;
      changed += foreign;
      s->raw[c] = foreign && s->sense[c] && lately > 0.5f * limit;
      s->noise[c] += (1 - (s->map[c] ? keep_moving : keep_noise)) * (minf(off, 2 * least) - s->noise[c]);
      sum[tile] += s->noise[c];
      s->slow[c] = s->level[c] + (s->slow[c] - s->level[c]) * (foreign ? keep_foreign : keep_slow);
      s->fast[c] = s->level[c] + (s->fast[c] - s->level[c]) * keep_fast;
    }
  }
  for (int t = 0; t < TILES_X * TILES_Y; t++) s->around[t] = sum[t] / (TILE_W * TILE_H);
  return changed;
}

static int around(const uint8_t *cells, int x, int y) {
  int n = 0;
  for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < NVR_GRID_H; v++)
    for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < NVR_GRID_W; u++) n += cells[v * NVR_GRID_W + u];
  return n;
}

/* A cell alone is noise, a drop of rain or an insect: two neighbours must move with it, or with one of them. */
static void filter(nvr_scene *s) {
  for (int y = 0; y < NVR_GRID_H; y++)
    for (int x = 0; x < NVR_GRID_W; x++) {
      int c = y * NVR_GRID_W + x;
      s->core[c] = s->raw[c] && around(s->raw, x, y) >= 3;
    }
  for (int y = 0; y < NVR_GRID_H; y++)
    for (int x = 0; x < NVR_GRID_W; x++) {
      int c = y * NVR_GRID_W + x;
      s->map[c] = s->core[c] || (s->raw[c] && around(s->core, x, y));
    }
}

/* A level less the mean of 5 x 5 around it: what remains when light changes slowly over the picture. */
static void relief(const float *restrict level, float *restrict out) {
  float sum[NVR_GRID_W + 4];
  for (int y = 0; y < NVR_GRID_H; y++) {
    int v0 = y > 1 ? y - 2 : 0, v1 = y + 2 < NVR_GRID_H ? y + 2 : NVR_GRID_H - 1;
    memset(sum, 0, sizeof sum);
    for (int v = v0; v <= v1; v++)
      for (int x = 0; x < NVR_GRID_W; x++) sum[x + 2] += level[v * NVR_GRID_W + x];
    for (int x = 0; x < NVR_GRID_W; x++) {
      int u0 = x > 1 ? x - 2 : 0, u1 = x + 2 < NVR_GRID_W ? x + 2 : NVR_GRID_W - 1;
      float all = sum[x] + sum[x + 1] + sum[x + 2] + sum[x + 3] + sum[x + 4];
      float mean = all / (float)((u1 - u0 + 1) * (v1 - v0 + 1));
      out[y * NVR_GRID_W + x] = clampf(level[y * NVR_GRID_W + x] - mean, -0.5f, 0.5f);
    }
  }
}

/* Correlation of `a` shifted by (dx, dy) with `b`, where they overlap. */
static float correlation(const float *a, const float *b, int dx, int dy) {
  double ab = 0, aa = 1e-6, bb = 1e-6;
  int x0 = dx > 0 ? dx : 0, x1 = NVR_GRID_W + (dx < 0 ? dx : 0);
  for (int y = dy > 0 ? dy : 0; y < NVR_GRID_H + (dy < 0 ? dy : 0); y++) {
    const float *p = a + y * NVR_GRID_W, *q = b + (y - dy) * NVR_GRID_W - dx;
    float pq = 0, pp = 0, qq = 0;
    for (int x = x0; x < x1; x++) pq += p[x] * q[x], pp += p[x] * p[x], qq += q[x] * q[x];
    ab += (double)pq, aa += (double)pp, bb += (double)qq;
  }
  return (float)(ab / sqrt(aa * bb));
}

static int32_t permille(float share) { return (int32_t)lrintf(clampf(share, -1.0f, 10.0f) * 1000.0f); }

static void compare(nvr_scene *s, nvr_seen *seen) {
  int textured = 0, lost = 0;
  for (int c = 0; c < NVR_CELLS; c++) {
    if (s->ref_edge[c] < EDGE_LEAST || s->grey[c] < DARK) continue;
    float left = s->edge[c] / s->ref_edge[c];
    s->scratch[textured++] = clampf(left, 0.0f, 4.0f);
    lost += left < 0.3f;
  }
  seen->textured = textured;
  seen->sharp = textured ? permille(kth(s->scratch, textured, textured / 2)) : 1000;
  seen->lost = textured ? permille((float)lost / (float)textured) : 0;

  float *now = s->scratch, *then = s->other;
  relief(s->level, now);
  relief(s->ref_level, then);
  float like = correlation(now, then, 0, 0), best = like;
  if (like < LIKE_ENOUGH) {
    for (int dy = -REACH_Y; dy <= REACH_Y; dy++)
      for (int dx = -REACH_X; dx <= REACH_X; dx++) {
        float here = correlation(now, then, dx, dy);
        if (here > best) best = here, seen->dx = dx, seen->dy = dy;
      }
    /* Infrared at night turns light and dark around, but edges stay where they are. */
    float *e = s->other;
    double m = 0, n = 0;
    for (int c = 0; c < NVR_CELLS; c++) now[c] = log2f(s->edge[c] + 16.0f), e[c] = log2f(s->ref_edge[c] + 16.0f);
    for (int c = 0; c < NVR_CELLS; c++) m += (double)now[c], n += (double)e[c];
    for (int c = 0; c < NVR_CELLS; c++) now[c] -= (float)(m / NVR_CELLS), e[c] -= (float)(n / NVR_CELLS);
    float edges = correlation(now, e, 0, 0);
    if (edges > like) like = edges;
    if (best < like) best = like, seen->dx = seen->dy = 0;
  }
  seen->like = permille(like);
  seen->shifted = permille(best);
}

static void learn(nvr_scene *s, float dt_s) {
  float weight = 1 - expf(-dt_s / MEMORY_S), first = s->learned ? dt_s / ((float)s->learned * dt_s + dt_s) : 1.0f;
  if ((float)s->learned * dt_s < QUICK_S && first > weight) weight = first;
  for (int c = 0; c < NVR_CELLS; c++) {
    s->ref_level[c] += weight * (s->level[c] - s->ref_level[c]);
    s->ref_edge[c] += weight * (s->edge[c] - s->ref_edge[c]);
  }
  if (s->learned < 65535) s->learned++;
}

static void brightness(const nvr_scene *s, nvr_seen *seen) {
  uint32_t count[256] = {0};
  double sum = 0;
  int flat = 0, low = 0, middle = 0, high = 0;
  uint32_t below = 0;
  for (int c = 0; c < NVR_CELLS; c++) count[(int)s->grey[c]]++, sum += (double)s->grey[c];
  for (int g = 0; g < 256; g++) {
    if (below <= NVR_CELLS / 10) low = g;
    if (below <= NVR_CELLS / 2) middle = g;
    if (below <= NVR_CELLS * 9 / 10) high = g;
    below += count[g];
  }
  for (int c = 0; c < NVR_CELLS; c++) seen->edged += s->edge[c] >= EDGE_LEAST;
  for (int c = 0; c < NVR_CELLS; c++) flat += fabsf(s->grey[c] - (float)middle - 0.5f) < 2.0f && s->edge[c] < 8.0f;
  seen->mean = (int32_t)(sum / NVR_CELLS * 16);
  seen->low = low * 16, seen->high = high * 16;
  seen->flat = permille((float)flat / NVR_CELLS);
}

/* How good the picture is. Edges are those above noise: what is flat may be noisy. */
static void look_at_health(nvr_scene *s, float dt_s, int flags) {
  nvr_seen *health = &s->health;
  memset(health, 0, sizeof *health);
  find_edges(s);
  brightness(s, health);
  if (s->learned) compare(s, health);
  else health->sharp = health->like = health->shifted = 1000;
  if (flags & NVR_LEARN && !(flags & NVR_HUSH)) learn(s, dt_s);
  health->learned = (int32_t)s->learned;
}

void nvr_scene_look(nvr_scene *s, const uint8_t *luma, size_t stride, int32_t width, int32_t height, float dt_s,
                    int flags, nvr_seen *seen) {
  dt_s = dt_s >= 0.01f ? fminf(dt_s, 30.0f) : 0.01f; /* a NaN too */
  int fresh = s->pictures == 0 || width != s->width || height != s->height;
  s->width = width, s->height = height;
  int same = measure(s, luma, stride, width, height);
  s->health_s += dt_s;
  if (fresh || s->health_s >= HEALTH_S) look_at_health(s, fminf(s->health_s, 30.0f), flags), s->health_s = 0;
  *seen = s->health;
  seen->same = fresh ? 0 : permille((float)same / NVR_CELLS);
  if (fresh || flags & NVR_HUSH) {
    begin_anew(s);
    s->watched_s = s->settle_s = s->settled_s = 0;
  } else {
    int changed = find_motion(s, dt_s);
    seen->changed = permille((float)changed / NVR_CELLS);
    s->settle_s -= dt_s;
    int step = (float)changed > STEP_SHARE * NVR_CELLS || fabsf(s->all_light) > 0.5f;
    if (step && s->settled_s < MOST_SETTLE_S) s->settle_s = SETTLE_S, seen->step = 1;
    if (s->watched_s <= BEGIN_S) {
      memset(s->map, 0, sizeof s->map);
      if (step) begin_anew(s);
    } else if (s->settle_s > 0) {
      s->settled_s += dt_s;
      begin_anew(s);
    } else {
      s->settled_s = fmaxf(0.0f, s->settled_s - 0.2f * dt_s);
      filter(s);
    }
  }
  for (int c = 0; c < NVR_CELLS; c++)
    if (s->map[c]) {
      int in = 0;
      for (int z = 0; z < NVR_ZONES; z++)
        if (s->zones[c] >> z & 1) seen->zone[z]++, in = 1;
      seen->moving += in;
    }
  if (s->pictures < UINT32_MAX) s->pictures++;
}

static void put16(uint8_t *at, float value) {
  uint16_t v = (uint16_t)clampf(value, 0.0f, 65535.0f);
  at[0] = (uint8_t)(v >> 8), at[1] = (uint8_t)v;
}

void nvr_scene_keep(const nvr_scene *s, uint8_t memory[NVR_SCENE_MEMORY]) {
  memset(memory, 0, 8);
  memcpy(memory, "scn1", 4);
  put16(memory + 4, (float)s->learned);
  for (int c = 0; c < NVR_CELLS; c++) {
    put16(memory + 8 + 4 * c, s->ref_level[c] * 4096.0f);
    put16(memory + 10 + 4 * c, s->ref_edge[c] * 8.0f);
  }
}

int nvr_scene_recall(nvr_scene *s, const uint8_t memory[NVR_SCENE_MEMORY]) {
  if (memcmp(memory, "scn1", 4)) return -1;
  s->learned = (uint32_t)(memory[4] << 8 | memory[5]);
  for (int c = 0; c < NVR_CELLS; c++) {
    const uint8_t *at = memory + 8 + 4 * c;
    s->ref_level[c] = (float)(at[0] << 8 | at[1]) / 4096.0f;
    s->ref_edge[c] = (float)(at[2] << 8 | at[3]) / 8.0f;
  }
  return 0;
}
