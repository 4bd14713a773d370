// The curve secp256k1 on the device, by libsecp256k1: public key, recoverable signature, recovery and key agreement. Nothing
// else of it is offered.

#ifndef TINYREN_SECP_H
#define TINYREN_SECP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Once, before the calls below: makes the context and blinds it with 32 random bytes, which it clears, against side
// channels; false when the library refuses.
bool ren_secp_init(uint8_t seed[32]);

// The uncompressed public key (0x04, x, y); false when the key is not in 1..n-1.
bool ren_secp_pubkey(const uint8_t key[32], uint8_t point[65]);

// ECDSA over a digest: r, s (low), recovery id 0..3. The nonce is RFC 6979's, so equal input gives equal output; false when
// the key is not in 1..n-1.
bool ren_secp_sign(const uint8_t key[32], const uint8_t digest[32], uint8_t signature[65]);

// SHA-256 of the shared point, compressed, of a key and another's compressed public key; false when that is no point, or the key
// is not in 1..n-1. It takes the same instructions for every key.
bool ren_secp_ecdh(const uint8_t key[32], const uint8_t public[33], uint8_t shared[32]);

// The uncompressed public key of a signature (r, s, recovery id 0..3) over a digest; false when there is none.
bool ren_secp_recover(const uint8_t digest[32], const uint8_t signature[65], uint8_t point[65]);

// Overwrites a secret.
void ren_secp_wipe(uint8_t *bytes, size_t n);

#endif
