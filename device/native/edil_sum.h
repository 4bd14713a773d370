// What a gateway and a share-holder compute on ciphertexts and secrets, beside edil.h; a device needs none of it.

#ifndef TINYREN_EDIL_SUM_H
#define TINYREN_EDIL_SUM_H

#include <stdbool.h>
#include <stdint.h>

// The place of the first of u32[n] that is not below q, or n; n = N of a ring, here and below.
uint32_t ren_edil_find_big(uint32_t n, const uint32_t *residues);

// A ciphertext's residues, u32[n]; the place of the first that is not below q, or n.
uint32_t ren_edil_unpack(uint32_t n, const uint8_t *packed, uint32_t *residues);

// Adds weight times each residue to sums, u64[n]; if one is not below q its place, and sums are as they were; else n.
uint32_t ren_edil_add_packed(uint32_t n, const uint8_t *packed, uint64_t *sums, uint32_t weight);

// s, int32[n], becomes the residues of uniform(a_key) * s, u32[n]; false, and s as it was: one is not in -2^24..2^24-1.
bool ren_edil_product(uint32_t n, const uint8_t a_key[32], int32_t *s);

#endif
