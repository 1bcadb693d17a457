#include "paint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST_POINTS 2048 /* of a shape, all its contours together, after clipping */
/* Coordinates are cut to this, so that no arithmetic below overflows. It bends edges, so it must
 * be far: 3 km seen at 0.3 m by a lens of 22,000 px lies at 2e8. */
#define FARTHEST_PX 1e9
#define MOST_TOUCHED 64

typedef struct {
  double x0, y0, y1; /* upper end, and where it ends below: y0 < y1 */
  double slope;      /* change of x for each row down */
  double way;        /* +1 drawn downwards, -1 upwards */
} edge;

typedef struct {
  edge edges[MOST_POINTS];
  size_t active[MOST_POINTS];
  size_t edge_count;
  double area2, low_x, high_x, low_y, high_y;
  float *cover; /* one row of signed coverage changes, width + 2 */
} shape;

typedef struct {
  int32_t first, end;
} stretch;

static double cut(double value) {
  if (!(value > -FARTHEST_PX)) return -FARTHEST_PX; /* NaN as well */
  return value < FARTHEST_PX ? value : FARTHEST_PX;
}

static int add_edge(shape *s, double ax, double ay, double bx, double by) {
  s->area2 += ax * by - bx * ay;
  if (ax < s->low_x) s->low_x = ax;
  if (ax > s->high_x) s->high_x = ax;
  if (ay < s->low_y) s->low_y = ay;
  if (ay > s->high_y) s->high_y = ay;
  if (fabs(ay - by) < 1e-9) return 1; /* level: no coverage, and no slope that is infinite */
  if (s->edge_count == MOST_POINTS) return 0;
  double slope = (bx - ax) / (by - ay);
  s->edges[s->edge_count++] = ay < by ? (edge){ax, ay, by, slope, 1} : (edge){bx, by, ay, slope, -1};
  return 1;
}

/* Project one contour, cutting it at the near plane (Sutherland-Hodgman). False if it is too long. */
static int add_contour(shape *s, const double m[9], double near, const float *points, int32_t count) {
  double first_x = 0, first_y = 0, last_x = 0, last_y = 0;
  int any = 0;
  double before[3] = {0, 0, 0};
  for (int32_t i = -1; i < count; i++) {
    const float *p = points + 3 * (size_t)(i < 0 ? count - 1 : i);
    double now[3];
    for (int k = 0; k < 3; k++) now[k] = m[3 * k] * p[0] + m[3 * k + 1] * p[1] + m[3 * k + 2] * p[2];
    if (i >= 0) {
      double out[2][3];
      int made = 0, was_in = before[2] >= near, is_in = now[2] >= near;
      if (was_in != is_in) {
        double t = (near - before[2]) / (now[2] - before[2]);
        for (int k = 0; k < 2; k++) out[0][k] = before[k] + t * (now[k] - before[k]);
        out[0][2] = near;
        made = 1;
      }
      if (is_in) memcpy(out[made++], now, sizeof now);
      for (int j = 0; j < made; j++) {
        double x = cut(out[j][0] / out[j][2]), y = cut(out[j][1] / out[j][2]);
        if (!any) {
          first_x = x, first_y = y, any = 1;
        } else if (!add_edge(s, last_x, last_y, x, y)) {
          return 0;
        }
        last_x = x, last_y = y;
      }
    }
    memcpy(before, now, sizeof now);
  }
  return !any || add_edge(s, last_x, last_y, first_x, first_y);
}

/* Add one edge's part inside a pixel row to the coverage changes; `dy` is its signed height. */
static stretch accumulate(float *cover, double xa, double xb, double dy) {
  double x0 = xa < xb ? xa : xb, x1 = xa < xb ? xb : xa;
  int32_t first = (int32_t)x0, end = (int32_t)ceil(x1);
  double from = x0 - first;
  if (end <= first + 1) {
    double right = 0.5 * (x0 + x1) - first;
    cover[first] += (float)(dy * (1 - right));
    cover[first + 1] += (float)(dy * right);
    return (stretch){first, first + 2};
  }
  double s = 1 / (x1 - x0), to = x1 - end + 1;
  double a0 = 0.5 * s * (1 - from) * (1 - from), am = 0.5 * s * to * to;
  cover[first] += (float)(dy * a0);
  if (end == first + 2) {
    cover[first + 1] += (float)(dy * (1 - a0 - am));
  } else {
    double a1 = s * (1.5 - from);
    cover[first + 1] += (float)(dy * (a1 - a0));
    for (int32_t x = first + 2; x < end - 1; x++) cover[x] += (float)(dy * s);
    cover[end - 1] += (float)(dy * (1 - (a1 + (end - first - 3) * s) - am));
  }
  cover[end] += (float)(dy * am);
  return (stretch){first, end + 1};
}

static uint8_t mix(uint8_t below, uint8_t above, uint32_t alpha) {
  uint32_t t = below * (255 - alpha) + above * alpha + 128;
  return (uint8_t)((t + (t >> 8)) >> 8);
}

static uint32_t alpha_of(double sum, uint8_t alpha) {
  double c = sum < 0 ? -sum : sum;
  return (uint32_t)((c < 1 ? c : 1) * alpha + 0.5);
}

static void fill(uint8_t *row, int32_t first, int32_t end, uint8_t value, uint32_t alpha) {
  if (alpha == 255) {
    memset(row + first, value, (size_t)(end - first));
  } else if (alpha) {
    /* As `mix`, but 16-bit all the way, which compilers turn into vector code. */
    uint16_t keep = (uint16_t)(255 - alpha), add = (uint16_t)(value * alpha + 128);
    for (int32_t x = first; x < end; x++) {
      uint16_t t = (uint16_t)(row[x] * keep + add);
      row[x] = (uint8_t)((uint16_t)(t + (t >> 8)) >> 8);
    }
  }
}

/* Note that [first, end) of the row was touched: sorted, merged where they meet. */
static int touch(stretch *touched, int count, stretch new) {
  int at = count;
  while (at > 0 && touched[at - 1].first > new.first) at--;
  if (at > 0 && touched[at - 1].end >= new.first) {
    at--;
    if (touched[at].end < new.end) touched[at].end = new.end;
  } else if (count == MOST_TOUCHED) { /* as good, only slower: take the neighbour in */
    if (at == count) at--;
    if (touched[at].first > new.first) touched[at].first = new.first;
    if (touched[at].end < new.end) touched[at].end = new.end;
  } else {
    for (int i = count; i > at; i--) touched[i] = touched[i - 1];
    touched[at] = new;
    count++;
  }
  int next = at + 1;
  if (next == count || touched[next].first > touched[at].end) return count;
  while (next < count && touched[next].first <= touched[at].end) {
    if (touched[at].end < touched[next].end) touched[at].end = touched[next].end;
    next++;
  }
  memmove(touched + at + 1, touched + next, (size_t)(count - next) * sizeof *touched);
  return count - (next - at - 1);
}

/* Accumulate a piece of an edge from xa to xb >= xa; what lies beside the picture counts as if it
 * ran along its border, which keeps the coverage inside exact. */
static int add_piece(float *cover, stretch *touched, int count, double xa, double xb, double dy, int32_t width) {
  if (xa < 0 && xb > 0) {
    double share = -xa / (xb - xa);
    count = touch(touched, count, accumulate(cover, 0, 0, dy * share));
    dy -= dy * share;
    xa = 0;
  }
  if (xb > width && xa < width) {
    double share = (xb - width) / (xb - xa);
    count = touch(touched, count, accumulate(cover, width, width, dy * share));
    dy -= dy * share;
    xb = width;
  }
  xa = xa > 0 ? (xa < width ? xa : width) : 0;
  xb = xb > 0 ? (xb < width ? xb : width) : 0;
  return touch(touched, count, accumulate(cover, xa, xb, dy));
}

static int by_top(const void *a, const void *b) {
  double x = ((const edge *)a)->y0, y = ((const edge *)b)->y0;
  return (x > y) - (x < y);
}

static void sort_edges(edge *edges, size_t count) {
  if (count > 16) {
    qsort(edges, count, sizeof *edges, by_top);
    return;
  }
  for (size_t i = 1; i < count; i++) {
    edge e = edges[i];
    size_t at = i;
    for (; at > 0 && edges[at - 1].y0 > e.y0; at--) edges[at] = edges[at - 1];
    edges[at] = e;
  }
}

/* Fill the shape on `planes` planes that share a size, its coordinates multiplied by `scale`. */
static void raster(shape *s, double scale, uint8_t *const bytes[], const size_t stride[], const uint8_t value[],
                   int planes, uint8_t alpha, int32_t width, int32_t height) {
  int32_t top = (int32_t)floor(s->low_y * scale), bottom = (int32_t)ceil(s->high_y * scale);
  if (top < 0) top = 0;
  if (bottom > height) bottom = height;
  size_t coming = 0, active = 0;
  for (int32_t y = top; y < bottom; y++) {
    stretch touched[MOST_TOUCHED + 1];
    int count = 0;
    while (coming < s->edge_count && s->edges[coming].y0 * scale < y + 1) s->active[active++] = coming++;
    for (size_t i = 0; i < active;) {
      const edge *e = &s->edges[s->active[i]];
      double y0 = e->y0 * scale, y1 = e->y1 * scale;
      if (y1 <= y) {
        s->active[i] = s->active[--active];
        continue;
      }
      i++;
      double a = y0 > y ? y0 : y, b = y1 < y + 1 ? y1 : y + 1;
      double x0 = e->x0 * scale;
      double xa = x0 + (a - y0) * e->slope, xb = x0 + (b - y0) * e->slope;
      count = add_piece(s->cover, touched, count, xa < xb ? xa : xb, xa < xb ? xb : xa, (b - a) * e->way, width);
    }
    double sum = 0;
    for (int i = 0; i < count; i++) {
      int32_t end = touched[i].end < width ? touched[i].end : width;
      for (int32_t x = touched[i].first; x < end; x++) {
        sum += s->cover[x];
        uint32_t a = alpha_of(sum, alpha);
        for (int p = 0; p < planes; p++) {
          uint8_t *at = bytes[p] + (size_t)y * stride[p] + x;
          *at = mix(*at, value[p], a);
        }
      }
      memset(s->cover + touched[i].first, 0, (size_t)(touched[i].end - touched[i].first) * sizeof *s->cover);
      int32_t next = i + 1 < count ? touched[i + 1].first : width;
      if (next > end) {
        /* Rounding leaves a trace of the sum behind where there is nothing: alpha 0. */
        for (int p = 0; p < planes; p++)
          fill(bytes[p] + (size_t)y * stride[p], end, next, value[p], alpha_of(sum, alpha));
      }
    }
  }
}

long nvr_paint(const nvr_picture *picture, const double m[9], double near, const float *points, size_t point_count,
               const uint8_t *contours, size_t contour_count) {
  int32_t width = picture->width, height = picture->height;
  shape *s = malloc(sizeof *s);
  float *cover = calloc((size_t)width + 3, sizeof *cover);
  long drawn = 0;
  if (!s || !cover) {
    free(s);
    free(cover);
    return -1;
  }
  s->cover = cover;
  for (size_t i = 0; i < contour_count;) {
    nvr_contour c;
    int good = 1;
    s->edge_count = 0;
    s->area2 = 0;
    s->low_x = s->low_y = FARTHEST_PX;
    s->high_x = s->high_y = -FARTHEST_PX;
    do {
      memcpy(&c, contours + i++ * sizeof c, sizeof c);
      if (c.count < 3) continue;
      if (c.first < 0 || (size_t)c.first > point_count || (size_t)c.count > point_count - (size_t)c.first)
        good = 0;
      else if (good)
        good = add_contour(s, m, near, points + 3 * (size_t)c.first, c.count);
    } while ((c.flags & NVR_JOINED) && i < contour_count);
    if (!good || !s->edge_count || ((c.flags & NVR_ONE_SIDED) && s->area2 <= 0)) continue;
    if (s->high_x <= 0 || s->high_y <= 0 || s->low_x >= width || s->low_y >= height) continue;
    sort_edges(s->edges, s->edge_count);
    raster(s, 1, picture->bytes, picture->stride, &c.y, 1, c.alpha, width, height);
    raster(s, 0.5, picture->bytes + 1, picture->stride + 1, &c.u, 2, c.alpha, (width + 1) / 2, (height + 1) / 2);
    drawn++;
  }
  free(s);
  free(cover);
  return drawn;
}

static void blur_rows(uint8_t *bytes, size_t stride, int32_t width, int32_t height, int32_t r, uint8_t *line) {
  uint32_t n = 2 * (uint32_t)r + 1, scale = (1u << 16) / n;
  for (int32_t y = 0; y < height; y++) {
    uint8_t *row = bytes + (size_t)y * stride;
    memcpy(line, row, (size_t)width);
    uint32_t sum = (uint32_t)r * line[0];
    for (int32_t x = 0; x <= r; x++) sum += line[x < width ? x : width - 1];
    for (int32_t x = 0; x < width; x++) {
      row[x] = (uint8_t)((sum * scale + 32768) >> 16);
      sum += line[x + r + 1 < width ? x + r + 1 : width - 1];
      sum -= line[x - r > 0 ? x - r : 0];
    }
  }
}

static void blur_columns(uint8_t *bytes, size_t stride, int32_t width, int32_t height, int32_t r, uint8_t *copy,
                         uint32_t *sums) {
  uint32_t n = 2 * (uint32_t)r + 1, scale = (1u << 16) / n;
  size_t w = (size_t)width;
  for (int32_t y = 0; y < height; y++) memcpy(copy + (size_t)y * w, bytes + (size_t)y * stride, w);
  for (size_t x = 0; x < w; x++) sums[x] = (uint32_t)r * copy[x];
  for (int32_t k = 0; k <= r; k++) {
    const uint8_t *row = copy + (size_t)(k < height ? k : height - 1) * w;
    for (size_t x = 0; x < w; x++) sums[x] += row[x];
  }
  for (int32_t y = 0; y < height; y++) {
    uint8_t *row = bytes + (size_t)y * stride;
    const uint8_t *in = copy + (size_t)(y + r + 1 < height ? y + r + 1 : height - 1) * w;
    const uint8_t *out = copy + (size_t)(y - r > 0 ? y - r : 0) * w;
    for (size_t x = 0; x < w; x++) {
      row[x] = (uint8_t)((sums[x] * scale + 32768) >> 16);
      sums[x] += in[x];
      sums[x] -= out[x];
    }
  }
}

int nvr_blur(uint8_t *bytes, size_t stride, int32_t width, int32_t height, int32_t radius) {
  if (radius > width - 1) radius = width - 1;
  if (radius > height - 1) radius = height - 1;
  if (radius > 127) radius = 127; /* 255 * 255 * 257 still fits the 32-bit sums */
  if (radius <= 0) return 0;
  uint8_t *copy = malloc((size_t)width * (size_t)height);
  uint32_t *sums = malloc((size_t)width * sizeof *sums);
  int done = copy && sums ? 0 : -1;
  for (int pass = 0; pass < 2 && !done; pass++) {
    blur_rows(bytes, stride, width, height, radius, copy);
    blur_columns(bytes, stride, width, height, radius, copy, sums);
  }
  free(copy);
  free(sums);
  return done;
}
