// Products in Z_q[X] / (X^N + 1), for the rings of EDIL.md, section 1: of a public polynomial, expanded from its key, and a
// secret one. No branch, index or long multiplication depends on the secret: Cortex-M3's UMULL ends early for small factors,
// and Cortex-M0 has none.

#ifndef TINYREN_EDIL_RING_H
#define TINYREN_EDIL_RING_H

#include <stdint.h>

#define REN_RING_MAX 4096

typedef struct {
    int32_t q;                     // prime, 1 modulo 2N, a little below 2^bits
    uint32_t q_inverse;            // q^-1 modulo 2^32
    int32_t square;                // 2^64 modulo q
    int32_t reciprocal;            // 2^56 / q, rounded
    int32_t psi;                   // the least primitive 2N-th root of unity
    int32_t half;                  // 2^14, to be added in one instruction with a product
    uint8_t log_n, bits;
} ren_ring;

// The ring of N = n, or NULL: there is none.
const ren_ring *ren_ring_of(uint32_t n);

// Any x to a residue within +-0.77 q: x less round(x / 2^bits) q. (0.51 q where x is within +-2 q.)
static inline int32_t ren_ring_center(const ren_ring *ring, int32_t x) {
    return x - (((x >> 1) + (1 << (ring->bits - 2))) >> (ring->bits - 1)) * ring->q;
}

// Any x to 0..q-1.
static inline int32_t ren_ring_residue(const ren_ring *ring, int32_t x) {
    x = ren_ring_center(ring, x);
    return x + (ring->q & (x >> 31));
}

// s, int32[N] within +-2^24, becomes a * s within +-13 q (of 30 bits, +-1.6 q), a = uniform(a_key).
void ren_ring_multiply(const ren_ring *ring, const uint8_t a_key[32], int32_t *s);

#endif
