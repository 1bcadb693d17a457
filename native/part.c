#include "part.h"

#include <stdlib.h>
#include <string.h>

enum {
  SYNC = 0x02000000,     /* depends on no other sample */
  NOT_SYNC = 0x01010000, /* depends on others */
  TFHD = 0x020000 | 0x20,
  TRUN = 0x1 | 0x100 | 0x200,
  FIRST_FLAGS = 0x4,
  SHIFTS = 0x800
};

void nvr_put32(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 24);
  p[1] = (uint8_t)(v >> 16);
  p[2] = (uint8_t)(v >> 8);
  p[3] = (uint8_t)v;
}

void nvr_put64(uint8_t *p, uint64_t v) {
  nvr_put32(p, (uint32_t)(v >> 32));
  nvr_put32(p + 4, (uint32_t)v);
}

int nvr_table_add(nvr_table *t, int64_t dts, nvr_sample sample) {
  if (t->count == t->cap) {
    unsigned cap = t->cap ? t->cap * 2 : 32;
    nvr_sample *grown = realloc(t->samples, cap * sizeof *grown);
    if (!grown) return -1;
    t->samples = grown;
    t->cap = cap;
  }
  if (!t->count) t->first_dts = dts;
  t->last_dts = dts;
  t->samples[t->count++] = sample;
  return 0;
}

void nvr_table_drop(nvr_table *t, unsigned count, int64_t next_dts) {
  t->count -= count;
  if (t->count) memmove(t->samples, t->samples + count, t->count * sizeof *t->samples);
  t->first_dts = next_dts;
  if (count) t->key = 0;
}

uint64_t nvr_table_bytes(const nvr_table *t, unsigned count) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) sum += t->samples[i].size;
  return sum;
}

uint64_t nvr_table_ticks(const nvr_table *t, unsigned count) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < count; i++) sum += t->samples[i].duration;
  return sum;
}

static int shifted(const nvr_table *t, unsigned count) {
  for (unsigned i = 0; i < count; i++)
    if (t->samples[i].shift) return 1;
  return 0;
}

static size_t traf_len(const nvr_table *t, unsigned count) {
  return 8 + 20 + 20 + (t->inter ? 24 : 20) + (size_t)count * (shifted(t, count) ? 12 : 8);
}

size_t nvr_moof_len(const nvr_table *tables, const unsigned *counts, int tracks) {
  size_t len = 8 + 16;
  for (int i = 0; i < tracks; i++)
    if (counts[i]) len += traf_len(&tables[i], counts[i]);
  return len;
}

static uint8_t *head(uint8_t *p, size_t len, const char *kind) {
  nvr_put32(p, (uint32_t)len);
  memcpy(p + 4, kind, 4);
  return p + 8;
}

void nvr_moof_write(uint8_t *out, const nvr_table *tables, const unsigned *counts, int tracks, int *tfdt) {
  size_t len = nvr_moof_len(tables, counts, tracks);
  uint64_t data_at = len + 8;
  uint8_t *p = head(out, len, "moof");
  p = head(p, 16, "mfhd");
  memset(p, 0, 8);
  p += 8;
  for (int i = 0; i < tracks; i++) {
    const nvr_table *t = &tables[i];
    unsigned count = counts[i];
    tfdt[i] = -1;
    if (!count) continue;
    int shifts = shifted(t, count);
    p = head(p, traf_len(t, count), "traf");
    p = head(p, 20, "tfhd");
    nvr_put32(p, TFHD);
    nvr_put32(p + 4, (uint32_t)i + 1);
    nvr_put32(p + 8, t->inter ? NOT_SYNC : SYNC);
    p = head(p + 12, 20, "tfdt");
    nvr_put32(p, 1u << 24);
    nvr_put64(p + 4, (uint64_t)t->first_dts);
    tfdt[i] = (int)(p + 4 - out);
    p = head(p + 12, (t->inter ? 24 : 20) + (size_t)count * (shifts ? 12 : 8), "trun");
    nvr_put32(p, 1u << 24 | TRUN | (t->inter ? FIRST_FLAGS : 0) | (shifts ? SHIFTS : 0));
    nvr_put32(p + 4, count);
    nvr_put32(p + 8, (uint32_t)data_at);
    p += 12;
    if (t->inter) {
      nvr_put32(p, t->key ? SYNC : NOT_SYNC);
      p += 4;
    }
    for (unsigned k = 0; k < count; k++) {
      const nvr_sample *s = &t->samples[k];
      nvr_put32(p, s->duration);
      nvr_put32(p + 4, s->size);
      p += 8;
      if (shifts) {
        nvr_put32(p, (uint32_t)s->shift);
        p += 4;
      }
      data_at += s->size;
    }
  }
}
