/* See sha256.h. The names are FIPS 180-4's; the schedule is a ring of 16 words, so that a small stack holds it. */
#include "sha256.h"

#include <string.h>

enum { BLOCK_BYTES = 64, LENGTH_BYTES = 8, ROUNDS = 64 };

static const uint32_t K[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};
static const uint32_t H[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
};

static inline uint32_t rotr(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static inline uint32_t load_be(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static inline void store_be(uint8_t *p, uint32_t x) {
    p[0] = (uint8_t)(x >> 24), p[1] = (uint8_t)(x >> 16), p[2] = (uint8_t)(x >> 8), p[3] = (uint8_t)x;
}

/* Word t of the schedule; w[t % 16] holds word t - 16 before and word t after. */
static inline uint32_t schedule(uint32_t w[16], const uint8_t *block, int t) {
    if (t < 16) {
        return w[t] = load_be(block + 4 * t);
    }
    uint32_t x = w[(t + 1) & 15], y = w[(t + 14) & 15];
    uint32_t sigma0 = rotr(x, 7) ^ rotr(x, 18) ^ x >> 3, sigma1 = rotr(y, 17) ^ rotr(y, 19) ^ y >> 10;
    return w[t & 15] += sigma0 + w[(t + 9) & 15] + sigma1;
}

static void add_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[16], a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < ROUNDS; t++) {
        uint32_t sum1 = rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25), choice = (e & f) ^ (~e & g);
        uint32_t sum0 = rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22), majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t first = h + sum1 + choice + K[t] + schedule(w, block, t);
        h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + sum0 + majority;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void ren_sha256(const uint8_t *bytes, size_t size, uint8_t digest[REN_SHA256_BYTES]) {
    uint32_t state[8];
    uint8_t last[2 * BLOCK_BYTES] = {0};
    const uint8_t *end = bytes + (size - size % BLOCK_BYTES);
    memcpy(state, H, sizeof state);
    for (; bytes != end; bytes += BLOCK_BYTES) {
        add_block(state, bytes);
    }
    size_t rest = size % BLOCK_BYTES, padded = rest < BLOCK_BYTES - LENGTH_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
    memcpy(last, bytes, rest);
    last[rest] = 0x80;
    store_be(last + padded - 8, (uint32_t)((uint64_t)size >> 29)); /* the length in bits */
    store_be(last + padded - 4, (uint32_t)size << 3);
    for (size_t at = 0; at < padded; at += BLOCK_BYTES) {
        add_block(state, last + at);
    }
    for (int i = 0; i < 8; i++) {
        store_be(digest + 4 * i, state[i]);
    }
}
