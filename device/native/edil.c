// Statistics, their encryption, and secrets out of keys. What keys left on the stack is overwritten before it returns.
//
// Source: EDIL.md, sections 1 and 4.

#include "tune.h"

#include "edil.h"

#include <string.h>

#include "chacha20.h"
#include "edil_ring.h"

#define SMALL_BITS 21
#define PLAIN_BITS 16        // t = 2^16
#define STACK_USED_WORDS 288

static void wipe(volatile uint32_t *words, size_t n) {
    while (n > 0) {
        words[--n] = 0;
    }
}

static NOINLINE void wipe_stack(void) {
    uint32_t below[STACK_USED_WORDS];
    wipe(below, STACK_USED_WORDS);
}

typedef struct {
    uint32_t even, odd, pairs, nibbles, sum;
} masks;

// Bits of u modulo 2^21, less those of v modulo 2^21, plus 21.
INLINE int32_t count_bits(uint32_t u, uint32_t v, const masks *m) {
    u = (u & m->even) + (u >> 1 & m->odd);
    v = (~v & m->even) + (~(v >> 1) & m->odd);
    u = (u & m->pairs) + (u >> 2 & m->pairs) + (v & m->pairs) + (v >> 2 & m->pairs); // at most 8 in each of 4 bits
    u = (u & m->nibbles) + (u >> 4 & m->nibbles);
    return (int32_t)(u * m->sum >> 24);
}

static NOINLINE void add_small(const uint8_t *key, int32_t weight, int32_t *s, uint32_t n) {
    masks m = { 0x155555, 0x055555, 0x33333333, 0x0F0F0F0F, 0x01010101 };
    KEEP(m.pairs); // from a register these can be shifted, from an instruction they cannot
    KEEP(m.nibbles);
    KEEP(m.sum);
    ren_stream stream;
    ren_stream_start(&stream, key);
    for (const int32_t *end = s + n; s < end;) {
        ren_stream_next(&stream);
        #pragma GCC unroll 2
        for (const uint32_t *word = stream.words; word < stream.words + REN_STREAM_WORDS; word += 2) {
            *s++ += weight * (count_bits(word[0], word[1], &m) - SMALL_BITS);
        }
    }
}

void ren_edil_add_small(const uint8_t key[REN_EDIL_KEY_BYTES], int32_t weight, int32_t *s, uint32_t n) {
    add_small(key, weight, s, n);
    wipe_stack();
}

// The next digit of a value, which becomes what is left: v = 256 * left + digit, -128 <= digit <= 127.
INLINE int32_t take_digit(int32_t *value) {
    int32_t digit = (int8_t)*value;
    *value = (*value >> 8) - (digit >> 7);
    return digit;
}

bool ren_edil_fits(const int32_t *values, size_t n, uint32_t digits) {
    int32_t left = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t value = values[i];
        for (uint32_t digit = 0; digit < digits; digit++) {
            take_digit(&value);
        }
        left |= value;
    }
    return left == 0;
}

// round(q m / t) - as_e, as a residue; |m| < 2^15.
INLINE int32_t encode(const ren_ring *ring, int32_t m, int32_t as_e) {
    int32_t high = ring->q >> PLAIN_BITS, low = ring->q & ((1 << PLAIN_BITS) - 1);
    int32_t scaled = high * m + ((low * m + (1 << (PLAIN_BITS - 1))) >> PLAIN_BITS);
    return ren_ring_residue(ring, scaled - as_e);
}

static NOINLINE void add_message(const ren_ring *ring, const ren_edil_message *message, int32_t *as_e) {
    const ren_ring r = *ring;
    const uint32_t digits = message->digits;
    int32_t *at = as_e, *last = as_e + (1u << r.log_n) - 2;
    for (const int32_t *value = message->values, *end = value + message->n; value < end; value++) {
        int32_t left = *value;
        for (uint32_t digit = 0; digit < digits; digit++, at++) {
            *at = encode(&r, take_digit(&left), *at);
        }
    }
    for (; at < last; at++) {
        *at = encode(&r, 0, *at);
    }
    last[0] = encode(&r, (int32_t)message->count, last[0]);
    last[1] = encode(&r, 1, last[1]);
}

void ren_edil_pack(uint32_t *residues, uint32_t n, uint32_t bits) {
    uint32_t held = 0, held_bits = 0, *out = residues;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t residue = residues[i];
        held |= residue << held_bits;
        held_bits += bits;
        if (held_bits >= 32) {
            *out++ = held;
            held_bits -= 32;
            held = residue >> (bits - held_bits);
        }
    }
}

static bool is_valid(const ren_ring *ring, const ren_edil_message *message) {
    return ring && message->holders >= 1 && message->holders <= REN_EDIL_HOLDERS_MAX
        && message->digits >= 1 && message->digits <= REN_EDIL_DIGITS_MAX
        && message->count >= 1 && message->count <= REN_EDIL_COUNT_MAX
        && message->n <= ((1u << ring->log_n) - 2) / message->digits;
}

size_t ren_edil_encrypt(uint32_t ring_n, const ren_edil_message *message, int32_t *work) {
    const ren_ring *ring = ren_ring_of(ring_n);
    if (!is_valid(ring, message)) {
        return 0;
    }
    memset(work, 0, ring_n * sizeof(*work));
    for (uint32_t j = 0; j < message->holders; j++) {
        add_small(message->s_keys + REN_EDIL_KEY_BYTES * j, 1, work, ring_n);
    }
    ren_ring_multiply(ring, message->a_key, work);
    add_small(message->noise, 1, work, ring_n);
    add_message(ring, message, work);
    ren_edil_pack((uint32_t *)work, ring_n, ring->bits);
    size_t length = ring_n * ring->bits / 8;
    memset((uint8_t *)work + length, 0, ring_n * sizeof(*work) - length);
    wipe_stack();
    return length;
}

size_t ren_edil_moments(size_t width, size_t rows) {
    return width + width * (width + 1) / 2 + rows * (1 + width);
}

// x held to -clip..clip, 0 <= clip <= 127.
INLINE int32_t held(int32_t x, int32_t clip) {
    int32_t above = clip - x;
    x += above & (above >> 31);
    int32_t below = -clip - x;
    return x + (below & ~(below >> 31));
}

static int32_t *add_products(int32_t *sums, int32_t factor, const int8_t *z, size_t n, int32_t clip) {
    for (size_t i = 0; i < n; i++, sums++) {
        *sums = (int32_t)((uint32_t)*sums + (uint32_t)(factor * held(z[i], clip)));
    }
    return sums;
}

void ren_edil_add_moments(int32_t *sums, const int8_t *z, size_t width, const int8_t *x, size_t rows, int32_t clip) {
    sums = add_products(sums, 1, z, width, clip);
    for (size_t i = 0; i < width; i++) {
        sums = add_products(sums, held(z[i], clip), z + i, width - i, clip);
    }
    sums = add_products(sums, 1, x, rows, clip);
    for (size_t r = 0; r < rows; r++) {
        sums = add_products(sums, held(x[r], clip), z, width, clip);
    }
}
