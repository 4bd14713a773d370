"""Fuzzes the artifact loader and the compiler as long as wanted: `python -m tests.fuzz artifacts|models COUNT [SEED]`.

Artifacts: mutants of an artifact of each operator, in C under the address and undefined-behaviour sanitizers; every
buffer has exactly the bytes that the artifact names. Models: mutants of a .tflite of each operator; ModelRefused, or
an artifact that passes the check. It prints how many it tried, and stops with a traceback at the first that behaves
otherwise.
"""

import os
import random
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from device.native.shared import FOLDER, SOURCES, Model
from models.artifact import compile_model
from models.export import write_chain
from models.graph import ModelRefused
from tests.int8_operators import OPERATORS

FLAGS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", f"-I{FOLDER}")
HARNESS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"
#include "sha256.h"

enum { RUN_BYTES = 1 << 16, FIXED_BYTES = 60 + REN_SHA256_BYTES }; /* a mutant that computes for long tells no more */

static uint32_t state;

static uint32_t next(uint32_t below) {
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state % below;
}

static void mutate(uint8_t *a, uint32_t size) {
    static const uint8_t edges[] = {0, 1, 2, 3, 4, 127, 128, 254, 255};
    uint32_t layers = a[8] | a[9] << 8, records = 60 + 48 * layers;
    size -= REN_SHA256_BYTES;
    for (uint32_t n = 1 + next(4); n > 0; n--) {
        uint32_t at = next(4) ? 8 + next((records < size ? records : size) - 8) : next(size);
        a[at] = next(3) ? edges[next(sizeof edges)] : (uint8_t)next(256);
    }
}

/* Mutants are sealed again, or nothing behind the digest would be tried; one in fifty is cut before, or not sealed. */
static uint32_t seal(uint8_t *a, uint32_t size) {
    uint32_t what = next(50);
    if (what == 0) {
        size = FIXED_BYTES + next(size - FIXED_BYTES + 1);
        memcpy(a + 4, &size, 4);
    }
    if (what != 1) {
        ren_sha256(a, size - REN_SHA256_BYTES, a + size - REN_SHA256_BYTES);
    }
    return size;
}

/* Whether it passed; it is run if it is small. */
static int try(const uint8_t *bytes, uint32_t size) {
    uint8_t *artifact = malloc(size);
    memcpy(artifact, bytes, size);
    int good = ren_model_check(artifact, size) == REN_OK;
    if (good) {
        ren_model_facts f;
        ren_model_info(artifact, &f);
        if (f.input_bytes <= RUN_BYTES && f.output_bytes <= RUN_BYTES && f.arena_bytes <= RUN_BYTES) {
            int8_t *in = malloc(f.input_bytes), *out = malloc(f.output_bytes);
            uint8_t *arena = malloc(f.arena_bytes ? f.arena_bytes : 1);
            memset(in, 0x5a, f.input_bytes);
            memset(arena, 0xa5, f.arena_bytes);
            ren_model_run(artifact, in, out, arena);
            free(in), free(out), free(arena);
        }
    }
    free(artifact);
    return good;
}

int main(int argc, char **argv) {
    uint32_t count = (uint32_t)strtoul(argv[1], NULL, 10), size, tried = 0, passed = 0;
    state = (uint32_t)strtoul(argv[2], NULL, 10) | 1;
    (void)argc;
    while (fread(&size, 4, 1, stdin) == 1) {
        uint8_t *base = malloc(size), *mutant = malloc(size);
        if (fread(base, 1, size, stdin) != size) return 2;
        if (count == 0) tried++, passed += try(base, size);
        for (uint32_t i = 0; i < count; i++, tried++) {
            memcpy(mutant, base, size);
            mutate(mutant, size);
            passed += try(mutant, seal(mutant, size));
        }
        free(base), free(mutant);
    }
    printf("%u %u\n", tried, passed);
    return 0;
}
"""


def build_harness(folder):
    """Path of the program that mutates, checks and runs artifacts."""
    source, program = Path(folder, "harness.c"), Path(folder, "harness")
    source.write_text(HARNESS)
    files = [source, *(FOLDER / name for name in SOURCES)]
    subprocess.run([os.environ.get("CC", "cc"), *FLAGS, *files, "-o", program], check=True)
    return program


def run_harness(program, artifacts, count, seed):
    """(tried, passed the check) for `count` mutants of each artifact, or the artifacts themselves if count is 0."""
    content = b"".join(struct.pack("<I", len(artifact)) + artifact for artifact in artifacts)
    done = subprocess.run([program, str(count), str(seed)], input=content, capture_output=True)
    if done.returncode:
        raise AssertionError(done.stderr.decode()[:4000])
    tried, passed = map(int, done.stdout.split())
    return tried, passed


def bases(seed):
    """A model of each operator."""
    return [write_chain(*make(random.Random(f"fuzz {name} {seed}"))) for name, make in OPERATORS.items()]


def fuzz_artifacts(count, seed):
    with tempfile.TemporaryDirectory() as folder:
        artifacts = [compile_model(content) for content in bases(seed)]
        return run_harness(build_harness(folder), artifacts, -(-count // len(artifacts)), seed)


def fuzz_models(count, seed):
    """Models with some bytes replaced, or cut."""
    rng, models, compiled = random.Random(seed), bases(seed), 0
    for _ in range(count):
        content = bytearray(rng.choice(models))
        for _ in range(rng.randint(1, 8)):
            content[rng.randrange(len(content))] = rng.choice([0, 1, 2, 127, 128, 255, rng.randrange(256)])
        try:
            artifact = compile_model(bytes(content[: rng.choice([len(content)] * 20 + [rng.randrange(len(content))])]))
        except ModelRefused:
            continue
        Model(artifact)
        compiled += 1
    return count, compiled


if __name__ == "__main__":
    what, wanted, start = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    result = {"artifacts": fuzz_artifacts, "models": fuzz_models}[what](wanted, start)
    print(f"{what}: {result[0]} tried, {result[1]} passed the check, seed {start}")
