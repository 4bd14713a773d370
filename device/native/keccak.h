// Keccak-256 as Ethereum uses it (the submission's padding 0x01, not SHA-3's 0x06).

#ifndef TINYREN_KECCAK_H
#define TINYREN_KECCAK_H

#include <stddef.h>
#include <stdint.h>

void ren_keccak256(const uint8_t *data, size_t n, uint8_t digest[32]);

#endif
