"""Artifacts that are no whole, fitting artifact: refused with the reason, and whatever the check lets pass stays inside
its buffers, under the address and undefined-behaviour sanitizers (tests/fuzz.py does so for as long as wanted)."""

import random
import struct
from pathlib import Path

import pytest

from device.native.shared import ArtifactError, Model
from models.artifact import DIGEST_BYTES, HEADER, RECORD, compile_model, seal
from models.export import write_chain
from tests.fuzz import build_harness, run_harness
from tests.int8_operators import OPERATORS

TFLITE = (Path(__file__).parents[2] / "models" / "host" / "encoder.tflite").read_bytes()
ARTIFACT = compile_model(TFLITE)
ARENA_BYTES = Model(ARTIFACT).arena_bytes
MUTANTS = 2000  # of each artifact


def with_header(**fields):
    names = ("magic", "size", "layers", "input", "output", "arena", "cid")
    values = dict(zip(names, HEADER.unpack_from(ARTIFACT), strict=True)) | fields
    return seal(HEADER.pack(*values.values()) + ARTIFACT[HEADER.size : -DIGEST_BYTES])


def record(layer, at):
    return HEADER.size + layer * RECORD.size + at


def with_bytes(at, form, *values):
    content = bytearray(ARTIFACT[:-DIGEST_BYTES])
    struct.pack_into(form, content, at, *values)
    return seal(bytes(content))


def with_record(layer, at, form, *values):
    return with_bytes(record(layer, at), form, *values)


(FIRST_CHANNELS,) = struct.unpack_from("<I", ARTIFACT, record(0, 44))
(LAST_WEIGHTS,) = struct.unpack_from("<I", ARTIFACT, record(4, 40))
(SECOND_SOURCE,) = struct.unpack_from("<I", ARTIFACT, record(1, 28))


BAD = {
    "empty": (b"", "as long as"),
    "cut": (ARTIFACT[:-1], "as long as"),
    "too long": (ARTIFACT + b"\0", "as long as"),
    "magic": (with_header(magic=b"REN2"), "REN3"),
    "no layers": (with_header(layers=0), "no layer"),
    "layers beyond the end": (with_header(layers=1 << 30), "as long as"),
    "no window": (with_header(input=0), "empty or too large"),
    "arena of 4 GiB": (with_header(arena=0xFFFFFFFF), "too large"),
    "arena one too small": (with_header(arena=ARENA_BYTES - 1), "outside its arena"),
    "another window": (with_header(input=127), "outside its arena"),
    "kind 11": (with_record(0, 0, "<B", 11), "unknown kind"),
    "kernel of 0": (with_record(0, 8, "<B", 0), "do not fit"),
    "stride of 0": (with_record(0, 10, "<B", 0), "do not fit"),
    "more output channels than depthwise input": (with_record(1, 26, "<H", 9), "do not fit"),
    "clamp upside down": (with_record(0, 3, "<bb", 1, 0), "do not fit"),
    "destination beyond the arena": (with_record(0, 32, "<I", 0xFFFFFFFE), "outside its arena"),
    "destination over source": (with_record(1, 32, "<I", SECOND_SOURCE), "outside its arena"),
    "no scratch": (with_record(0, 36, "<I", 0xFFFFFFFF), "outside its arena"),
    "weights beyond the end": (with_record(0, 40, "<I", len(ARTIFACT) - 4 & ~3), "weights outside"),
    "weights that end in the digest": (with_record(4, 40, "<I", LAST_WEIGHTS + 4), "weights outside"),
    "weights at an odd place": (with_record(0, 40, "<I", 397), "weights outside"),
    "negative multiplier": (with_bytes(FIRST_CHANNELS + 4, "<i", -1), "multiplier below 0"),
    "shift of 0 in a narrow layer": (with_bytes(FIRST_CHANNELS + 8, "<i", 0), "shift outside"),
    "shift of 31": (with_bytes(FIRST_CHANNELS + 8, "<i", 31), "shift outside"),
    "scratch at an odd place": (with_record(0, 36, "<I", 1), "outside its arena"),
    "table beyond the end": (with_record(0, 44, "<I", len(ARTIFACT) - 4 & ~3), "weights outside"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_artifacts_are_refused_with_the_reason(case):
    artifact, message = BAD[case]
    with pytest.raises(ArtifactError, match=message):
        Model(artifact)


def test_every_flipped_bit_is_refused_most_by_the_digest():
    for at in range(8, len(ARTIFACT)):
        damaged = bytearray(ARTIFACT)
        damaged[at] ^= 1 << at % 8
        with pytest.raises(ArtifactError, match="^artifact: digest does not match, it is damaged$"):
            Model(damaged)
    for bit in range(8 * 8):
        damaged = bytearray(ARTIFACT)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ArtifactError, match="REN3" if bit < 32 else "as long as"):
            Model(damaged)


def test_every_truncation_is_refused_whatever_size_its_header_names():
    for size in range(len(ARTIFACT)):
        with pytest.raises(ArtifactError, match="as long as"):
            Model(ARTIFACT[:size])
        named = (ARTIFACT[:4] + size.to_bytes(4, "little") + ARTIFACT[8:])[:size]
        with pytest.raises(ArtifactError, match="as long as|digest does not match"):
            Model(named)


@pytest.mark.parametrize("window, out", [(127, 16), (129, 16), (0, 16), (128, 15), (128, 17)])
def test_a_window_or_out_of_another_length_leaves_out_as_it_was(window, out):
    target = bytearray(b"\x55" * out)
    with pytest.raises(ValueError, match="got .* bytes, wanted"):
        Model(ARTIFACT).run(bytes(window), target)
    assert target == b"\x55" * out


def test_no_artifact_that_passes_the_check_leaves_its_buffers(tmp_path):
    harness = build_harness(tmp_path)
    bases = [compile_model(write_chain(*make(random.Random(f"fuzz {name}")))) for name, make in OPERATORS.items()]

    tried, ran = run_harness(harness, [ARTIFACT, *bases], MUTANTS, seed=11)
    assert tried == MUTANTS * (1 + len(bases))
    assert ran > tried // 20

    bad = [artifact for artifact, _ in BAD.values() if artifact]
    assert run_harness(harness, bad, 0, seed=1) == (len(bad), 0)
