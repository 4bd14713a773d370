"""Fuzzes EDIL's C as long as wanted: `python -m tests.edil_fuzz COUNT [SEED]`, under the address and the
undefined-behaviour sanitizer; every buffer has exactly the bytes that its function may use.

A case is an encryption of values that may not fit, in a random ring; its ciphertext taken apart, with and without a
residue that is too big; a product of the largest secrets there may be; and moments of random lengths. It prints how
many were tried and how many messages were encrypted.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from device.native.shared import FOLDER

SOURCES = ("chacha20.c", "edil.c", "edil_ring.c", "edil_sum.c")
FLAGS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{FOLDER}")
HARNESS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "edil.h"
#include "edil_ring.h"
#include "edil_sum.h"

static uint32_t state;

static uint32_t next(uint32_t below) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state % below;
}

static void *drawn(size_t size) {
    uint8_t *bytes = malloc(size ? size : 1);
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)next(256);
    return bytes;
}

static void take_apart(uint32_t n, const ren_ring *ring, uint8_t *packed) {
    uint32_t *residues = malloc(4 * n);
    uint64_t *sums = calloc(n, 8), *before = calloc(n, 8);
    if (ren_edil_unpack(n, packed, residues) != n) abort();
    if (ren_edil_add_packed(n, packed, sums, 3) != n || sums[n - 1] != 3u * residues[n - 1]) abort();
    memcpy(before, sums, 8 * n);
    uint32_t place = next(n);
    residues[place] = (uint32_t)ring->q;
    ren_edil_pack(residues, n, ring->bits);
    if (ren_edil_add_packed(n, (uint8_t *)residues, sums, 3) != place || memcmp(before, sums, 8 * n)) abort();
    free(residues), free(sums), free(before);
}

static int encrypt(void) {
    uint32_t n = 1024u << next(3), holders = 1 + next(4), digits = 1 + next(4);
    const ren_ring *ring = ren_ring_of(n);
    size_t count = next((n - 2) / digits + 1);
    int32_t *values = drawn(4 * count), *work = drawn(4 * n);
    if (next(2)) for (size_t i = 0; i < count; i++) values[i] >>= 32 - 8 * digits;
    uint8_t *keys = drawn(32 * holders), *a_key = drawn(32), *noise = drawn(32);
    ren_edil_message message = { keys, holders, a_key, noise, values, count, digits, 1 + next(255) };
    int fits = ren_edil_fits(values, count, digits);
    size_t length = fits ? ren_edil_encrypt(n, &message, work) : 0;
    if (fits) {
        uint8_t *packed = malloc(length);
        memcpy(packed, work, length);
        for (size_t i = length; i < 4 * n; i++) if (((uint8_t *)work)[i]) abort();
        take_apart(n, ring, packed);
        free(packed);
    }
    for (uint32_t i = 0; i < n; i++) work[i] = next(2) ? (1 << 24) - 1 : -(1 << 24);
    if (!ren_edil_product(n, a_key, work)) abort();
    work[next(n)] = next(2) ? 1 << 24 : -(1 << 24) - 1;
    if (ren_edil_product(n, a_key, work)) abort();
    free(values), free(work), free(keys), free(a_key), free(noise);
    return fits;
}

static void add_moments(void) {
    size_t width = 1 + next(64), rows = next(3) ? 0 : next(64), n = ren_edil_moments(width, rows);
    int8_t *z = drawn(width), *x = drawn(rows);
    int32_t *sums = drawn(4 * n);
    ren_edil_add_moments(sums, z, width, x, rows, 1 + (int32_t)next(127));
    free(z), free(x), free(sums);
}

int main(int argc, char **argv) {
    uint32_t count = (uint32_t)strtoul(argv[1], NULL, 10), encrypted = 0;
    state = (uint32_t)strtoul(argv[2], NULL, 10) | 1;
    (void)argc;
    for (uint32_t i = 0; i < count; i++) encrypted += encrypt(), add_moments();
    printf("%u %u\n", count, encrypted);
    return 0;
}
"""


def fuzz(count, seed):
    """(tried, encrypted). Raises AssertionError with what a sanitizer said."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "harness.c"), Path(folder, "harness")
        source.write_text(HARNESS)
        files = [source, *(FOLDER / name for name in SOURCES)]
        subprocess.run([os.environ.get("CC", "cc"), *FLAGS, *files, "-o", program], check=True)
        done = subprocess.run([program, str(count), str(seed)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    tried, encrypted = map(int, done.stdout.split())
    return tried, encrypted


if __name__ == "__main__":
    wanted, start = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print(*fuzz(wanted, start))
