// Ciphertexts taken apart, checked and added in one call each, for CPython's ctypes.
//
// Source: EDIL.md, sections 1 and 5.

#include "edil_sum.h"

#include <string.h>

#include "edil_ring.h"

uint32_t ren_edil_find_big(uint32_t n, const uint32_t *residues) {
    const uint32_t q = (uint32_t)ren_ring_of(n)->q;
    uint32_t i = 0;
    while (i < n && residues[i] < q) {
        i++;
    }
    return i;
}

uint32_t ren_edil_unpack(uint32_t n, const uint8_t *packed, uint32_t *residues) {
    const uint32_t bits = ren_ring_of(n)->bits, mask = (1u << bits) - 1;
    uint64_t held = 0;
    uint32_t held_bits = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (held_bits < bits) {
            uint32_t word;
            memcpy(&word, packed, 4);
            packed += 4;
            held |= (uint64_t)word << held_bits;
            held_bits += 32;
        }
        residues[i] = (uint32_t)held & mask;
        held >>= bits;
        held_bits -= bits;
    }
    return ren_edil_find_big(n, residues);
}

uint32_t ren_edil_add_packed(uint32_t n, const uint8_t *packed, uint64_t *sums, uint32_t weight) {
    uint32_t residues[REN_RING_MAX];
    uint32_t bad = ren_edil_unpack(n, packed, residues);
    for (uint32_t i = 0; bad == n && i < n; i++) {
        sums[i] += (uint64_t)weight * residues[i];
    }
    return bad;
}

bool ren_edil_product(uint32_t n, const uint8_t a_key[32], int32_t *s) {
    const ren_ring *ring = ren_ring_of(n);
    int32_t beyond = 0;
    for (uint32_t i = 0; i < n; i++) {
        beyond |= (s[i] >> 24) ^ (s[i] >> 31);
    }
    if (beyond) {
        return false;
    }
    ren_ring_multiply(ring, a_key, s);
    for (uint32_t i = 0; i < n; i++) {
        s[i] = ren_ring_residue(ring, s[i]);
    }
    return true;
}
