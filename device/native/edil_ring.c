// Number-theoretic transforms with one loop for all cores, and no table of twiddles: each is the product of two powers of
// psi out of 2 sqrt(N).
//
// A secret x times a public constant w is x_low w + x_high w2 - t q in 32 bits: x = x_high 2^15 + x_low with 0 <= x_low < 2^15,
// w2 = w 2^15 modulo q, and t, about x w / q, is found from w and w2 in units of q / 2^15, rounded. If |x| is X q, the product
// is within +-(1.01 + X / 16.2) q for primes of 27 bits, +-(1.01 + X / 2) q for 30. An int32_t holds 16.2 q and 2 q. So
//   27 bits: each forward layer adds a product to a magnitude, which 11 of them take from 0.13 q to 15.5 q; each layer back
//            doubles one, to 15.8 q after three, when a layer follows that begins with centering;
//   30 bits: every layer begins with centering, and leaves at most 1.76 q forward and 1.51 q back.
//
// Sources: Harvey, Faster arithmetic for number-theoretic transforms (2014), 3; Montgomery (1985) for public products.

#include "tune.h"

#include "edil_ring.h"

#include <stdbool.h>
#include <stddef.h>

#include "chacha20.h"

#define HALF_BITS 15         // of a secret that is split
#define RECIPROCAL_BITS 56
#define LOW_ROOTS_BITS 5
#define LOW_ROOTS (1 << LOW_ROOTS_BITS)

static const ren_ring rings[] = {
    { 132120577, 4162846721u, 35120031, 545392668, 73993, 1 << 14, 10, 27 },
    { 132120577, 4162846721u, 35120031, 545392668, 160172, 1 << 14, 11, 27 },
    { 1073692673, 1342226433u, 196588, 67111936, 236231, 1 << 14, 12, 30 },
};

const ren_ring *ren_ring_of(uint32_t n) {
    for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
        if (n == 1u << rings[i].log_n) {
            return &rings[i];
        }
    }
    return NULL;
}

// a b / 2^32 modulo q, within +-(q / 2 + |a b| / 2^32). For public factors only.
INLINE int32_t multiply_public(const ren_ring *ring, int32_t a, int32_t b) {
    int64_t product = (int64_t)a * b;
    int64_t same_below = (int64_t)(int32_t)((uint32_t)product * ring->q_inverse) * ring->q; // modulo 2^32
    return (int32_t)((uint64_t)product >> 32) - (int32_t)((uint64_t)same_below >> 32);
}

// A public constant, ready to be multiplied by.
typedef struct {
    int32_t w, w2;             // w, w 2^15 modulo q
    int32_t part, part2;       // the same in units of q / 2^15, rounded
} factor;

// round(w 2^15 / q).
INLINE int32_t parts_of(const ren_ring *ring, int32_t w) {
    const int shift = RECIPROCAL_BITS - 32 - HALF_BITS;
    return ((int32_t)(((int64_t)w * ring->reciprocal) >> 32) + (1 << (shift - 1))) >> shift;
}

INLINE factor make_factor(const ren_ring *ring, int32_t w) {
    factor made = { .w = w };
    made.part = parts_of(ring, w);
    made.w2 = (int32_t)(((uint32_t)w << HALF_BITS) - (uint32_t)made.part * (uint32_t)ring->q);
    made.part2 = parts_of(ring, made.w2);
    return made;
}

INLINE int32_t multiply(int32_t x, factor by, int32_t q, int32_t half) {
    int32_t low = x & ((1 << HALF_BITS) - 1), high = x >> HALF_BITS;
    int32_t multiple = (low * by.part + (high * by.part2 + half)) >> HALF_BITS;
    return (int32_t)((uint32_t)low * (uint32_t)by.w + (uint32_t)high * (uint32_t)by.w2 - (uint32_t)multiple * (uint32_t)q);
}

// psi^brv(k) = low[k % 32] * high[k / 32], brv(k) being k's log_n bits in reverse.
typedef struct {
    int32_t low[LOW_ROOTS], high[REN_RING_MAX / LOW_ROOTS];
} roots;

static uint32_t reverse_bits(uint32_t x, uint32_t bits) {
    uint32_t reversed = 0;
    for (; bits > 0; bits--, x >>= 1) {
        reversed = reversed << 1 | (x & 1);
    }
    return reversed;
}

// table[brv(i)] = first * base^i; returns first * base^size.
static int32_t fill_powers(const ren_ring *ring, int32_t *table, uint32_t bits, int32_t first, int32_t base) {
    base = multiply_public(ring, base, ring->square);
    for (uint32_t i = 0; i < 1u << bits; i++) {
        table[reverse_bits(i, bits)] = first;
        first = multiply_public(ring, first, base);
    }
    return first;
}

static void find_roots(const ren_ring *ring, roots *found) {
    int32_t base = fill_powers(ring, found->high, ring->log_n - LOW_ROOTS_BITS, 1, ring->psi);
    int32_t one = multiply_public(ring, 1, ring->square);
    fill_powers(ring, found->low, LOW_ROOTS_BITS, one, base);
}

INLINE int32_t root_at(const ren_ring *ring, const roots *found, uint32_t k) {
    return multiply_public(ring, found->high[k / LOW_ROOTS], found->low[k % LOW_ROOTS]);
}

// How a layer is run, as constants for the compiler: whether it begins with centering; two butterflies at once, or one.
typedef struct {
    bool must_center;
    uint32_t at_once;
} manner;

INLINE int32_t take(const ren_ring *ring, int32_t x, manner how) {
    return how.must_center ? ren_ring_center(ring, x) : x;
}

// x + w y and x - w y.
INLINE void turn_forward(const ren_ring *ring, int32_t *x, int32_t *y, factor by, manner how) {
    int32_t first = take(ring, *x, how), product = multiply(take(ring, *y, how), by, ring->q, ring->half);
    *x = first + product;
    *y = first - product;
}

INLINE void run_forward(const ren_ring *ring, const roots *found, int32_t *x, uint32_t length, manner how) {
    const ren_ring r = *ring;
    uint32_t groups = (1u << r.log_n) / 2 / length;
    for (uint32_t k = groups; k < 2 * groups; k++) {
        factor by = make_factor(&r, root_at(&r, found, k));
        int32_t *y = x + length;
        const int32_t *end = y;
        do {
            turn_forward(&r, x++, y++, by, how);
            if (how.at_once == 2) {
                turn_forward(&r, x++, y++, by, how);
            }
        } while (x != end);
        x = y;
    }
}

// x + y and (x - y) w.
INLINE void turn_back(const ren_ring *ring, int32_t *x, int32_t *y, factor by, manner how) {
    int32_t first = take(ring, *x, how), second = take(ring, *y, how);
    *x = first + second;
    *y = multiply(first - second, by, ring->q, ring->half);
}

// w is 1 / psi^k = -psi^(N - k).
INLINE void run_back(const ren_ring *ring, const roots *found, int32_t *x, uint32_t length, manner how) {
    const ren_ring r = *ring;
    uint32_t groups = (1u << r.log_n) / 2 / length;
    for (uint32_t k = 2 * groups; k > groups; k--) {
        factor by = make_factor(&r, -root_at(&r, found, k - 1));
        int32_t *y = x + length;
        const int32_t *end = y;
        do {
            turn_back(&r, x++, y++, by, how);
            if (how.at_once == 2) {
                turn_back(&r, x++, y++, by, how);
            }
        } while (x != end);
        x = y;
    }
}

static NOINLINE void forward(const ren_ring *ring, const roots *found, int32_t *s, uint32_t length) {
    run_forward(ring, found, s, length, (manner){ false, 2 });
}

static NOINLINE void forward_single(const ren_ring *ring, const roots *found, int32_t *s, uint32_t length) {
    (void)length;
    run_forward(ring, found, s, 1, (manner){ false, 1 });
}

static NOINLINE void forward_centered(const ren_ring *ring, const roots *found, int32_t *s, uint32_t length) {
    run_forward(ring, found, s, length, (manner){ true, 1 });
}

static NOINLINE void back(const ren_ring *ring, const roots *found, int32_t *s, uint32_t length) {
    run_back(ring, found, s, length, (manner){ false, 2 });
}

static NOINLINE void back_single(const ren_ring *ring, const roots *found, int32_t *s, uint32_t length) {
    (void)length;
    run_back(ring, found, s, 1, (manner){ false, 1 });
}

static NOINLINE void back_centered(const ren_ring *ring, const roots *found, int32_t *s, uint32_t length) {
    run_back(ring, found, s, length, (manner){ true, 1 });
}

// Each s times uniform's next number and 1 / N, which is -(q - 1) / N.
static NOINLINE void multiply_uniform(const ren_ring *ring, const uint8_t a_key[32], int32_t *s) {
    const ren_ring r = *ring;
    const uint32_t mask = (1u << r.bits) - 1;
    const int32_t scale = multiply_public(&r, -((r.q - 1) >> r.log_n), r.square);
    ren_stream stream;
    ren_stream_start(&stream, a_key);
    for (const int32_t *end = s + (1u << r.log_n); s < end;) {
        ren_stream_next(&stream);
        for (const uint32_t *word = stream.words; word < stream.words + REN_STREAM_WORDS && s < end; word++) {
            int32_t a = (int32_t)(*word & mask);
            if (a < r.q) {
                a = multiply_public(&r, ren_ring_center(&r, a), scale);
                *s = multiply(*s, make_factor(&r, a), r.q, r.half);
                s++;
            }
        }
    }
}

void ren_ring_multiply(const ren_ring *ring, const uint8_t a_key[32], int32_t *s) {
    const bool must_center = ring->bits > 27;
    const uint32_t n = 1u << ring->log_n;
    roots found;
    find_roots(ring, &found);
    for (uint32_t length = n / 2; length > 0; length /= 2) {
        (must_center ? forward_centered : length == 1 ? forward_single : forward)(ring, &found, s, length);
    }
    multiply_uniform(ring, a_key, s);
    for (uint32_t length = 1; length < n; length *= 2) {
        bool is_full = length == 1 << 3 || length == 1 << 7;
        (must_center || is_full ? back_centered : length == 1 ? back_single : back)(ring, &found, s, length);
    }
}
