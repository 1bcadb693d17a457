/* Datagrams in any order, doubled, late, of another sender: what comes out is each at most once, in
 * order, and everything is accounted for; and a receiver report of it can be written. */
#include <stdio.h>
#include <stdlib.h>

#include "receipt.h"
#include "reorder.h"
#include "take.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST = 4096 };

typedef struct {
  uint8_t seen[MOST];
  uint32_t out, ssrc;
  int started;
  uint16_t next;
  const nvr_reorder *of;
  nvr_receipt receipt;
} model;

static void fault(const char *what) {
  printf("fault: %s\n", what), fflush(stdout);
  abort();
}

static void out(void *to, const uint8_t *p, size_t len) {
  model *m = to;
  uint16_t seq = (uint16_t)(p[2] << 8 | p[3]), serial = (uint16_t)(p[12] << 8 | p[13]);
  uint32_t ssrc = p[11];
  for (size_t i = 14; i < len; i++)
    if (p[i] != (uint8_t)(serial + i)) fault("a packet came out otherwise than it went in");
  if (m->seen[serial]++) fault("a packet came out twice");
  m->out++;
  int ahead = (int16_t)(seq - m->next);
  if (m->started && ssrc == m->ssrc) {
    /* From far off it goes on to who judges, and is believed or not: then the window moves with it. */
    int far = ahead >= NVR_REORDER_SLOTS || ahead <= -NVR_REORDER_SLOTS;
    if (!far && ahead < 0) fault("packets out of order");
    if (!far || m->of->next == (uint16_t)(seq + 1)) m->next = (uint16_t)(seq + 1);
  } else {
    m->started = 1;
    m->next = (uint16_t)(seq + 1);
    nvr_receipt_restart(&m->receipt);
  }
  m->ssrc = ssrc;
  nvr_receipt_packet(&m->receipt, seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static model m;
  bytes b = {data, data + size};
  nvr_reorder r = {0};
  uint8_t ours[NVR_REPORT_BYTES];
  int64_t now = 90000;
  uint16_t seq = (uint16_t)take32(&b);
  uint32_t in = 0;
  uint8_t ssrc = 0;
  memset(&m, 0, sizeof m);
  m.of = &r;
  while (b.at < b.end && in < MOST - 1) {
    uint8_t op = take8(&b);
    if ((op & 7) == 7) {
      now += (op >> 3) * 300;
      nvr_reorder_settle(&r, now, out, &m);
      if (op >> 3 == 31) ssrc++;
      continue;
    }
    size_t len = 14 + (op & 0x80 ? take8(&b) * 257u : take8(&b));
    if ((op & 7) == 6) seq = (uint16_t)take32(&b);
    if ((op & 7) == 5) seq = (uint16_t)(seq + (int8_t)take8(&b));
    if ((op & 7) == 4) seq = (uint16_t)(seq + (int8_t)take8(&b) * 8);
    uint8_t *p = malloc(len); /* of its own, so that a read beyond it is seen */
    if (!p) return 0;
    uint16_t serial = (uint16_t)in++;
    for (size_t i = 14; i < len; i++) p[i] = (uint8_t)(serial + i);
    memset(p, 0, 12);
    p[0] = 0x80;
    p[2] = (uint8_t)(seq >> 8), p[3] = (uint8_t)seq;
    p[11] = ssrc;
    p[12] = (uint8_t)(serial >> 8), p[13] = (uint8_t)serial;
    nvr_reorder_take(&r, p, len, now, out, &m);
    nvr_receipt_arrival(&m.receipt, (uint32_t)take8(&b) << 24, (uint32_t)now);
    free(p);
    if ((op & 7) < 4) seq++;
    if (r.held < 0 || r.held > NVR_REORDER_SLOTS || r.bytes > NVR_REORDER_BYTES) fault("too much is kept");
    if (r.wait < NVR_REORDER_WAIT || r.wait > NVR_REORDER_WAIT_MAX) fault("waits too long or too short");
  }
  nvr_receipt_write(&m.receipt, 1, 2, now, ours);
  nvr_reorder_settle(&r, now + NVR_REORDER_WAIT_MAX, out, &m);
  if (r.held || r.bytes) fault("waits for what will never come");
  if (m.out + r.late + r.repeated != in) fault("packets are unaccounted for");
  nvr_reorder_clear(&r);
  return 0;
}
