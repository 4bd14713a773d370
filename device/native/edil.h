// A device's part of EDIL (EDIL.md, sections 1 and 4): sums of statistics, and their encryption. It knows no message and no
// key agreement. Nothing here branches on keys, noise or values, or indexes by them. Buffers must not overlap.

#ifndef TINYREN_EDIL_H
#define TINYREN_EDIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REN_EDIL_KEY_BYTES 32
#define REN_EDIL_HOLDERS_MAX 4
#define REN_EDIL_DIGITS_MAX 4
#define REN_EDIL_COUNT_MAX 255

// Adds weight * small(key) to s, int32[n]; n a multiple of 8.
void ren_edil_add_small(const uint8_t key[REN_EDIL_KEY_BYTES], int32_t weight, int32_t *s, uint32_t n);

// Residues 0..q-1, u32[n], to n * bits / 8 bytes in the same place: the ciphertext. n * bits is a multiple of 32.
void ren_edil_pack(uint32_t *residues, uint32_t n, uint32_t bits);

// Whether balanced base-256 digits carry every one of n values.
bool ren_edil_fits(const int32_t *values, size_t n, uint32_t digits);

typedef struct {
    const uint8_t *s_keys;     // 32 bytes for each of 1..4 holders
    uint32_t holders;
    const uint8_t *a_key, *noise;
    const int32_t *values;     // n of them, which fit; n * digits <= N - 2
    size_t n;
    uint32_t digits, count;    // 1..4, 1..255
} ren_edil_message;

// Encrypts in the ring of ring_n into work, int32[ring_n], and clears what the ciphertext leaves of it. The ciphertext's
// bytes, or 0: there is no such ring, or a number in the message is out of its range. (Then work is as it was.)
size_t ren_edil_encrypt(uint32_t ring_n, const ren_edil_message *message, int32_t *work);

// How many sums there are for so many values of embedding and window.
size_t ren_edil_moments(size_t width, size_t rows);

// Adds one window to sums, int32[ren_edil_moments(width, rows)], z int8[width], x int8[rows], held to -clip..clip: sums of z_i;
// of z_i z_j, i <= j; and if there are rows, of x_r; of x_r z_j, row by row.
void ren_edil_add_moments(int32_t *sums, const int8_t *z, size_t width, const int8_t *x, size_t rows, int32_t clip);

#endif
