/* SHA-256 of bytes that lie in memory; it keeps nothing and allocates nothing. Source: FIPS 180-4. */
#ifndef REN_SHA256_H
#define REN_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define REN_SHA256_BYTES 32

/* digest: the caller's, overwritten. bytes: any alignment. */
void ren_sha256(const uint8_t *bytes, size_t size, uint8_t digest[REN_SHA256_BYTES]);

#endif
