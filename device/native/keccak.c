// Keccak-256: one call over a whole message. It offers no streaming and no other width.
//
// Source: The Keccak reference 3.0 (2011), rate 1088, capacity 512, padding 10*1 with the first byte 0x01.

#include <string.h>

#include "keccak.h"

#define RATE 136
#define ROUNDS 24

static const uint64_t round_constants[ROUNDS] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b, 0x0000000080000001,
    0x8000000080008081, 0x8000000000008009, 0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003, 0x8000000000008002, 0x8000000000000080,
    0x000000000000800a, 0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

// Rho's rotation and pi's lane, in the order in which pi's single cycle visits the lanes.
static const uint8_t rotations[24] = {
    1, 3, 6, 10, 15, 21, 28, 36, 45, 55, 2, 14, 27, 41, 56, 8, 25, 43, 62, 18, 39, 61, 20, 44,
};
static const uint8_t lanes[24] = {
    10, 7, 11, 17, 18, 3, 5, 16, 8, 21, 24, 4, 15, 23, 19, 13, 12, 2, 20, 14, 22, 9, 6, 1,
};

static uint64_t rotate(uint64_t x, unsigned n) {
    return x << n | x >> (64 - n);
}

static void permute(uint64_t state[25]) {
    for (int round = 0; round < ROUNDS; ++round) {
        uint64_t column[5];
        for (int x = 0; x < 5; ++x) {
            column[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
        }
        for (int x = 0; x < 5; ++x) {
            uint64_t theta = column[(x + 4) % 5] ^ rotate(column[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5) {
                state[x + y] ^= theta;
            }
        }
        uint64_t carried = state[1];
        for (int i = 0; i < 24; ++i) {
            uint64_t next = state[lanes[i]];
            state[lanes[i]] = rotate(carried, rotations[i]);
            carried = next;
        }
        for (int y = 0; y < 25; y += 5) {
            uint64_t row[5];
            memcpy(row, &state[y], sizeof(row));
            for (int x = 0; x < 5; ++x) {
                state[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
            }
        }
        state[0] ^= round_constants[round];
    }
}

static void absorb_byte(uint64_t state[25], size_t at, uint8_t byte) {
    state[at / 8] ^= (uint64_t)byte << (8 * (at % 8));
}

void ren_keccak256(const uint8_t *data, size_t n, uint8_t digest[32]) {
    uint64_t state[25] = { 0 };
    size_t at = 0;
    for (size_t i = 0; i < n; ++i) {
        absorb_byte(state, at, data[i]);
        if (++at == RATE) {
            permute(state);
            at = 0;
        }
    }
    absorb_byte(state, at, 0x01);
    absorb_byte(state, RATE - 1, 0x80);
    permute(state);
    for (int i = 0; i < 32; ++i) {
        digest[i] = (uint8_t)(state[i / 8] >> (8 * (i % 8)));
    }
}
