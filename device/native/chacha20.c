// ChaCha20's block function. It takes the same instructions for every key.
//
// Source: RFC 8439, 2.3.

#include "tune.h"

#include "chacha20.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O1") // has the fewest spills
#endif

#define DOUBLE_ROUNDS 10

static const uint32_t constants[4] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };

INLINE uint32_t rotate_right(uint32_t x, unsigned n) {
    return x >> n | x << (32 - n);
}

// Thumb-2 rotates an instruction's second operand for nothing, and there b and d always stand: so a quarter round leaves out
// its last rotations, of b to the right by 25 (left by 7), of d by 24. GCC would do that of d ahead, because it is used twice.
#define QUARTER_ROUND(a, b, c, d) \
    a += rotate_right(b, 25); \
    d = a ^ rotate_right(d, 24); \
    c += rotate_right(d, 16); \
    b = c ^ rotate_right(b, 25); \
    a += rotate_right(b, 20); \
    d = a ^ rotate_right(d, 16); \
    c += rotate_right(d, 24); \
    b = c ^ rotate_right(b, 20); \
    KEEP(d);

static uint32_t load_word(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

// Of the first four quarter rounds, only the first sees the counter.
void ren_stream_start(ren_stream *stream, const uint8_t key[32]) {
    uint32_t *x = stream->begun;
    for (int i = 0; i < 8; i++) {
        stream->key[i] = load_word(key + 4 * i);
    }
    stream->counter = 0;
    for (int i = 0; i < 4; i++) {
        x[i] = constants[i], x[4 + i] = rotate_right(stream->key[i], 7), x[8 + i] = stream->key[4 + i], x[12 + i] = 0;
    }
    for (int i = 1; i < 4; i++) {
        QUARTER_ROUND(x[i], x[4 + i], x[8 + i], x[12 + i])
    }
}

void ren_stream_next(ren_stream *stream) {
    const uint32_t *x = stream->begun, *key = stream->key;
    uint32_t x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
    uint32_t x8 = x[8], x9 = x[9], x10 = x[10], x11 = x[11], x12 = rotate_right(stream->counter, 8);
    uint32_t x13 = x[13], x14 = x[14], x15 = x[15];
    QUARTER_ROUND(x0, x4, x8, x12)
    for (int i = 1;; i++) {
        QUARTER_ROUND(x0, x5, x10, x15)
        QUARTER_ROUND(x1, x6, x11, x12)
        QUARTER_ROUND(x2, x7, x8, x13)
        QUARTER_ROUND(x3, x4, x9, x14)
        if (i == DOUBLE_ROUNDS) {
            break;
        }
        QUARTER_ROUND(x0, x4, x8, x12)
        QUARTER_ROUND(x1, x5, x9, x13)
        QUARTER_ROUND(x2, x6, x10, x14)
        QUARTER_ROUND(x3, x7, x11, x15)
    }
    uint32_t *out = stream->words;
    out[0] = x0 + constants[0], out[1] = x1 + constants[1], out[2] = x2 + constants[2], out[3] = x3 + constants[3];
    out[4] = rotate_right(x4, 25) + key[0], out[5] = rotate_right(x5, 25) + key[1];
    out[6] = rotate_right(x6, 25) + key[2], out[7] = rotate_right(x7, 25) + key[3];
    out[8] = x8 + key[4], out[9] = x9 + key[5], out[10] = x10 + key[6], out[11] = x11 + key[7];
    out[12] = rotate_right(x12, 24) + stream->counter++;
    out[13] = rotate_right(x13, 24), out[14] = rotate_right(x14, 24), out[15] = rotate_right(x15, 24);
}
