/* Feeds a session with mutated camera bytes and checks what comes out of it.
 *
 * session_fuzz CORPUS SEED ROUNDS. The corpus holds interleaved streams, each (codec(8), sets(8),
 * (length(16), NAL)*, length(32), bytes). Built by the tests with -fsanitize=address,undefined; exits
 * with 1 and a line if a part is not what the ring may expect of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "sps.h"

static uint64_t state;

static uint32_t roll(uint32_t below) { /* xorshift64*, any number below `below` */
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return below ? (uint32_t)(state * 2685821657736338717ull >> 32) % below : 0;
}

static uint32_t get32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static long round_number;

static void fault(const char *what) {
  printf("fault in round %ld: %s\n", round_number, what);
  exit(1);
}

typedef struct {
  int64_t ends[NVR_TRACKS];
  unsigned parts, messages, configs, closed, live;
} seen;

static int jpeg; /* what is fed */

/* The NAL units of each sample of video fill it exactly; a JPEG begins and ends as one. */
static void check_nals(const uint8_t *p, uint32_t len) {
  if (jpeg) {
    if (len < 500 || memcmp(p, "\xFF\xD8\xFF", 3) || memcmp(p + len - 2, "\xFF\xD9", 2)) fault("not a JPEG");
    return;
  }
  for (uint32_t at = 0; at < len;) {
    if (len - at < 5 || get32(p + at) > len - at - 4 || !get32(p + at)) fault("NAL units do not fill their sample");
    at += 4 + get32(p + at);
  }
}

/* Bytes and ticks of all samples of one moof must fit its mdat and follow what came before. */
static void check_moof(const uint8_t *p, size_t len, const uint8_t *mdat, size_t mdat_len, seen *s, int is_part) {
  if (len < 24 || get32(p) != len || memcmp(p + 4, "moof", 4)) fault("moof head");
  uint64_t bytes = 8;
  for (size_t at = 24; at < len;) {
    size_t size = get32(p + at);
    if (size < 8 || at + size > len || memcmp(p + at + 4, "traf", 4)) fault("traf head");
    const uint8_t *tfhd = p + at + 8, *tfdt = tfhd + 20, *trun = tfdt + 20;
    uint32_t id = get32(tfhd + 12), flags = get32(trun + 8), count = get32(trun + 12);
    if (id < 1 || id > NVR_TRACKS) fault("track id");
    if (get32(trun + 16) != len + bytes) fault("data offset");
    int64_t dts = (int64_t)((uint64_t)get32(tfdt + 12) << 32 | get32(tfdt + 16));
    if (is_part && dts < s->ends[id - 1]) fault("decode time goes back");
    const uint8_t *row = trun + 20 + (flags & 4 ? 4 : 0);
    for (uint32_t i = 0; i < count; i++, row += flags & 0x800 ? 12 : 8) {
      if (!get32(row)) fault("a sample without duration");
      dts += get32(row);
      if (bytes + get32(row + 4) > mdat_len) fault("samples reach beyond mdat");
      if (id == 1) check_nals(mdat + bytes, get32(row + 4));
      bytes += get32(row + 4);
    }
    if (row != p + at + size) fault("trun length");
    if (is_part) s->ends[id - 1] = dts;
    at += size;
  }
  if (bytes != mdat_len) fault("mdat holds more than its samples");
}

static void take(nvr_session *session, seen *s) {
  size_t count;
  const nvr_event *events = nvr_session_events(session, &count);
  for (size_t i = 0; i < count; i++) {
    const nvr_event *e = &events[i];
    if (e->kind == NVR_EVENT_PART) {
      s->parts++;
      if (get32(e->mdat->data) != e->mdat->len) fault("mdat length");
      check_moof(e->data, e->len, e->mdat->data, e->mdat->len, s, 1);
      if (!s->configs) fault("a part before its configuration");
    } else if (e->kind == NVR_EVENT_LIVE || e->kind == NVR_EVENT_PORTION) {
      size_t moof_len = get32(e->data);
      s->live++;
      check_moof(e->data, moof_len, e->data + moof_len, e->len - moof_len, s, 0);
    } else if (e->kind == NVR_EVENT_CONFIG) {
      s->configs++;
    } else if (e->kind == NVR_EVENT_CLOSED) {
      if (s->closed++) fault("closed twice");
    } else {
      s->messages++;
    }
  }
  nvr_session_forget_events(session);
}

static size_t mutate(const uint8_t *from, size_t len, uint8_t *to, size_t room) {
  static const uint8_t values[] = {0, 1, 0x24, 0x5C, 0x7C, 0x67, 0x68, 0x65, 0x80, 0xFF};
  size_t n = 0, at = roll(4) ? 0 : roll((uint32_t)len);
  unsigned rate = 1u << roll(12);
  while (at < len && n + 64 < room) {
    if (roll(rate * 16) == 0) {
      switch (roll(6)) {
        case 0: to[n++] = values[roll(sizeof values)]; at++; break;
        case 1: to[n++] = from[at++] ^ (uint8_t)(1u << roll(8)); break;
        case 2: at += roll(200); break;
        case 3: at -= at < 300 ? 0 : roll(300); break;
        case 4: for (uint32_t i = roll(32); i; i--) to[n++] = (uint8_t)roll(256); break;
        default: at = roll((uint32_t)len);
      }
    } else {
      to[n++] = from[at++];
    }
  }
  return n;
}

/* Damage inside packets only: framing and sequence numbers stay right, so that the depths are reached. */
static size_t mutate_payloads(const uint8_t *from, size_t len, uint8_t *to) {
  memcpy(to, from, len);
  unsigned rate = 1 + roll(30);
  for (size_t at = 0; at + 16 < len && to[at] == '$';) {
    size_t size = (size_t)to[at + 2] << 8 | to[at + 3];
    if (at + 4 + size > len) break;
    if (roll(rate) == 0 && size > 12)
      for (uint32_t i = 1 + roll(4); i; i--) {
        size_t front = jpeg ? 18 : 8, head = roll(2) && size > 12 + front ? front : size - 12;
        to[at + 4 + 12 + roll((uint32_t)head)] = (uint8_t)roll(256);
      }
    if (roll(rate * 4) == 0) to[at + 5] ^= 0x80; /* marker */
    if (roll(rate * 4) == 0) to[at + 4] ^= 1u << roll(6); /* padding, extension, sources */
    if (roll(rate * 8) == 0) to[at + 8 + roll(4)] = (uint8_t)roll(256); /* time */
    at += 4 + size;
  }
  return len;
}

static void round_of(nvr_pool *pool, const uint8_t *corpus, size_t corpus_len, uint8_t *scratch, size_t room) {
  static uint8_t shared[NVR_PENDING_MAX + 65536];
  const uint8_t *p = corpus;
  seen s = {{0}, 0, 0, 0, 0, 0};
  while (roll(3) && p < corpus + corpus_len) { /* a stream further on */
    const uint8_t *q = p + 2;
    for (unsigned k = p[1]; k; k--) q += 2 + ((size_t)q[0] << 8 | q[1]);
    if (q + 4 + get32(q) >= corpus + corpus_len) break;
    p = q + 4 + get32(q);
  }
  jpeg = p[0] == NVR_JPEG;
  nvr_track_setup tracks[4] = {
      {.codec = p[0], .clock_hz = 90000, .payload_type = 96, .channel = 0, .reorder = (int)roll(3), .order = roll(6) == 0},
      {.codec = NVR_AAC, .clock_hz = 48000, .payload_type = 97, .channel = 2, .channels = 2,
       .au = {.size = 13, .index = 3, .delta = 3}, .aac_frame = 1024},
      {.codec = roll(3) ? NVR_PCM : NVR_OPUS, .clock_hz = 8000, .payload_type = 8, .channel = 4, .channels = 1,
       .sample_bits = roll(2) ? 8 : (uint8_t)(2 + roll(4))},
      {.codec = NVR_LATM, .clock_hz = 48000, .payload_type = 99, .channel = 6, .channels = 1}};
  tracks[2].order = tracks[2].sample_bits < 8 && roll(2);
  if (roll(3) == 0)
    tracks[1].au = (nvr_au_header){(uint8_t)roll(17), (uint8_t)roll(33), (uint8_t)roll(33), (uint8_t)roll(33),
                                   (uint8_t)roll(33), (uint8_t)roll(2), (uint8_t)roll(33), (uint8_t)roll(17),
                                   (uint16_t)(roll(2) ? 0 : roll(300))};
  nvr_session *session = nvr_session_new(pool, tracks, 4);
  if (!session) fault("no memory");
  if (roll(4) == 0) nvr_session_replay(session, 1780000000000000, (int64_t)roll(1u << 30) - (1 << 29));
  uint8_t mux[12];
  for (size_t i = 0; i < sizeof mux; i++) mux[i] = (uint8_t)roll(256);
  if (roll(2)) memcpy(mux, "\x40\x00\x23\x10\x3f\xc0", 6); /* RFC 6416, 9.2 */
  if (roll(4) == 0) nvr_session_mux(session, 3, mux, roll(sizeof mux + 1));
  const uint8_t *nal = p + 2;
  int known = roll(4) != 0;
  for (unsigned k = p[1]; k; k--) {
    size_t len = (size_t)nal[0] << 8 | nal[1];
    if (known) nvr_session_set(session, nal + 2, len);
    uint8_t broken[256];
    nvr_sps sps;
    if (len <= sizeof broken) {
      memcpy(broken, nal + 2, len);
      for (uint32_t i = roll(5); i; i--) broken[roll((uint32_t)len)] = (uint8_t)roll(256);
      nvr_h264_sps(broken, len, &sps);
      nvr_h265_sps(broken, len, &sps);
      if (roll(8) == 0) nvr_session_set(session, broken, roll((uint32_t)len));
    }
    nal += 2 + len;
  }
  size_t len = get32(nal);
  uint8_t *copy = NULL;
  size_t n = roll(2) ? mutate(nal + 4, len, scratch, room) : mutate_payloads(nal + 4, len, scratch);
  int64_t now = 90000 * 1000;
  for (size_t at = 0; at < n;) {
    size_t step = 1 + roll(roll(8) ? 6000 : 3);
    if (step > n - at) step = n - at;
    if (roll(2)) {
      memcpy(shared + NVR_PENDING_MAX, scratch + at, step);
      nvr_session_feed_in_place(session, shared + NVR_PENDING_MAX, step, now);
    } else { /* an allocation of its own, so that a read beyond it is seen */
      copy = malloc(step);
      if (!copy) fault("no memory");
      memcpy(copy, scratch + at, step);
      nvr_session_feed(session, copy, step, now);
      free(copy);
    }
    at += step;
    now += roll(9000);
    if (roll(20) == 0) nvr_session_cut(session);
    if (roll(40) == 0) {
      nvr_event open;
      if (nvr_session_watch(session, (int)roll(3) > 0, &open) < 0) fault("no memory");
      if (open.data) {
        size_t moof_len = get32(open.data);
        check_moof(open.data, moof_len, open.data + moof_len, open.len - moof_len, &s, 0);
        free(open.data);
      }
    }
    if (roll(40) == 0) nvr_session_portions(session, roll(3) ? (int64_t)(1 + roll(90000)) : 0);
    nvr_session_flush_live(session);
    if (roll(4)) take(session, &s);
  }
  nvr_session_end(session, 0);
  take(session, &s);
  if (s.closed != 1) fault("not closed");
  nvr_session_free(session);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  FILE *f = fopen(argv[1], "rb");
  if (!f) return 2;
  static uint8_t corpus[4 << 20];
  size_t len = fread(corpus, 1, sizeof corpus, f);
  fclose(f);
  uint64_t seed = strtoull(argv[2], NULL, 10);
  long rounds = strtol(argv[3], NULL, 10);
  uint8_t *scratch = malloc(8 << 20);
  nvr_pool *pool = nvr_pool_new(1 << 20);
  if (!scratch || !pool || !len) return 2;
  for (long i = 0; i < rounds; i++) {
    state = (seed + (uint64_t)i) * 0x9E3779B97F4A7C15ull + 1;
    roll(0), roll(0);
    round_number = i;
    round_of(pool, corpus, len, scratch, 8 << 20);
  }
  nvr_pool_drop(pool);
  free(scratch);
  printf("ok %ld\n", rounds);
  return 0;
}
