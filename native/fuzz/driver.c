/* Drives a fuzz target where there is no libFuzzer: PROGRAM SEED ROUNDS FILE...
 *
 * Each round damages one of the files, by the seed and the round's number, and hands it over; ends
 * with "ok ROUNDS". Built with -fsanitize=address,undefined: a fault ends the program. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 1 << 16, FILES = 256 };

static uint64_t state;

static uint32_t roll(uint32_t below) { /* xorshift64*, any number below `below` */
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return below ? (uint32_t)(state * 2685821657736338717ull >> 32) % below : 0;
}

static size_t damage(uint8_t *data, size_t len) {
  static const uint8_t edges[] = {0, 1, 0x7F, 0x80, 0xFF};
  for (uint32_t times = 1u << roll(6); times && len; times--) {
    size_t at = roll((uint32_t)len), some = 1 + roll(1u << roll(8));
    if (some > len - at) some = len - at;
    switch (roll(5)) {
      case 0: data[at] ^= (uint8_t)(1u << roll(8)); break;
      case 1: data[at] = edges[roll(sizeof edges)]; break;
      case 2: memmove(data + at, data + at + some, len - at - some); len -= some; break;
      case 3:
        if (len + some > ROOM) break;
        memmove(data + at + some, data + at, len - at);
        len += some;
        break;
      default: for (size_t i = 0; i < some; i++) data[at + i] = (uint8_t)roll(256);
    }
  }
  return len;
}

int main(int argc, char **argv) {
  static uint8_t *files[FILES];
  static size_t sizes[FILES];
  uint32_t count = 0;
  if (argc < 4) return 2;
  uint64_t seed = strtoull(argv[1], NULL, 10);
  long rounds = strtol(argv[2], NULL, 10);
  for (int i = 3; i < argc && count < FILES; i++, count++) {
    FILE *f = fopen(argv[i], "rb");
    files[count] = malloc(ROOM);
    if (!f || !files[count]) return 2;
    sizes[count] = fread(files[count], 1, ROOM, f);
    fclose(f);
  }
  static uint8_t scratch[ROOM];
  for (long i = 0; i < rounds; i++) {
    state = (seed + (uint64_t)i) * 0x9E3779B97F4A7C15ull + 1;
    roll(0), roll(0);
    uint32_t one = roll(count);
    memcpy(scratch, files[one], sizes[one]);
    size_t len = (uint32_t)i < count ? sizes[one] : damage(scratch, sizes[one]);
    uint8_t *exact = malloc(len ? len : 1); /* an allocation of its own, so that a read beyond it is seen */
    if (!exact) return 2;
    memcpy(exact, scratch, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
  }
  for (uint32_t i = 0; i < count; i++) free(files[i]);
  printf("ok %ld\n", rounds);
  return 0;
}
