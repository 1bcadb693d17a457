/* CRC-32C (Castagnoli), as iSCSI uses it: RFC 3720 appendix B.4. */
#ifndef NVR_CRC32C_H
#define NVR_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continue `crc` (0 to begin) over `len` bytes. Hardware instruction where the CPU has one. */
uint32_t nvr_crc32c(uint32_t crc, const void *data, size_t len);

#endif
