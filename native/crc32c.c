#include "crc32c.h"

#include <string.h>

#define POLY 0x82F63B78u

static uint32_t table_crc(uint32_t crc, const uint8_t *p, size_t len) {
  /* Bit by bit over a nibble table: only for CPUs without the instruction. */
  static const uint32_t nibble[16] = {
      0x00000000, 0x105EC76F, 0x20BD8EDE, 0x30E349B1, 0x417B1DBC, 0x5125DAD3, 0x61C69362, 0x7198540D,
      0x82F63B78, 0x92A8FC17, 0xA24BB5A6, 0xB21572C9, 0xC38D26C4, 0xD3D3E1AB, 0xE330A81A, 0xF36E6F75};
  while (len--) {
    crc ^= *p++;
    crc = (crc >> 4) ^ nibble[crc & 15];
    crc = (crc >> 4) ^ nibble[crc & 15];
  }
  return crc;
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("sse4.2"))) static uint32_t hardware_crc(uint32_t crc, const uint8_t *p, size_t len) {
  uint64_t wide = crc;
  for (; len >= 8; p += 8, len -= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    wide = _mm_crc32_u64(wide, word);
  }
  crc = (uint32_t)wide;
  for (; len; p++, len--) crc = _mm_crc32_u8(crc, *p);
  return crc;
}

static int has_hardware(void) { return __builtin_cpu_supports("sse4.2"); }

#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>

__attribute__((target("+crc"))) static uint32_t hardware_crc(uint32_t crc, const uint8_t *p, size_t len) {
  for (; len >= 8; p += 8, len -= 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    crc = __crc32cd(crc, word);
  }
  for (; len; p++, len--) crc = __crc32cb(crc, *p);
  return crc;
}

static int has_hardware(void) { return (getauxval(AT_HWCAP) & (1u << 7)) != 0; }

#else
#define hardware_crc table_crc
static int has_hardware(void) { return 0; }
#endif

uint32_t nvr_crc32c(uint32_t crc, const void *data, size_t len) {
  crc = ~crc;
  crc = has_hardware() ? hardware_crc(crc, data, len) : table_crc(crc, data, len);
  return ~crc;
}
